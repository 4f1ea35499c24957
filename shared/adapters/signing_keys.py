"""Entra ID's signing keys, fetched from its two OpenID configurations and kept.

A post whose key is known never waits for the key endpoint: refreshing happens in the background. When to ask is decided
by ``core.signing_keys.Freshness``; this module asks, and keeps the answer.
"""

import logging
import threading
from datetime import datetime

import requests
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from shared.core.errors import SigningKeysUnavailable
from shared.core.metrics import DEPENDENCY_FAILURES
from shared.core.signing_keys import Freshness, parse_discovery, parse_jwks
from shared.ports import SILENCE, Clock, Telemetry

logger = logging.getLogger(__name__)

# To connect, and between two bytes of the answer. A post waits for it at a cold start and for unknown keys only.
TIMEOUT_SECONDS = (3, 5)


class EntraSigningKeys:
    """The SigningKeys port. ``authority_host`` is the origin of the cloud's login endpoint.

    Tokens of version 1.0 have another issuer than those of 2.0, each with a configuration of its own. One of the two
    being away is no reason to do without the other.
    """

    def __init__(self, authority_host: str, tenant_id: str, clock: Clock, telemetry: Telemetry = SILENCE) -> None:
        base = f"{authority_host.rstrip('/')}/{tenant_id}"
        paths = ("v2.0/.well-known/openid-configuration", ".well-known/openid-configuration")
        self._configurations = [_Configuration(f"{base}/{path}", tenant_id, clock, telemetry) for path in paths]

    def find(self, issuer: str, kid: str, received_at: datetime) -> RSAPublicKey | None:
        """See the port."""
        for configuration in self._configurations:
            key = configuration.known(issuer, kid)
            if key is not None:
                return key
        unavailable = None
        for configuration in self._configurations:
            try:
                key = configuration.ask(issuer, kid, received_at)
            except SigningKeysUnavailable as error:
                unavailable = error  # the other configuration may still know the key
                continue
            if key is not None:
                return key
        if unavailable is not None:
            raise unavailable
        return None


class _Configuration:
    """One OpenID configuration and the keys behind it."""

    def __init__(self, url: str, tenant_id: str, clock: Clock, telemetry: Telemetry) -> None:
        self._url = url
        self._telemetry = telemetry
        self._tenant_id = tenant_id
        self._clock = clock
        self._issuer: str | None = None
        self._keys: dict[tuple[str, str], RSAPublicKey] = {}
        self._freshness = Freshness()
        self._fetching = threading.Lock()

    def known(self, issuer: str, kid: str) -> RSAPublicKey | None:
        """The key if it is at hand, without waiting for anything."""
        now = self._clock()
        key = self._keys.get((issuer, kid)) if self._freshness.usable(now) else None
        if key is not None and self._freshness.due(now):
            self._refresh_in_background()
        return key

    def ask(self, issuer: str, kid: str, received_at: datetime) -> RSAPublicKey | None:
        """The key after asking for it where that is due. Raises SigningKeysUnavailable while nothing is certain."""
        with self._fetching:
            # Whoever waited for the lock may find what another thread has just fetched.
            known = self.known(issuer, kid)
            now = self._clock()
            if known is not None or self._is_unknown_for_good(issuer, received_at, now):
                return known
            if not self._freshness.may_ask_for_unknown(now):
                raise SigningKeysUnavailable(f"a signing key is not known, and {self._url} was asked a moment ago")
            self._fetch(now, for_unknown=self._freshness.loaded_at is not None)
            return self.known(issuer, kid)

    def _is_unknown_for_good(self, issuer: str, received_at: datetime, now: datetime) -> bool:
        signs_for_another = self._issuer not in (None, issuer)
        return self._freshness.usable(now) and (signs_for_another or self._freshness.vouches_for(received_at, now))

    def _refresh_in_background(self) -> None:
        if self._fetching.acquire(blocking=False):
            threading.Thread(target=self._refresh, name="signing-keys", daemon=True).start()

    def _refresh(self) -> None:
        try:
            self._fetch(self._clock(), for_unknown=False)
        except SigningKeysUnavailable as error:
            # The keys at hand stay good, and the first post after the cool-down starts another try.
            logger.warning("signing keys were not refreshed: %s", error)
        finally:
            self._fetching.release()

    def _fetch(self, now: datetime, *, for_unknown: bool) -> None:
        self._freshness = self._freshness.attempted(now, for_unknown=for_unknown)
        try:
            with self._telemetry.span("signing keys fetch", dependency="signing-keys", configuration=self._url):
                discovery = parse_discovery(_get(self._url), self._tenant_id)
                keys = parse_jwks(_get(discovery.jwks_uri), discovery, self._tenant_id)
        except SigningKeysUnavailable:
            self._telemetry.measure(DEPENDENCY_FAILURES, 1, dependency="signing-keys")
            raise
        # The issuer last: a reader in between sees no issuer without its keys.
        self._keys, self._issuer = keys, discovery.issuer
        self._freshness = self._freshness.loaded()


def _get(url: str) -> object:
    try:
        answer = requests.get(url, timeout=TIMEOUT_SECONDS, allow_redirects=False)
        if answer.status_code == requests.codes.ok:
            return answer.json()
    except requests.RequestException as error:
        # Not reached, or not JSON: the type tells which, and the message could repeat the answer.
        raise SigningKeysUnavailable(f"{url} gave no JSON ({type(error).__name__})") from error
    raise SigningKeysUnavailable(f"{url} answered {answer.status_code}")
