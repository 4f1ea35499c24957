from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import CaptureError, GraphConflict, GraphNotFound, GraphRefused, GraphUnavailable
from shared.core.graph_fault import DEFAULT_RETRY_AFTER, MAX_RETRY_AFTER, fault, pause, retry_after

NOW = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
EXISTING = "3f2a1c9e-1111-4222-8333-444455556666"
SECRET = "adele.vance@contoso.example wrote: merger"


def error(code: object, message: object = SECRET) -> dict[str, object]:
    return {"error": {"code": code, "message": message, "innerError": {"message": SECRET}}}


def judged(status: int, body: object = None, **headers: str) -> CaptureError:
    return fault(status, body, headers, "renew subscription 7", NOW)


@pytest.mark.parametrize("status", [400, 402, 403, 405, 406, 410, 411, 412, 413, 415, 422, 428, 431, 300, 302, 308])
def test_what_graph_will_refuse_again_is_a_refusal(status: int) -> None:
    refused = judged(status, error("Forbidden"))

    assert isinstance(refused, GraphRefused)
    assert (refused.status, refused.code) == (status, "Forbidden")


@pytest.mark.parametrize("status", [401, 408, 423, 429, 500, 501, 502, 503, 504, 507, 509, 599])
def test_what_may_pass_by_itself_is_tried_again(status: int) -> None:
    unavailable = judged(status, error("TooManyRequests"), **{"Retry-After": "7"})

    assert isinstance(unavailable, GraphUnavailable)
    assert unavailable.retry_after == timedelta(seconds=7)


def test_404_says_that_it_is_gone() -> None:
    assert isinstance(judged(404, error("ResourceNotFound")), GraphNotFound)


@pytest.mark.parametrize(
    ("message", "existing"),
    [
        (f"Subscription Id {EXISTING} already exists for the requested combination", EXISTING),
        (f"Subscription Id {EXISTING.upper()} already exists", EXISTING),
        ("Subscription already exists for the requested combination", None),
        ("", None),
        (None, None),
        (17, None),
    ],
)
def test_409_names_what_is_in_the_way_where_graph_does(message: object, existing: str | None) -> None:
    conflict = judged(409, error("ObjectIdentifierInUse", message))

    assert isinstance(conflict, GraphConflict)
    assert conflict.existing_id == existing


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 412, 418, 429, 500, 503])
def test_a_message_says_what_was_asked_and_what_came_and_repeats_nothing_of_the_answer(status: int) -> None:
    text = str(judged(status, error("SomeCode")))

    assert text.startswith(f"renew subscription 7: {status} SomeCode")
    assert "adele" not in text
    assert "merger" not in text


@given(status=st.integers(300, 599), message=st.text(min_size=12), code=st.text())
def test_no_answer_however_odd_leaks_into_a_message(status: int, message: str, code: str) -> None:
    text = str(judged(status, error(code, f"<<{message}>>")))

    assert f"<<{message}>>" not in text


@pytest.mark.parametrize("code", ["<b>x</b>", "a b", "adele@contoso.example", "x" * 65, "", None, 5, ["a"], "ä"])
def test_a_code_that_is_no_code_is_left_out(code: object) -> None:
    refused = judged(403, error(code))

    assert isinstance(refused, GraphRefused)
    assert refused.code == ""
    assert str(refused).startswith("renew subscription 7: 403: ")


@pytest.mark.parametrize("body", [None, "", "text", [], {}, {"error": None}, {"error": "x"}, {"error": []}, 5])
@pytest.mark.parametrize("status", [400, 404, 409, 503])
def test_a_body_that_is_no_error_of_graphs_is_judged_by_its_status(status: int, body: object) -> None:
    assert type(judged(status, body)) is type(judged(status, error("Code")))


@pytest.mark.parametrize("status", [400, 401, 402, 403, 412])
def test_each_refusal_that_an_operator_can_mend_has_a_sentence_of_its_own(status: int) -> None:
    assert str(judged(status)).partition(": ")[2] != str(judged(405)).partition(": ")[2]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1", 1),
        ("17", 17),
        (" 17 ", 17),
        ("600", 600),
        ("601", 600),
        ("86400", 600),
        ("999999999", 600),
        ("0", 1),
        (format_datetime(NOW + timedelta(seconds=40), usegmt=True), 40),
        (format_datetime(NOW + timedelta(days=3), usegmt=True), 600),
        (format_datetime(NOW - timedelta(days=3), usegmt=True), 1),
        ("Mon, 05 Jan 2026 10:31:00 +0100", 60),
        ("-5", 30),
        ("1.5", 30),
        ("soon", 30),
        ("", 30),
        ("٣", 30),
        ("Mon, 99 Jan 2026 09:30:00 GMT", 30),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 600),
    ],
)
def test_how_long_to_wait(text: str, seconds: int) -> None:
    assert retry_after({"Retry-After": text}, NOW) == timedelta(seconds=seconds)


@pytest.mark.parametrize("name", ["Retry-After", "retry-after", "RETRY-AFTER"])
def test_the_header_is_found_in_any_case(name: str) -> None:
    assert retry_after({"Date": "x", name: "12"}, NOW) == timedelta(seconds=12)


def test_without_a_header_there_is_a_default() -> None:
    assert retry_after({}, NOW) == DEFAULT_RETRY_AFTER


@given(st.text())
def test_whatever_the_header_holds_the_wait_is_bounded(text: str) -> None:
    assert timedelta(seconds=1) <= retry_after({"Retry-After": text}, NOW) <= MAX_RETRY_AFTER


@given(st.integers(-(10**8), 10**8))
def test_a_date_however_far_away_is_bounded(seconds: int) -> None:
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)

    assert timedelta(seconds=1) <= retry_after({"Retry-After": date}, NOW) <= MAX_RETRY_AFTER


@given(st.integers(1, 10), st.timedeltas(timedelta(0), MAX_RETRY_AFTER), st.floats(0.5, 1.5))
def test_a_pause_is_never_shorter_than_graph_asked_and_grows(attempt: int, asked_for: timedelta, jitter: float) -> None:
    waited = pause(attempt, asked_for, jitter)

    assert waited >= asked_for
    assert waited in {asked_for, pause(attempt, timedelta(0), jitter)}
    assert pause(attempt + 1, timedelta(0), jitter) >= 1.9 * pause(attempt, timedelta(0), jitter)
