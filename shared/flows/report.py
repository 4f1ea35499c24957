"""What an operator asks first: is something waiting, is something dead, and until when is the certificate good?"""

from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from shared.core.errors import CannotArchive, KeyVaultUnavailable
from shared.core.gap import GAPS, LOST_GAPS
from shared.core.inbox_name import LIFECYCLE, NOTIFICATIONS
from shared.core.instants import format_instant, format_known
from shared.core.subscription_rules import DesiredSubscription
from shared.core.subscription_watch import WATCH, Watch
from shared.core.watch_json import from_json
from shared.flows.export_report import ExportReporting
from shared.flows.hours import captured
from shared.ports import Clock, Container, KeyRing

SCHEMA_VERSION = 1
# Counting stops here, so that asking stays cheap when much is wrong. The age is told however many there are.
MAX_COUNTED = 10_000
MAX_AGED = 1_000
# Of ten thousand subscriptions those that the operator named come first.
MAX_LISTED = 200


@dataclass(frozen=True, slots=True)
class Reporting:
    """Builds the JSON of ``/api/status``; its schema is in docs/operations.md."""

    inbox: Container
    dead_letters: Container
    state: Container
    key_ring: KeyRing
    exports: ExportReporting
    clock: Clock
    desired: tuple[DesiredSubscription, ...] | None = None

    def status(self) -> dict[str, object]:
        """The status. Raises StorageUnavailable; a Key Vault that is away is part of the answer."""
        exports = self.exports.document()
        days = exports.pop("days", [])
        by_reason = {reason: _count(self.dead_letters, f"{reason}/") for reason in self.dead_letters.folders()}
        return {
            "version": SCHEMA_VERSION,
            "time": format_instant(self.clock()),
            "inbox": {queue: self._waiting(queue) for queue in (NOTIFICATIONS, LIFECYCLE)},
            "deadLetters": {"total": sum(by_reason.values()), "byReason": by_reason},
            "conflicts": _count(self.state, "conflicts/"),
            "subscriptions": self._subscriptions(),
            "certificate": self._certificate(),
            "exports": exports,
            "coverage": days,
            "captured": captured(self.state),
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

    def _subscriptions(self) -> dict[str, object]:
        """What the last run of ``renew_subscriptions`` knew; Graph is not asked."""
        watch, now = self._watch(), self.clock()
        keys = dict.fromkeys([*(each.key for each in self.desired or ()), *watch.tracked, *watch.problems])
        return {
            "managed": self.desired is not None,
            "reconciledAt": format_known(watch.reconciled_at),
            "live": sum(each.is_live(now) for each in watch.tracked.values()),
            "gapsToExport": _count(self.state, GAPS),
            "gapsLost": _count(self.state, LOST_GAPS),
            "resources": [_subscription(key, watch, now) for key in islice(keys, MAX_LISTED)],
        }

    def _watch(self) -> Watch:
        blob = self.state.read(WATCH)
        return Watch() if blob is None else from_json(blob.content)

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


def _subscription(key: str, watch: Watch, now: datetime) -> dict[str, object]:
    tracked, problem = watch.tracked.get(key), watch.problems.get(key)
    live = tracked is not None and tracked.is_live(now)
    return {
        "resource": tracked.resource if tracked else key,
        "id": tracked.id if tracked else None,
        "live": live,
        "expirationDateTime": format_known(tracked.expires_at) if tracked else None,
        "secondsToExpiry": round((tracked.expires_at - now).total_seconds()) if tracked else None,
        "encryptionCertificateId": tracked.certificate_id if tracked else None,
        "problem": problem.sentence if problem else None,
        "problemSince": format_known(problem.since) if problem else None,
        "retryAt": format_known(problem.retry_at) if problem else None,
    }


def _count(container: Container, prefix: str) -> int:
    return sum(1 for _ in islice(container.names(prefix), MAX_COUNTED))
