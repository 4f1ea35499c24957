"""The pace on a ledger in memory: who gets which instant, who is sent away, and what storage costs."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters import shared_pace
from shared.adapters.shared_pace import MAX_WAIT, TRIES, SharedPace
from shared.core.errors import GraphUnavailable, StorageUnavailable
from shared.core.request_budget import LEDGER, LONGEST_HOLD, SPACING, RequestBudget, from_json, to_json
from tests.fakes import NOW, MemoryContainer, World

SECOND = timedelta(seconds=1)


class Setup:
    """One ledger, and as many instances as a test wants; sleeping is time that passes."""

    def __init__(self) -> None:
        self.world = World()
        self.state = MemoryContainer("state", self.world)

    def instance(self, ahead: timedelta = timedelta(0)) -> SharedPace:
        return SharedPace(self.state, lambda: self.world.now + ahead, self.world.sleep)

    @property
    def ledger(self) -> RequestBudget:
        return from_json(self.state.blobs[LEDGER].content)

    @ledger.setter
    def ledger(self, budget: RequestBudget) -> None:
        self.state.blobs.pop(LEDGER, None)
        self.state.create(LEDGER, to_json(budget), {})


@pytest.fixture
def setup() -> Setup:
    return Setup()


def test_the_first_may_ask_at_once_and_the_next_a_little_later(setup: Setup) -> None:
    pace = setup.instance()
    pace.wait()
    assert setup.world.now == NOW

    pace.wait()
    assert setup.world.now == NOW + SPACING


def test_instances_take_turns(setup: Setup) -> None:
    one, two = setup.instance(), setup.instance()
    slots = [pace.reserve() for pace in (one, two, two, one, two)]

    assert all(later - sooner >= SPACING for sooner, later in pairwise(slots))


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 200)), min_size=2, max_size=60))
def test_no_two_slots_are_closer_than_the_rate_allows(asks: list[tuple[int, int]]) -> None:
    # Clocks may differ, and time passes as it likes: slots are instants of the ledger.
    setup = Setup()
    instances = [setup.instance(timedelta(milliseconds=ahead)) for ahead in (0, 30, -1500)]
    slots: list[datetime] = []
    for instance, passed in asks:
        setup.world.pass_time(milliseconds=passed)
        slots.append(instances[instance].reserve())

    slots.sort()
    assert all(later - sooner >= SPACING for sooner, later in pairwise(slots))


def test_threads_that_wait_together_share_a_round_to_storage(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, go_on = threading.Event(), threading.Event()
    read = setup.state.read

    def slowly(name: str) -> object:
        inside.set()
        assert go_on.wait(60)
        return read(name)

    monkeypatch.setattr(setup.state, "read", slowly)
    pace = setup.instance()
    with ThreadPoolExecutor(16) as pool:
        first = pool.submit(pace.reserve)
        assert inside.wait(60)
        others = [pool.submit(pace.reserve) for _ in range(15)]
        while pace._open.size < 16:
            threading.Event().wait(0.01)
        go_on.set()
        slots = sorted([first.result(60), *(each.result(60) for each in others)])

    assert slots == [NOW + number * SPACING for number in range(16)]
    assert setup.world.called("state.create") == 1
    assert setup.world.called("state.replace") == 0


def test_whoever_joins_after_the_count_is_on_the_next_round(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    pace = setup.instance()
    pace.reserve()
    inside, go_on = threading.Event(), threading.Event()
    replace = setup.state.replace

    def slowly(name: str, content: bytes, etag: str, metadata: Mapping[str, str]) -> bool:
        inside.set()
        assert go_on.wait(60)
        return replace(name, content, etag, metadata)

    monkeypatch.setattr(setup.state, "replace", slowly)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(pace.reserve)
        assert inside.wait(60)
        second = pool.submit(pace.reserve)
        while pace._open.size < 2:
            threading.Event().wait(0.01)
        go_on.set()
        assert second.result(60) - first.result(60) == SPACING


def test_whoever_asks_while_slots_are_taken_waits_for_company(setup: Setup) -> None:
    pace = setup.instance()
    pace.reserve()
    setup.ledger = RequestBudget(next_slot=NOW + 4 * SECOND)
    pace.reserve()
    setup.world.slept.clear()
    pace.reserve()

    # Half a second of four: the slot is no later for it.
    assert setup.world.slept[0] == 0.5
    assert setup.ledger.next_slot == NOW + 4 * SECOND + 2 * SPACING


# ---- too long


def test_what_nobody_waits_for_is_not_reserved(setup: Setup) -> None:
    setup.ledger = RequestBudget(next_slot=NOW + MAX_WAIT + SECOND)
    before = setup.ledger
    with pytest.raises(GraphUnavailable) as raised:
        setup.instance().wait()

    assert raised.value.retry_after == MAX_WAIT + SECOND
    assert raised.value.throttled, "no fault of whoever waits"
    assert setup.ledger == before


def test_a_slot_at_the_very_end_is_used_and_not_given_away(setup: Setup) -> None:
    # Under the heaviest load there are no others: each one that is let go unused is a request less.
    pace = setup.instance()
    pace.reserve()
    setup.ledger = RequestBudget(next_slot=NOW + 30 * SECOND)
    pace.reserve()
    end = NOW + MAX_WAIT + 0.2 * SECOND
    setup.ledger = RequestBudget(next_slot=end)
    pace.wait()

    assert setup.world.slept[-2] == 0.5, "gathering took the time that made it late"
    assert setup.world.now == end


def test_holds_one_after_the_other_end_the_wait(setup: Setup) -> None:
    one, two = setup.instance(), setup.instance()
    one.reserve()
    sleep = setup.world.sleep

    def held_again(seconds: float) -> None:
        sleep(seconds)
        if seconds:
            two.hold(40 * SECOND)
            one._held_until = setup.ledger.not_before

    one._sleep = held_again
    with pytest.raises(GraphUnavailable):
        one.wait()

    assert setup.world.now <= NOW + 2 * MAX_WAIT


def test_of_those_who_wait_together_the_last_are_sent_away(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    setup.ledger = RequestBudget(next_slot=NOW + MAX_WAIT - 2 * SPACING)
    pace = setup.instance()
    go_on = threading.Event()
    monkeypatch.setattr(pace, "_sleep", lambda _: go_on.wait(60))

    def ask() -> datetime | GraphUnavailable:
        try:
            return pace.reserve()
        except GraphUnavailable as error:
            return error

    with ThreadPoolExecutor(5) as pool:
        asking = [pool.submit(ask) for _ in range(5)]
        while pace._open.size < 5:
            threading.Event().wait(0.01)
        go_on.set()
        answers = [each.result(60) for each in asking]

    slots = sorted(each for each in answers if isinstance(each, datetime))
    assert slots == [NOW + MAX_WAIT - 2 * SPACING, NOW + MAX_WAIT - SPACING, NOW + MAX_WAIT]
    assert sum(isinstance(each, GraphUnavailable) for each in answers) == 2
    assert setup.ledger.next_slot == NOW + MAX_WAIT + SPACING


# ---- Graph says how long


def test_a_hold_holds_everybody(setup: Setup) -> None:
    one, two = setup.instance(), setup.instance()
    one.hold(20 * SECOND)
    two.wait()

    assert setup.world.now == NOW + 20 * SECOND
    one.wait()
    assert setup.world.now == NOW + 20 * SECOND + SPACING


def test_a_long_hold_sends_everybody_back_to_the_queue(setup: Setup) -> None:
    one, two = setup.instance(), setup.instance()
    one.hold(timedelta(minutes=5))
    for pace in (one, two):
        with pytest.raises(GraphUnavailable) as raised:
            pace.wait()
        assert raised.value.retry_after == timedelta(minutes=5)

    assert sum(setup.world.slept) == 0


def test_a_hold_that_comes_while_somebody_sleeps_is_heeded(setup: Setup) -> None:
    one, two = setup.instance(), setup.instance()
    setup.ledger = RequestBudget(next_slot=NOW + 3 * SECOND)
    sleep = setup.world.sleep

    def woken(seconds: float) -> None:
        # While the first one sleeps, Graph throttles another, and a third one of this process reads of it.
        one._sleep = sleep
        two.hold(30 * SECOND)
        one.reserve()
        sleep(seconds)

    one._sleep = lambda seconds: woken(seconds) if seconds else None
    one.wait()

    assert setup.world.now >= NOW + 30 * SECOND


def test_a_shorter_hold_does_not_shorten_a_longer_one(setup: Setup) -> None:
    one, two = setup.instance(), setup.instance()
    one.hold(40 * SECOND)
    two.hold(5 * SECOND)
    two.wait()

    assert setup.world.now == NOW + 40 * SECOND


def test_many_who_are_throttled_together_write_once(setup: Setup) -> None:
    pace = setup.instance()
    pace.hold(10 * SECOND)
    for _ in range(31):
        pace.hold(10 * SECOND)

    assert setup.world.called("state.create") + setup.world.called("state.replace") == 1


def test_the_longest_hold_is_heeded_where_the_clock_is_behind(setup: Setup) -> None:
    setup.instance().hold(timedelta(hours=5))
    with pytest.raises(GraphUnavailable) as raised:
        setup.instance(-5 * SECOND).wait()

    assert raised.value.retry_after > LONGEST_HOLD - 10 * SECOND


def test_a_hold_that_a_wrong_clock_wrote_holds_nobody_and_hides_none(setup: Setup) -> None:
    setup.ledger = RequestBudget(not_before=NOW + timedelta(days=400))
    pace = setup.instance()
    pace.wait()
    assert setup.world.now == NOW

    pace.hold(7 * SECOND)
    setup.instance().wait()
    assert setup.world.now == NOW + 7 * SECOND


@pytest.mark.parametrize("content", [b"", b"null", b"{}", b"[1]", b"\xff", b'{"nextSlot": 5, "notBefore": []}'])
def test_a_ledger_that_nobody_can_read_is_an_empty_one(setup: Setup, content: bytes) -> None:
    setup.state.create(LEDGER, content, {})
    setup.instance().wait()

    assert setup.world.now == NOW
    assert setup.ledger.next_slot == NOW + SPACING


# ---- somebody else writes, storage fails


def test_somebody_elses_write_in_between_is_read_before_ours(setup: Setup) -> None:
    one, two = setup.instance(), setup.instance()
    one.reserve()
    setup.world.meanwhile["state.replace"] = lambda: taken.append(two.reserve())
    taken: list[datetime] = []
    slot = one.reserve()

    assert slot - taken[0] == SPACING


def test_somebody_elses_first_write_in_between_is_read_before_ours(setup: Setup) -> None:
    one, two = setup.instance(), setup.instance()
    taken: list[datetime] = []
    setup.world.meanwhile["state.create"] = lambda: taken.append(two.reserve())
    slot = one.reserve()

    assert slot - taken[0] == SPACING


def test_whoever_never_gets_through_gives_up(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    pace = setup.instance()
    pace.reserve()
    monkeypatch.setattr(setup.state, "replace", lambda *_: False)
    with pytest.raises(StorageUnavailable, match="by others"):
        pace.reserve()

    assert setup.world.called("state.read") == 1 + TRIES
    assert sum(setup.world.slept) <= TRIES * shared_pace.LONGEST_BACKOFF + 1


@pytest.mark.parametrize("act", [SharedPace.wait, lambda pace: pace.hold(SECOND)])
def test_storage_out_of_reach_is_told_and_the_next_time_is_as_if_nothing_was(
    setup: Setup, act: Callable[[SharedPace], None]
) -> None:
    pace = setup.instance()
    setup.world.fail("state.read")
    with pytest.raises(StorageUnavailable):
        act(pace)
    setup.world.recover()
    act(pace)

    assert setup.state.blobs


@pytest.mark.parametrize("call", ["state.create", "state.replace"])
def test_a_hold_that_storage_refused_is_told_by_whoever_is_throttled_next(setup: Setup, call: str) -> None:
    one, two = setup.instance(), setup.instance()
    if call == "state.replace":
        two.reserve()
    setup.world.fail(call, times=1)
    with pytest.raises(StorageUnavailable):
        one.hold(20 * SECOND)
    one.hold(20 * SECOND)
    two.wait()

    assert setup.world.now == NOW + 20 * SECOND


@pytest.mark.parametrize("call", ["state.create", "state.replace"])
def test_a_write_whose_answer_was_lost_gives_nobody_a_slot(setup: Setup, call: str) -> None:
    pace = setup.instance()
    if call == "state.replace":
        pace.reserve()
    setup.world.fail(call, after=True)
    with pytest.raises(StorageUnavailable):
        pace.reserve()
    setup.world.recover()
    taken = setup.ledger.next_slot

    # It may have been taken; then it is nobody's.
    assert pace.reserve() == taken


def test_followers_are_told_what_befell_their_leader(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()

    def fail(_: str) -> None:
        assert go_on.wait(60)
        raise StorageUnavailable("state is away")

    monkeypatch.setattr(setup.state, "read", fail)
    pace = setup.instance()
    pace._taken_until = setup.world.now + SECOND
    monkeypatch.setattr(pace, "_sleep", lambda _: go_on.wait(60))
    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(pace.reserve) for _ in range(4)]
        while pace._open.size < 4:
            threading.Event().wait(0.01)
        go_on.set()
        for each in asking:
            with pytest.raises(StorageUnavailable, match="state is away"):
                each.result(60)


def test_a_bug_in_the_leader_leaves_no_follower_waiting(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()

    def break_off(_: float) -> None:
        assert go_on.wait(60)
        raise RuntimeError

    pace = setup.instance()
    monkeypatch.setattr(pace, "_sleep", break_off)
    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(pace.reserve) for _ in range(2)]
        while pace._open.size < 2:
            threading.Event().wait(0.01)
        go_on.set()
        errors = [type(each.exception(60)) for each in asking]

    assert sorted(each.__name__ for each in errors) == ["RuntimeError", "StorageUnavailable"]
    monkeypatch.undo()
    assert pace.reserve() == NOW
