"""Entra ID's discovery documents -> the keys that may sign tokens, and how long such knowledge lasts.

https://learn.microsoft.com/entra/identity-platform/signing-key-rollover
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from shared.core.errors import SigningKeysUnavailable

# Entra publishes a key days before it signs with it, and asks for a refresh about every hour.
REFRESH_AFTER = timedelta(hours=1)
# Keys stay good while the key endpoint is away, for as long as an outage may reasonably last.
STALE_AFTER = timedelta(days=7)
# For a key that nobody knows the endpoint is asked at once, then not again for this long, however many posts name one.
COOL_DOWN = timedelta(seconds=30)
MIN_KEY_BITS = 2048


@dataclass(frozen=True, slots=True)
class Discovery:
    """One OpenID configuration: who issues, and where the keys are."""

    issuer: str
    jwks_uri: str


def parse_discovery(document: object, tenant_id: str) -> Discovery:
    """The issuer with our tenant filled in, and the address of the keys.

    Raises SigningKeysUnavailable when the document is not an OpenID configuration or points away from https.
    """
    fields = document if isinstance(document, dict) else {}
    issuer, jwks_uri = fields.get("issuer"), fields.get("jwks_uri")
    if not isinstance(issuer, str) or not isinstance(jwks_uri, str) or not jwks_uri.startswith("https://"):
        raise SigningKeysUnavailable("the OpenID configuration names no issuer or no https jwks_uri")
    return Discovery(issuer=_fill_in(issuer, tenant_id), jwks_uri=jwks_uri)


def parse_jwks(document: object, discovery: Discovery, tenant_id: str) -> dict[tuple[str, str], RSAPublicKey]:
    """Keys by (issuer, kid). What is no RSA signing key of this issuer is left out.

    Raises SigningKeysUnavailable when no key remains: an empty answer must never replace keys that work.
    """
    listed = document.get("keys") if isinstance(document, dict) else None
    keys = {}
    for entry in listed if isinstance(listed, list) else []:
        key = _rsa_key(entry) if _may_sign(entry, discovery.issuer, tenant_id) else None
        if key is not None:
            keys[discovery.issuer, str(entry["kid"])] = key
    if not keys:
        raise SigningKeysUnavailable("the key endpoint lists no usable signing key")
    return keys


@dataclass(frozen=True, slots=True)
class Freshness:
    """What is known about the keys' age. Attempts are counted from their start, which is what they can vouch for."""

    loaded_at: datetime | None = None
    attempted_at: datetime | None = None
    asked_for_unknown_at: datetime | None = None

    def attempted(self, now: datetime, *, for_unknown: bool) -> "Freshness":
        """As this, with a look at the key endpoint beginning now."""
        return replace(self, attempted_at=now, asked_for_unknown_at=now if for_unknown else self.asked_for_unknown_at)

    def loaded(self) -> "Freshness":
        """As this, with that look having brought keys."""
        return replace(self, loaded_at=self.attempted_at)

    def due(self, now: datetime) -> bool:
        """Whether a refresh in the background should start."""
        old = self.loaded_at is None or now - self.loaded_at >= REFRESH_AFTER
        return old and self._cool(self.attempted_at, now)

    def usable(self, now: datetime) -> bool:
        """Whether the loaded keys may still be believed."""
        return self.loaded_at is not None and now - self.loaded_at < STALE_AFTER

    def may_ask_for_unknown(self, now: datetime) -> bool:
        """Whether an unknown key is reason to ask now: once per cool-down, failures included.

        A scheduled load does not start the cool-down, so that the first unknown key is looked up at once.
        """
        asked = self.asked_for_unknown_at
        failed_lately = self.loaded_at != self.attempted_at and not self._cool(self.attempted_at, now)
        return self._cool(asked, now) and not failed_lately

    def vouches_for(self, received_at: datetime, now: datetime) -> bool:
        """Whether a key missing from the loaded ones is unknown for good to a post received then.

        What was loaded later than now was dated by a clock that has been set back since: it vouches for nothing.
        """
        return self.loaded_at is not None and received_at <= self.loaded_at <= now

    @staticmethod
    def _cool(since: datetime | None, now: datetime) -> bool:
        # A clock that is set back must not make it longer.
        return since is None or not timedelta(0) <= now - since < COOL_DOWN


def _may_sign(entry: object, issuer: str, tenant_id: str) -> bool:
    if not isinstance(entry, dict) or entry.get("kty") != "RSA" or not isinstance(entry.get("kid"), str):
        return False
    bound_to = entry.get("issuer")
    if isinstance(bound_to, str) and _fill_in(bound_to, tenant_id) != issuer:
        return False
    return bool(entry.get("use", "sig") == "sig")


def _rsa_key(entry: Mapping[str, object]) -> RSAPublicKey | None:
    try:
        key = jwt.PyJWK({**entry, "alg": "RS256"}).key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    return key if isinstance(key, RSAPublicKey) and key.key_size >= MIN_KEY_BITS else None


def _fill_in(issuer: str, tenant_id: str) -> str:
    return issuer.replace("{tenantid}", tenant_id)
