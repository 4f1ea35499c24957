"""What a genuine validation token looks like, signing keys given.

Graph vouches for each post with resource data by one JSON Web Token per app and tenant:
https://learn.microsoft.com/graph/change-notifications-with-resource-data#validating-the-authenticity-of-notifications.
Tokens come in Entra's versions 1.0 (publisher in ``appid``) and 2.0 (in ``azp``):
https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference.

The order is that of cost: size, header, claims, and only then a key look-up and the signature. The clock is PyJWT's in
none of it: a token is judged at the time when its post was received.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from shared.core.errors import NotGenuine

# The service principal "Microsoft Graph Change Tracking", the same in every tenant.
PUBLISHER_APP_ID = "0bf30f3b-4a52-48df-9a82-234910c4a086"
MAX_TOKEN_CHARACTERS = 16_384
MAX_KID_CHARACTERS = 256
SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class TokenRules:
    """For whom a token must be issued: our app registration's client id, and our tenant's id."""

    audience: str
    tenant_id: str


@dataclass(frozen=True, slots=True)
class UnverifiedToken:
    """A token whose claims fit, and whose signature nobody has checked yet. ``kid`` and ``issuer`` select the key."""

    text: str
    kid: str
    issuer: str
    tenant_id: str
    not_before: datetime
    expires: datetime


def read_claims(token: object, rules: TokenRules) -> UnverifiedToken:
    """The token, if all but its time and signature fits. Raises NotGenuine, saying which claim does not."""
    if not isinstance(token, str) or len(token) > MAX_TOKEN_CHARACTERS:
        raise NotGenuine(f"a validation token is no text of at most {MAX_TOKEN_CHARACTERS} characters")
    header, claims = _decode_unverified(token)
    if header.get("alg") != "RS256":
        raise NotGenuine("a validation token is not signed with RS256")
    kid = header.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID_CHARACTERS:
        raise NotGenuine("a validation token names no signing key")
    issuer = claims.get("iss")
    if not isinstance(issuer, str):
        raise NotGenuine("a validation token has no issuer")
    _require_guid(claims, "aud", rules.audience)
    _require_guid(claims, "tid", rules.tenant_id)
    _require_publisher(claims)
    return UnverifiedToken(
        text=token,
        kid=kid,
        issuer=issuer,
        tenant_id=rules.tenant_id.lower(),
        not_before=_instant(claims, "nbf"),
        expires=_instant(claims, "exp"),
    )


def check_times(token: UnverifiedToken, received_at: datetime) -> None:
    """Pass a token that was in force when its post was received, give or take five minutes. Raises NotGenuine."""
    if received_at + SKEW < token.not_before:
        raise NotGenuine("a validation token was not valid yet when the post was received")
    if received_at - SKEW >= token.expires:
        raise NotGenuine("a validation token had expired when the post was received")


def check_signature(token: UnverifiedToken, key: RSAPublicKey) -> None:
    """Pass a token that ``key`` signed. Raises NotGenuine."""
    try:
        jwt.decode(token.text, key, algorithms=["RS256"], options=_SIGNATURE_ONLY)
    except jwt.InvalidTokenError:
        raise NotGenuine("the signature of a validation token does not match") from None


# Times, audience and issuer are judged above, by the time of receipt and without regard to the case of GUIDs.
_SIGNATURE_ONLY: jwt.types.Options = {
    "verify_signature": True,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}


def _decode_unverified(token: str) -> tuple[Mapping[str, object], Mapping[str, object]]:
    try:
        unverified = jwt.decode_complete(token, options={"verify_signature": False})
    except (jwt.InvalidTokenError, RecursionError, ValueError):
        raise NotGenuine("a validation token is no JSON Web Token") from None
    return unverified["header"], unverified["payload"]


def _require_guid(claims: Mapping[str, object], name: str, expected: str) -> None:
    value = claims.get(name)
    if not isinstance(value, str) or value.lower() != expected.lower():
        raise NotGenuine(f"the {name} of a validation token is not ours")


def _require_publisher(claims: Mapping[str, object]) -> None:
    publishers = {str(claims[name]).lower() for name in ("appid", "azp") if name in claims}
    if publishers != {PUBLISHER_APP_ID}:
        raise NotGenuine("a validation token was not issued to Microsoft Graph's publisher")


def _instant(claims: Mapping[str, object], name: str) -> datetime:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NotGenuine(f"the {name} of a validation token is no time")
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        raise NotGenuine(f"the {name} of a validation token is no time") from None
