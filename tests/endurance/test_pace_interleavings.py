"""Several instances reserve requests from one ledger at once, and no two of them are ever given the same slot.

Slots are as far apart as the rate says, whichever call fails, loses its answer or is an instance's last; and whoever
begins to ask after Graph's word for a hold is written gets none before its end.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from shared.adapters.shared_pace import SharedPace
from shared.core.errors import Unavailable
from tests.endurance.careless_export import PACE_BUGS
from tests.endurance.interleaving import Fate, Instance, Turns, find
from tests.fakes import MemoryContainer, World

INSTANCES = 3
# 25 a second: 83 % of what Graph allows.
APART = timedelta(milliseconds=40)
FATES = st.sampled_from([Fate.DONE] * 8 + [fate for fate in Fate if fate is not Fate.DONE])
# Sleep is no call that storage could refuse: it is slept, or the process is gone.
ASLEEP = {Fate.REFUSED: Fate.DONE, Fate.LOST: Fate.DONE}


class PacedInstances(RuleBasedStateMachine):
    """Processes, each with a pace of its own, on one ledger. Time passes where somebody sleeps, and by itself."""

    @initialize()
    def begin(self) -> None:
        self.world = World()
        self.state = MemoryContainer("state", self.world)
        self.turns = Turns(self.world)
        self.paces = [self.pace() for _ in range(INSTANCES)]
        self.busy: dict[Instance, int] = {}
        self.slots: list[datetime] = []
        self.wrong: list[Exception] = []
        # Until when nobody is to ask, as the ledger has been told and has said so.
        self.held_until = self.world.now

    @rule(
        data=st.data(), what=st.sampled_from(["reserve", "reserve", "reserve", "hold", "go_on", "go_on", "time_passes"])
    )
    def next(self, data: st.DataObject, what: str) -> None:
        """One rule: hypothesis leaves out half of them in each run, and without all of these nothing is found."""
        getattr(self, what)(data)

    def reserve(self, data: st.DataObject) -> None:
        times = data.draw(st.integers(1, 5))

        def reserving(pace: SharedPace) -> None:
            for _ in range(times):
                held_until = self.held_until
                slot = pace.reserve()
                assert slot >= held_until, "a hold is not heeded"
                self.slots.append(slot)

        self.start(reserving)

    def hold(self, data: st.DataObject) -> None:
        wait = timedelta(seconds=data.draw(st.sampled_from([1, 20, 50, 300])))

        def holding(pace: SharedPace) -> None:
            until = self.world.now + wait
            pace.hold(wait)
            # Who is throttled together with others leaves it to them, by as little as one slot.
            self.held_until = max(self.held_until, until - APART)

        self.start(holding)

    def go_on(self, data: st.DataObject) -> None:
        for fate in data.draw(st.lists(FATES, min_size=1, max_size=8)):
            if running := self.turns.running:
                instance = running[data.draw(st.integers(0, len(running) - 1))]
                instance.step(ASLEEP.get(fate, fate) if instance.waits_for == "sleep" else fate)
                if instance.over:
                    self.ended(instance, fate)
                self.no_two_are_closer_than_the_rate_allows()

    def time_passes(self, data: st.DataObject) -> None:
        self.world.pass_time(milliseconds=data.draw(st.sampled_from([1, 39, 1000, 70_000])))

    def no_two_are_closer_than_the_rate_allows(self) -> None:
        assert not self.wrong, self.wrong
        assert all(later - sooner >= APART for sooner, later in pairwise(sorted(self.slots)))

    def teardown(self) -> None:
        for instance in getattr(self, "busy", {}):
            instance.finish()

    # ---- processes

    def pace(self) -> SharedPace:
        return SharedPace(self.state, self.world.clock, self.sleep)

    def sleep(self, seconds: float) -> None:
        """Others have their turn meanwhile; whoever wakes up finds that the time has passed."""
        until = self.world.now + timedelta(seconds=seconds)
        with self.world.call("sleep"):
            self.world.now = max(self.world.now, until)

    def start(self, work: Callable[[SharedPace], None]) -> None:
        idle = set(range(INSTANCES)) - set(self.busy.values())
        if idle:
            number = min(idle)
            self.busy[self.turns.start(lambda: self.watched(work, self.paces[number]))] = number

    def watched(self, work: Callable[[SharedPace], None], pace: SharedPace) -> None:
        try:
            with suppress(Unavailable):
                work(pace)
        except Exception as error:
            self.wrong.append(error)
            raise

    def ended(self, instance: Instance, fate: Fate) -> None:
        number = self.busy.pop(instance)
        if fate in {Fate.CRASHED_BEFORE, Fate.CRASHED_AFTER}:
            self.paces[number] = self.pace()


# A long run takes thousands.
EXAMPLES = int(os.environ.get("EXPORT_INTERLEAVINGS", "50"))
TestPacedInstances = pytest.mark.timeout(max(600, 2 * EXAMPLES))(PacedInstances.TestCase)
TestPacedInstances.settings = settings(max_examples=EXAMPLES, stateful_step_count=30, deadline=None)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("bug", PACE_BUGS)
def test_interleavings_find_a_planted_bug_in_the_pace(bug: str) -> None:
    find(PacedInstances, bug, PACE_BUGS, examples=200, steps=30)
