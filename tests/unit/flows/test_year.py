"""A year of a tenant's life in a minute: whatever fails, no hour is lost without an export having been asked for.

The fake Graph keeps the truth of when deliveries flowed. What the app noted as gaps is held against it.
"""

import heapq
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from itertools import count

import pytest

from shared.core.errors import GraphUnavailable, KeyVaultUnavailable, StorageUnavailable, Unavailable
from shared.core.instants import format_instant
from shared.core.subscription_watch import LONGEST_RETRY
from shared.flows.lifecycle import Heeding
from tests.fake_graph import FakeGraph, Life, Span, length, merged, without
from tests.fakes import NOW, MemoryContainer, World
from tests.unit.flows.subscribing import KEY, SECRET, TENANT_WIDE, Subscribing, certificate

# The timer's five minutes, made coarser where that costs no truth: every rule works in runs.
TICK = timedelta(minutes=30)
YEAR = timedelta(days=365)
# How long Graph tries to post, and how long it waits in between.
PERSISTENCE = timedelta(hours=4)
BACK_OFF = (1, 2, 4, 8, 15, 30, 60, 60, 60)
# A gap may begin at the last good run before an incident, and end with the first good one after Graph has repeated
# for the last time what nobody heard.
SLACK = PERSISTENCE + 2 * TICK
APP, GRAPH, STORAGE, VAULT, CONSENT = "app", "graph", "storage", "vault", "consent"
TROUBLES: tuple[tuple[str, int, float], ...] = (
    # What fails, how often in the year, and for how many hours at most.
    (APP, 14, 96),
    (GRAPH, 14, 96),
    (STORAGE, 10, 48),
    (VAULT, 10, 96),
    (CONSENT, 5, 72),
)


class Year:
    """The world's clockwork: what happens next, and what is out of order meanwhile."""

    def __init__(self, seed: int, *, strict_patch: bool) -> None:
        self.rng = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self.world = World()
        self.graph = FakeGraph(self.world, strict_patch=strict_patch, conflicts=False)
        self.setup = Subscribing(graph=self.graph, world=self.world)
        self.inbox = MemoryContainer("inbox", self.world, page_size=100)
        self.dead_letters = MemoryContainer("dead-letters", self.world)
        self.down: Counter[str] = Counter()
        self.blind: list[Span] = []
        self.calls: Counter[str] = Counter()
        self.incidents = 0
        self._agenda: list[tuple[datetime, int, Callable[[], None]]] = []
        self._numbers = count()
        self._version = 1

    def plan(self) -> None:
        """Draw the year's events. The first day is quiet, and the last week."""
        for what, times, hours in TROUBLES:
            for _ in range(times):
                self._at(self._some_day(), partial(self._trouble, what, hours))
        for _ in range(20):
            self._at(self._some_day(), self._remove)
        for _ in range(40):
            self._at(self._some_day(), self._lose_an_answer)
        for day in (100, 250):
            self._at(NOW + timedelta(days=day), self._rotate)
        self._at(NOW + timedelta(hours=20), self._challenge)
        self._at(NOW, self._tick)

    def live(self) -> None:
        """Let the year pass."""
        end = NOW + YEAR
        while self._agenda[0][0] < end:
            moment, _, happen = heapq.heappop(self._agenda)
            self.world.now = max(self.world.now, moment)
            happen()
        self.world.now = end

    # ---- what the app does

    def _tick(self) -> None:
        self._at(self.world.now + TICK, self._tick)
        if not self.down[APP]:
            with suppress(Unavailable):
                self.setup.reconciling.reconcile()
            with suppress(Unavailable):
                for name in list(self.inbox.names()):
                    self._heed(name)
        self.calls.update(label.partition(" ")[0] for label in self.world.calls if label.startswith("graph."))
        self.world.calls.clear()

    def _heed(self, name: str) -> None:
        heeding = Heeding(self.inbox, self.dead_letters, self.setup.reconciling, (SECRET,))
        with suppress(Unavailable):
            heeding.handle(name)

    # ---- what Graph does

    def _challenge(self) -> None:
        self._at(self.world.now + timedelta(hours=self.rng.uniform(2, 30)), self._challenge)
        for life in self.graph.living():
            self.graph.challenge(life.id)
            self._tell("reauthorizationRequired", life)

    def _remove(self) -> None:
        for life in self.graph.living():
            self.incidents += 1
            self.graph.remove(life.id)
            if self.rng.random() < 0.5:
                self._tell("subscriptionRemoved", life)

    def _tell(self, event: str, life: Life) -> None:
        item = {"subscriptionId": life.id, "clientState": SECRET, "lifecycleEvent": event}
        self._post(json.dumps({"value": [item]}).encode(), self.world.now + PERSISTENCE, iter(BACK_OFF))

    def _post(self, body: bytes, until: datetime, waits: Iterator[int]) -> None:
        if not self.down[APP]:
            name = f"lifecycle/2026/01/05/09/00000000-0000-4000-8000-{next(self._numbers):012}.json"
            with suppress(StorageUnavailable):
                self.inbox.create(name, body, {"receivedat": format_instant(self.world.now)})
                self._heed(name)
                return
        again = self.world.now + timedelta(minutes=next(waits, 60))
        if again < until:
            self._at(again, lambda: self._post(body, until, waits))

    # ---- what goes wrong

    def _trouble(self, what: str, hours: float) -> None:
        self.incidents += 1
        lasts = timedelta(hours=min(hours, self.rng.expovariate(4 / hours) + 0.2))
        self.blind.append((self.world.now, self.world.now + lasts))
        self._turn(what, 1)
        self._at(self.world.now + lasts, lambda: self._turn(what, -1))
        if what == CONSENT:
            self.graph.list_needs_consent = self.rng.random() < 0.5
            for life in self.graph.living():
                self._tell("reauthorizationRequired", life)

    def _turn(self, what: str, change: int) -> None:
        self.down[what] += change
        self.world.recover()
        if self.down[GRAPH]:
            self.world.fail("graph.", GraphUnavailable("away", timedelta(minutes=1)))
        if self.down[STORAGE]:
            for container in ("state.", "inbox.", "dead-letters."):
                self.world.fail(container)
        away = KeyVaultUnavailable("away")
        self.setup.key_ring.newest = away if self.down[VAULT] else certificate(f"v{self._version}")
        if what == CONSENT and self.down[CONSENT]:
            self.graph.revoke()
        elif what == CONSENT:
            self.graph.restore()

    def _lose_an_answer(self) -> None:
        self.incidents += 1
        call = self.rng.choice(["graph.PATCH", "graph.POST", "graph.DELETE", "state.replace", "state.create"])
        error = GraphUnavailable("lost") if call.startswith("graph.") else StorageUnavailable("lost")
        self.world.fail(call, error, after=self.rng.random() < 0.7, times=1)

    def _rotate(self) -> None:
        self.incidents += 1
        self._version += 1
        self._turn(VAULT, 0)

    def _at(self, moment: datetime, happen: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (moment, next(self._numbers), happen))

    def _some_day(self) -> datetime:
        return NOW + timedelta(hours=self.rng.uniform(24, (YEAR.days - 7) * 24))


@pytest.fixture(scope="module", params=[(1, False), (2, True)], ids=["patched", "strict"])
def year(request: pytest.FixtureRequest) -> Year:
    seed, strict_patch = request.param
    year = Year(seed, strict_patch=strict_patch)
    year.plan()
    year.live()
    return year


def silent(year: Year) -> list[Span]:
    return year.graph.silent(TENANT_WIDE, year.graph.lives[0].born, year.world.now)


def test_the_year_was_hard_enough_to_prove_something(year: Year) -> None:
    assert length(silent(year)) > timedelta(days=5)
    assert len(year.graph.lives) > 20
    assert length(year.blind) > timedelta(days=20)


def test_every_instant_without_deliveries_was_asked_to_be_exported(year: Year) -> None:
    missing = [f"{begin:%m-%d %H:%M} to {end:%m-%d %H:%M}" for begin, end in year.setup.uncovered(*silent(year))]

    assert missing == []


def test_no_gap_is_longer_than_the_silence_and_the_trouble_that_it_comes_from(year: Year) -> None:
    explained = merged([*silent(year), *year.blind])
    absurd = [gap for gap in year.setup.gaps if length(without([gap], explained)) > SLACK]

    assert absurd == []
    assert length(year.setup.gaps) <= length(explained) + SLACK * year.incidents


def test_there_were_never_two_subscriptions_for_one_resource(year: Year) -> None:
    assert year.graph.most_at_once == {KEY: 1}


def test_at_the_end_all_is_well_again(year: Year) -> None:
    assert year.setup.tracked.id == year.setup.only.id
    assert year.setup.only.document["encryptionCertificateId"] == "v3"
    assert year.setup.only.asked_at is None or year.world.now - year.setup.only.asked_at < timedelta(minutes=1)
    assert dict(year.setup.watch.problems) == {}
    assert year.inbox.blobs == {}
    assert year.dead_letters.blobs == {}


def test_graph_was_not_asked_more_than_it_takes(year: Year) -> None:
    ticks, challenges = YEAR / TICK, YEAR / timedelta(hours=12)
    tries = length(year.blind) / LONGEST_RETRY * 4

    assert year.calls["graph.list"] <= ticks + 2 * challenges
    assert year.calls["graph.POST"] <= len(year.graph.lives) + tries + 5 * year.incidents
    assert year.calls["graph.PATCH"] <= challenges + YEAR / timedelta(hours=36) + tries + 5 * year.incidents
    assert year.calls["graph.DELETE"] <= 2 * year.incidents
