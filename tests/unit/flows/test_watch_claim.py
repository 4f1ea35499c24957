import contextlib
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.core.errors import Busy, StorageUnavailable
from shared.core.gap import Gap
from shared.core.subscription_watch import WATCH, Tracked, Watch
from shared.core.watch_json import from_json
from shared.flows.watch_claim import CALL, CLAIM, WatchClaim
from tests.fakes import NOW, Crash, MemoryContainer, World

TRACKED = Tracked("s1", "chats", NOW + timedelta(days=2), "v1", NOW)
KNOWING = Watch(tracked={"chats": TRACKED})
GAP = Gap("chats", NOW - timedelta(hours=1), NOW, "the subscription was gone")
SECOND = timedelta(seconds=1)


class Setup:
    """A state container, and as many who claim it as a test wants."""

    def __init__(self) -> None:
        self.world = World()
        self.state = MemoryContainer("state", self.world)

    def claim(self) -> WatchClaim:
        return WatchClaim(self.state, self.world.clock)

    def taken(self) -> WatchClaim:
        claim = self.claim()
        claim.take()
        return claim

    @property
    def stored(self) -> Watch:
        return from_json(self.state.blobs[WATCH].content)


def test_the_first_one_ever_claims_what_is_not_there() -> None:
    setup = Setup()
    claim = setup.taken()

    assert setup.stored == claim.watch
    assert setup.stored.claimed_until == setup.world.now + CLAIM
    assert setup.stored.claimed_by


def test_who_is_second_is_told_and_changes_nothing() -> None:
    setup = Setup()
    setup.taken()
    before = setup.state.blobs[WATCH]
    with pytest.raises(Busy, match="another instance"):
        setup.claim().take()

    assert setup.state.blobs[WATCH] == before


def test_two_who_read_at_once_are_told_apart_by_the_write() -> None:
    setup = Setup()
    setup.taken().release()
    first = setup.claim()
    setup.world.meanwhile["state.replace"] = first.take
    with pytest.raises(Busy):
        setup.claim().take()

    assert setup.stored == first.watch


def test_two_who_create_at_once_are_told_apart_too() -> None:
    setup = Setup()
    first = setup.claim()
    setup.world.meanwhile["state.create"] = first.take
    with pytest.raises(Busy):
        setup.claim().take()

    assert setup.stored == first.watch


def test_given_back_it_can_be_taken_and_nothing_known_is_lost() -> None:
    setup = Setup()
    claim = setup.taken()
    claim.save(KNOWING)
    claim.release()

    assert setup.stored == KNOWING
    assert setup.taken().watch.tracked == KNOWING.tracked


@pytest.mark.parametrize(("after", "free"), [(CLAIM - SECOND, False), (CLAIM, True)])
def test_a_claim_that_nobody_gives_back_ends_by_itself(after: timedelta, free: bool) -> None:
    setup = Setup()
    setup.taken()
    setup.world.now += after

    if free:
        setup.taken()
    else:
        with pytest.raises(Busy):
            setup.taken()


def test_a_claim_ends_before_the_timer_comes_again() -> None:
    assert CALL < CLAIM < timedelta(minutes=5)


@pytest.mark.parametrize("late", ["save", "check", "release"])
def test_one_that_wakes_up_after_another_took_over_changes_nothing(late: str) -> None:
    setup = Setup()
    stalled = setup.taken()
    setup.world.now += CLAIM
    other = setup.taken()
    other.save(KNOWING)
    before = setup.state.blobs[WATCH]

    if late == "release":
        stalled.release()
    else:
        with pytest.raises(Busy):
            stalled.save(Watch()) if late == "save" else stalled.check()

    assert setup.state.blobs[WATCH] == before
    other.save(replace(KNOWING, reconciled_at=NOW))


def test_one_that_lost_its_claim_does_not_give_back_the_others() -> None:
    setup = Setup()
    slow = setup.taken()
    setup.world.pass_time(hours=1)
    quick = setup.taken()
    with pytest.raises(Busy):
        slow.save(KNOWING)
    slow.release()

    assert setup.stored == quick.watch
    assert not setup.stored.may_claim(setup.world.now)


def test_one_that_wakes_up_after_another_came_and_went_changes_nothing_either() -> None:
    setup = Setup()
    stalled = setup.taken()
    setup.world.now += CLAIM
    other = setup.taken()
    other.save(KNOWING)
    other.release()
    with pytest.raises(Busy):
        stalled.save(Watch())

    assert setup.stored == KNOWING


def test_one_that_wakes_up_late_and_alone_goes_on() -> None:
    setup = Setup()
    stalled = setup.taken()
    setup.world.now += 3 * CLAIM
    stalled.check()

    assert setup.stored.claimed_until == setup.world.now + CLAIM


@pytest.mark.parametrize(
    ("passed", "writes"), [(timedelta(0), 0), (CLAIM - CALL - SECOND, 0), (CLAIM - CALL, 1), (CLAIM, 1)]
)
def test_the_claim_is_extended_when_a_slow_call_might_outlast_it(passed: timedelta, writes: int) -> None:
    setup = Setup()
    claim = setup.taken()
    setup.world.now += passed
    before = setup.world.called("state.replace")
    claim.check()

    assert setup.world.called("state.replace") - before == writes
    assert setup.stored.claimed_until is not None
    assert setup.stored.claimed_until > setup.world.now + CALL


@pytest.mark.parametrize("call", ["state.create", "state.replace"])
def test_a_write_whose_answer_was_lost_leaves_nobody_with_two_truths(call: str) -> None:
    setup = Setup()
    if call == "state.replace":
        setup.taken().release()
    setup.world.fail(call, after=True, times=1)
    with pytest.raises(StorageUnavailable):
        setup.taken()
    with pytest.raises(Busy):
        setup.taken()

    setup.world.now += CLAIM
    assert setup.taken().watch.claimed_by is not None


def test_a_lost_answer_when_giving_back_is_no_failure() -> None:
    setup = Setup()
    claim = setup.taken()
    setup.world.fail("state.replace", times=1)
    claim.release()

    assert setup.stored.claimed_by is not None
    setup.world.now += CLAIM
    setup.taken()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", range(8))
def test_wherever_a_claimant_dies_the_next_one_gets_its_turn_and_all_that_was_saved(number: int, after: bool) -> None:
    setup = Setup()
    claim = setup.taken()
    claim.save(KNOWING)
    setup.world.calls.clear()
    setup.world.fail_call(number, Crash(), after=after)
    with contextlib.suppress(Crash):
        claim.save(replace(KNOWING, reconciled_at=NOW))
        claim.ask_for_export([GAP])
        claim.release()
    setup.world.recover()
    setup.world.now += CLAIM

    assert setup.taken().watch.tracked == KNOWING.tracked


def test_to_look_is_not_to_claim() -> None:
    setup = Setup()
    setup.taken().save(KNOWING)
    looking = setup.claim()
    looking.read()

    assert looking.watch.tracked == KNOWING.tracked
    assert looking.watch.claimed_by != looking._by


def test_a_gap_is_noted_once_however_often_it_is_told() -> None:
    setup = Setup()
    claim = setup.taken()
    claim.ask_for_export([GAP, GAP])
    setup.claim().ask_for_export([GAP, replace(GAP, end=NOW + SECOND)])

    notes = sorted(name for name in setup.state.blobs if name != WATCH)
    assert len(notes) == 2
    assert {note.partition("/")[0] for note in notes} == {"gaps"}


def test_a_gap_says_what_to_export_and_why() -> None:
    setup = Setup()
    setup.taken().ask_for_export([GAP])

    (content,) = (blob.content for name, blob in setup.state.blobs.items() if name != WATCH)
    assert json.loads(content) == {
        "resource": "chats",
        "from": "2026-01-05T08:30:10.000000Z",
        "to": "2026-01-05T09:30:10.000000Z",
        "reason": "the subscription was gone",
    }
