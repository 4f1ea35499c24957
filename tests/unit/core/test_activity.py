import json
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.activity import (
    BOUNDS,
    PREFIX,
    Hour,
    from_json,
    hour_of,
    hour_prefix,
    merged,
    percentile,
    shown,
    to_json,
)
from tests.fakes import NOW
from tests.unit.instants import instants

COUNTS = st.lists(st.integers(0, 10**6), min_size=len(BOUNDS) + 1, max_size=len(BOUNDS) + 1)
SOURCES = st.sampled_from(["notification", "export"])
ACCOUNTS = st.builds(
    Hour,
    by_source=st.dictionaries(SOURCES, st.integers(0, 10**9)),
    latencies=st.dictionaries(SOURCES, COUNTS),
    users=st.sets(st.text(max_size=5), max_size=4),
)
GOOD = to_json(Hour({"notification": 1}, {"notification": [0] * (len(BOUNDS) + 1)}, {"a"}))


class TestAdding:
    @given(st.lists(st.tuples(SOURCES, st.none() | st.timedeltas(timedelta(0)), st.none() | st.text(max_size=2))))
    def test_each_counts_once_and_its_latency_where_it_has_one(
        self, items: list[tuple[str, timedelta | None, str | None]]
    ) -> None:
        account = Hour()
        for item in items:
            account.add(*item)

        assert sum(account.by_source.values()) == len(items)
        assert sum(map(sum, account.latencies.values())) == sum(latency is not None for _, latency, _ in items)
        assert account.users == {user for _, _, user in items if user is not None}

    @pytest.mark.parametrize(
        ("seconds", "bound"),
        [(0, 1), (1, 1), (1.000001, 2), (86_400, 86_400), (86_400.5, 86_400), (10**8, 86_400)],
    )
    def test_a_latency_is_told_as_the_bound_that_it_does_not_exceed(self, seconds: float, bound: float) -> None:
        account = Hour()
        account.add("export", timedelta(seconds=seconds), None)

        assert shown(account)["latencySeconds"] == {"export": {"p50": bound, "p95": bound}}

    def test_what_took_longer_than_the_last_bound_is_counted_by_itself(self) -> None:
        account = Hour()
        account.add("export", timedelta(days=2), None)

        assert account.latencies["export"] == [*[0] * len(BOUNDS), 1]


class TestMerging:
    @given(ACCOUNTS, ACCOUNTS)
    def test_the_order_does_not_matter(self, one: Hour, other: Hour) -> None:
        assert merged([one, other]) == merged([other, one])

    @given(ACCOUNTS, ACCOUNTS, ACCOUNTS)
    def test_nor_does_who_is_put_together_first(self, one: Hour, two: Hour, three: Hour) -> None:
        assert merged([merged([one, two]), three]) == merged([one, merged([two, three])]) == merged([one, two, three])

    @given(ACCOUNTS)
    def test_one_alone_is_itself_and_is_left_as_it_is(self, account: Hour) -> None:
        before = to_json(account)

        assert merged([account]) == account
        merged([account, account]).add("export", timedelta(0), "somebody else")
        assert to_json(account) == before

    def test_nobody_makes_nothing(self) -> None:
        assert merged([]) == Hour()


class TestPercentiles:
    @given(COUNTS, st.floats(0.01, 1), st.floats(0.01, 1))
    def test_they_rise(self, counts: list[int], one: float, other: float) -> None:
        lower, upper = (percentile(counts, part) for part in sorted((one, other)))

        assert (lower is None) == (upper is None) == (not any(counts))
        if lower is not None and upper is not None:
            assert lower <= upper

    @given(COUNTS, st.floats(0.01, 1))
    def test_so_big_a_part_is_not_above_and_a_smaller_bound_would_not_do(self, counts: list[int], part: float) -> None:
        bound = percentile(counts, part)
        if bound is None or bound == BOUNDS[-1]:
            return
        place = BOUNDS.index(int(bound))

        assert sum(counts[: place + 1]) >= sum(counts) * part
        assert sum(counts[:place]) < sum(counts) * part

    def test_of_nothing_there_is_none(self) -> None:
        assert percentile([0] * (len(BOUNDS) + 1), 0.5) is None


class TestTheBlob:
    @given(ACCOUNTS)
    def test_what_is_saved_is_what_is_read(self, account: Hour) -> None:
        assert from_json(to_json(account)) == account

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"\xff",
            b"null",
            b"5",
            b"[]",
            b"{}",
            GOOD[:-2],
            GOOD.replace(b'"bySource": {"notification": 1}', b'"bySource": {"notification": "many"}'),
            GOOD.replace(b'"bySource": {"notification": 1}', b'"bySource": {"notification": Infinity}'),
            GOOD.replace(b'"bySource": {"notification": 1}', b'"bySource": 5'),
            GOOD.replace(b'{"notification": [0, ', b'{"notification": ['),
            GOOD.replace(b'{"notification": [0, ', b'{"notification": ["x", '),
            GOOD.replace(b'"users": ["a"]', b'"users": null'),
            b"[" * 100_000,
        ],
        ids=range(14),
    )
    def test_one_that_can_not_be_read_counts_for_nothing(self, content: bytes) -> None:
        assert content != GOOD
        assert from_json(content) == Hour()

    def test_what_is_shown_to_people_names_nobody(self) -> None:
        account = Hour({"notification": 2}, {}, {"0a1a7a9f"})

        assert "0a1a7a9f" not in json.dumps(shown(account))
        assert shown(account) == {"bySource": {"notification": 2}, "latencySeconds": {}}


class TestHours:
    @given(instants(date(2000, 1, 1), date(2100, 1, 1), st.timezones()))
    def test_an_instant_lies_in_its_hour_whatever_its_offset(self, instant: datetime) -> None:
        hour = hour_of(instant)

        assert hour.utcoffset() == timedelta(0)
        assert hour <= instant < hour + timedelta(hours=1)
        assert hour_of(hour) == hour

    def test_each_has_a_folder_in_utc(self) -> None:
        east = datetime(2026, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))

        assert hour_prefix(hour_of(NOW)) == f"{PREFIX}2026/01/05/09/"
        assert hour_prefix(east) == f"{PREFIX}2025/12/31/23/"
        assert hour_of(east) == datetime(2025, 12, 31, 23, tzinfo=UTC)
