"""Entra ID's signing keys: several are published, one signs, and they change without notice.

https://learn.microsoft.com/entra/identity-platform/signing-key-rollover
"""

import base64
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes

from local.graph.certificates import KeyPair, base64url, self_signed

Claims = Mapping[str, Any]


class SigningKey:
    """One key of Entra ID: its `kid` is the base64url SHA-1 of its certificate, as Entra's own are."""

    def __init__(self) -> None:
        self.pair: KeyPair = self_signed("accounts.accesscontrol.windows.net")
        self.kid: str = base64url(self.pair.certificate.fingerprint(hashes.SHA1()))  # noqa: S303 - x5t is SHA-1

    def jwk(self, issuer: str) -> dict[str, Any]:
        """Return the public key in the shape of Entra's key documents."""
        numbers = self.pair.private_key.public_key().public_numbers()
        modulus = numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8)
        return {
            "kty": "RSA",
            "use": "sig",
            "kid": self.kid,
            "x5t": self.kid,
            "n": base64url(modulus),
            "e": base64url(numbers.e.to_bytes(3)),
            "x5c": [base64.b64encode(self.pair.der).decode()],
            "cloud_instance_name": "microsoftonline.com",
            "issuer": issuer,
        }

    def sign(self, claims: Claims, *, kid: str | None = None) -> str:
        """Return a JWT over `claims`, RS256; `kid` replaces the key's own in the header."""
        named = kid or self.kid
        return jwt.encode(dict(claims), self.pair.private_key, "RS256", {"kid": named, "x5t": named})


class SigningKeys:
    """The published set. Begins with two keys, since Entra ID always shows more than the one in use."""

    def __init__(self) -> None:
        self._published = [SigningKey(), SigningKey()]
        self._current = self._published[0]

    @property
    def current(self) -> SigningKey:
        """The key that signs."""
        return self._current

    @property
    def published(self) -> tuple[SigningKey, ...]:
        """Every key of the key documents."""
        return tuple(self._published)

    def publish(self) -> SigningKey:
        """Make a new key and show it in the key documents, without using it yet."""
        key = SigningKey()
        self._published.append(key)
        return key

    def rotate(self, *, retire: bool = True) -> SigningKey:
        """Publish a new key and sign with it at once, as in an emergency; `retire` takes the old one away."""
        old, self._current = self._current, self.publish()
        if retire:
            self._published.remove(old)
        return self._current

    def find(self, kid: str) -> SigningKey | None:
        """Return the published key of that `kid`, if there is one."""
        return next((key for key in self._published if key.kid == kid), None)
