"""What the export depends on is gone for a day, by a clock that stands still between events.

The planner comes once an hour, the platform tries a message five times and puts it aside, people go on talking. Within
the hour of the return everything that was said is archived and nobody is flagged, without anybody having done anything.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest

from shared.core.errors import StorageUnavailable
from tests.unit.flows.exporting import ALICE, BOB, CAROL, Exports, prompt

A_MINUTE = timedelta(minutes=1)
A_DAY = timedelta(hours=24)
AN_HOUR = timedelta(hours=1)
MAX_DEQUEUE_COUNT = 5
EVERYBODY = (ALICE, BOB, CAROL)


class Day:
    """Planner, queue and exporters, and people who talk once an hour."""

    def __init__(self, *, whole_tenant: bool = False) -> None:
        self.exports = Exports(whole_tenant=whole_tenant)
        self.exports.graph.users = list(EVERYBODY)
        self.exports.exports.know(*EVERYBODY)
        self.world = self.exports.world
        self.said: set[str] = set()
        self._minutes = 0
        self._tries: Counter[str] = Counter()

    def pass_time(self, span: timedelta, *, talking: bool = True) -> None:
        """Minute by minute."""
        for _ in range(span // A_MINUTE):
            if talking and self._minutes % 60 == 30:
                self.people_talk()
            if self._minutes % 60 == 7:
                # The timer's run fails, and the next one comes in an hour.
                with suppress(StorageUnavailable):
                    self.exports.plan()
            self.platform_works()
            self._minutes += 1
            # Those who wait for Graph let time pass, too.
            self.world.now += A_MINUTE

    def people_talk(self) -> None:
        """Each says something."""
        for number, user in enumerate(EVERYBODY):
            item = prompt(self.world.now + number * timedelta(seconds=1))
            self.exports.exports.put(user, item)
            self.said.add(item["id"])

    def platform_works(self) -> None:
        """Each message that is seen is given to a worker; one that failed comes again, five times in all."""
        for message in self.exports.doorbell.take():
            self._tries[message] += 1
            try:
                self.exports.exporting.run(message)
            except StorageUnavailable:
                if self._tries[message] < MAX_DEQUEUE_COUNT:
                    self.exports.doorbell.rings.append((message, self.world.now + A_MINUTE))


def away(*calls: str) -> Callable[[Day], None]:
    def begin(day: Day) -> None:
        for call in calls:
            day.world.fail(call)

    return begin


OUTAGES: dict[str, Callable[[Day], None]] = {
    "Graph's export": away("exports."),
    "all of Graph": away("exports.", "graph."),
    "consent": lambda day: day.exports.exports.refuse("exports.first_page", 403, "Forbidden", times=1_000_000),
    "state": away("state."),
    "the archive": away("interactions."),
    "the queue": away("doorbell."),
    "the pace": away("pace."),
}


@pytest.mark.parametrize("minutes", [0, 20, 50])
@pytest.mark.parametrize("whole_tenant", [False, True], ids=["users", "tenant"])
@pytest.mark.parametrize("gone", OUTAGES)
def test_a_day_without_it_is_caught_up_with_within_the_hour(gone: str, whole_tenant: bool, minutes: int) -> None:
    day = Day(whole_tenant=whole_tenant)
    day.pass_time(3 * AN_HOUR)
    before = set(day.exports.archived)
    OUTAGES[gone](day)
    day.pass_time(A_DAY + minutes * A_MINUTE)
    assert set(day.exports.archived) == before
    day.world.recover()
    day.exports.exports.recover()
    day.pass_time(AN_HOUR, talking=False)

    assert sorted(day.exports.archived) == sorted(day.said)
    assert day.exports.summary()["flagged"]["total"] == 0
    assert not day.exports.dead_letters.blobs
