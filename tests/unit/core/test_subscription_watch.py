from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.gap import Gap
from shared.core.notification import LATEST, MISSED, REAUTHORIZE, REMOVED, LifecycleNotification
from shared.core.subscription_watch import (
    CHALLENGE_GRACE,
    FIRST_RETRY,
    LONGEST_RETRY,
    ONE_LOOK,
    Problem,
    Tracked,
    Watch,
)
from tests.fakes import NOW

TINY = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
ALICE = "0a1a7a9f-63c8-4d0f-8d2b-2b7f2b8f8a10"
BOB = "0b1a7a9f-63c8-4d0f-8d2b-2b7f2b8f8a10"
INTERACTIONS = "copilot/interactionhistory/getallenterpriseinteractions"
OF_ALICE = f"copilot/users/{ALICE}/interactionhistory/getallenterpriseinteractions"
LIVE = Tracked("s1", "Chats", NOW + timedelta(days=2), "v1", last_live=NOW)
WATCH = Watch(tracked={"chats": LIVE}, reconciled_at=NOW)


def hint(event: str, subscription_id: str = "s1") -> LifecycleNotification:
    return LifecycleNotification(subscription_id, event)


def doubting(**known: datetime) -> Watch:
    return Watch(tracked={"chats": replace(LIVE, **known)}, reconciled_at=NOW)  # type: ignore[arg-type] # fields that are instants


def live_at(now: datetime, name: str = "s1") -> Tracked:
    return replace(LIVE, id=name, last_live=now)


# ---- gaps


def test_the_first_subscription_for_a_resource_ends_no_gap() -> None:
    watch, gap = Watch().seen_live("chats", LIVE, NOW, renewed=True)

    assert gap is None
    assert watch.tracked == {"chats": LIVE}


@pytest.mark.parametrize("renewed", [True, False])
def test_seen_again_it_leaves_no_gap_however_long_nobody_looked(renewed: bool) -> None:
    later = NOW + timedelta(days=1)
    watch, gap = WATCH.seen_live("chats", live_at(later), later, renewed=renewed)

    assert gap is None
    assert watch.tracked["chats"].last_live == later


@pytest.mark.parametrize("renewed", [True, False])
def test_another_id_means_that_it_was_gone_since_it_was_last_seen(renewed: bool) -> None:
    later = NOW + timedelta(days=4)
    _, gap = WATCH.seen_live("chats", live_at(later, "s2"), later, renewed=renewed)

    assert gap == Gap("Chats", NOW, later, "the subscription was gone")


def test_refused_before_it_was_gone_the_gap_begins_with_the_refusal() -> None:
    watch = doubting(last_live=NOW + HOUR, refused_since=NOW - HOUR)
    _, gap = watch.seen_live("chats", live_at(NOW + 2 * HOUR, "s2"), NOW + 2 * HOUR, renewed=True)

    assert gap is not None
    assert (gap.begin, gap.end) == (NOW - HOUR, NOW + 2 * HOUR)


def test_the_end_of_a_refusal_is_the_end_of_a_gap() -> None:
    watch, gap = doubting(refused_since=NOW - HOUR).seen_live("chats", live_at(NOW), NOW, renewed=True)

    assert gap == Gap("Chats", NOW - HOUR, NOW, "Graph refused the app")
    assert not watch.tracked["chats"].doubted


@pytest.mark.parametrize(("waited", "late"), [(CHALLENGE_GRACE, False), (CHALLENGE_GRACE + TINY, True)])
def test_a_challenge_that_is_met_late_leaves_a_gap_and_a_prompt_answer_none(waited: timedelta, late: bool) -> None:
    watch, gap = doubting(challenged_at=NOW).seen_live("chats", live_at(NOW + waited), NOW + waited, renewed=True)

    assert gap == (Gap("Chats", NOW, NOW + waited, "a new authorisation came late") if late else None)
    assert not watch.tracked["chats"].doubted


@pytest.mark.parametrize("doubt", ["challenged_at", "refused_since"])
def test_to_be_listed_settles_no_doubt(doubt: str) -> None:
    watch, gap = doubting(**{doubt: NOW}).seen_live("chats", live_at(NOW + HOUR), NOW + HOUR, renewed=False)

    assert gap is None
    assert getattr(watch.tracked["chats"], doubt) == NOW


def test_a_successor_starts_without_its_predecessors_doubts() -> None:
    watch, _ = doubting(challenged_at=NOW, refused_since=NOW).seen_live("chats", live_at(NOW, "s2"), NOW, renewed=False)

    assert not watch.tracked["chats"].doubted


def test_when_it_was_last_heard_of_outlives_a_successor() -> None:
    watch = doubting(hinted_at=NOW - MINUTE, missed_at=NOW - HOUR)
    after, _ = watch.seen_live("chats", live_at(NOW, "s2"), NOW, renewed=True)

    assert (after.tracked["chats"].hinted_at, after.tracked["chats"].missed_at) == (NOW - MINUTE, NOW - HOUR)


def test_a_refusal_counts_from_the_last_good_run_and_its_beginning_stays() -> None:
    once = WATCH.refused(["chats", "unknown"], NOW + HOUR)
    twice = replace(once, reconciled_at=NOW + 2 * HOUR).refused(["chats"], NOW + 3 * HOUR)

    assert once.tracked["chats"].refused_since == NOW
    assert twice.tracked == once.tracked
    assert set(once.tracked) == {"chats"}


def test_refused_before_any_good_run_it_counts_from_now() -> None:
    watch = replace(WATCH, reconciled_at=None).refused(["chats"], NOW + HOUR)

    assert watch.tracked["chats"].refused_since == NOW + HOUR


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["seen", "renewed", "other", "refused", "challenged", "missed"]),
            st.integers(0, 600),
        ),
        max_size=25,
    )
)
def test_a_gap_never_lies_in_the_future_and_never_begins_before_there_was_a_subscription(
    steps: list[tuple[str, int]],
) -> None:
    watch, now, number = WATCH, NOW, 1
    for what, minutes in steps:
        now += minutes * MINUTE
        gap: Gap | None = None
        if what == "refused":
            watch = watch.refused(["chats"], now)
        elif what in ("challenged", "missed"):
            heard = watch.hinted(hint(REAUTHORIZE if what == "challenged" else MISSED, f"s{number}"), now)
            watch, gap = heard.watch, heard.gap
        else:
            number += what == "other"
            watch, gap = watch.seen_live("chats", live_at(now, f"s{number}"), now, renewed=what != "seen")
            watch = replace(watch, reconciled_at=now)
        if gap is not None:
            assert gap.begin <= gap.end == now
            assert gap.begin >= NOW - LATEST
            assert gap.reason


# ---- hints


def test_of_a_subscription_that_is_none_of_ours_nothing_is_believed() -> None:
    for event in (REAUTHORIZE, REMOVED, MISSED):
        heard = WATCH.hinted(hint(event, "s2"), NOW)
        assert (heard.watch, heard.gap, heard.look) == (WATCH, None, False)


def test_a_removal_is_worth_a_look_and_is_not_believed() -> None:
    heard = WATCH.hinted(hint(REMOVED), NOW)

    assert heard.look
    assert heard.gap is None
    assert heard.watch.tracked["chats"] == replace(LIVE, hinted_at=NOW)


def test_a_challenge_is_remembered_from_the_first_time_that_it_came() -> None:
    first = WATCH.hinted(hint(REAUTHORIZE), NOW)
    second = first.watch.hinted(hint(REAUTHORIZE), NOW + HOUR)

    assert first.look
    assert first.watch.tracked["chats"].challenged_at == NOW
    assert second.watch.tracked["chats"].challenged_at == NOW


def test_missed_notifications_are_a_gap_of_as_long_as_graph_may_be_late() -> None:
    assert WATCH.hinted(hint(MISSED), NOW).gap == Gap("Chats", NOW - LATEST, NOW, "Graph missed notifications")


@pytest.mark.parametrize("event", [REAUTHORIZE, REMOVED, MISSED])
def test_a_storm_is_worth_one_look_and_one_gap_in_a_minute(event: str) -> None:
    watch, looks, gaps = WATCH, 0, 0
    for second in range(600):
        heard = watch.hinted(hint(event), NOW + timedelta(seconds=second))
        watch, looks, gaps = heard.watch, looks + heard.look, gaps + (heard.gap is not None)

    assert looks == timedelta(minutes=10) / ONE_LOOK
    assert gaps == (looks if event == MISSED else 0)


def test_what_came_within_the_minute_is_not_forgotten_and_a_challenge_is_answered_at_once() -> None:
    watch = WATCH.hinted(hint(REMOVED), NOW).watch
    missed = watch.hinted(hint(MISSED), NOW + TINY)
    challenge = missed.watch.hinted(hint(REAUTHORIZE), NOW + 2 * TINY)
    again = challenge.watch.hinted(hint(REAUTHORIZE), NOW + 3 * TINY)

    assert not missed.look
    assert challenge.look, "only a renewal answers it"
    assert not again.look
    assert challenge.watch.tracked["chats"].doubted
    assert missed.gap is not None


def test_each_subscription_has_a_minute_of_its_own() -> None:
    watch = replace(WATCH, tracked={"chats": LIVE, "other": replace(LIVE, id="s2")})
    first = watch.hinted(hint(REMOVED, "s1"), NOW)

    assert first.watch.hinted(hint(REMOVED, "s2"), NOW).look


def test_a_challenge_that_crosses_its_answer_on_the_way_is_answered_already() -> None:
    renewed, _ = WATCH.seen_live("chats", live_at(NOW), NOW, renewed=True)

    assert not renewed.hinted(hint(REAUTHORIZE), NOW + ONE_LOOK - TINY).watch.tracked["chats"].doubted
    assert renewed.hinted(hint(REAUTHORIZE), NOW + ONE_LOOK).watch.tracked["chats"].doubted


# ---- problems


def test_a_problem_waits_longer_each_time_and_never_too_long() -> None:
    watch, now, waits = Watch(), NOW, []
    for _ in range(40):
        watch = watch.with_problem("chats", "no", now)
        waits.append(watch.problems["chats"].retry_at - now)
        now = watch.problems["chats"].retry_at

    assert waits == sorted(waits)
    assert waits[0] == FIRST_RETRY
    assert waits[-1] == LONGEST_RETRY
    assert watch.problems["chats"].since == NOW


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=20))
def test_whenever_it_is_tried_again_the_wait_is_bounded(minutes: list[int]) -> None:
    watch, now = Watch(), NOW
    for each in minutes:
        now += each * MINUTE
        watch = watch.with_problem("chats", "no", now)
        assert FIRST_RETRY <= watch.problems["chats"].retry_at - now <= LONGEST_RETRY


def test_a_problem_that_was_solved_starts_anew() -> None:
    watch = Watch().with_problem("chats", "no", NOW).without_problem("chats").with_problem("chats", "no", NOW + HOUR)

    assert watch.problems == {"chats": Problem("no", NOW + HOUR, NOW + HOUR + FIRST_RETRY)}


def test_the_newest_sentence_is_told() -> None:
    watch = Watch().with_problem("chats", "first", NOW).with_problem("chats", "second", NOW)

    assert watch.problems["chats"].sentence == "second"


def test_due_is_what_has_no_problem_or_has_waited() -> None:
    watch = Watch().with_problem("chats", "no", NOW)

    assert watch.due("other", NOW)
    assert not watch.due("chats", NOW + FIRST_RETRY - TINY)
    assert watch.due("chats", NOW + FIRST_RETRY)


def test_what_is_wanted_no_more_is_forgotten() -> None:
    watch = replace(WATCH, tracked={"chats": LIVE, "old": LIVE}).with_problem("old", "no", NOW)
    watch = watch.with_problem("chats", "no", NOW).only(["chats"])

    assert set(watch.tracked) == set(watch.problems) == {"chats"}


# ---- the claim


def test_a_claim_holds_until_it_ends_or_is_given_back() -> None:
    claimed = WATCH.claimed("me", NOW + HOUR)

    assert WATCH.may_claim(NOW)
    assert not claimed.may_claim(NOW + HOUR - TINY)
    assert claimed.may_claim(NOW + HOUR)
    assert claimed.released() == WATCH


# ---- since when notifications should have brought something


def test_a_resource_is_notified_since_it_first_had_a_subscription() -> None:
    watch, _ = Watch().seen_live("chats", live_at(NOW), NOW, renewed=True)
    watch, _ = watch.seen_live("chats", live_at(NOW + HOUR), NOW + HOUR, renewed=True)
    watch, _ = watch.seen_live("chats", live_at(NOW + 2 * HOUR, "s2"), NOW + 2 * HOUR, renewed=True)

    assert watch.notified == {"chats": NOW}


def test_what_is_wanted_no_more_and_then_again_begins_anew() -> None:
    watch, _ = Watch().seen_live("chats", live_at(NOW), NOW, renewed=True)
    watch, _ = watch.only([]).seen_live("chats", live_at(NOW + HOUR, "s2"), NOW + HOUR, renewed=True)

    assert watch.notified == {"chats": NOW + HOUR}


def test_what_was_refused_or_claimed_meanwhile_does_not_change_it() -> None:
    watch = Watch(tracked={"chats": LIVE}, notified={"chats": NOW})
    later = watch.refused(["chats"], NOW + HOUR).claimed("me", NOW + HOUR).released().away(NOW + 99 * HOUR)

    assert later.with_problem("chats", "no", NOW).awaiting(["x"], NOW).notified == {"chats": NOW}


@pytest.mark.parametrize(
    ("notified", "user", "since"),
    [
        ({}, ALICE, None),
        ({}, None, None),
        ({INTERACTIONS: NOW}, ALICE, NOW),
        ({INTERACTIONS: NOW}, None, NOW),
        ({OF_ALICE: NOW}, ALICE, NOW),
        ({OF_ALICE: NOW}, BOB, None),
        ({OF_ALICE: NOW}, None, None),
        ({INTERACTIONS: NOW, OF_ALICE: NOW - HOUR}, ALICE, NOW - HOUR),
        ({INTERACTIONS: NOW, OF_ALICE: NOW - HOUR}, BOB, NOW),
        ({INTERACTIONS: NOW - HOUR, OF_ALICE: NOW}, ALICE, NOW - HOUR),
        ({f"{INTERACTIONS}?$filter=appClass eq 'x'": NOW}, ALICE, None),
        ({f"{OF_ALICE}?$filter=appClass eq 'x'": NOW}, ALICE, None),
        ({f"{INTERACTIONS}?$filter=x": NOW - HOUR, OF_ALICE: NOW}, ALICE, NOW),
        ({"chats": NOW, "chats/getallmessages": NOW, f"users/{ALICE}/chats": NOW}, ALICE, None),
        ({"chats": NOW, "chats/getallmessages": NOW}, None, None),
    ],
)
def test_who_is_notified_of_and_since_when(notified: dict[str, datetime], user: str | None, since: datetime) -> None:
    assert Watch(notified=notified).notified_since(user) == since
