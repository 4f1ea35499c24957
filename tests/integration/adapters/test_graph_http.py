"""Requests to Graph over real TLS: what goes out, what is made of what comes back, and of what does not."""

import gzip
import json
import logging
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from shared.adapters import graph_http
from shared.adapters.graph_http import GraphHttp, has_origin
from shared.core.errors import GraphNotFound, GraphRefused, GraphUnavailable
from shared.core.graph_fault import DEFAULT_RETRY_AFTER, MAX_RETRY_AFTER
from tests.integration.adapters.credentials import TOKEN, OneToken
from tests.integration.adapters.odd_graph import DATE, OddGraph, Wire

NOW = datetime(2026, 1, 5, 9, 30, 10, tzinfo=UTC)
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SECRET = "adele.vance@contoso.example"


@pytest.fixture
def http(graph: OddGraph) -> GraphHttp:
    return GraphHttp(graph.origin, "v1.0", OneToken(), lambda: NOW)


def ask(http: GraphHttp) -> object:
    return http.ask("GET", http.url("thing"), "fetch the thing").document


# ---- what goes out


def test_a_request_says_who_asks_and_has_an_id_of_its_own(graph: OddGraph, http: GraphHttp) -> None:
    graph.answer("/v1.0/thing", {})
    ask(http)
    ask(http)

    first, second = (each.headers for each in graph.asked)
    assert first["Authorization"] == f"Bearer {TOKEN}"
    assert first["User-Agent"].startswith("NONISV|CopilotInteractionArchive|CopilotInteractionArchive/")
    assert GUID.fullmatch(first["client-request-id"])
    assert first["client-request-id"] != second["client-request-id"]


def test_a_netrc_never_takes_our_tokens_place(
    graph: OddGraph, http: GraphHttp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    graph.answer("/v1.0/thing", {})
    ask(http)

    assert graph.asked[0].headers["Authorization"] == f"Bearer {TOKEN}"


def test_no_cookie_comes_back(graph: OddGraph, http: GraphHttp) -> None:
    graph.answer("/v1.0/thing", {}, Set_Cookie="slice=1; Path=/")
    ask(http)
    ask(http)

    assert "Cookie" not in graph.asked[1].headers


@pytest.mark.parametrize("status", [200, 404, 429])
def test_a_connection_serves_again(graph: OddGraph, http: GraphHttp, status: int) -> None:
    # A new one costs two round trips and the certificate's check, for each page of each user.
    graph.answer("/v1.0/thing", {"value": [1] * 1000}, status)
    for _ in range(5):
        with suppress(GraphNotFound, GraphUnavailable):
            ask(http)

    assert len({each.connection for each in graph.asked}) == 1


def test_threads_share_the_session(graph: OddGraph, http: GraphHttp) -> None:
    together = threading.Barrier(16, timeout=60)

    def slowly(wire: Wire) -> None:
        number = wire.path.partition("=")[2]
        together.wait()
        wire.whole(200, {}, json.dumps({"number": number}).encode())

    graph.write("/v1.0/thing", slowly)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: http.ask("GET", http.url(f"thing?n={n}"), "fetch").document, range(64)))

    assert answers == [{"number": str(number)} for number in range(64)]
    # As many connections as threads, and each is kept.
    assert len({each.connection for each in graph.asked}) == 16


# ---- what comes back


def test_the_bytes_are_those_that_graph_sent(graph: OddGraph, http: GraphHttp) -> None:
    body = b'{ "b":1.10,"a" : "\\u00e4\xc3\xa4" }'
    graph.answer("/v1.0/thing", body)

    assert http.ask("GET", http.url("thing"), "fetch").content == body


def test_a_packed_answer_is_unpacked(graph: OddGraph, http: GraphHttp) -> None:
    body = json.dumps({"text": "x" * 1_000_000}).encode()
    graph.answer("/v1.0/thing", gzip.compress(body), Content_Encoding="gzip")

    assert http.ask("GET", http.url("thing"), "fetch").content == body
    assert "gzip" in graph.asked[0].headers["Accept-Encoding"]


def test_an_answer_in_chunks_is_whole(graph: OddGraph, http: GraphHttp) -> None:
    def chunked(wire: Wire) -> None:
        wire.head(200, {"Transfer-Encoding": "chunked"})
        for piece in (b'{"a":', b' "', b"x" * 300_000, b'"}'):
            wire.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        wire.wfile.write(b"0\r\n\r\n")

    graph.write("/v1.0/thing", chunked)

    assert ask(http) == {"a": "x" * 300_000}


@pytest.mark.parametrize("status", [200, 204])
def test_nothing_is_nothing(graph: OddGraph, http: GraphHttp, status: int) -> None:
    graph.write("/v1.0/thing", lambda wire: wire.head(status, {} if status == 204 else {"Content-Length": "0"}))

    assert ask(http) is None


def test_what_is_nested_without_end_is_no_document(graph: OddGraph, http: GraphHttp) -> None:
    graph.answer("/v1.0/thing", b"[" * 100_000)

    assert ask(http) is None


# ---- what does not come back


def in_the_middle_of_the_body(wire: Wire) -> None:
    wire.head(200, {"Content-Length": "100"})
    wire.wfile.write(b'{"value": [')
    wire.drop()


def in_the_middle_of_a_chunk(wire: Wire) -> None:
    wire.head(200, {"Transfer-Encoding": "chunked"})
    wire.wfile.write(b'a\r\n{"v"')
    wire.drop()


def before_the_last_chunk(wire: Wire) -> None:
    wire.head(200, {"Transfer-Encoding": "chunked"})
    wire.wfile.write(b"2\r\n{}\r\n")
    wire.drop()


def in_the_middle_of_the_headers(wire: Wire) -> None:
    wire.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Le")
    wire.drop()


def before_it_began(wire: Wire) -> None:
    wire.drop()


def packed_wrongly(wire: Wire) -> None:
    wire.whole(200, {"Content-Encoding": "gzip"}, b"not gzip at all")


def not_http(wire: Wire) -> None:
    wire.wfile.write(b"220 mail.example ESMTP\r\n")
    wire.drop()


@pytest.mark.parametrize(
    "answer",
    [
        in_the_middle_of_the_body,
        in_the_middle_of_a_chunk,
        before_the_last_chunk,
        before_it_began,
        packed_wrongly,
        not_http,
    ],
)
def test_a_broken_answer_is_no_answer_and_the_next_request_is_served(
    graph: OddGraph, http: GraphHttp, answer: Callable[[Wire], None]
) -> None:
    graph.write("/v1.0/thing", answer)
    with pytest.raises(GraphUnavailable, match="no answer"):
        ask(http)
    assert len(graph.asked) == 1, "nothing is repeated here"

    graph.answer("/v1.0/thing", {"a": 1})
    assert ask(http) == {"a": 1}


def test_headers_that_break_off_lead_to_no_document(graph: OddGraph, http: GraphHttp) -> None:
    # To Python that is a success without a body; whoever asks for a list finds none and asks again.
    graph.write("/v1.0/thing", in_the_middle_of_the_headers)
    with pytest.raises(GraphUnavailable, match="no list"):
        list(http.pages("thing", "list the things"))


def test_an_answer_without_end_is_not_read_to_the_end(
    graph: OddGraph, http: GraphHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_http, "MAX_BYTES", 2 * 2**20)
    graph.answer("/v1.0/thing", {"text": "x" * 2**21})
    with pytest.raises(GraphUnavailable, match="more than 2 MiB"):
        ask(http)


def test_what_unpacks_to_gigabytes_is_not_unpacked(
    graph: OddGraph, http: GraphHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_http, "MAX_BYTES", 2 * 2**20)
    graph.answer("/v1.0/thing", gzip.compress(bytes(200 * 2**20), 1), Content_Encoding="gzip")
    with pytest.raises(GraphUnavailable, match="more than 2 MiB"):
        ask(http)


def test_an_answer_that_drips_in_is_given_up(graph: OddGraph, http: GraphHttp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_http, "LONGEST_ANSWER_SECONDS", 0.3)
    over = threading.Event()

    def drip(wire: Wire) -> None:
        wire.head(200, {"Content-Length": "100000"})
        while not over.is_set():
            wire.wfile.write(b" ")
            time.sleep(0.02)

    graph.write("/v1.0/thing", drip)
    try:
        with pytest.raises(GraphUnavailable, match="takes over"):
            ask(http)
    finally:
        over.set()


def test_silence_is_given_up(graph: OddGraph, http: GraphHttp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_http, "TIMEOUT_SECONDS", (5, 0.2))
    over = threading.Event()

    def wait(wire: Wire) -> None:
        wire.head(200, {"Content-Length": "10"})
        wire.wfile.flush()
        over.wait(60)

    graph.write("/v1.0/thing", wait)
    try:
        with pytest.raises(GraphUnavailable, match="no answer"):
            ask(http)
    finally:
        over.set()


def test_whom_nobody_vouches_for_gets_no_token(
    graph: OddGraph, http: GraphHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    graph.answer("/v1.0/thing", {})
    with pytest.raises(GraphUnavailable, match="SSLError"):
        ask(http)

    assert graph.asked == []


# ---- how long to leave Graph alone


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("17", timedelta(seconds=17)),
        ("0", timedelta(seconds=1)),
        ("86400", MAX_RETRY_AFTER),
        ("9" * 400, MAX_RETRY_AFTER),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), timedelta(seconds=90)),
        (format_datetime(NOW + timedelta(days=9), usegmt=True), MAX_RETRY_AFTER),
        (format_datetime(NOW - timedelta(days=9), usegmt=True), timedelta(seconds=1)),
        ("soon", DEFAULT_RETRY_AFTER),
        ("-5", DEFAULT_RETRY_AFTER),
        ("1.5", DEFAULT_RETRY_AFTER),
        ("", DEFAULT_RETRY_AFTER),
        (None, DEFAULT_RETRY_AFTER),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_throttled_graph_says_how_long(
    graph: OddGraph, http: GraphHttp, status: int, header: str | None, wait: timedelta
) -> None:
    headers = {} if header is None else {"Retry-After": header}
    graph.write("/v1.0/thing", lambda wire: wire.whole(status, headers, b'{"error": {"code": "TooManyRequests"}}'))
    with pytest.raises(GraphUnavailable) as raised:
        ask(http)

    assert raised.value.retry_after == wait
    assert len(graph.asked) == 1, "whoever asked decides when to ask again"


def test_a_token_that_is_not_taken_is_for_now(graph: OddGraph, http: GraphHttp) -> None:
    graph.answer("/v1.0/thing", {"error": {"code": "InvalidAuthenticationToken"}}, 401)
    with pytest.raises(GraphUnavailable, match="401 InvalidAuthenticationToken"):
        ask(http)


# ---- what is logged


def test_a_refusal_leaves_the_ids_by_which_microsoft_finds_it_and_no_word_of_it(
    graph: OddGraph, http: GraphHttp, caplog: pytest.LogCaptureFixture
) -> None:
    body = {"error": {"code": "Forbidden", "message": SECRET}}
    graph.answer("/v1.0/thing", body, 403, request_id="5c4e7d3a-1111-4222-8333-444455556666", Date=DATE)
    with caplog.at_level(logging.WARNING), pytest.raises(GraphRefused):
        ask(http)

    (record,) = caplog.records
    line = record.getMessage()
    assert graph.asked[0].headers["client-request-id"] in line
    assert "5c4e7d3a-1111-4222-8333-444455556666" in line
    assert DATE in line
    assert SECRET not in line
    assert TOKEN not in line


def test_no_answer_leaves_the_id_under_which_it_was_asked(
    graph: OddGraph, http: GraphHttp, caplog: pytest.LogCaptureFixture
) -> None:
    graph.write("/v1.0/thing", before_it_began)
    with caplog.at_level(logging.WARNING), pytest.raises(GraphUnavailable):
        ask(http)

    assert graph.asked[0].headers["client-request-id"] in caplog.text


@pytest.mark.parametrize("header", ["\x1b[31mred", "a" * 65, "%s", "id; DROP"])
def test_no_header_of_an_answer_forges_a_line(
    graph: OddGraph, http: GraphHttp, caplog: pytest.LogCaptureFixture, header: str
) -> None:
    graph.answer("/v1.0/thing", {}, 403, request_id=header)
    with caplog.at_level(logging.WARNING), pytest.raises(GraphRefused):
        ask(http)

    assert "request-id unknown" in caplog.text


# ---- where our token may go


@pytest.mark.parametrize(
    "link",
    [
        "https://graph.microsoft.com.evil.example/v1.0/x",
        "https://graph.microsoft.com@evil.example/v1.0/x",
        "https://evil.example/https://graph.microsoft.com/v1.0/x",
        "https://graph.microsoft.com\\@evil.example/v1.0/x",
        "https://graph.microsoft.com\t.evil.example/v1.0/x",
        "https://graph.microsoft.com/v1.0/x\r\nHost: evil.example",
        "https://graph.microsoft.com:8443/v1.0/x",
        "http://graph.microsoft.com/v1.0/x",
        "https:graph.microsoft.com/v1.0/x",
        "//graph.microsoft.com/v1.0/x",
        "https://graph.microsoft.com/v1.0/../beta/x",
        "https://graph.microsoft.com/v1.0/%2E%2e/beta/x",
        "https://graph.microsoft.com/v1.0/./x",
        "https://graph.microsoft.com/v1.0/..",
        "https://graph.microsoft.com/v1.0/x y",
        "https://graph.microsoft.cöm/v1.0/x",
        "https://[graph/v1.0/x",
        "",
    ],
)
def test_another_origin_is_another_origin(link: str) -> None:
    assert not has_origin(link, "https://graph.microsoft.com/v1.0")


@pytest.mark.parametrize(
    "link",
    [
        "https://graph.microsoft.com/v1.0/users?$skiptoken=RFNwdA%2b%3d&$filter=a+eq+'b'",
        "https://Graph.Microsoft.com/v1.0/users?$skiptoken=../..",
    ],
)
def test_our_origin_is_our_origin(link: str) -> None:
    assert has_origin(link, "https://graph.microsoft.com/v1.0")
