"""The pace of all instances: slots reserved in one ledger blob, guarded by its ETag.

All threads of a process that wait at the same moment share one round to storage. A slot is an instant by the clock of
the instance that holds it. Two clocks that differ by a second shift their instances' streams against each other by a
second: as many requests go out in a minute, but for that second both may be at it. Azure keeps its clocks within
milliseconds, and what comes too soon is a 429, which holds everybody.
"""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.core.errors import GraphUnavailable, StorageUnavailable
from shared.core.request_budget import LEDGER, LONGEST_HOLD, SPACING, RequestBudget, from_json, to_json
from shared.ports import Blob, Clock, Container

# Who would wait longer does it on the queue, where it takes no thread.
MAX_WAIT = timedelta(seconds=60)
# How often a round is tried that somebody else's came before. Each lets one of them through, so all get their turn.
TRIES = 30
LONGEST_BACKOFF = 0.4
# While slots are taken for some time ahead, a round waits for more threads to come along.
LONGEST_GATHERING = timedelta(seconds=0.5)
# A hold is honest up to a limit. One right at it would not be heeded where the clock is a little behind ours.
SKEW = timedelta(seconds=10)

Sleep = Callable[[float], None]


@dataclass(slots=True)
class _Round:
    """Threads that ask for slots together. The first of them leads: it reserves for all, and ``done`` tells them."""

    size: int = 0
    slots: list[datetime] = field(default_factory=list)
    # When the first one would be that was not reserved, because it is too far ahead.
    too_far: datetime | None = None
    failure: str | None = "the round was broken off"
    done: threading.Event = field(default_factory=threading.Event)


class SharedPace:
    """The Pace port on the container ``state``. ``sleep`` is there to be replaced by tests."""

    def __init__(self, state: Container, clock: Clock, sleep: Sleep = time.sleep) -> None:
        self._state = state
        self._clock = clock
        self._sleep = sleep
        self._joining = threading.Lock()
        self._writing = threading.Lock()
        self._open = _Round()
        # As the ledger said when it was last seen.
        self._held_until: datetime | None = None
        self._taken_until: datetime | None = None

    def wait(self) -> None:
        """See the port. A hold that becomes known while somebody sleeps is heeded: he takes another slot."""
        slot = self.reserve()
        # The first slot is always taken: given back, it would be nobody's.
        give_up = max(slot, self._clock() + MAX_WAIT)
        while True:
            self._sleep(max((slot - self._clock()).total_seconds(), 0.0))
            held_until = self._held_until
            if held_until is None or held_until <= slot:
                return
            slot = self.reserve()
            if slot > give_up:
                raise self._too_long(slot)

    def hold(self, wait: timedelta) -> None:
        """See the port."""
        until = self._clock() + min(wait, LONGEST_HOLD - SKEW)
        with self._writing:
            # Threads are throttled together. Whoever comes second within a moment has nothing to add.
            if self._held_until is None or self._held_until < until - SPACING:
                self._change(lambda budget, _: budget.held(until))

    def reserve(self) -> datetime:
        """The instant of a slot that is ours alone. Raises as ``wait`` does."""
        while True:
            with self._joining:
                ours = self._open
                place = ours.size
                ours.size += 1
            if place == 0:
                self._lead(ours)
            else:
                ours.done.wait()
            if ours.failure is not None:
                raise StorageUnavailable(ours.failure)
            if place < len(ours.slots):
                return ours.slots[place]
            if ours.too_far is not None:
                raise self._too_long(ours.too_far)
            # He joined when the round had been counted: there is another one.

    def _lead(self, ours: _Round) -> None:
        try:
            # Others join in the time that there is anyway; and later, while others' writes keep coming before ours. So
            # the more instances there are, the fewer rounds each of them needs.
            ahead = (self._taken_until or self._clock()) - self._clock()
            self._sleep(min(max(ahead / 2, timedelta(0)), LONGEST_GATHERING).total_seconds())
            with self._writing:
                self._change(lambda budget, now: self._reserved(ours, budget, now))
            ours.failure = None
        except StorageUnavailable as error:
            ours.failure = str(error)
        finally:
            with self._joining:
                self._open = _Round()
            ours.done.set()

    def _reserved(self, ours: _Round, budget: RequestBudget, now: datetime) -> RequestBudget:
        _, first = budget.reserved(0, now)
        # What nobody will wait for is not reserved, or the ledger would run away from the clock.
        near = max((now + MAX_WAIT - first) // SPACING + 1, 0)
        size = ours.size
        count = min(size, near)
        ours.slots = [first + place * SPACING for place in range(count)]
        ours.too_far = first + count * SPACING if count < size else None
        if not count:
            return budget
        self._taken_until = first + count * SPACING
        return budget.reserved(count, now)[0]

    def _change(self, change: Callable[[RequestBudget, datetime], RequestBudget]) -> None:
        """Read, change and write the ledger, again where somebody else's write came in between."""
        for attempt in range(TRIES):
            blob = self._state.read(LEDGER)
            now = self._clock()
            before = RequestBudget() if blob is None else _honest(from_json(blob.content), now)
            after = change(before, now)
            # A hold that was not written holds nobody else: it must not keep the next one from being told.
            self._held_until = before.not_before
            if after == before or self._written(blob, after):
                self._held_until = after.not_before
                return
            # Spread, so that the same two don't meet again; it keeps no secret.
            self._sleep(random.uniform(0, min(0.01 * 2**attempt, LONGEST_BACKOFF)))  # noqa: S311 - see above
        raise StorageUnavailable(f"{LEDGER} was written by others {TRIES} times in a row; it is tried again")

    def _written(self, blob: Blob | None, after: RequestBudget) -> bool:
        if blob is None:
            return self._state.create(LEDGER, to_json(after), {})
        return self._state.replace(LEDGER, to_json(after), blob.etag, blob.metadata)

    def _too_long(self, slot: datetime) -> GraphUnavailable:
        wait = slot - self._clock()
        return GraphUnavailable(
            f"the tenant's requests are spoken for until {slot:%H:%M:%S}; it is tried again then", wait, throttled=True
        )


def _honest(budget: RequestBudget, now: datetime) -> RequestBudget:
    """Without a hold that only a wrong clock can have written. Nobody heeds that; it must not hide one that is due."""
    far = budget.not_before is not None and budget.not_before > now + LONGEST_HOLD
    return replace(budget, not_before=None) if far else budget
