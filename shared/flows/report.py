"""What an operator asks first: is something waiting, is something dead, and until when is the certificate good?"""

from dataclasses import dataclass
from itertools import islice

from shared.core.errors import CannotArchive, KeyVaultUnavailable
from shared.core.inbox_name import LIFECYCLE, NOTIFICATIONS
from shared.core.instants import format_instant
from shared.ports import Clock, Container, KeyRing

SCHEMA_VERSION = 1
# Counting stops here, so that asking stays cheap when much is wrong. The age is told however many there are.
MAX_COUNTED = 10_000
MAX_AGED = 1_000


@dataclass(frozen=True, slots=True)
class Reporting:
    """Builds the JSON of ``/api/status``; its schema is in docs/operations.md."""

    inbox: Container
    dead_letters: Container
    state: Container
    key_ring: KeyRing
    clock: Clock

    def status(self) -> dict[str, object]:
        """The status. Raises StorageUnavailable; a Key Vault that is away is part of the answer."""
        by_reason = {reason: _count(self.dead_letters, f"{reason}/") for reason in self.dead_letters.folders()}
        return {
            "version": SCHEMA_VERSION,
            "time": format_instant(self.clock()),
            "inbox": {queue: self._waiting(queue) for queue in (NOTIFICATIONS, LIFECYCLE)},
            "deadLetters": {"total": sum(by_reason.values()), "byReason": by_reason},
            "conflicts": _count(self.state, "conflicts/"),
            "certificate": self._certificate(),
        }

    def _waiting(self, queue: str) -> dict[str, object]:
        oldest_name = next(self.inbox.names(f"{queue}/"), None)
        if oldest_name is None:
            return {"posts": 0, "oldestReceivedAt": None, "oldestAgeSeconds": None}
        # Names sort by the hour of receipt, so the oldest post is among those of the first hour.
        hour = oldest_name.rpartition("/")[0] + "/"
        oldest = min(islice(self.inbox.ages(hour), MAX_AGED), default=self.clock())
        return {
            "posts": _count(self.inbox, f"{queue}/"),
            "oldestReceivedAt": format_instant(oldest),
            "oldestAgeSeconds": max(0, round((self.clock() - oldest).total_seconds())),
        }

    def _certificate(self) -> dict[str, object]:
        try:
            certificate = self.key_ring.current()
        except (KeyVaultUnavailable, CannotArchive) as error:
            # The rest of the status is worth having all the more while the vault is away, or the certificate is.
            return {"error": str(error)}
        return {
            "id": certificate.version,
            "thumbprint": certificate.thumbprint,
            "expiresAt": format_instant(certificate.expires_at),
            "secondsToExpiry": round((certificate.expires_at - self.clock()).total_seconds()),
        }


def _count(container: Container, prefix: str) -> int:
    return sum(1 for _ in islice(container.names(prefix), MAX_COUNTED))
