import json
import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import MalformedNotification
from shared.core.export_window import (
    ExportWindow,
    Resumed,
    date_filter,
    from_message,
    is_asked_for,
    is_user_id,
    to_message,
)
from shared.core.instants import format_instant, parse_instant
from tests.fakes import NOW
from tests.unit.instants import INSTANTS

ANN = "0a1b2c3d-0000-4000-8000-00000000000a"
HOUR = timedelta(hours=1)
WINDOW = ExportWindow(ANN, NOW - HOUR, NOW)
LATER_STEP = WINDOW.after(NOW - HOUR / 2, NOW, HOUR).again()

USER_IDS = st.uuids().map(str)
STEPS = st.timedeltas(timedelta(microseconds=1), timedelta(days=10_000))
WINDOWS = st.builds(
    ExportWindow,
    user_id=st.none() | USER_IDS,
    begin=INSTANTS,
    planned_at=INSTANTS,
    resumed=st.none() | st.builds(Resumed, done_until=INSTANTS, started_at=INSTANTS, step=STEPS),
    attempt=st.integers(1, 10),
)
CLASSES = st.lists(st.text(alphabet="ab'. ", min_size=1, max_size=2), max_size=3)
GRAMMAR = re.compile(
    r"createdDateTime gt (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) and createdDateTime lt (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"
    r"(?: and \((appClass eq '(?:[^']|'')*'(?: or appClass eq '(?:[^']|'')*')*)\))?"
)


# ---- the message


@given(WINDOWS)
def test_what_is_put_on_the_queue_is_what_is_read(window: ExportWindow) -> None:
    assert from_message(to_message(window)) == window


def test_the_message_is_for_people_too() -> None:
    document = json.loads(to_message(LATER_STEP))

    assert document == {
        "version": 1,
        "userId": ANN,
        "from": "2026-01-05T08:30:10.000000Z",
        "plannedAt": "2026-01-05T09:30:10.000000Z",
        "attempt": 2,
        "resumed": {
            "doneUntil": "2026-01-05T09:00:10.000000Z",
            "startedAt": "2026-01-05T09:30:10.000000Z",
            "stepSeconds": 3600.0,
        },
    }


def with_change(name: str, value: object) -> str:
    return json.dumps({**json.loads(to_message(LATER_STEP)), name: value})


def with_resumed(name: str, value: object) -> str:
    return with_change("resumed", {**json.loads(to_message(LATER_STEP))["resumed"], name: value})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "null",
        "[]",
        "5",
        '"text"',
        "[" * 100_000,
        to_message(WINDOW)[:-1],
        with_change("userId", ""),
        with_change("userId", "tenant"),
        with_change("userId", ANN.upper()),
        with_change("userId", f"{ANN}/../x"),
        with_change("userId", f"{ANN}\n"),
        with_change("userId", 5),
        with_change("userId", [ANN]),
        with_change("from", None),
        with_change("from", "yesterday"),
        with_change("from", 1767605410),
        with_change("plannedAt", "2026-02-30T00:00:00Z"),
        with_change("attempt", None),
        with_change("attempt", "two"),
        with_change("attempt", float("inf")),
        with_change("resumed", 5),
        with_change("resumed", []),
        with_change("resumed", {}),
        with_change("resumed", "step"),
        with_resumed("doneUntil", None),
        with_resumed("startedAt", "now"),
        with_resumed("stepSeconds", 0),
        with_resumed("stepSeconds", -60),
        with_resumed("stepSeconds", float("nan")),
        with_resumed("stepSeconds", 1e300),
        with_resumed("stepSeconds", "an hour"),
    ],
)
def test_a_message_of_somebody_else_is_told_as_such(text: str) -> None:
    with pytest.raises(MalformedNotification, match="no export window"):
        from_message(text)


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_no_text_does_any_other_harm(text: str) -> None:
    with pytest.raises(MalformedNotification):
        from_message(text)


def test_the_tenant_has_no_user_id() -> None:
    assert from_message(to_message(replace(WINDOW, user_id=None))).user_id is None


def test_the_rest_of_a_window_is_still_the_same_window() -> None:
    assert replace(WINDOW, resumed=Resumed(NOW - HOUR / 2, NOW, HOUR), attempt=2) == LATER_STEP


@pytest.mark.parametrize("text", ["", "tenant", ANN.upper(), ANN[:-1], f"{ANN}0", f" {ANN}", "٠" * 8 + ANN[8:]])
def test_what_is_no_user_id(text: str) -> None:
    assert not is_user_id(text)


# ---- the filter


@given(INSTANTS, INSTANTS, CLASSES)
def test_the_filter_is_what_graph_documents_and_nothing_else(begin: datetime, end: datetime, names: list[str]) -> None:
    found = GRAMMAR.fullmatch(date_filter(begin, end, names))

    assert found is not None
    assert (found[3] is None) == (not names)
    quoted = re.findall(r"'((?:[^']|'')*)'", found[3] or "")
    assert [each.replace("''", "'") for each in quoted] == names


def test_bounds_are_a_second_wider_than_the_window_because_they_are_exclusive() -> None:
    assert date_filter(NOW, NOW + HOUR) == (
        "createdDateTime gt 2026-01-05T09:30:09Z and createdDateTime lt 2026-01-05T10:30:11Z"
    )


def test_bounds_are_in_utc() -> None:
    there = timezone(timedelta(hours=5, minutes=30))

    assert date_filter(NOW.astimezone(there), (NOW + HOUR).astimezone(there)) == date_filter(NOW, NOW + HOUR)


def test_app_classes_are_one_group_with_apostrophes_doubled() -> None:
    assert date_filter(NOW, NOW, ["A", "O'Neil' or 1 eq 1"]).endswith(
        " and (appClass eq 'A' or appClass eq 'O''Neil'' or 1 eq 1')"
    )


@given(
    begin=INSTANTS,
    length=st.timedeltas(timedelta(0), timedelta(days=2)),
    from_end=st.booleans(),
    off=st.integers(-20, 20).map(lambda tenths: timedelta(seconds=tenths / 10)),
)
def test_whose_time_is_asked_for_by_the_filter_is_kept_without_it_and_nobody_else(
    begin: datetime, length: timedelta, from_end: bool, off: timedelta
) -> None:
    end = begin + length
    created = (end if from_end else begin) + off
    found = GRAMMAR.fullmatch(date_filter(begin, end))
    assert found is not None
    after, before = parse_instant(found[1]), parse_instant(found[2])
    assert after is not None
    assert before is not None

    assert is_asked_for({"createdDateTime": format_instant(created)}, begin, end) is (after < created < before)


@given(CLASSES, st.none() | st.text(alphabet="aAbB'. ", min_size=1, max_size=2))
def test_whose_class_is_asked_for_by_the_filter_is_kept_without_it_and_nobody_else(
    names: list[str], name: str | None
) -> None:
    quoted = re.findall(r"'((?:[^']|'')*)'", date_filter(NOW, NOW, names))
    asked = {each.replace("''", "'").lower() for each in quoted}

    item = {"createdDateTime": format_instant(NOW), "appClass": name}
    assert is_asked_for(item, NOW, NOW, names) is (not names or (name or "").lower() in asked)


@given(INSTANTS, st.timedeltas(timedelta(0), timedelta(days=2)), st.floats(0, 1))
def test_nothing_within_a_window_is_left_out_whatever_its_fractions(
    begin: datetime, length: timedelta, part: float
) -> None:
    created = {"createdDateTime": format_instant(begin + length * part)}

    assert is_asked_for(created, begin, begin + length)


@pytest.mark.parametrize("created", [None, "", "yesterday", 5])
def test_what_has_no_date_is_always_asked_for(created: object) -> None:
    assert is_asked_for({"createdDateTime": created}, NOW, NOW)
    assert is_asked_for({}, NOW, NOW)


def test_a_class_is_known_however_it_is_written() -> None:
    item = {"createdDateTime": format_instant(NOW), "appClass": "IPM.SkypeTeams.Message.Copilot.Powerpoint"}

    assert is_asked_for(item, NOW, NOW, ["ipm.skypeteams.message.copilot.PowerPoint"])
    assert not is_asked_for(item, NOW, NOW, ["IPM.SkypeTeams.Message.Copilot.Word"])
