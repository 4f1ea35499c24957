"""A throw-away tenant: the keys, certificate and tokens of Graph and Entra ID, and posts as Graph sends them.

https://learn.microsoft.com/graph/change-notifications-with-resource-data
"""

import base64
import hmac
import json
import os
import time
import uuid
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast
from unittest.mock import patch

import jwt
from azure.keyvault.secrets import SecretClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from benchmarks.content import Content
from shared.adapters.key_vault import KeyVaultKeyRing
from shared.adapters.signing_keys import EntraSigningKeys
from shared.core.validation_token import PUBLISHER_APP_ID, TokenRules
from shared.parts import utc_now

OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)  # noqa: S303 - Graph's choice
CLIENT_STATE = "benchmark-client-state"
AUTHORITY = "https://entra.example"
SIGNING_KEYS = 7
TOKEN_SECONDS = 86_400


class Tenant:
    """One tenant with one encryption certificate of ``bits``. Its keys are new each time, its content is not."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self.tenant_id = str(uuid.uuid4())
        self.client_id = str(uuid.uuid4())
        self.certificate_id = uuid.uuid4().hex
        self.private_key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        self.certificate = _self_signed(self.private_key)
        self._signing = {uuid.uuid4().hex: rsa.generate_private_key(65537, 2048) for _ in range(SIGNING_KEYS)}
        self._subscription_id = str(uuid.uuid4())
        self._content = Content(seed=bits)
        self._tokens = [self._token(issuer) for issuer in self.issuers.values()]

    @property
    def issuers(self) -> dict[str, str]:
        """Who issues tokens of versions 1.0 and 2.0."""
        return {
            "": f"https://sts.windows.net/{self.tenant_id}/",
            "v2.0/": f"{AUTHORITY}/{self.tenant_id}/v2.0",
        }

    @property
    def rules(self) -> TokenRules:
        """For whom its tokens must be issued."""
        return TokenRules(audience=self.client_id, tenant_id=self.tenant_id)

    @property
    def pem(self) -> bytes:
        """Private key and certificate, as Key Vault keeps them in a PEM secret."""
        key = self.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return key + self.certificate.public_bytes(Encoding.PEM)

    @property
    def thumbprint(self) -> str:
        """The certificate's SHA-1 in hex."""
        return self.certificate.fingerprint(hashes.SHA1()).hex()  # noqa: S303 - what Graph sends

    def jwks(self) -> dict[str, object]:
        """Entra's key document: seven keys, as many as Entra lists on most days."""
        keys = []
        for kid, key in self._signing.items():
            public = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
            keys.append({**public, "kid": kid, "use": "sig", "x5t": kid})
        return {"keys": keys}

    def signing_keys(self) -> EntraSigningKeys:
        """The app's own adapter, after it has fetched both configurations; Entra's answers come from memory."""
        keys = EntraSigningKeys(AUTHORITY, self.tenant_id, utc_now)
        with patch("requests.get", self._entra_answer):
            for issuer in self.issuers.values():
                assert keys.find(issuer, next(iter(self._signing)), utc_now()) is not None
        return keys

    def key_ring(self) -> KeyVaultKeyRing:
        """The app's own adapter, after it has fetched the key; the vault's answer comes from memory."""
        properties = SimpleNamespace(content_type="application/x-pem-file", version=self.certificate_id)
        secret = SimpleNamespace(value=self.pem.decode(), properties=properties)
        vault = SimpleNamespace(get_secret=lambda *_: secret)
        ring = KeyVaultKeyRing(cast("SecretClient", vault), "graph-notifications", utc_now)
        ring.key(self.certificate_id)
        return ring

    def wrapped_key(self) -> bytes:
        """A symmetric key wrapped for the certificate: what one private-key operation opens."""
        return self.private_key.public_key().encrypt(os.urandom(32), OAEP)

    def interaction(self) -> tuple[str, bytes]:
        """An interaction's id and content, in the mix that ``benchmarks.content`` tells."""
        return self._content.interaction()

    def post(self, items: int) -> bytes:
        """The body of a post with so many rich notifications, each about an interaction of its own."""
        tokens = [self._tokens[items % 2]]
        return json.dumps({"value": [self._item() for _ in range(items)], "validationTokens": tokens}).encode()

    def _item(self) -> dict[str, object]:
        identifier, content = self.interaction()
        resource = f"copilot/interactionHistory/interactions('{identifier}')"
        return {
            "subscriptionId": self._subscription_id,
            "subscriptionExpirationDateTime": "2026-12-31T10:30:34.9097561-08:00",
            "clientState": CLIENT_STATE,
            "changeType": "created",
            "tenantId": self.tenant_id,
            "resource": resource,
            "resourceData": {"@odata.type": "#Microsoft.Graph.aiInteraction", "@odata.id": resource, "id": identifier},
            "encryptedContent": self._seal(content),
        }

    def _seal(self, content: bytes) -> dict[str, str]:
        key = os.urandom(32)
        padder = PKCS7(128).padder()
        encryptor = Cipher(algorithms.AES256(key), modes.CBC(key[:16])).encryptor()
        data = encryptor.update(padder.update(content) + padder.finalize()) + encryptor.finalize()
        return {
            "data": base64.b64encode(data).decode(),
            "dataSignature": base64.b64encode(hmac.digest(key, data, "sha256")).decode(),
            "dataKey": base64.b64encode(self.private_key.public_key().encrypt(key, OAEP)).decode(),
            "encryptionCertificateId": self.certificate_id,
            "encryptionCertificateThumbprint": self.thumbprint.upper(),
        }

    def _token(self, issuer: str) -> str:
        kid, key = next(iter(self._signing.items()))
        now = int(time.time())
        publisher = "azp" if issuer.endswith("v2.0") else "appid"
        claims = {"iss": issuer, "aud": self.client_id, "tid": self.tenant_id, publisher: PUBLISHER_APP_ID}
        times = {"iat": now, "nbf": now, "exp": now + TOKEN_SECONDS}
        other = {name: str(uuid.uuid4()) for name in ("oid", "sub", "uti", "rh", "aio")}
        return jwt.encode({**claims, **times, **other, "ver": "1.0"}, key, "RS256", headers={"kid": kid, "x5t": kid})

    def _entra_answer(self, url: str, **_: object) -> SimpleNamespace:
        if url.endswith("/keys"):
            return _ok(self.jwks())
        version = "v2.0/" if "/v2.0/" in url else ""
        return _ok({"issuer": self.issuers[version], "jwks_uri": f"{AUTHORITY}/{self.tenant_id}/keys"})


def _ok(document: object) -> SimpleNamespace:
    return SimpleNamespace(status_code=200, json=lambda: document)


def _self_signed(key: rsa.RSAPrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "benchmark")])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
