from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.core.checkpoint import (
    ENTRY_BYTES,
    IDENTITY_BYTES,
    LOOKS_COUNT,
    MAX_REMEMBERED,
    REMEMBERED,
    SETTLE,
    Checkpoint,
    ExportProblem,
    Look,
    Origin,
    tally,
)
from tests.fakes import NOW

ANN = "0a1b2c3d-0000-4000-8000-00000000000a"
TINY = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
FRESH = Checkpoint(ANN)
DONE = Checkpoint(ANN, since=NOW - DAY, complete_until=NOW)
TODAY, LATER = "2026-01-05", NOW + 5 * DAY

# Quarters of an hour, so that bounds often meet.
TIMES = st.integers(-40, 40).map(lambda quarters: NOW + quarters * HOUR / 4)
IDENTITIES = st.integers(0, 5).map(lambda number: bytes([number]) * IDENTITY_BYTES)
VERSIONS = st.integers(0, 3).map(lambda number: bytes([number]) * (ENTRY_BYTES - IDENTITY_BYTES))
ENTRIES = st.builds(bytes.__add__, IDENTITIES, VERSIONS)
DAYS = st.sampled_from(["2026-01-04", TODAY, "undated"])
SEEN = st.dictionaries(DAYS, st.dictionaries(ENTRIES, st.sampled_from(Origin), max_size=5), max_size=3)


@dataclass(frozen=True)
class Step:
    """All between two instants, read when Graph's clock said so."""

    begin: datetime
    end: datetime
    graph_now: datetime

    @property
    def settled_until(self) -> datetime:
        return min(self.end, self.graph_now - SETTLE)


STEPS = st.builds(Step, TIMES, TIMES, TIMES).filter(lambda step: step.begin <= step.end <= step.graph_now)
LOOKS = st.builds(lambda one, other: Look(min(one, other), max(one, other)), TIMES, TIMES)


def entry(identity: int, version: int = 0) -> bytes:
    return identity.to_bytes(IDENTITY_BYTES, "big") + version.to_bytes(ENTRY_BYTES - IDENTITY_BYTES, "big")


# ---- how far it is complete


@given(st.lists(STEPS | LOOKS, max_size=12))
@example([Step(NOW, NOW + HOUR, NOW + 3 * HOUR), Step(NOW - DAY, NOW, NOW)])
def test_a_checkpoint_never_goes_back_and_no_hole_counts(events: list[Step | Look]) -> None:
    checkpoint = FRESH
    read: list[tuple[datetime, datetime]] = []
    for event in events:
        before = checkpoint
        if isinstance(event, Step):
            checkpoint = before.advanced(event.begin, event.end, event.graph_now)
            read.append((event.begin, event.settled_until))
        else:
            checkpoint = before.looked(event.begin, event.at, 1)
            read.append((event.begin, event.at - SETTLE))
        if before.since is not None and before.complete_until is not None:
            assert checkpoint.since is not None
            assert checkpoint.complete_until is not None
            assert checkpoint.since <= before.since
            assert checkpoint.complete_until >= before.complete_until
    for quarter in range(-160, 160):
        instant = NOW + quarter * HOUR / 16
        if checkpoint.since and checkpoint.complete_until and checkpoint.since < instant <= checkpoint.complete_until:
            assert any(begin <= instant <= until for begin, until in read)


@given(st.lists(STEPS, min_size=1, max_size=12))
def test_it_stays_behind_graphs_clock_but_for_where_it_first_began(steps: list[Step]) -> None:
    checkpoint = FRESH
    for step in steps:
        checkpoint = checkpoint.advanced(step.begin, step.end, step.graph_now)

    assert checkpoint.complete_until is not None
    assert checkpoint.complete_until <= max(steps[0].begin, *(step.graph_now - SETTLE for step in steps))


@given(st.lists(STEPS, max_size=8), STEPS)
def test_the_same_step_twice_is_one(steps: list[Step], step: Step) -> None:
    checkpoint = FRESH
    for each in steps:
        checkpoint = checkpoint.advanced(each.begin, each.end, each.graph_now)
    once = checkpoint.advanced(step.begin, step.end, step.graph_now)

    assert once.advanced(step.begin, step.end, step.graph_now) == once


def test_the_first_step_begins_it() -> None:
    assert FRESH.advanced(NOW - DAY, NOW, NOW) == replace(FRESH, since=NOW - DAY, complete_until=NOW - SETTLE)


def test_history_counts_up_to_where_it_was_read() -> None:
    assert FRESH.advanced(NOW - DAY, NOW - HOUR * 20, NOW).complete_until == NOW - 20 * HOUR


def test_begun_less_than_an_hour_ago_it_is_complete_nowhere_beyond_its_beginning() -> None:
    checkpoint = FRESH.advanced(NOW - HOUR / 2, NOW, NOW)

    assert (checkpoint.since, checkpoint.complete_until) == (NOW - HOUR / 2, NOW - HOUR / 2)


@pytest.mark.parametrize(("begin", "counts"), [(NOW, True), (NOW + TINY, False)])
def test_hours_beyond_a_hole_do_not_count(begin: datetime, counts: bool) -> None:
    after = DONE.advanced(begin, LATER, LATER)

    assert after.complete_until == (LATER - SETTLE if counts else NOW)


@pytest.mark.parametrize(("end", "counts"), [(NOW - DAY, True), (NOW - DAY - TINY, False)])
def test_hours_before_a_hole_do_not_count(end: datetime, counts: bool) -> None:
    after = DONE.advanced(NOW - 2 * DAY, end, LATER)

    assert after == (replace(DONE, since=NOW - 2 * DAY) if counts else DONE)


def test_earlier_hours_that_had_not_settled_when_they_were_read_leave_a_hole() -> None:
    assert DONE.advanced(NOW - 2 * DAY, NOW - DAY, NOW - DAY) == DONE


def test_a_late_answer_of_a_stalled_exporter_changes_nothing() -> None:
    assert DONE.advanced(NOW - 2 * HOUR, NOW - HOUR, NOW - HOUR) == DONE


def test_history_that_was_read_in_steps_is_whole_with_the_look() -> None:
    earlier = NOW - 10 * DAY
    steps = DONE.advanced(earlier, NOW - 5 * DAY, LATER).advanced(NOW - 5 * DAY, LATER, LATER)

    assert steps.since == NOW - 5 * DAY
    assert steps.looked(earlier, LATER, 1).since == earlier
    assert FRESH.looked(earlier, LATER, 1).since is None


# ---- looks


@given(st.lists(LOOKS, max_size=15), TIMES, TIMES)
def test_no_look_is_forgotten_that_no_other_one_covers(looks: list[Look], begin: datetime, since: datetime) -> None:
    checkpoint = FRESH
    for look in looks:
        checkpoint = checkpoint.looked(look.begin, look.at, 1)

    assert checkpoint.has_looked(begin, since) == any(each.begin <= begin and each.at >= since for each in looks)


@given(st.lists(LOOKS, max_size=15))
def test_no_look_is_kept_that_another_one_covers(looks: list[Look]) -> None:
    checkpoint = FRESH
    for look in looks:
        checkpoint = checkpoint.looked(look.begin, look.at, 1)

    for one, other in permutations(checkpoint.looks, 2):
        assert not (one.begin <= other.begin and one.at >= other.at)


def test_a_look_of_long_ago_does_not_count_any_more() -> None:
    old = FRESH.looked(NOW - 900 * DAY, NOW, 1)

    assert old.looked(NOW, NOW + LOOKS_COUNT, 1).has_looked(NOW - 900 * DAY, NOW)
    assert not old.looked(NOW, NOW + LOOKS_COUNT + TINY, 1).has_looked(NOW - 900 * DAY, NOW)


def test_an_hourly_look_for_years_is_remembered_in_little() -> None:
    checkpoint = FRESH
    for hour in range(24 * 365 * 2):
        at = NOW + hour * HOUR
        reach = 30 * DAY if hour % 168 == 0 else 2 * DAY if hour % 24 == 0 else 2 * HOUR
        checkpoint = checkpoint.looked(at - reach, at, 1)

    assert len(checkpoint.looks) < 50


def test_a_look_ends_a_problem_and_tells_what_it_took() -> None:
    flagged = DONE.with_problem(ExportProblem("forbidden", "no", NOW, NOW))

    assert flagged.looked(NOW, NOW, 7) == replace(DONE, looks=(Look(NOW, NOW),), requests=7)
    assert flagged.looked(NOW, NOW, 0).requests == 1


# ---- problems


def test_a_problem_that_goes_on_keeps_its_beginning() -> None:
    first = FRESH.with_problem(ExportProblem("forbidden", "no", NOW, NOW + HOUR))
    second = first.with_problem(ExportProblem("forbidden", "still no", NOW + DAY, NOW + 2 * DAY))

    assert second.problem == ExportProblem("forbidden", "still no", NOW, NOW + 2 * DAY)


def test_another_problem_begins_anew() -> None:
    first = FRESH.with_problem(ExportProblem("forbidden", "no", NOW, NOW + HOUR))
    other = ExportProblem("not-found", "gone", NOW + DAY, NOW + 2 * DAY)

    assert first.with_problem(other).problem == other


def test_a_problem_moves_nothing() -> None:
    assert replace(DONE.with_problem(ExportProblem("forbidden", "no", NOW, NOW)), problem=None) == DONE


# ---- what it remembers


def counts(checkpoint: Checkpoint) -> dict[str, int]:
    return {day: sum(tally(shown).values()) for day, shown in checkpoint.shown.items()}


@given(SEEN, SEEN)
def test_remembering_twice_is_remembering_once(
    one: Mapping[str, dict[bytes, Origin]], other: Mapping[str, dict[bytes, Origin]]
) -> None:
    once = FRESH.remembering(one, NOW).remembering(other, NOW)

    assert once.remembering(other, NOW) == once
    assert once.remembering(one, NOW) == once


@given(st.lists(SEEN, max_size=4))
def test_how_many_there_are_does_not_depend_on_the_order(seen: list[Mapping[str, dict[bytes, Origin]]]) -> None:
    forwards, backwards = FRESH, FRESH
    for each in seen:
        forwards = forwards.remembering(each, NOW)
    for each in reversed(seen):
        backwards = backwards.remembering(each, NOW)

    assert counts(forwards) == counts(backwards)
    for day in {day for each in seen for day in each}:
        entries = {entry for each in seen for entry in each.get(day, {})}
        assert counts(forwards).get(day, 0) == len({entry[:IDENTITY_BYTES] for entry in entries})
        assert all(forwards.knows(day, entry) for entry in entries)


@given(st.lists(SEEN, max_size=4))
def test_an_interaction_counts_for_what_brought_it_first(seen: list[Mapping[str, dict[bytes, Origin]]]) -> None:
    checkpoint, first = FRESH, dict[tuple[str, bytes], Origin]()
    for each in seen:
        checkpoint = checkpoint.remembering(each, NOW)
        new = dict[tuple[str, bytes], Origin]()
        for day, entries in each.items():
            for origin in reversed(Origin):
                new |= {(day, entry[:IDENTITY_BYTES]): origin for entry, its in entries.items() if its is origin}
        first = {**new, **first}

    for day, shown in checkpoint.shown.items():
        expected = [origin for (its_day, _), origin in first.items() if its_day == day]
        assert tally(shown) == {origin: expected.count(origin) for origin in Origin}


def test_a_version_that_a_notification_brought_does_not_make_good_for_the_one_before() -> None:
    missed = FRESH.remembering({TODAY: {entry(1): Origin.EXPORT}}, NOW)
    both = missed.remembering({TODAY: {entry(1, 1): Origin.NOTIFICATION, entry(2): Origin.NOTIFICATION}}, NOW)

    assert tally(both.shown[TODAY]) == {Origin.NOTIFICATION: 1, Origin.EXPORT: 1, Origin.HISTORY: 0}
    assert both.knows(TODAY, entry(1, 1))


def test_it_knows_by_the_day_and_the_version() -> None:
    checkpoint = FRESH.remembering({TODAY: {entry(1): Origin.EXPORT}}, NOW)

    assert checkpoint.knows(TODAY, entry(1))
    assert not checkpoint.knows(TODAY, entry(1, 1))
    assert not checkpoint.knows("2026-01-04", entry(1))


def test_a_day_of_nothing_is_no_day() -> None:
    assert FRESH.remembering({TODAY: {}}, NOW) == FRESH


def test_what_is_older_than_any_regular_look_is_forgotten() -> None:
    oldest = (NOW - REMEMBERED).date().isoformat()
    before = (NOW - REMEMBERED - DAY).date().isoformat()
    seen = {day: {entry(1): Origin.EXPORT} for day in (TODAY, oldest, before, "undated")}

    assert set(FRESH.remembering(seen, NOW).shown) == {TODAY, oldest, "undated"}
    assert set(FRESH.remembering(seen, NOW).remembering({}, NOW + 365 * DAY).shown) == {"undated"}


def test_of_too_many_the_oldest_days_are_forgotten() -> None:
    half = {entry(number): Origin.EXPORT for number in range(MAX_REMEMBERED // 2)}
    checkpoint = FRESH.remembering({"2026-01-03": half, "2026-01-04": half, TODAY: half}, NOW)

    assert set(checkpoint.shown) == {"2026-01-04", TODAY}


def test_the_latest_day_is_remembered_whole_however_long_it_is() -> None:
    many = {entry(number): Origin.EXPORT for number in range(MAX_REMEMBERED + 1)}
    checkpoint = FRESH.remembering({"2026-01-04": {entry(1): Origin.EXPORT}, TODAY: many, "undated": many}, NOW)

    assert counts(checkpoint) == {TODAY: MAX_REMEMBERED + 1}


def test_what_has_no_day_drives_out_nothing_that_has_one() -> None:
    many = {entry(number): Origin.EXPORT for number in range(MAX_REMEMBERED)}
    checkpoint = FRESH.remembering({"undated": many, "2026-01-04": {entry(1): Origin.EXPORT}}, NOW)

    assert set(checkpoint.shown) == {"2026-01-04"}
