"""What came to rest is told: to telemetry at once, and by the hour to the state, for status and for planning."""

import logging
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.core.activity import Hour, hour_of, hour_prefix, to_json
from shared.core.errors import StorageUnavailable
from shared.core.instants import parse_instant
from shared.core.labels import interaction_labels
from shared.core.metrics import CAPTURE_LATENCY, CONFLICTS, DUPLICATES, INTERACTIONS_ARCHIVED
from shared.core.resources import ResourceKind, user_of
from shared.flows.guarded import GuardedBlob
from shared.flows.rest import Outcome
from shared.ports import SILENCE, Clock, Container, Telemetry

logger = logging.getLogger(__name__)

# How long an instance keeps its account to itself.
WRITE_AFTER = timedelta(seconds=15)


def in_background(seconds: float, act: Callable[[], None]) -> None:
    """Do something later, as long as this process lives, and never keep it alive for that."""
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()


@dataclass(slots=True)
class Account:
    """One instance's account of the current hour. It never stands in the way of what it counts."""

    state: Container
    clock: Clock
    telemetry: Telemetry = SILENCE
    later: Callable[[float, Callable[[], None]], None] = in_background
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _writing: threading.Lock = field(default_factory=threading.Lock)
    _hours: dict[datetime, "_Page"] = field(default_factory=dict)
    _due: bool = False

    def rested(self, kind: ResourceKind, resource: Mapping[str, object], outcome: Outcome, source: str) -> None:
        """A resource has come to rest, or was found to be at rest already."""
        if outcome is Outcome.DUPLICATE:
            self.telemetry.measure(DUPLICATES, 1, source=source)
            return
        if outcome is Outcome.CONFLICT:
            self.telemetry.measure(CONFLICTS, 1, source=source)
            return
        now, created = self.clock(), parse_instant(resource.get("createdDateTime"))
        latency = None if created is None else max(now - created, timedelta(0))
        self.telemetry.measure(INTERACTIONS_ARCHIVED, 1, source=source, **interaction_labels(kind, resource))
        if latency is not None:
            self.telemetry.measure(CAPTURE_LATENCY, latency.total_seconds(), source=source)
        user = user_of(resource) if source == "notification" else None
        with self._lock:
            page = self._hours.setdefault(hour_of(now), _new_page(self.state, hour_of(now)))
            page.hour.add(source, latency, user.lower() if user else None)
            due, self._due = self._due, True
        if not due:
            self._write_later()

    def write(self) -> None:
        """Write what is new. Failing costs nothing but the account: it is tried again with the next that comes."""
        with self._writing:
            # Nobody who counts waits for storage.
            with self._lock:
                self._due = False
                pages = [(page, to_json(page.hour)) for page in self._hours.values()]
            try:
                for page, content in pages:
                    page.write(content)
            except StorageUnavailable as error:
                logger.warning("the hour's account was not written: %s", error)
            self._forget_past()

    def _forget_past(self) -> None:
        with self._lock:
            current = hour_of(self.clock())
            self._hours = {
                hour: page
                for hour, page in self._hours.items()
                if hour == current or page.durable != to_json(page.hour)
            }

    def _write_later(self) -> None:
        try:
            self.later(WRITE_AFTER.total_seconds(), self.write)
        except RuntimeError as error:  # no thread to be had, or the process ends
            logger.warning("the hour's account is not written now: %s", error)
            with self._lock:
                self._due = False


@dataclass(slots=True)
class _Page:
    """An hour's account and where this instance writes it: under a name that nobody else has."""

    kept: GuardedBlob
    hour: Hour = field(default_factory=Hour)
    durable: bytes = b""

    def write(self, content: bytes) -> None:
        # Twice: an acknowledgement may have been lost before, and then the first write finds out what is there.
        if content != self.durable and (self.kept.write(content) or self.kept.write(content)):
            self.durable = content


def _new_page(state: Container, hour: datetime) -> _Page:
    return _Page(GuardedBlob(state, f"{hour_prefix(hour)}{uuid.uuid4()}.json"))
