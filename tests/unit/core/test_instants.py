from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.instants import format_instant, parse_instant
from tests.unit.instants import instants

OFFSETS = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
INSTANTS = instants(date(2, 1, 1), date(9998, 12, 31), OFFSETS)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-01-05T09:30:01Z", datetime(2026, 1, 5, 9, 30, 1, tzinfo=UTC)),
        ("2026-01-05T09:30:01", datetime(2026, 1, 5, 9, 30, 1, tzinfo=UTC)),
        ("2026-01-05T09:30:01.2Z", datetime(2026, 1, 5, 9, 30, 1, 200_000, tzinfo=UTC)),
        ("2026-01-05T09:30:01.2345678Z", datetime(2026, 1, 5, 9, 30, 1, 234_567, tzinfo=UTC)),
        ("2026-01-05T09:30:01.999999999Z", datetime(2026, 1, 5, 9, 30, 1, 999_999, tzinfo=UTC)),
        ("2026-01-05T01:30:01.9097561-08:00", datetime(2026, 1, 5, 9, 30, 1, 909_756, tzinfo=UTC)),
        ("2026-01-05T15:00:01+05:30", datetime(2026, 1, 5, 9, 30, 1, tzinfo=UTC)),
        ("2026-01-05T09:30:01-00:00", datetime(2026, 1, 5, 9, 30, 1, tzinfo=UTC)),
        ("2024-02-29T00:00:00Z", datetime(2024, 2, 29, tzinfo=UTC)),
    ],
)
def test_instants_as_graph_writes_them_are_read(text: str, instant: datetime) -> None:
    read = parse_instant(text)

    assert read == instant
    assert read is not None
    assert read.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        5,
        1767605401.2,
        True,
        ["2026-01-05T09:30:01Z"],
        "2026-01-05",
        "2026-W01-1T09:30:01Z",
        "20260105T093001Z",
        "2026-01-05 09:30:01Z",
        "2026-01-05T09:30Z",
        "2026-02-30T09:30:01Z",
        "2026-13-01T09:30:01Z",
        "2026-01-05T25:30:01Z",
        "2026-01-05T09:30:01.Z",
        "2026-01-05T09:30:01.1234567890Z",
        "2026-01-05T09:30:01+99:00",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        " 2026-01-05T09:30:01Z",
        "2026-01-05T09:30:01Z\n",
        "٢٠٢٦-01-05T09:30:01Z",
        "yesterday",
        "\ud800",
    ],
)
def test_anything_else_is_no_instant(text: object) -> None:
    assert parse_instant(text) is None


@given(st.text() | st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,12})?([+-]\d\d:\d\d|Z)?"))
def test_no_text_is_too_strange_to_be_looked_at(text: str) -> None:
    read = parse_instant(text)

    assert read is None or read.tzinfo is UTC


@given(INSTANTS)
def test_what_is_written_is_read_back(instant: datetime) -> None:
    assert parse_instant(format_instant(instant)) == instant
    assert parse_instant(instant.isoformat(timespec="microseconds")) == instant


def test_an_instant_is_written_in_utc_to_the_microsecond() -> None:
    instant = datetime(2026, 1, 31, 9, 30, 0, 123_456, tzinfo=timezone(timedelta(hours=1)))

    assert format_instant(instant) == "2026-01-31T08:30:00.123456Z"
    assert format_instant(datetime(2026, 1, 31, tzinfo=UTC)) == "2026-01-31T00:00:00.000000Z"
