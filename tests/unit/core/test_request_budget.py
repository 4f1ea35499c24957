import json
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.request_budget import (
    LONGEST_HOLD,
    LONGEST_QUEUE,
    REQUESTS_PER_SECOND,
    SPACING,
    RequestBudget,
    from_json,
    to_json,
)
from tests.fakes import NOW
from tests.unit.instants import INSTANTS

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
# Who asks next: how long after the one before, by a clock that is how far off, for how many; or Graph asks for a pause.
ASKING = st.tuples(st.floats(0, 5), st.floats(-2, 2), st.integers(1, 50))
PAUSES = st.floats(0, LONGEST_HOLD.total_seconds() - 4)
EVENTS = st.lists(ASKING | PAUSES, max_size=40)


@given(EVENTS)
def test_no_two_slots_are_closer_than_the_rate_allows(events: list[tuple[float, float, int] | float]) -> None:
    budget, now, slots = RequestBudget(), NOW, list[datetime]()
    for event in events:
        if isinstance(event, float):
            budget = budget.held(now + event * SECOND)
            continue
        later, off, count = event
        now += later * SECOND
        budget, first = from_json(to_json(budget)).reserved(count, now + off * SECOND)
        assert first >= now + off * SECOND
        slots += [first + number * SPACING for number in range(count)]

    assert slots == sorted(slots)
    assert all(other - one >= SPACING for one, other in pairwise(slots))


@given(st.lists(st.integers(1, 20), max_size=30))
def test_nobody_waits_longer_than_the_rate_makes_them(counts: list[int]) -> None:
    budget = RequestBudget()
    for number, count in enumerate(counts):
        budget, first = budget.reserved(count, NOW)
        assert first == NOW + sum(counts[:number]) * SPACING


def test_a_second_has_as_many_slots_as_we_allow_ourselves() -> None:
    after, first = RequestBudget().reserved(REQUESTS_PER_SECOND, NOW)

    assert first == NOW
    assert after.next_slot == NOW + SECOND


def test_what_nobody_used_is_not_saved_up() -> None:
    used, _ = RequestBudget().reserved(1, NOW)
    _, first = used.reserved(1, NOW + DAY)

    assert first == NOW + DAY


def test_while_graph_is_to_be_left_alone_nobody_asks() -> None:
    held = RequestBudget().held(NOW + 30 * SECOND)
    after, first = held.reserved(5, NOW)
    _, second = after.reserved(1, NOW + SECOND)

    assert (first, second) == (NOW + 30 * SECOND, NOW + 30 * SECOND + 5 * SPACING)


def test_the_longest_hold_is_kept_to_the_end() -> None:
    _, first = RequestBudget().held(NOW + LONGEST_HOLD).reserved(1, NOW)

    assert first == NOW + LONGEST_HOLD


@pytest.mark.parametrize(("one", "other"), [(30, 10), (10, 30)])
def test_of_two_holds_the_longer_one_counts(one: int, other: int) -> None:
    _, first = RequestBudget().held(NOW + one * SECOND).held(NOW + other * SECOND).reserved(1, NOW)

    assert first == NOW + 30 * SECOND


# ---- wrong clocks


@given(st.timedeltas(LONGEST_QUEUE + LONGEST_HOLD + SECOND, 1000 * DAY), st.integers(1, 100))
def test_a_clock_far_ahead_blocks_nobody(ahead: timedelta, count: int) -> None:
    written, _ = RequestBudget().reserved(count, NOW + ahead)
    _, first = written.reserved(1, NOW)

    assert first == NOW


@given(st.timedeltas(LONGEST_HOLD + 2 * SECOND, 1000 * DAY))
def test_a_hold_by_a_clock_far_ahead_blocks_nobody_and_hides_no_honest_one(ahead: timedelta) -> None:
    wrong = RequestBudget().held(NOW + ahead)
    _, first = wrong.reserved(1, NOW)
    _, held = wrong.held(NOW + SECOND).reserved(1, NOW)

    assert (first, held) == (NOW, NOW + SECOND)


@given(st.timedeltas(timedelta(0), 1000 * DAY))
def test_a_clock_that_is_behind_stays_behind_the_queue_that_it_believes(behind: timedelta) -> None:
    before, _ = RequestBudget().reserved(10, NOW)
    after, _ = before.reserved(1, NOW - behind)
    _, first = after.reserved(1, NOW)

    assert NOW <= first <= NOW + 11 * SPACING


@given(INSTANTS, INSTANTS, INSTANTS, st.integers(1, 100))
def test_whatever_the_ledger_says_the_wait_has_an_end(
    slot: datetime, hold: datetime, now: datetime, count: int
) -> None:
    _, first = RequestBudget(slot, hold).reserved(count, now)

    assert now <= first <= now + LONGEST_QUEUE + LONGEST_HOLD


# ---- the ledger


@given(st.builds(RequestBudget, st.none() | INSTANTS, st.none() | INSTANTS))
def test_what_is_saved_is_what_is_read(budget: RequestBudget) -> None:
    assert from_json(to_json(budget)) == budget


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"null", b"[]", b"5", b"{}", b'{"nextSlot": null}', b"[" * 100_000, b'"x"']
)
def test_what_cannot_be_read_reserves_nothing(content: bytes) -> None:
    assert from_json(content) == RequestBudget()


def test_the_ledger_is_for_people_too() -> None:
    assert json.loads(to_json(RequestBudget(NOW))) == {
        "version": 1,
        "nextSlot": "2026-01-05T09:30:10.000000Z",
        "notBefore": None,
    }
