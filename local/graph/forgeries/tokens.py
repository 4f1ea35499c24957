"""Posts with flawless items whose validation tokens are missing, for somebody else, or nobody's.

The rules broken here: https://learn.microsoft.com/graph/change-notifications-with-resource-data#how-to-validate and
https://datatracker.ietf.org/doc/html/rfc8725 (JSON Web Token best current practices).
"""

import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives import serialization

from local.graph import envelope, validation_tokens
from local.graph.certificates import base64url
from local.graph.envelope import Message
from local.graph.forgeries.materials import Forger, Materials
from local.graph.randomness import chance, guid
from local.graph.signing import SigningKey
from local.graph.validation_tokens import TokenVersion

_HOUR = 3600


def _with(materials: Materials, *tokens: str) -> Message:
    return Message(envelope.body([materials.item()], tokens))


def _claims(materials: Materials) -> dict[str, Any]:
    version: TokenVersion = "1.0" if chance(materials.rng, 0.5) else "2.0"
    subscription = materials.notice.subscription
    return validation_tokens.claims(materials.entra, version, subscription.tenant_id, subscription.audience)


def _signed(materials: Materials, claims: dict[str, Any]) -> Message:
    return _with(materials, materials.entra.keys.current.sign(claims))


def _spoilt(spoil: Callable[[Materials, dict[str, Any]], None]) -> Forger:
    def forge(materials: Materials) -> Message:
        claims = _claims(materials)
        spoil(materials, claims)
        return _signed(materials, claims)

    return forge


def _wrong_audience(materials: Materials, claims: dict[str, Any]) -> None:
    claims["aud"] = guid(materials.rng)


def _wrong_publisher(materials: Materials, claims: dict[str, Any]) -> None:
    claims["appid" if "appid" in claims else "azp"] = guid(materials.rng)


def _wrong_issuer(materials: Materials, claims: dict[str, Any]) -> None:
    claims["iss"] = materials.entra.issuer(claims["ver"], materials.foreign_tenant_id)


def _expired(_: Materials, claims: dict[str, Any]) -> None:
    claims["iat"] = claims["nbf"] = claims["iat"] - 9 * _HOUR
    claims["exp"] = claims["iat"] + 8 * _HOUR


def _not_yet_valid(_: Materials, claims: dict[str, Any]) -> None:
    claims["nbf"] += _HOUR


def _foreign_tenant(materials: Materials) -> Message:
    # Anybody can subscribe with our URL, in a tenant and with an app of their own: all of this is Graph's own work.
    tenant = materials.foreign_tenant_id
    claims = validation_tokens.claims(materials.entra, "2.0", tenant, materials.notice.subscription.audience)
    item = {**materials.item(), "tenantId": tenant}
    return Message(envelope.body([item], [materials.entra.keys.current.sign(claims)]))


def _missing(materials: Materials) -> Message:
    return Message(envelope.body([materials.item()], None, missing=chance(materials.rng, 0.5)))


def _empty(materials: Materials) -> Message:
    return Message(json.dumps({"value": [materials.item()], "validationTokens": []}).encode())


def _unsigned(materials: Materials) -> Message:
    header = {"alg": "none", "typ": "JWT", "kid": materials.entra.keys.current.kid}
    return _with(materials, _unsecured(header, _claims(materials)) + ".")


def _hmac_with_public_key(materials: Materials) -> Message:
    key = materials.entra.keys.current
    public = key.pair.private_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    text = _unsecured({"alg": "HS256", "typ": "JWT", "kid": key.kid}, _claims(materials))
    return _with(materials, f"{text}.{base64url(hmac.digest(public, text.encode(), hashlib.sha256))}")


def _unsecured(header: dict[str, Any], claims: dict[str, Any]) -> str:
    return ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))


def _unknown_key(materials: Materials) -> Message:
    return _with(materials, SigningKey().sign(_claims(materials)))


def _borrowed_kid(materials: Materials) -> Message:
    kid = materials.entra.keys.current.kid
    return _with(materials, SigningKey().sign(_claims(materials), kid=kid))


def _tampered(materials: Materials) -> Message:
    claims = _claims(materials)
    header, _, signature = materials.entra.keys.current.sign({**claims, "aud": guid(materials.rng)}).split(".")
    return _with(materials, f"{header}.{base64url(json.dumps(claims).encode())}.{signature}")


def _one_bad_token(materials: Materials) -> Message:
    bad = materials.entra.keys.current.sign({**_claims(materials), "aud": guid(materials.rng)})
    return _with(materials, *materials.genuine_tokens(), bad)


TOKENS: dict[str, Forger] = {
    "missing-tokens": _missing,
    "empty-tokens": _empty,
    "wrong-audience": _spoilt(_wrong_audience),
    "wrong-publisher": _spoilt(_wrong_publisher),
    "wrong-issuer": _spoilt(_wrong_issuer),
    "expired-token": _spoilt(_expired),
    "not-yet-valid-token": _spoilt(_not_yet_valid),
    "foreign-tenant": _foreign_tenant,
    "unsigned-token": _unsigned,
    "hmac-with-public-key": _hmac_with_public_key,
    "unknown-key": _unknown_key,
    "borrowed-kid": _borrowed_kid,
    "tampered-token": _tampered,
    "one-bad-token": _one_bad_token,
}
