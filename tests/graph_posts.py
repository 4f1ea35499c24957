"""Posts as Microsoft Graph makes them: keys, tokens, ciphertexts and envelopes, written without any code of the app."""

import base64
import hmac
import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.fakes import NOW

PAYLOADS = Path(__file__).parent / "payloads"

TENANT = "8f4c1a52-0f6b-4a83-9d57-31c6d8b0e7aa"
ANOTHER_TENANT = "0d9f8e7c-1111-4222-8333-944455556666"
CLIENT = "d3b07384-d9a0-4c2e-8f14-5e6a7b8c9d0e"
PUBLISHER = "0bf30f3b-4a52-48df-9a82-234910c4a086"
SUBSCRIPTION = "2a9b1c7d-4e5f-4061-8293-a4b5c6d7e8f9"
CLIENT_STATE = "current-secret"
PREVIOUS_CLIENT_STATE = "previous-secret"
CERTIFICATE_ID = "0123456789abcdef0123456789abcdef"
THUMBPRINT = "07293748cc064953a3052fb978c735fb89e61c3d"
KID = "entra-key-1"
V1_ISSUER = f"https://sts.windows.net/{TENANT}/"
V2_ISSUER = f"https://login.microsoftonline.com/{TENANT}/v2.0"


@cache
def rsa_key(owner: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """The private key of ``owner``, made once per run."""
    assert owner
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def payload(name: str) -> dict[str, Any]:
    """A document from ``tests/payloads``."""
    document = json.loads((PAYLOADS / f"{name}.json").read_bytes())
    assert isinstance(document, dict)
    return document


def interaction(**changes: object) -> dict[str, Any]:
    """A prompt, with ``changes``."""
    return {**payload("aiInteraction.userPrompt"), **changes}


def base64url(data: bytes) -> str:
    """Base64 as JSON Web Tokens have it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims(version: str = "2.0", at: datetime = NOW, **changes: object) -> dict[str, object]:
    """What a validation token says; a change to None takes the claim away."""
    issued = int(at.timestamp())
    publisher = {"azp": PUBLISHER} if version == "2.0" else {"appid": PUBLISHER}
    said = {
        "aud": CLIENT,
        "iss": V2_ISSUER if version == "2.0" else V1_ISSUER,
        "iat": issued,
        "nbf": issued,
        "exp": issued + 86_700,
        "tid": TENANT,
        "ver": version,
        **publisher,
        **changes,
    }
    return {name: value for name, value in said.items() if value is not None}


def signed(header: Mapping[str, object], said: object, key: rsa.RSAPrivateKey) -> str:
    """A token signed with RS256, whatever its header says."""
    signing_input = f"{base64url(json.dumps(header).encode())}.{base64url(json.dumps(said).encode())}"
    return f"{signing_input}.{base64url(key.sign(signing_input.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def token(version: str = "2.0", at: datetime = NOW, *, kid: str = KID, owner: str = "entra", **changes: object) -> str:
    """A genuine validation token, with ``changes`` to its claims."""
    return signed({"alg": "RS256", "typ": "JWT", "kid": kid}, claims(version, at, **changes), rsa_key(owner))


def encrypted(
    content: bytes,
    *,
    owner: str = "vault",
    certificate_id: str = CERTIFICATE_ID,
    thumbprint: str = THUMBPRINT,
    symmetric_key: bytes | None = None,
) -> dict[str, Any]:
    """Content as ``encryptedContent``: https://learn.microsoft.com/graph/change-notifications-with-resource-data."""
    key = os.urandom(32) if symmetric_key is None else symmetric_key
    pad = 16 - len(content) % 16
    # A key of another length can't be AES-256's; what it wraps does not matter then.
    aes = key if len(key) == 32 else bytes(32)
    encryptor = Cipher(algorithms.AES(aes), modes.CBC(aes[:16])).encryptor()
    data = encryptor.update(content + bytes([pad]) * pad) + encryptor.finalize()
    oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303 - what Graph uses
    wrapped = rsa_key(owner).public_key().encrypt(key, oaep)
    return {
        "data": base64.b64encode(data).decode(),
        "dataSignature": base64.b64encode(hmac.digest(key, data, "sha256")).decode(),
        "dataKey": base64.b64encode(wrapped).decode(),
        "encryptionCertificateId": certificate_id,
        "encryptionCertificateThumbprint": thumbprint,
    }


def notification(resource: Mapping[str, object], /, **changes: object) -> dict[str, Any]:
    """A rich change notification about ``resource``; a change to ``...`` takes the property away."""
    identifier = resource.get("id")
    path = f"copilot/interactionHistory/interactions('{identifier}')"
    item = {
        "subscriptionId": SUBSCRIPTION,
        "subscriptionExpirationDateTime": "2026-01-07T10:30:34.9097561+00:00",
        "clientState": CLIENT_STATE,
        "changeType": "created",
        "resource": path,
        "resourceData": {
            "@odata.type": resource.get("@odata.type"),
            "@odata.id": path,
            "id": identifier,
        },
        "encryptedContent": None if "encryptedContent" in changes else encrypted(as_bytes(resource)),
        "tenantId": TENANT,
        **changes,
    }
    return {name: value for name, value in item.items() if value is not ...}


def tampered(item: Mapping[str, Any]) -> dict[str, Any]:
    """A notification with content that does not open any more."""
    return {**item, "encryptedContent": {**item["encryptedContent"], "dataSignature": "AAAA"}}


def as_bytes(resource: Mapping[str, object]) -> bytes:
    """A resource as Graph writes it: compact, not escaped."""
    return json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def post(*items: object, tokens: Sequence[object] | None = None) -> bytes:
    """A body, with a genuine token unless told otherwise."""
    return json.dumps({"value": items, "validationTokens": [token()] if tokens is None else tokens}).encode()
