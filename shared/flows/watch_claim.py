"""One instance at a time works on the subscriptions, and one that was stalled finds out before it does harm.

The state blob is the token: whoever writes his name into it, guarded by its ETag, may act until the time written beside
it. Every later write is guarded too, so of two who believe to hold it one is told otherwise.
"""

import logging
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from shared.core.errors import Busy, StorageUnavailable
from shared.core.gap import Gap
from shared.core.subscription_watch import WATCH, Watch
from shared.core.watch_json import from_json, to_json
from shared.flows.gaps import ask_for_export
from shared.ports import Clock, Container

logger = logging.getLogger(__name__)

# Less than the five minutes between two runs, so that a killed one does not stand in the next one's way, and little
# enough for a hint to wait. A live run extends its claim as it goes.
CLAIM = timedelta(seconds=90)
# What the slowest call to Graph may take. With less left, the claim is extended first.
CALL = timedelta(minutes=1)


def read_watch(state: Container) -> Watch | None:
    """The watch, to look only. None where there is none, or none that can be read: whoever cares for it says so."""
    blob = state.read(WATCH)
    try:
        return None if blob is None else from_json(blob.content)
    except ValueError as error:
        logger.error("%s: %s", WATCH, error)  # noqa: TRY400 - the sentence is all there is to know
        return None


@dataclass(slots=True)
class WatchClaim:
    """The watch, in our hands. ``take`` it, ``save`` what changes, ``release`` it."""

    state: Container
    clock: Clock
    watch: Watch = field(default_factory=Watch)
    _by: str = field(default_factory=lambda: str(uuid.uuid4()))
    _etag: str | None = None

    def read(self) -> None:
        """Read the watch without claiming it, to look only."""
        blob = self.state.read(WATCH)
        self.watch = Watch() if blob is None else from_json(blob.content)
        self._etag = None if blob is None else blob.etag

    def take(self) -> None:
        """Claim the watch. Raises Busy while another instance has it."""
        self.read()
        now = self.clock()
        if not self.watch.may_claim(now):
            raise Busy(f"another instance works on the subscriptions until {self.watch.claimed_until}")
        self.save(self.watch)

    def save(self, watch: Watch) -> None:
        """Write, and claim for some more minutes. Raises Busy where another instance has written since."""
        self._write(watch.claimed(self._by, self.clock() + CLAIM))

    def check(self) -> None:
        """Call before each change in Graph. Raises Busy where the claim has passed to somebody else meanwhile."""
        until = self.watch.claimed_until
        if until is None or self.clock() + CALL >= until:
            self.save(self.watch)

    def release(self) -> None:
        """Give the claim back; one that is not ours any more is left alone."""
        if self.watch.claimed_by != self._by:
            return
        try:
            self._write(self.watch.released())
        except (Busy, StorageUnavailable) as error:
            # It ends by itself within minutes, and whatever was done is in Graph for the next run to see.
            logger.warning("the claim on the subscriptions was not given back: %s", error)

    def ask_for_export(self, gaps: Iterable[Gap]) -> None:
        """Note gaps for the export, before the watch forgets them. The same gap twice is one."""
        for gap in gaps:
            ask_for_export(self.state, gap)

    def _write(self, watch: Watch) -> None:
        content = to_json(watch)
        if self._etag is None:
            written = self.state.create(WATCH, content, {})
        else:
            written = self.state.replace(WATCH, content, self._etag)
        # Read back whatever it said: an acknowledgement may have been lost, and the next write needs the new ETag.
        self.read()
        if not written and self.watch != watch:
            raise Busy("another instance has written the subscriptions' state since we read it")
        if watch.claimed_by is not None and self.watch.claimed_by != self._by:
            raise Busy("another instance has taken the subscriptions over")
