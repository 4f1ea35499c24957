"""A Key Vault with certificates: each version is a certificate and the secret that holds its private key.

https://learn.microsoft.com/azure/key-vault/certificates/about-certificates
"""

import base64
import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from local.graph.certificates import KeyPair, base64url, self_signed
from local.graph.times import utc_now

ContentType = Literal["application/x-pkcs12", "application/x-pem-file"]
PKCS12: ContentType = "application/x-pkcs12"
PEM: ContentType = "application/x-pem-file"


@dataclass(frozen=True)
class Version:
    """One version of a certificate: `id` is 32 hex digits, as Key Vault makes them."""

    id: str
    pair: KeyPair
    content_type: ContentType
    created: datetime
    enabled: bool = True

    def secret_value(self) -> str:
        """Return the private key with its certificate, as the secret of the same name and version holds it."""
        if self.content_type == PEM:
            return self._private_pem() + self.pair.certificate.public_bytes(serialization.Encoding.PEM).decode()
        # Key Vault exports with an empty password.
        blob = pkcs12.serialize_key_and_certificates(
            None, self.pair.private_key, self.pair.certificate, None, serialization.NoEncryption()
        )
        return base64.b64encode(blob).decode()

    def attributes(self) -> dict[str, Any]:
        """Return the attributes that the secret and the certificate share; times are epoch seconds."""
        certificate, created = self.pair.certificate, int(self.created.timestamp())
        return {
            "enabled": self.enabled,
            "nbf": int(certificate.not_valid_before_utc.timestamp()),
            "exp": int(certificate.not_valid_after_utc.timestamp()),
            "created": created,
            "updated": created,
            "recoveryLevel": "Recoverable+Purgeable",
            "recoverableDays": 90,
        }

    def thumbprint(self) -> str:
        """Return `x5t`: base64url of the certificate's SHA-1."""
        return base64url(self.pair.certificate.fingerprint(hashes.SHA1()))  # noqa: S303 - x5t is SHA-1

    def _private_pem(self) -> str:
        return self.pair.private_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()


class Vault:
    """Certificates by name, newest version last. All changes are visible to the next request."""

    def __init__(self, *, bits: int = 2048) -> None:
        self._bits = bits
        self._versions: dict[str, list[Version]] = {}
        self._deleted: dict[tuple[str, str], tuple[int, Version]] = {}

    def rotate(
        self,
        name: str,
        *,
        content_type: ContentType = PKCS12,
        bits: int | None = None,
        not_before: datetime | None = None,
        lifetime: timedelta = timedelta(days=365),
    ) -> Version:
        """Add a new version of `name`, the certificate's first included, and return it."""
        pair = self_signed(name, bits=bits or self._bits, not_before=not_before, lifetime=lifetime)
        version = Version(uuid.uuid4().hex, pair, content_type, utc_now())
        self._versions.setdefault(name, []).append(version)
        return version

    def versions(self, name: str) -> tuple[Version, ...]:
        """Return every version of `name`, oldest first; none for an unknown name."""
        return tuple(self._versions.get(name, ()))

    def find(self, name: str, version_id: str | None = None) -> Version | None:
        """Return a version, or the newest where no version is named."""
        versions = self._versions.get(name, [])
        if version_id is None:
            return versions[-1] if versions else None
        return next((version for version in versions if version.id == version_id), None)

    def disable(self, name: str, version_id: str) -> None:
        """Make a version refuse to be read (403, SecretDisabled)."""
        self._change(name, version_id, enabled=False)

    def enable(self, name: str, version_id: str) -> None:
        """Undo `disable`."""
        self._change(name, version_id, enabled=True)

    def delete(self, name: str, version_id: str) -> None:
        """Take a version away (404). Azure deletes whole objects; one version is what a test of rotation needs.

        Raises:
            KeyError: no such version.
        """
        version = self._required(name, version_id)
        index = self._versions[name].index(version)
        self._deleted[name, version_id] = (index, self._versions[name].pop(index))

    def restore(self, name: str, version_id: str) -> None:
        """Bring a deleted version back to its place.

        Raises:
            KeyError: that version was not deleted.
        """
        index, version = self._deleted.pop((name, version_id))
        self._versions[name].insert(index, version)

    def _change(self, name: str, version_id: str, *, enabled: bool) -> None:
        version = self._required(name, version_id)
        versions = self._versions[name]
        versions[versions.index(version)] = replace(version, enabled=enabled)

    def _required(self, name: str, version_id: str) -> Version:
        if (version := self.find(name, version_id)) is None:
            raise KeyError(f"no version {version_id!r} of certificate {name!r}")
        return version
