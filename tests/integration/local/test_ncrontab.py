"""NCRONTAB as Azure reads it. Pure: the clock is an argument."""

from datetime import UTC, datetime

import pytest

from local.functions_host.ncrontab import Schedule

START = datetime(2026, 2, 11, 10, 17, 30, tzinfo=UTC)  # a Wednesday


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 */5 * * * *", "2026-02-11T10:20:00"),
        ("*/5 * * * *", "2026-02-11T10:20:00"),
        ("*/2 * * * * *", "2026-02-11T10:17:32"),
        ("0 0 * * * *", "2026-02-11T11:00:00"),
        ("0 0 */2 * * *", "2026-02-11T12:00:00"),
        ("0 0 9-17 * * *", "2026-02-11T11:00:00"),
        ("0 30 9 * * *", "2026-02-12T09:30:00"),
        ("0 30 9 * * 1-5", "2026-02-12T09:30:00"),
        ("0 30 9 * Jan Mon", "2027-01-04T09:30:00"),
        ("0 0 0 * * sun", "2026-02-15T00:00:00"),
        ("0 0 0 * * 0", "2026-02-15T00:00:00"),
        ("15,45 17 10 * * *", "2026-02-11T10:17:45"),
        ("0 5/20 * * * *", "2026-02-11T10:25:00"),
        ("0 10-30/5 * * * *", "2026-02-11T10:20:00"),
        ("0 0 0 29 2 *", "2028-02-29T00:00:00"),
    ],
)
def test_the_next_firing(expression: str, expected: str) -> None:
    assert Schedule(expression).after(START).isoformat() == f"{expected}+00:00"


def test_day_of_month_and_day_of_week_must_both_match() -> None:
    friday_the_13th = Schedule("0 0 0 13 * 5")
    assert friday_the_13th.after(START).date().isoformat() == "2026-02-13"
    assert friday_the_13th.after(datetime(2026, 2, 14, tzinfo=UTC)).date().isoformat() == "2026-03-13"
    assert friday_the_13th.after(datetime(2026, 3, 14, tzinfo=UTC)).date().isoformat() == "2026-11-13"


def test_a_firing_is_later_than_the_time_given() -> None:
    at = datetime(2026, 2, 11, 10, 20, tzinfo=UTC)
    assert Schedule("0 */5 * * * *").after(at) == datetime(2026, 2, 11, 10, 25, tzinfo=UTC)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "* * * *",
        "* * * * * * *",
        "@daily",
        "0 0 0 ? * *",
        "0 0 0 L * *",
        "0 0 0 * * 5#2",
        "0 0 0 1W * *",
        "0 0 0 * * 7",
        "60 * * * * *",
        "0 60 * * * *",
        "0 0 24 * * *",
        "0 0 0 0 * *",
        "0 0 0 32 * *",
        "0 0 0 * 13 *",
        "0 0 0 * FOO *",
        "MON 0 0 * * *",
        "0 */0 * * * *",
        "0 30-10 * * * *",
        "0 1, * * * *",
        "0 0 0 30 2 *",
        "00:05:00",
        "0 ٣ * * * *",
    ],
)
def test_what_azure_does_not_read_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"^schedule "):
        Schedule(expression)
