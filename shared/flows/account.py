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
            page = self._hours.setdefault(hour_of(now), _Page())
            page.hour.add(source, latency, user.lower() if user else None)
            page.dirty = True
            due, self._due = self._due, True
        if not due:
            self.later(WRITE_AFTER.total_seconds(), self.write)

    def write(self) -> None:
        """Write what is new. Failing costs nothing but the account: it is tried again with the next that comes."""
        with self._lock:
            self._due = False
            try:
                for hour, page in self._hours.items():
                    page.write(self.state, hour)
            except StorageUnavailable as error:
                logger.warning("the hour's account was not written: %s", error)
            current = hour_of(self.clock())
            self._hours = {hour: page for hour, page in self._hours.items() if page.dirty or hour == current}


@dataclass(slots=True)
class _Page:
    """An hour's account and where this instance writes it: under a name that nobody else has."""

    hour: Hour = field(default_factory=Hour)
    dirty: bool = False
    _name: str = field(default_factory=lambda: f"{uuid.uuid4()}.json")
    _etag: str | None = None

    def write(self, state: Container, hour: datetime) -> None:
        if not self.dirty:
            return
        name, content = f"{hour_prefix(hour)}{self._name}", to_json(self.hour)
        if self._etag is None:
            state.create(name, content, {})
        else:
            state.replace(name, content, self._etag)
        # Whatever it said: an acknowledgement may have been lost, and the next write needs the new ETag.
        blob = state.read(name)
        self._etag = None if blob is None else blob.etag
        self.dirty = blob is None or blob.content != content
