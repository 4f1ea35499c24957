import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.checkpoint import SETTLE, Look
from shared.core.checkpoint_json import Progress
from shared.core.export_plan import LATE_LOOK, LEAVING, Tenant
from shared.core.export_summary import (
    COMPLETE_WITHIN,
    DAYS_KEPT,
    SHOWN_WITHIN,
    Coverage,
    coverage,
    day_document,
    is_due_for_count,
    joined,
    oldest,
    problem_document,
    states,
)
from tests.fakes import NOW

TINY = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
LONG_AGO = NOW - 90 * DAY
FRESH = Progress(since=LONG_AGO, complete_until=NOW - SETTLE, looks=(Look(LONG_AGO, NOW),))
FLAGGED = replace(FRESH, reason="forbidden", retry_at=NOW + HOUR)
TODAY = NOW.date().isoformat()
YESTERDAY = (NOW - DAY).date().isoformat()
MIDNIGHT = datetime(2026, 1, 5, tzinfo=UTC)
TALLY = st.tuples(*[st.integers(0, 1000)] * 3)
DAYS = [(NOW - back * DAY).date().isoformat() for back in range(5)]
USERS = st.dictionaries(
    st.sampled_from("abcdefgh"), st.dictionaries(st.sampled_from(DAYS), TALLY).map(lambda t: replace(FRESH, tallies=t))
)


def tenant(users: str, progress: dict[str, Progress], leaving: dict[str, datetime] | None = None) -> Tenant:
    return Tenant(frozenset(users), progress, leaving=leaving or {})


class TestStates:
    def test_each_user_has_one(self) -> None:
        late = replace(FRESH, complete_until=NOW - COMPLETE_WITHIN - TINY)
        told = states(tenant("abcd", {"a": FRESH, "b": FLAGGED, "c": late}), NOW)

        assert told == {"complete": 1, "behind": 2, "flagged": 1, "leaving": 0}

    @pytest.mark.parametrize(("lag", "state"), [(COMPLETE_WITHIN, "complete"), (COMPLETE_WITHIN + TINY, "behind")])
    def test_complete_is_whose_last_look_is_a_day_old_at_most(self, lag: timedelta, state: str) -> None:
        assert states(tenant("a", {"a": replace(FRESH, complete_until=NOW - lag)}), NOW)[state] == 1

    def test_a_user_without_a_checkpoint_is_behind(self) -> None:
        assert states(tenant("a", {}), NOW)["behind"] == 1
        assert states(tenant("a", {"a": Progress()}), NOW)["behind"] == 1

    def test_whoever_is_flagged_is_that_and_nothing_else(self) -> None:
        told = states(tenant("a", {"a": replace(FLAGGED, complete_until=None)}), NOW)

        assert told == {"complete": 0, "behind": 0, "flagged": 1, "leaving": 0}

    def test_whoever_has_come_back_is_not_leaving(self) -> None:
        known = {"a": FRESH, "b": FRESH}
        left = {"a": NOW - HOUR, "b": NOW - HOUR}

        assert states(tenant("a", known, leaving=left), NOW) == {
            "complete": 1, "behind": 0, "flagged": 0, "leaving": 1,
        }  # fmt: skip

    def test_whoever_has_had_his_last_look_is_not_leaving_any_more(self) -> None:
        since = NOW - LEAVING - HOUR
        gone = replace(FRESH, looks=(Look(since - LATE_LOOK, since + LEAVING),))

        assert states(tenant("", {"a": gone}, leaving={"a": since}), NOW)["leaving"] == 0
        assert states(tenant("", {"a": gone}, leaving={"a": since + TINY}), NOW)["leaving"] == 1

    @given(USERS, st.sets(st.sampled_from("abcdefgh")))
    def test_they_add_up_to_the_users(self, known: dict[str, Progress], users: set[str]) -> None:
        told = states(Tenant(frozenset(users), known, leaving=dict.fromkeys(known, NOW)), NOW)

        assert told["complete"] + told["behind"] + told["flagged"] == len(users)
        assert told["leaving"] == len(set(known) - users)


class TestTheOneFurthestBehind:
    def test_it_is_that_of_the_plans_users(self) -> None:
        known = {
            "a": FRESH,
            "b": replace(FRESH, complete_until=NOW - 3 * DAY),
            "flagged": replace(FLAGGED, complete_until=NOW - 9 * DAY),
            "left": replace(FRESH, complete_until=NOW - 90 * DAY),
        }

        assert oldest(Tenant(frozenset({"a", "b", "flagged", "new"}), known), NOW) == NOW - 3 * DAY

    def test_of_nobody_there_is_none(self) -> None:
        assert oldest(tenant("", {}), NOW) is None
        assert oldest(tenant("ab", {"a": FLAGGED}), NOW) is None


class TestCoverage:
    @given(USERS, st.sets(st.sampled_from("abcdefgh")))
    def test_a_days_counts_are_the_sums_over_everybody_who_left_included(
        self, known: dict[str, Progress], users: set[str]
    ) -> None:
        days = coverage(Tenant(frozenset(users), known), NOW, 5)

        assert [each.day for each in days] == DAYS
        for each in days:
            tallies = [(progress.tallies or {}).get(each.day, (0, 0, 0)) for progress in known.values()]
            assert (each.by_notification, each.missed, each.shown) == (
                sum(tally[0] for tally in tallies),
                sum(tally[1] for tally in tallies),
                sum(map(sum, tallies)),
            )

    @given(USERS, USERS)
    def test_two_halves_of_a_tenant_add_up(self, one: dict[str, Progress], other: dict[str, Progress]) -> None:
        rest = {f"{user}'": progress for user, progress in other.items()}
        halves = [coverage(Tenant(frozenset(part), part), NOW, 5) for part in (one, rest)]
        whole = coverage(Tenant(frozenset({**one, **rest}), {**one, **rest}), NOW, 5)

        assert [each.shown for each in whole] == [sum(day.shown for day in days) for days in zip(*halves, strict=True)]

    def test_days_are_utc(self) -> None:
        (day,) = coverage(tenant("", {}), datetime.fromisoformat("2026-01-06T01:00:00+02:00"), 1)

        assert day.day == "2026-01-05"

    @pytest.mark.parametrize(("until", "complete"), [(MIDNIGHT, True), (MIDNIGHT - TINY, False)])
    def test_a_day_is_complete_once_every_checkpoint_is_behind_its_end(self, until: datetime, complete: bool) -> None:
        known = {"a": FRESH, "b": replace(FRESH, complete_until=until)}

        assert [each.complete for each in coverage(tenant("ab", known), NOW, 2)] == [False, complete]

    def test_a_new_user_makes_it_incomplete_and_a_flagged_one_does_not(self) -> None:
        known = {"a": FRESH, "b": replace(FLAGGED, complete_until=None)}

        assert coverage(tenant("ab", known), NOW, 2)[1].complete
        assert not coverage(tenant("abc", known), NOW, 2)[1].complete

    def test_whoever_left_does_not_keep_it_incomplete(self) -> None:
        known = {"a": FRESH, "b": replace(FRESH, complete_until=LONG_AGO)}

        assert coverage(tenant("a", known), NOW, 2)[1].complete

    @pytest.mark.parametrize("users", ["", "b"], ids=["nobody", "nobody but flagged ones"])
    def test_where_nobody_was_looked_at_nothing_is_complete(self, users: str) -> None:
        assert not any(each.complete for each in coverage(tenant(users, {"b": FLAGGED}), NOW, 5))


class TestADayForPeople:
    DAY = Coverage("2026-01-02", by_notification=7, missed=3, shown=12, complete=True)

    def test_what_came_after_all_was_not_missed(self) -> None:
        assert day_document(self.DAY, 2, None) == {
            "day": "2026-01-02",
            "resource": "aiInteraction",
            "byNotification": 9,
            "missedByNotifications": 1,
            "notShownByExport": None,
            "complete": True,
        }

    @given(st.integers(0, 10))
    def test_fewer_than_none_are_never_missed(self, late: int) -> None:
        assert day_document(self.DAY, late, 4)["missedByNotifications"] == max(3 - late, 0)

    @pytest.mark.parametrize(
        ("now", "complete", "due"),
        [
            (datetime(2026, 1, 3, tzinfo=UTC) + SHOWN_WITHIN, True, True),
            (datetime(2026, 1, 3, tzinfo=UTC) + SHOWN_WITHIN - TINY, True, False),
            (NOW, False, False),
        ],
    )
    def test_it_is_counted_two_days_after_its_end_where_it_is_complete(
        self, now: datetime, complete: bool, due: bool
    ) -> None:
        assert is_due_for_count(replace(self.DAY, complete=complete), now) is due


class TestADaysSuccession:
    def test_the_newer_word_stands_and_the_latest_day_comes_first(self) -> None:
        before: list[object] = [{"day": YESTERDAY, "is": "old"}, {"day": "2026-01-01"}, "x", {}, None]
        new: list[dict[str, object]] = [{"day": TODAY}, {"day": YESTERDAY, "is": "new"}]

        assert joined(new, before) == [{"day": TODAY}, {"day": YESTERDAY, "is": "new"}, {"day": "2026-01-01"}]

    @given(st.lists(st.dates(date(2025, 1, 1), date(2026, 1, 1)).map(str), max_size=200))
    def test_a_quarter_of_a_year_is_kept(self, days: list[str]) -> None:
        kept = [each["day"] for each in joined([{"day": TODAY}], [{"day": day} for day in days])]

        assert kept == sorted({*days, TODAY}, reverse=True)[:DAYS_KEPT]


def test_a_problem_is_told_by_id_and_time() -> None:
    told = problem_document("0a1a7a9f", "forbidden", "403: it forbids it", NOW, NOW + HOUR)

    assert json.loads(json.dumps(told)) == {
        "userId": "0a1a7a9f",
        "reason": "forbidden",
        "sentence": "403: it forbids it",
        "since": "2026-01-05T09:30:10.000000Z",
        "retryAt": "2026-01-05T10:30:10.000000Z",
    }
