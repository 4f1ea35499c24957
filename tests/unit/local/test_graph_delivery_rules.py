import contextlib
import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.graph import odata_filter, times
from local.graph.content.change import Change
from local.graph.endpoint import Endpoint
from local.graph.entra import Principal
from local.graph.envelope import Notice
from local.graph.faults import Faults, Timing
from local.graph.ledger import Attempt, Content, Ledger, Post
from local.graph.ledger_writer import LedgerWriter
from local.graph.planning import plan
from local.graph.subscription_rules import Caller, create
from tests.unit.instants import instants

NOW = datetime(2026, 3, 1, tzinfo=UTC)
RATE = st.floats(0, 1)
MOMENTS = instants(date(1971, 1, 1), date(2200, 1, 1))


def notice(number: int, url: str) -> Notice:
    body = {
        "changeType": "created",
        "notificationUrl": url,
        "resource": "/chats",
        "expirationDateTime": "2026-03-01T00:50:00Z",
    }
    caller = Caller("tenant", Principal("app", "oid"), frozenset({"Chat.Read.All"}))
    at = NOW + timedelta(minutes=7 * number)
    change = Change(f"ref{number}", at, "chat", "created", f"id{number}", "etag", "created")
    return Notice(change, create(body, caller, NOW))


NOTICES = [notice(number, f"https://webhook{number % 2}.example/") for number in range(40)]


@given(RATE, RATE, RATE, st.integers(1, 20), st.randoms(use_true_random=False), st.integers(0, 40))
def test_a_plan_brings_everything_at_least_once(
    duplicate: float, delayed: float, shuffle: float, batch: int, rng: random.Random, count: int
) -> None:
    faults = Faults(duplicate=duplicate, delayed=delayed, shuffle=shuffle, batch=batch)
    posts = plan(NOTICES[:count], faults, rng)
    sent = Counter(each.change.ref for post in posts for each in post.notices)
    assert set(sent) == {each.change.ref for each in NOTICES[:count]}
    assert [post.at for post in posts] == sorted(post.at for post in posts)
    for post in posts:
        assert 1 <= len(post.notices) <= batch
        assert {each.subscription.notification_url for each in post.notices} == {post.url}
        assert all(each.change.at <= post.at for each in post.notices)


def test_a_friendly_plan_is_one_post_each_at_once() -> None:
    posts = plan(NOTICES, Faults.friendly(), random.Random(1))  # noqa: S311 - repeatable
    assert [(post.at, post.notices) for post in posts] == [(each.change.at, (each,)) for each in NOTICES]


@given(MOMENTS, st.randoms(use_true_random=False))
def test_all_forms_of_a_time_mean_the_same_millisecond(moment: datetime, rng: random.Random) -> None:
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    for text in (times.milliseconds_z(moment), times.ticks_z(moment), times.variant(moment, rng)):
        assert times.parse(text) == moment


@pytest.mark.parametrize("text", ["", "2026-03-01", "2026-03-01T00:00:00", "2026-13-01T00:00:00Z", "now", "１"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not an|month"):
        times.parse(text)


DOCUMENT = {"appClass": "IPM.SkypeTeams.Message.Copilot.Word", "locale": "en-us", "conversationType": None}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("appClass eq 'ipm.skypeteams.message.copilot.word'", True),
        ("appClass ne 'IPM.SkypeTeams.Message.Copilot.Word'", False),
        ("conversationType ne 'bizchat'", True),
        ("locale eq 'de-de' or locale eq 'en-us'", True),
        ("locale eq 'en-us' and appClass eq 'x'", False),
    ],
)
def test_filters(text: str, holds: bool) -> None:
    assert odata_filter.parse(text).holds(DOCUMENT) is holds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "locale",
        "locale eq de-de",
        "locale gt 'a'",
        "from/user/id eq 'x'",
        "mood eq 'x'",
        "locale eq 'a' xor id eq 'b'",
    ],
)
def test_filters_that_graph_does_not_take(text: str) -> None:
    with pytest.raises(ValueError, match=r"filter|property"):
        odata_filter.parse(text)


@given(st.text())
def test_any_filter_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        odata_filter.parse(text).holds(DOCUMENT)


def observed(answers: list[float], timing: Timing = Timing()) -> Endpoint:  # noqa: B008 - frozen
    endpoint = Endpoint(timing)
    for second, took in enumerate(answers):
        endpoint.observe(float(second), took)
    return endpoint


@pytest.mark.parametrize(
    ("answers", "state"),
    [
        ([0.1] * 100, "healthy"),
        ([0.1] * 9 + [5.0], "healthy"),
        ([0.1] * 8 + [5.0] * 2, "slow"),
        ([0.1] * 8 + [10.0] * 2, "drop"),
        ([10.0] * 9, "healthy"),
    ],
)
def test_an_endpoint_is_judged_by_the_documented_shares(answers: list[float], state: str) -> None:
    assert observed(answers).state(10.0) == state


def test_an_endpoint_is_sampled_again_after_the_window() -> None:
    endpoint = observed([5.0] * 10)
    assert endpoint.state(608.0) == "slow"
    assert endpoint.state(609.0) == "healthy"
    for second in range(9):
        endpoint.observe(610.0 + second, 0.1)
    assert endpoint.state(620.0) == "healthy"


def test_old_answers_are_forgotten() -> None:
    endpoint = observed([5.0] * 9)
    for second in range(20):
        endpoint.observe(700.0 + second, 0.1)
    assert endpoint.state(720.0) == "healthy"


def test_retries_back_off_to_a_limit() -> None:
    timing = Timing()
    assert [timing.retry_after(number) for number in (1, 2, 3, 20)] == [10, 20, 40, 900]
    assert timing.real(600) == 10


@pytest.mark.parametrize(
    "values", [{"duplicate": 1.1}, {"forged": -1}, {"batch": 0}, {"batch": 1.5}, {"weather": 1}, {"delayed": "much"}]
)
def test_faults_are_checked(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must be|unknown|numbers"):
        Faults.read(values)


def content(ref: str, **changed: Any) -> Content:  # noqa: ANN401 - fields of Content
    fixed = {"kind": "aiInteraction", "change_type": "created", "tenant_id": "t", "id": "1", "etag": "1"}
    rest = {"created": "x", "session_id": "s", "request_id": None, "user_ids": ("u",), "sha256": "d", "size": 1}
    return Content(**{"ref": ref, **fixed, **rest, "subscriptions": ("sub",), **changed})


def test_a_ledger_reads_back_what_was_written(tmp_path: Path) -> None:
    writer = LedgerWriter(tmp_path)
    contents = (content("a"), content("b"), content("c", subscriptions=()), content("d", forged="garbage"))
    for each in contents:
        writer.content(each)
    taken = Post("p1", "https://x", ("a", "d"), None, 10)
    for number, status in ((1, None), (2, 202)):
        writer.attempt(taken, number, "then")
        writer.answer("p1", Attempt(number, "then", status, 5.0))
    writer.ended(taken, "answered")
    writer.attempt(Post("p2", "https://x", ("b",), None, 10), 1, "then")
    writer.close()
    ledger = Ledger.read(tmp_path)
    assert ledger.contents == contents
    assert [each.ref for each in ledger.genuine()] == ["a", "b"]
    assert [each.ref for each in ledger.forged()] == ["d"]
    assert ledger.acknowledged() == {"a"}
    assert [post.outcome for post in ledger.posts] == ["answered", None]
    assert ledger.summary()["unacknowledged"] == 1
    assert ledger.summary()["unanswered"] == 2


def test_a_ledger_tells_what_each_source_owes(tmp_path: Path) -> None:
    writer = LedgerWriter(tmp_path)
    old, new, gone = content("old", id="2"), content("new", id="2", etag="5"), content("gone", change_type="deleted")
    silent, forged = (
        content("silent", id="3", subscriptions=(), user_ids=("v",)),
        content("f", id="4", forged="garbage"),
    )
    chat = content("chat", id="5", kind="chat")
    for each in (content("a"), new, old, gone, silent, forged, chat):
        writer.content(each)
    writer.dropped("new", "sub")
    writer.dropped("chat", "sub")
    writer.withheld("old", "sub")
    writer.shown("u", ["new"])
    writer.account("u", "unlicensed", datetime(2026, 3, 2, tzinfo=UTC))
    writer.close()
    ledger = Ledger.read(tmp_path)
    assert {each.ref: ledger.notified(each) for each in ledger.contents} == {
        "a": "sent",
        "new": "dropped",
        "old": "withheld",
        "gone": "sent",
        "silent": "silent",
        "f": "forged",
        "chat": "dropped",
    }
    assert [each.ref for each in ledger.genuine()] == ["a", "gone"]
    assert [each.ref for each in ledger.exportable()] == ["new", "silent"]
    assert [each.ref for each in ledger.exportable({"v"})] == ["silent"]
    assert ledger.shown == {"new"}
    assert [each["state"] for each in ledger.events] == ["unlicensed"]
    summary = ledger.summary()
    assert (summary["dropped_contents"], summary["withheld_contents"], summary["silent_contents"]) == (2, 1, 1)


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    writer = LedgerWriter(tmp_path)
    writer.content(content("a"))
    writer.close()
    with (tmp_path / "ledger.jsonl").open("a") as file:
        file.write('{"line": "cont')
    assert [each.ref for each in Ledger.read(tmp_path).contents] == ["a"]


def test_what_is_no_ledger_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ledger.jsonl").write_text('{"line": "song"}\n')
    with pytest.raises(ValueError, match="song"):
        Ledger.read(tmp_path)
