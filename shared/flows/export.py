"""One user's window: page by page into the archive, and only then the checkpoint.

A window may be run twice, by two instances at once, or by one that was stalled for hours: what is archived is a set,
and of two who move the checkpoint one finds that it has moved and stops.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.core.checkpoint import OVERLAP, UNAVAILABLE, Checkpoint, ExportProblem
from shared.core.checkpoint_json import checkpoint_name, from_json, to_json, to_metadata
from shared.core.errors import Busy, GraphFault, GraphNotFound, GraphRefused, GraphUnavailable, PageTokensEnded
from shared.core.export_window import ExportWindow, from_message, is_asked_for, to_message
from shared.flows.account import Account
from shared.flows.export_items import ExportedItems
from shared.flows.export_report import last_served
from shared.flows.export_walk import Walk
from shared.flows.guarded import GuardedBlob
from shared.flows.rest import Resting
from shared.flows.watch_claim import read_watch
from shared.ports import SILENCE, Clock, Container, Doorbell, Exports, Pace, Telemetry

logger = logging.getLogger(__name__)

# A third of what host.json gives a function: whoever nears it goes on later, in smaller steps.
RUN = timedelta(minutes=10)
SMALLEST_STEP = timedelta(hours=1)
A_MINUTE = timedelta(minutes=1)
# A window that fails goes back to the queue for some time, then the planner takes care of it.
ATTEMPTS = 5
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(minutes=10)
# How soon a user whom Graph does not serve is tried again while it serves others: less and less often.
FLAGGED_AT_FIRST = timedelta(hours=1)
FLAGGED_AT_MOST = timedelta(hours=24)


class _OutOfTime(Exception):
    """The run nears its end in the middle of a step."""


@dataclass(frozen=True, slots=True)
class Exporting:
    """The worker behind the queue ``exports``."""

    exports: Exports
    pace: Pace
    resting: Resting
    state: Container
    dead_letters: Container
    doorbell: Doorbell
    tenant_id: str
    clock: Clock
    app_classes: Sequence[str] = ()
    account: Account | None = None
    telemetry: Telemetry = SILENCE
    sleep: Callable[[float], None] = time.sleep

    def run(self, message: str) -> None:
        """Export one window, as far as it goes.

        Raises StorageUnavailable, so that the platform rings again; MalformedNotification for a message that no planner
        of ours put on the queue. What Graph does not give now goes back to the queue, and what it never gives becomes a
        problem in the checkpoint: one user holds up nobody else.
        """
        window = from_message(message)
        kept = _Kept.read(self.state, checkpoint_name(self.tenant_id, window.user_id), window.user_id)
        if kept.checkpoint.has_looked(window.begin, window.planned_at):
            logger.info("user %s: somebody has exported this window since it was planned", window.user_id)
            return
        try:
            with self.telemetry.span("export", user=window.user_id or "", attempt=window.attempt):
                self._look(window, kept)
        except GraphUnavailable as error:
            self._later(window, kept, error)
        except GraphFault as error:
            self._flag(window, kept, _reason(error), str(error))
        except Busy as error:
            # Whoever moved it has read the same hours at the same time or later, or will be planned again.
            logger.warning("user %s: %s", window.user_id, error)

    def _look(self, window: ExportWindow, kept: "_Kept") -> None:
        resumed = window.resumed
        started_at = resumed.started_at if resumed else self.clock()
        done_until = resumed.done_until if resumed else None
        step = resumed.step if resumed else None
        deadline = self.clock() + RUN
        walk = Walk(self.exports, self.pace, window.user_id, self.app_classes, self.sleep, self.telemetry)
        # Graph's present, which may be ahead of ours: what is dated by its clock must not wait for us.
        present = self.clock()
        while done_until is None or done_until < present:
            begin = window.begin if done_until is None else max(window.begin, done_until - OVERLAP)
            end = present if step is None else min(present, begin + OVERLAP + step)
            try:
                moved, graph_now = self._step(walk, kept, begin, end, None if _is_smallest(step) else deadline)
            except (_OutOfTime, PageTokensEnded):
                if _is_smallest(step):
                    raise
                self._go_on_later(window.after(done_until or window.begin, started_at, _smaller(end - begin)))
                return
            if done_until is None and graph_now > self.clock() + A_MINUTE:
                present = graph_now
            done_until = end
            if done_until >= present:
                # With the last of the hours, in one write.
                moved = moved.looked(window.begin, started_at, walk.requests)
            kept.save(moved)
            if self.clock() >= deadline and done_until < present:
                self._go_on_later(window.after(done_until, started_at, step or end - begin))
                return
        if not kept.checkpoint.has_looked(window.begin, started_at):
            kept.save(kept.checkpoint.looked(window.begin, started_at, walk.requests))
        logger.info("user %s: exported from %s on, %d requests", window.user_id, window.begin, walk.requests)

    def _step(
        self, walk: Walk, kept: "_Kept", begin: datetime, end: datetime, deadline: datetime | None
    ) -> tuple[Checkpoint, datetime]:
        """Read and archive all between two instants; the checkpoint moved, and Graph's time when it began."""
        items = ExportedItems(
            resting=self.resting,
            dead_letters=self.dead_letters,
            tenant_id=self.tenant_id,
            checkpoint=kept.checkpoint,
            notified_since=self._notified_since(kept.checkpoint.user_id),
            clock=self.clock,
            account=self.account,
            telemetry=self.telemetry,
        )
        graph_now: datetime | None = None
        for page in walk.pages(begin, end):
            graph_now = graph_now or page.graph_now
            for item in page.items:
                if not isinstance(item, dict) or is_asked_for(item, begin, end, self.app_classes):
                    items.rest(item)
            if deadline is not None and page.next_link is not None and self.clock() >= deadline:
                raise _OutOfTime
        now = graph_now or self.clock()
        return kept.checkpoint.advanced(begin, end, now).remembering(items.seen, now), now

    def _notified_since(self, user_id: str | None) -> datetime | None:
        watch = read_watch(self.state)
        return None if watch is None else watch.notified_since(user_id)

    def _go_on_later(self, rest: ExportWindow) -> None:
        logger.info("user %s: the window is large; it goes on in steps", rest.user_id)
        self.doorbell.ring(to_message(rest))

    def _later(self, window: ExportWindow, kept: "_Kept", error: GraphUnavailable) -> None:
        if error.throttled:
            # No fault of the window's: it waits as long as it takes.
            self.doorbell.ring(to_message(window), max(error.retry_after, FIRST_WAIT))
            return
        if window.attempt >= ATTEMPTS:
            self._flag(window, kept, UNAVAILABLE, str(error))
            return
        wait = max(min(FIRST_WAIT * 2 ** (window.attempt - 1), LONGEST_WAIT), min(error.retry_after, LONGEST_WAIT))
        logger.warning("user %s: %s (in %s)", window.user_id, error, wait)
        self.doorbell.ring(to_message(window.again()), wait)

    def _flag(self, window: ExportWindow, kept: "_Kept", reason: str, sentence: str) -> None:
        now = self.clock()
        flagged = kept.checkpoint.with_problem(ExportProblem(reason, sentence, since=now, retry_at=now))
        since = flagged.problem.since if flagged.problem else now
        wait = _wait(reason, now - since) if self._serves_others(since) else timedelta(0)
        flagged = flagged.with_problem(ExportProblem(reason, sentence, since=since, retry_at=now + wait))
        logger.error("user %s is not exported: %s", window.user_id, sentence)
        try:
            kept.save(flagged)
        except Busy as error:
            logger.warning("user %s: %s", window.user_id, error)

    def _serves_others(self, since: datetime) -> bool:
        """Whether anybody was served after this trouble began.

        Where nobody was, it is everybody's: an outage, or a permission that is missing. Then the next plan tries again,
        so that all are caught up with as soon as it is over. So it does after a first refusal: the licence or the
        mailbox may have come a moment too late.
        """
        served = last_served(self.state)
        return served is not None and served > since


@dataclass(slots=True)
class _Kept:
    """A checkpoint and the blob that keeps it."""

    blob: GuardedBlob
    checkpoint: Checkpoint

    @classmethod
    def read(cls, state: Container, name: str, user_id: str | None) -> "_Kept":
        """The checkpoint as it is; a fresh one where there is none."""
        guarded = GuardedBlob(state, name)
        blob = guarded.read()
        return cls(guarded, Checkpoint(user_id) if blob is None else from_json(blob.content))

    def save(self, checkpoint: Checkpoint) -> None:
        """Write, guarded. Raises Busy where another instance has written since we read."""
        if not self.blob.write(to_json(checkpoint), to_metadata(checkpoint)):
            raise Busy("another exporter has moved its checkpoint meanwhile; this one stops")
        self.checkpoint = checkpoint


def _reason(error: GraphFault) -> str:
    if isinstance(error, GraphNotFound):
        return "not-found"
    return "forbidden" if isinstance(error, GraphRefused) and error.status == 403 else "refused"


def _wait(reason: str, lasted: timedelta) -> timedelta:
    """How long a user whom Graph does not serve is left alone. What it calls its own trouble is over soon, mostly."""
    at_first = timedelta(0) if reason == UNAVAILABLE else FLAGGED_AT_FIRST
    return min(max(lasted / 2, at_first), FLAGGED_AT_MOST)


def _smaller(step: timedelta) -> timedelta:
    return max(step / 4, SMALLEST_STEP)


def _is_smallest(step: timedelta | None) -> bool:
    return step is not None and step <= SMALLEST_STEP
