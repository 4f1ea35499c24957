"""The gauges: what ``status`` tells an operator, told to whoever draws curves and raises alerts."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from shared.core import metrics
from shared.core.errors import CannotArchive, Unavailable
from shared.core.labels import OTHER
from shared.core.metrics import Metric
from shared.ports import SILENCE, Telemetry

logger = logging.getLogger(__name__)

_DAY_SECONDS = 86_400
_STATES = ("complete", "behind", "leaving")


@dataclass(frozen=True, slots=True)
class Measuring:
    """Reads the JSON of ``/api/status`` and sets every gauge that it has a value for."""

    status: Callable[[], Mapping[str, object]]
    wanted: int | None
    telemetry: Telemetry

    def measure(self) -> None:
        """Set the gauges. Storage that is away leaves them as they are: the alert on their absence tells."""
        if self.telemetry is SILENCE:
            return  # a status costs some listings of storage
        try:
            document = self.status()
        except Unavailable as error:
            logger.warning("the gauges were not set: %s", error)
            return
        self._inbox(_part(document, "inbox"))
        self._dead_letters(_part(document, "deadLetters"))
        self._subscriptions(_part(document, "subscriptions"))
        self._set(metrics.CERTIFICATE_DAYS_LEFT, _part(document, "certificate").get("secondsToExpiry"), _DAY_SECONDS)
        self._exports(_part(document, "exports"))
        self._coverage(_parts(document.get("coverage")))
        # The instance that a timer woke may be gone again before the next regular export.
        self.telemetry.flush()

    def _inbox(self, inbox: Mapping[str, object]) -> None:
        for queue in inbox:
            waiting = _part(inbox, queue)
            self._set(metrics.INBOX_POSTS, waiting.get("posts"), queue=queue)
            if "oldestAgeSeconds" in waiting:
                self._set(metrics.INBOX_AGE, waiting["oldestAgeSeconds"] or 0, queue=queue)

    def _dead_letters(self, dead_letters: Mapping[str, object]) -> None:
        # Every reason each time: a gauge that is not set again would go on telling what was.
        if "byReason" not in dead_letters:
            return
        held = Counter(dict.fromkeys([*_reasons(), OTHER], 0))
        for reason, count in _part(dead_letters, "byReason").items():
            if isinstance(count, int):
                held[reason if reason in held else OTHER] += count
        for reason, count in held.items():
            self._set(metrics.DEAD_LETTERS_HELD, count, reason=reason)

    def _subscriptions(self, subscriptions: Mapping[str, object]) -> None:
        self._set(metrics.GAPS, subscriptions.get("gapsToExport"))
        self._set(metrics.LOST_GAPS, subscriptions.get("gapsLost"))
        if not subscriptions.get("managed"):
            return
        self._set(metrics.SUBSCRIPTIONS_WANTED, self.wanted)
        self._set(metrics.SUBSCRIPTIONS_LIVE, subscriptions.get("live"))
        left = [each.get("secondsToExpiry") for each in _parts(subscriptions.get("resources"))]
        known = [seconds for seconds in left if isinstance(seconds, int | float)]
        self._set(metrics.SUBSCRIPTION_TIME_LEFT, min(known, default=None))

    def _exports(self, exports: Mapping[str, object]) -> None:
        self._set(metrics.EXPORT_LAG, exports.get("lagSeconds"))
        for state in _STATES:
            self._set(metrics.EXPORT_USERS, exports.get(state), state=state)
        self._set(metrics.EXPORT_USERS, _part(exports, "flagged").get("total"), state="flagged")
        rate = exports.get("requestsPerSecond")
        if isinstance(rate, int | float) and rate > 0:
            self._set(metrics.EXPORT_BUDGET_USED, exports.get("plannedRequests"), rate * 3600)

    def _coverage(self, days: Iterable[Mapping[str, object]]) -> None:
        newest_last = sorted(days, key=lambda day: str(day.get("day")))
        # By resource the newest day that is told of: a later one replaces an earlier one.
        missed = {_resource(day): day.get("missedByNotifications") for day in newest_last if day.get("complete")}
        unshown = {
            _resource(day): day["notShownByExport"] for day in newest_last if day.get("notShownByExport") is not None
        }
        for resource, count in missed.items():
            self._set(metrics.MISSED_BY_NOTIFICATIONS, count, resource=resource)
        for resource, count in unshown.items():
            self._set(metrics.NOT_SHOWN_BY_EXPORT, count, resource=resource)

    def _set(self, metric: Metric, value: object, per: float = 1, **attributes: str) -> None:
        if isinstance(value, int | float):
            self.telemetry.measure(metric, value / per, **attributes)


def _reasons() -> list[str]:
    return [each.reason for each in CannotArchive.__subclasses__()]


def _resource(day: Mapping[str, object]) -> str:
    return str(day.get("resource"))


def _part(document: Mapping[str, object], name: str) -> Mapping[str, object]:
    part = document.get(name)
    return part if isinstance(part, Mapping) else {}


def _parts(listed: object) -> list[Mapping[str, object]]:
    return [each for each in listed if isinstance(each, Mapping)] if isinstance(listed, list) else []
