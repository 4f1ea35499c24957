from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core.checkpoint import OVERLAP, SETTLE, UNAVAILABLE, Checkpoint, Look
from shared.core.checkpoint_json import TENANT, Progress, progress, to_metadata
from shared.core.export_plan import (
    AGAIN_AFTER,
    CHEAP_PAGES,
    CLOCKS_APART,
    FORGOTTEN_AFTER,
    GUESSED_PER_DAY,
    LATE_LOOK,
    LATE_LOOK_EVERY,
    LEAVING,
    SECOND_LOOK,
    SPARE_SHARE,
    WITHIN_A_DAY,
    Due,
    OpenGap,
    Plan,
    Planned,
    Tenant,
    has_left,
    is_waiting,
    plan,
)
from shared.core.export_window import PAGE_SIZE, ExportWindow
from tests.fakes import NOW

TINY = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
START = NOW - 90 * DAY
AMPLE = 10_000
ANN, BOB, CAT, DAN = ("ann", "bob", "cat", "dan")
# A second look over two days and the morning before is not cheap any more.
BUSY = PAGE_SIZE * CHEAP_PAGES / 3


def looked(at: datetime = NOW - HOUR, *, reach: timedelta = LATE_LOOK, **more: object) -> Progress:
    """One who was looked at then, over so much."""
    known = Progress(since=START, complete_until=at - SETTLE, looks=(Look(at - reach, at),))
    return replace(known, **more)  # type: ignore[arg-type]  # the names of fields, by the test that gives them


def tenant_of(known: Mapping[str, Progress | None], **more: object) -> Tenant:
    has = {user: each for user, each in known.items() if each is not None}
    return replace(Tenant(frozenset(known), has), **more)  # type: ignore[arg-type]  # as above


def planned(tenant: Tenant, *, start: datetime = START, budget: int = AMPLE, now: datetime = NOW) -> dict[str, Planned]:
    lines = plan(tenant, start=start, budget=budget, now=now).windows
    assert len({line.user for line in lines}) == len(lines)
    return {line.user: line for line in lines}


USERS = st.sampled_from([ANN, BOB, CAT, DAN, "eve", "fay"])
TIMES = st.integers(-100 * 24, 0).map(lambda hours: NOW + hours * HOUR)
LOOKS = st.builds(lambda one, other: Look(min(one, other), max(one, other)), TIMES, TIMES)
KNOWN = st.builds(
    Progress,
    since=st.none() | TIMES,
    complete_until=st.none() | TIMES,
    looks=st.lists(LOOKS, max_size=3).map(tuple),
    requests=st.integers(1, 20),
    per_day=st.floats(0, 500),
    reason=st.none() | st.just("forbidden"),
    retry_at=st.none() | st.integers(-5, 5).map(lambda hours: NOW + hours * HOUR),
)
GAPS = st.builds(
    lambda one, other, users: OpenGap(min(one, other), max(one, other), users),
    TIMES,
    TIMES,
    st.none() | st.frozensets(USERS, max_size=3),
)
TENANTS = st.builds(
    Tenant,
    users=st.frozensets(USERS),
    progress=st.dictionaries(USERS, KNOWN),
    activity=st.dictionaries(USERS, TIMES),
    leaving=st.dictionaries(USERS, TIMES),
    gaps=st.lists(GAPS, max_size=2),
    queued=st.dictionaries(USERS, st.integers(-6, 0).map(lambda hours: NOW + hours * HOUR)),
)


# ---- rules for any plan


def shuffled(tenant: Tenant) -> Tenant:
    def turned(each: Mapping[str, object]) -> dict[str, object]:
        return dict(reversed(each.items()))  # type: ignore[call-overload]  # all of them are dicts here

    return replace(
        tenant,
        users=frozenset(sorted(tenant.users, reverse=True)),
        progress=turned(tenant.progress),  # type: ignore[arg-type]  # as it was
        activity=turned(tenant.activity),  # type: ignore[arg-type]  # as it was
        leaving=turned(tenant.leaving),  # type: ignore[arg-type]  # as it was
        queued=turned(tenant.queued),  # type: ignore[arg-type]  # as it was
        gaps=tuple(reversed(tenant.gaps)),
    )


@given(TENANTS, st.integers(0, 40))
def test_the_same_tenant_budget_and_time_give_the_same_plan(tenant: Tenant, budget: int) -> None:
    first = plan(tenant, start=START, budget=budget, now=NOW)

    assert plan(tenant, start=START, budget=budget, now=NOW) == first
    assert plan(shuffled(tenant), start=START, budget=budget, now=NOW) == first


@given(TENANTS, st.integers(-1, 40))
def test_what_holds_for_every_plan(tenant: Tenant, budget: int) -> None:
    found = plan(tenant, start=START, budget=budget, now=NOW)

    lines = found.windows
    assert len({line.user for line in lines}) == len(lines)
    assert [line.due for line in lines] == sorted(line.due for line in lines)
    assert all(START <= line.begin <= NOW and line.cost >= 1 for line in lines)
    assert {line.user for line in lines} <= tenant.users | set(tenant.leaving)
    assert not lines or found.cost - lines[-1].cost < budget
    spared = [line.cost for line in lines if line.due is Due.SPARE]
    assert not spared or found.cost - spared[-1] < budget * SPARE_SHARE
    for line in lines:
        known = tenant.progress.get(line.user, Progress())
        assert known.retry_at is None or known.retry_at <= NOW
        assert known.complete_until is None or line.begin <= max(known.complete_until - OVERLAP, START)
        for gap in tenant.gaps:
            assert (
                gap.end <= START
                or not gap.is_of(line.user)
                or line.due is Due.GAP
                or gap.is_closed(known)
                or OpenGap(max(gap.begin, START), gap.end).is_closed(known)
            )


@given(TENANTS, st.integers(0, 30), st.integers(0, 30))
def test_a_larger_budget_plans_the_same_and_then_more(tenant: Tenant, budget: int, more: int) -> None:
    small = plan(tenant, start=START, budget=budget, now=NOW).windows
    large = plan(tenant, start=START, budget=budget + more, now=NOW).windows

    assert large[: len(small)] == small


@given(TENANTS)
def test_with_an_ample_budget_everybody_is_planned_who_need_not_be_left_alone(tenant: Tenant) -> None:
    lines = planned(tenant, budget=10**6)

    for user in tenant.users - set(tenant.queued):
        retry_at = tenant.progress.get(user, Progress()).retry_at
        assert (user in lines) == (retry_at is None or retry_at <= NOW)


# ---- order


def test_gaps_then_the_active_then_those_behind_then_whoever_is_left() -> None:
    gap = OpenGap(NOW - 5 * HOUR, NOW - 4 * HOUR, frozenset({DAN}))
    known = {ANN: looked(), BOB: looked(NOW - 2 * DAY), CAT: looked(), DAN: looked(NOW - 5 * HOUR)}
    lines = planned(tenant_of(known, activity={CAT: NOW - HOUR}, gaps=[gap]))

    assert [(line.user, line.due) for line in lines.values()] == [
        (DAN, Due.GAP),
        (CAT, Due.ACTIVE),
        (BOB, Due.BEHIND),
        (ANN, Due.SPARE),
    ]


def test_among_equals_it_is_who_is_behind_longest() -> None:
    known = {ANN: looked(NOW - 2 * DAY), BOB: looked(NOW - 3 * DAY), CAT: None, DAN: looked(NOW - 2 * DAY)}

    assert list(planned(tenant_of(known))) == [CAT, BOB, ANN, DAN]


def test_who_has_been_looked_at_within_a_day_waits_for_those_who_have_not() -> None:
    known = {ANN: looked(NOW - WITHIN_A_DAY), BOB: looked(NOW - WITHIN_A_DAY + TINY)}
    lines = planned(tenant_of(known))

    assert (lines[ANN].due, lines[BOB].due) == (Due.BEHIND, Due.SPARE)


@pytest.mark.parametrize(
    ("hour", "due"),
    [(NOW - 2 * HOUR, Due.ACTIVE), (NOW - 3 * HOUR + TINY, Due.ACTIVE), (NOW - 3 * HOUR, Due.SPARE)],
)
def test_active_is_whose_prompt_may_lie_beyond_his_checkpoint(hour: datetime, due: Due) -> None:
    known = looked(NOW - HOUR)
    assert known.complete_until == NOW - 2 * HOUR

    assert planned(tenant_of({ANN: known}, activity={ANN: hour}))[ANN].due is due


def test_the_budget_is_overspent_by_one_window_at_most() -> None:
    known = {user: looked(NOW - 2 * DAY, reach=3 * HOUR, requests=4) for user in (ANN, BOB, CAT)}
    found = plan(tenant_of(known), start=NOW - 3 * DAY, budget=5, now=NOW)

    assert [line.cost for line in found.windows] == [4, 4]
    assert found.cost == 8


def test_on_those_of_whom_nothing_is_due_only_a_part_is_spent() -> None:
    users = [f"user{number}" for number in range(20)]

    assert len(planned(tenant_of(dict.fromkeys(users, looked())), budget=20)) == 20 * SPARE_SHARE
    assert len(planned(tenant_of(dict.fromkeys(users, looked(NOW - 2 * DAY))), budget=20)) == 20


# ---- whom to leave alone


def test_who_is_flagged_is_left_alone_until_it_is_time_to_try_again() -> None:
    known = {ANN: looked(retry_at=NOW + TINY, reason="forbidden"), BOB: looked(retry_at=NOW, reason="forbidden")}
    everything = OpenGap(NOW - DAY, NOW - HOUR)

    assert set(planned(tenant_of(known, gaps=[everything], activity=dict.fromkeys(known, NOW)))) == {BOB}


def test_who_was_not_served_comes_after_those_who_may_be_and_before_those_who_can_wait() -> None:
    refused = Progress(reason="forbidden", retry_at=NOW)
    tenant = tenant_of({ANN: refused, BOB: None, CAT: looked()})

    assert [line.user for line in plan(tenant, start=START, budget=100_000, now=NOW).windows] == [BOB, ANN, CAT]


def test_those_whom_graph_never_serves_keep_nobody_from_being_tried() -> None:
    users = [f"user{number:02}" for number in range(20)]
    known: dict[str, Progress | None] = dict.fromkeys(users)
    for _ in range(10):
        for user in planned(tenant_of(known), budget=10):
            known[user] = Progress(reason="forbidden", retry_at=NOW)

    assert None not in known.values()


def test_who_is_on_the_queue_is_not_planned_twice_and_again_when_he_was_forgotten() -> None:
    queued = {ANN: NOW - FORGOTTEN_AFTER + TINY, BOB: NOW - FORGOTTEN_AFTER}

    assert due(tenant_of({ANN: looked(NOW - DAY), BOB: looked(NOW - DAY)}, queued=queued)) == {BOB}
    assert due(tenant_of({ANN: None, BOB: None}, queued=queued)) == {BOB}


def test_where_there_is_room_he_is_put_there_again_sooner_after_everybody_else() -> None:
    queued = {ANN: NOW - AGAIN_AFTER, BOB: NOW - AGAIN_AFTER + TINY}
    tenant = tenant_of({ANN: None, BOB: None, CAT: looked(NOW - HOUR)}, queued=queued)

    assert [line.user for line in plan(tenant, start=START, budget=1000, now=NOW).windows] == [CAT, ANN]
    assert plan(tenant, start=START, budget=4, now=NOW).windows == ()


@pytest.mark.parametrize(
    ("at", "waits"), [(NOW - HOUR - CLOCKS_APART, False), (NOW - HOUR - CLOCKS_APART - TINY, True)]
)
def test_a_look_that_began_since_then_brings_him_back_by_whichever_clock(at: datetime, waits: bool) -> None:
    assert is_waiting(looked(at), NOW - HOUR, NOW) is waits


def test_so_does_a_problem_that_was_noted_since_and_is_over() -> None:
    known = {ANN: looked(NOW - DAY, retry_at=NOW - TINY), BOB: looked(NOW - DAY, retry_at=NOW - HOUR)}

    assert due(tenant_of(known, queued=dict.fromkeys(known, NOW - HOUR))) == {ANN}


def due(tenant: Tenant) -> set[str]:
    """Who is planned for a reason, and not because there is room."""
    return {user for user, line in planned(tenant).items() if line.due is not Due.SPARE}


def test_what_is_on_the_queue_is_part_of_the_budget() -> None:
    known = {ANN: looked(NOW - DAY), BOB: looked(NOW - DAY), CAT: looked(NOW - DAY)}
    found = plan(tenant_of(known, queued={ANN: NOW - HOUR, BOB: NOW - HOUR}), start=START, budget=3, now=NOW)

    assert [line.user for line in found.windows] == [CAT]
    assert found.cost == 3


# ---- who leaves


def test_who_has_left_stays_until_a_look_late_enough() -> None:
    left = NOW - LEAVING
    tenant = tenant_of({}, progress={ANN: looked()}, leaving={ANN: left})
    line = planned(tenant)[ANN]

    assert line.begin <= left
    after = looked(NOW, reach=NOW - line.begin)
    assert has_left(after, left, NOW)
    assert planned(replace(tenant, progress={ANN: after})) == {}


def test_his_last_look_is_as_wide_as_the_widest_however_late_it_comes() -> None:
    # Between the looks before it nobody may have been there to see what came late.
    left = NOW - 20 * DAY
    tenant = tenant_of({}, progress={ANN: looked(left + LEAVING - TINY)}, leaving={ANN: left})

    assert planned(tenant)[ANN].begin == left - LATE_LOOK
    assert planned(tenant, start=left - DAY)[ANN].begin == left - DAY


def test_who_left_before_anybody_looked_is_looked_at_all_the_same() -> None:
    lines = planned(tenant_of({}, leaving={ANN: NOW - 9 * DAY}))

    assert lines[ANN].begin == START


def test_a_look_before_that_or_over_less_is_not_the_last_one() -> None:
    left = NOW - 3 * DAY
    wide = LEAVING + LATE_LOOK

    assert has_left(looked(left + LEAVING, reach=wide), left, NOW)
    assert not has_left(looked(left + LEAVING - TINY, reach=wide), left, NOW)
    assert not has_left(looked(left + LEAVING, reach=wide - TINY), left, NOW)


def test_a_look_over_all_there_is_is_wide_enough() -> None:
    left, start = NOW - 3 * DAY, NOW - 5 * DAY

    assert has_left(looked(left + LEAVING, reach=left + LEAVING - start, since=start), left, NOW)
    assert not has_left(looked(left + LEAVING, reach=left + LEAVING - start - TINY, since=start), left, NOW)


@pytest.mark.parametrize(
    ("reason", "since", "gone"),
    [
        ("not-found", NOW - LEAVING, True),
        ("not-found", NOW - LEAVING + TINY, False),
        (UNAVAILABLE, NOW - 9 * DAY, False),
        (None, NOW - 9 * DAY, False),
    ],
)
def test_whom_graph_does_not_serve_any_more_is_let_go(reason: str | None, since: datetime, gone: bool) -> None:
    assert has_left(Progress(reason=reason), since, NOW) is gone


def test_who_comes_back_has_not_left() -> None:
    tenant = tenant_of({ANN: looked(NOW - HOUR)}, leaving={ANN: NOW - 30 * DAY})

    assert planned(tenant)[ANN].begin == planned(replace(tenant, leaving={}))[ANN].begin


# ---- gaps


def test_a_gap_is_asked_for_with_an_overlap_and_never_from_before_the_start() -> None:
    known = {ANN: looked(reach=2 * DAY, complete_until=NOW - 2 * HOUR)}
    gap = OpenGap(NOW - 10 * DAY, NOW - 5 * DAY)

    assert planned(tenant_of(known, gaps=[gap]), start=NOW - 60 * DAY)[ANN].due is Due.GAP
    weekly = {ANN: replace(known[ANN], looks=(Look(NOW - 9 * DAY, NOW - HOUR), Look(NOW - 60 * DAY, NOW - 6 * DAY)))}
    assert planned(tenant_of(weekly, gaps=[gap]), start=START)[ANN].begin == gap.begin - OVERLAP
    assert planned(tenant_of(weekly, gaps=[gap]), start=gap.begin + HOUR)[ANN].begin == gap.begin + HOUR


@pytest.mark.parametrize(
    ("look", "closed"),
    [
        (Look(NOW - 5 * HOUR, NOW - 3 * HOUR), True),
        (Look(NOW - 5 * HOUR + TINY, NOW - HOUR), False),
        (Look(NOW - 9 * HOUR, NOW - 3 * HOUR - TINY), False),
    ],
)
def test_a_look_over_all_of_a_gap_that_began_after_it_closes_it(look: Look, closed: bool) -> None:
    gap = OpenGap(NOW - 5 * HOUR, NOW - 3 * HOUR)
    known = Progress(looks=(look,))

    assert gap.is_closed(known) is closed
    assert (planned(tenant_of({ANN: known}, gaps=[gap]))[ANN].due is Due.GAP) is not closed


def test_a_gap_from_before_the_start_is_closed_from_the_start_on() -> None:
    gap = OpenGap(NOW - 9 * DAY, NOW - 2 * HOUR)
    known = Progress(since=NOW - DAY, complete_until=NOW - 2 * HOUR, looks=(Look(NOW - DAY, NOW - HOUR),))

    assert planned(tenant_of({ANN: known}, gaps=[gap]), start=NOW - DAY)[ANN].due is Due.SPARE
    assert planned(tenant_of({ANN: None}, gaps=[gap]), start=gap.end)[ANN].due is not Due.GAP


def test_a_gap_of_some_users_is_nobody_elses_but_the_tenants() -> None:
    gap = OpenGap(NOW - 5 * HOUR, NOW - 3 * HOUR, frozenset({ANN}))
    known = dict.fromkeys([ANN, BOB, TENANT], looked(NOW - 4 * HOUR))
    lines = planned(tenant_of(known, gaps=[gap]))

    assert {user for user, line in lines.items() if line.due is Due.GAP} == {ANN, TENANT}


# ---- from when on


def test_who_was_never_looked_at_is_read_from_the_start() -> None:
    assert planned(tenant_of({ANN: None}))[ANN].begin == START


def test_a_start_that_was_moved_back_is_read_from_there() -> None:
    known = {ANN: looked()}

    assert planned(tenant_of(known), start=START - TINY)[ANN].begin == START - TINY
    assert planned(tenant_of(known), start=START + TINY)[ANN].begin > START + TINY


def test_a_busy_user_is_read_from_his_checkpoint_until_a_second_look_is_due() -> None:
    recent = looked(per_day=BUSY, reach=LATE_LOOK)
    # A look every hour since, none of them long.
    day_old = replace(recent, looks=(Look(NOW - 3 * HOUR, NOW - HOUR), Look(NOW - 40 * DAY, NOW - DAY)))

    assert planned(tenant_of({ANN: recent}))[ANN].begin == NOW - HOUR - SETTLE - OVERLAP
    assert planned(tenant_of({ANN: day_old}))[ANN].begin == NOW - SECOND_LOOK


def test_what_fits_on_a_page_is_looked_at_again_for_nothing() -> None:
    begin = planned(tenant_of({ANN: looked(per_day=BUSY - 0.1)}))[ANN].begin

    assert begin == (NOW - SECOND_LOOK).replace(hour=0, minute=0, second=0)


@pytest.mark.parametrize("per_day", [0.0, BUSY])
def test_a_late_look_is_due_a_week_after_the_last(per_day: float) -> None:
    # An hour before it is a week: the next plan would come too late.
    for age, due in ((LATE_LOOK_EVERY - HOUR, False), (LATE_LOOK_EVERY - HOUR + TINY, True)):
        looks = (Look(NOW - 3 * DAY, NOW - HOUR), Look(NOW - age - LATE_LOOK, NOW - age))
        line = planned(tenant_of({ANN: looked(per_day=per_day, looks=looks)}))[ANN]
        assert (line.begin == NOW - LATE_LOOK) is due


@pytest.mark.parametrize("age", [timedelta(0), HOUR, DAY, 10 * DAY, 29 * DAY])
def test_from_a_start_of_late_not_every_look_is_a_late_one(age: timedelta) -> None:
    start = NOW - age
    whole = Progress(since=start, complete_until=max(start, NOW - SETTLE), looks=(Look(start, NOW),), per_day=BUSY)

    for hours in range(1, 23):
        line = planned(tenant_of({ANN: whole}), start=start, now=NOW + hours * HOUR)[ANN]
        assert line.begin == max(NOW - SETTLE - OVERLAP, start)


# ---- what it costs


def test_the_pages_that_are_expected_are_paid_for() -> None:
    known = Progress(since=START, complete_until=NOW - 10 * DAY, looks=(Look(START, NOW - 10 * DAY),), per_day=50.0)
    line = planned(tenant_of({ANN: known}))[ANN]

    assert (line.begin, line.cost) == (NOW - LATE_LOOK, 1 + 15)


def test_a_look_that_took_more_than_its_pages_tells_what_the_next_one_takes_by_its_length() -> None:
    known = looked(NOW - HOUR, reach=10 * DAY, requests=100, per_day=BUSY)
    known = replace(known, looks=(*known.looks, Look(START, NOW - 5 * DAY)), complete_until=NOW - DAY + OVERLAP)

    assert planned(tenant_of({ANN: known}))[ANN].cost in (10, 20)


def test_who_was_never_looked_at_costs_what_others_would() -> None:
    pages = 90 * GUESSED_PER_DAY // PAGE_SIZE

    assert planned(tenant_of({ANN: None}))[ANN].cost == 1 + pages
    assert planned(tenant_of({ANN: None, BOB: looked(per_day=40.0), CAT: looked(per_day=20.0)}))[ANN].cost == 1 + 27


def test_what_others_would_cost_does_not_depend_on_their_order() -> None:
    # Sums of these differ by their order, and a page begins just between them.
    known: dict[str, Progress | None] = {ANN: looked(per_day=0.1), BOB: looked(per_day=0.2), CAT: looked(per_day=0.3)}
    tenant = tenant_of({**known, DAN: None})
    other = replace(tenant, progress=dict(reversed(tenant.progress.items())))  # type: ignore[call-overload]  # a dict

    assert planned(tenant, start=NOW - 500 * DAY) == planned(other, start=NOW - 500 * DAY)


# ---- what goes on the queue


def test_a_line_becomes_a_window() -> None:
    assert Planned(ANN, START, Due.GAP, 1).window(NOW) == ExportWindow(ANN, START, NOW)
    assert Planned(TENANT, START, Due.GAP, 1).window(NOW) == ExportWindow(None, START, NOW)


def test_nobody_to_plan_for_is_an_empty_plan() -> None:
    assert plan(tenant_of({}), start=START, budget=AMPLE, now=NOW) == Plan((), 0)


# ---- days of plans


class Days:
    """Hourly plans, each of them exported at once and without a fault."""

    def __init__(self, users: Mapping[str, float], start: datetime, budget: int) -> None:
        self.users, self.start, self.budget = users, start, budget
        self.checkpoints: dict[str, Checkpoint] = {}
        self.looks: dict[str, list[Look]] = {user: [] for user in users}

    def run(self, hours: int, activity: Mapping[str, datetime] | None = None) -> None:
        for hour in range(hours):
            now = NOW + hour * HOUR
            known = {user: self.progress(user) for user in self.checkpoints}
            tenant = Tenant(frozenset(self.users), known, activity=activity or {})
            for line in plan(tenant, start=self.start, budget=self.budget, now=now).windows:
                self.export(line, now + timedelta(minutes=5))

    def export(self, line: Planned, at: datetime) -> None:
        before = self.checkpoints.get(line.user, Checkpoint(line.user))
        requests = 1 + int(self.users[line.user] * ((at - line.begin) / DAY) / PAGE_SIZE)
        self.checkpoints[line.user] = before.advanced(line.begin, at, at).looked(line.begin, at, requests)
        self.looks[line.user].append(Look(line.begin, at))

    def progress(self, user: str) -> Progress:
        return progress({**to_metadata(self.checkpoints[user]), "perday": str(self.users[user])})


PER_DAY = st.dictionaries(USERS, st.sampled_from([0.0, 3.0, 30.0, 400.0]), min_size=1)


@given(PER_DAY, st.timedeltas(timedelta(0), 40 * DAY))
@settings(max_examples=15)
def test_everybody_is_looked_at_within_a_day_and_nothing_between_two_looks_is_left_out(
    users: Mapping[str, float], history: timedelta
) -> None:
    days = Days(users, NOW - history, AMPLE)
    days.run(3 * 24)

    for looks in days.looks.values():
        assert looks[0].begin == NOW - history
        assert looks[0].at < NOW + HOUR
        for one, other in pairwise(looks):
            assert other.at - one.at <= DAY
            # What has settled by one look need not be read by the next; what had not, must be.
            assert other.begin <= max(one.at - SETTLE, days.start)


def test_with_a_scarce_budget_everybody_is_looked_at_within_a_day_all_the_same() -> None:
    users = {f"user{number:03}": 3.0 for number in range(200)}
    days = Days(users, NOW, 15)
    days.run(3 * 24, activity={f"user{number:03}": NOW + 100 * HOUR for number in range(3)})

    for looks in days.looks.values():
        assert looks[-1].at >= NOW + 48 * HOUR
        assert all(other.at - one.at <= DAY + HOUR for one, other in pairwise(looks))


@pytest.mark.parametrize("per_day", [1.0, 40.0])
def test_second_looks_come_daily_and_late_looks_weekly(per_day: float) -> None:
    days = Days({ANN: per_day}, NOW - 365 * DAY, AMPLE)
    days.run(24 * 30)

    looks = days.looks[ANN][1:]
    late = [each.at for each in looks if each.at - each.begin >= LATE_LOOK]
    second = [each.at for each in looks if each.at - each.begin >= SECOND_LOOK]
    assert [round((at - NOW) / DAY) for at in late] == [7, 14, 21, 28]
    assert all(other - one <= DAY for one, other in pairwise(second))
    assert len(looks) == 24 * 30 - 1
    assert len(days.checkpoints[ANN].looks) < 50


def test_a_user_who_leaves_is_let_go_two_days_later() -> None:
    days = Days({ANN: 3.0, BOB: 40.0}, NOW - 60 * DAY, AMPLE)
    days.run(1)
    left = NOW + HOUR
    last = {}
    for hour in range(1, 100):
        now = NOW + hour * HOUR
        known = {user: days.progress(user) for user in days.checkpoints}
        for line in plan(
            Tenant(frozenset(), known, leaving=dict.fromkeys(known, left)), start=days.start, budget=AMPLE, now=now
        ).windows:
            last[line.user] = now
            days.export(line, now)

    assert last == dict.fromkeys([ANN, BOB], left + LEAVING)


def test_the_plan_is_by_utc_whatever_the_zone_of_the_clock() -> None:
    assert planned(tenant_of({ANN: looked()}), now=NOW.astimezone(UTC)) == planned(tenant_of({ANN: looked()}))
