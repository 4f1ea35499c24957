"""The tenant's life in a siege: one busy day after the other, all of them yesterday.

The export looks at the last two days again and again, and at what is older once a week. So that nobody has to wait a
week, everything that shows up late is from yesterday; only what was there before the app is older.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial

from local.graph.content.change import Change
from local.graph.content.day import TenantContent
from local.graph.content.people import Person
from local.graph.faults import Faults
from local.graph.ledger import Post
from local.graph.simulator import Simulator
from local.graph.threaded import ThreadedSimulator

# Notifications that Graph never sends, without a word to anybody.
DROPPED = 0.1
# How many of a hundred interactions nobody would be told of anyhow.
SILENT = 5
ROUND = 400
# People talk between six in the morning and eleven at night.
WAKING = 17 / 24
# No more happens while Graph waits for so many answers, or so many posts are in the inbox: a siege that only makes them
# pile up shows nothing but that.
UNANSWERED = 200
UNFINISHED = 200
FEWEST_USERS = 40
# A user with more than some hundred in two days is not looked at over both of them each time.
EACH_USERS = 60
BEFORE = timedelta(days=7)


@dataclass
class Days(TenantContent):
    """Other days of the same people."""

    of: TenantContent | None = None

    def people(self, count: int) -> tuple[Person, ...]:
        """The tenant's own."""
        return self.of.people(count) if self.of else super().people(count)


@dataclass
class Feed:
    """Plays so many changes a second at most, and no more than the app can take: ``waiting`` says what it has not
    finished. ``sent`` counts interactions, those of which nobody is told included.
    """

    cloud: ThreadedSimulator
    rate: float
    users: int
    waiting: Callable[[], int]
    sent: int = 0
    rounds: int = 0
    _playing: list[Future[list[Post]]] = field(default_factory=list)
    _due: float = 0.0

    def begin(self) -> None:
        """License everybody, and let something have happened before the app is there."""
        before = self._day(datetime.now(UTC).date() - timedelta(days=1) - BEFORE, ROUND // 4)
        self.cloud.call(lambda graph: setattr(graph.policy, "licensed_users", self.users))
        self.cloud.call(partial(_long_ago, before))
        self.cloud.call(lambda graph: setattr(graph.traffic, "faults", Faults(dropped=DROPPED)))
        self._due = time.monotonic()

    def go_on(self) -> bool:
        """Begin another day where it is time for one; whether it was."""
        self._playing = [each for each in self._playing if not _over(each)]
        if time.monotonic() < self._due or self.cloud.graph.delivery.pending > UNANSWERED:
            return False
        if self.waiting() > UNFINISHED:
            return False
        yesterday = datetime.now(UTC).date() - timedelta(days=1)
        told = self._day(yesterday, ROUND, chats=ROUND // 40)
        silent = self._day(yesterday, ROUND * SILENT // 100)
        seconds = len(told) / self.rate
        self._due = max(self._due, time.monotonic() - seconds) + seconds
        self.cloud.call(lambda graph: graph.happen(silent, seconds=seconds / WAKING))
        self._playing.append(self.cloud.start(partial(_play, told, seconds / WAKING)))
        return True

    @property
    def is_over(self) -> bool:
        """Whether every post was answered or given up. Raises what the simulator raised."""
        self._playing = [each for each in self._playing if not _over(each)]
        return not self._playing

    def _day(self, day: date, interactions: int, chats: int = 0) -> list[Change]:
        content = self.cloud.graph.cloud.content
        self.rounds += 1
        other = Days(content.seed * 1_000_003 + self.rounds, content.tenant_id, content.texture, of=content)
        changes = other.day(day, interactions=interactions, users=self.users, chats=chats)
        self.sent += sum(each.change_type == "created" and each.kind == "aiInteraction" for each in changes)
        return changes


def _long_ago(changes: list[Change], graph: Simulator) -> None:
    # All of it shows at once: what is older than two days and comes late is found within a week, not before.
    policy, export = graph.policy, graph.policy.export
    policy.export = replace(export, mean_delay=0.0)
    graph.happen(changes)
    policy.export = export


def population(interactions: float) -> int:
    """How many people it takes for so many interactions."""
    return max(FEWEST_USERS, round(interactions / EACH_USERS))


async def _play(changes: list[Change], seconds: float, graph: Simulator) -> list[Post]:
    return await graph.play(changes, seconds=seconds)


def _over(playing: Future[list[Post]]) -> bool:
    if playing.done():
        playing.result()
    return playing.done()
