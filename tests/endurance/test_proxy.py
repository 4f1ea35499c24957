"""The proxy does to a call what it was told, to that call, and to no other."""

import http.client
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

import pytest

from tests.endurance.proxy import Call, Effect, Fault, Gate, Plan, Proxy
from tests.serving import serving

ANSWER = b"an answer of some length"


class Upstream(BaseHTTPRequestHandler):
    """Counts what it does, keeps connections alive, and answers."""

    protocol_version = "HTTP/1.1"
    done: list[str]

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.done.append(f"{self.path} {body.decode()}")
        self.send_response(201)
        self.send_header("content-length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "1000")
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def done() -> list[str]:
    return []


@pytest.fixture
def proxy(done: list[str]) -> Iterator[Proxy]:
    handler = type("Handler", (Upstream,), {"done": done})
    with serving(handler) as origin, Proxy({"storage": Gate(urlsplit(origin).port or 0)}) as running:
        yield running


def put(proxy: Proxy, path: str) -> tuple[int, bytes] | None:
    """Status and body, None where the connection ended without them."""
    connection = http.client.HTTPConnection("127.0.0.1", proxy.ports["storage"], timeout=5)
    try:
        connection.request("PUT", path, b"body")
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def at(number: int, effect: Effect) -> Plan:
    def plan(call: Call) -> Fault | None:
        return Fault(effect) if call.number == number else None

    return plan


def test_good_weather_passes_everything_on(proxy: Proxy, done: list[str]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.ports["storage"], timeout=5)
    for number in range(3):
        connection.request("PUT", f"/{number}", b"body")
        assert connection.getresponse().read() == ANSWER
    connection.request("HEAD", "/3")
    assert connection.getresponse().read() == b""
    connection.request("GET", "/4")
    assert connection.getresponse().read() == b"abcde"
    connection.close()
    assert done == ["/0 body", "/1 body", "/2 body"]
    assert [(call.method, call.path) for call in proxy.calls][2:] == [("PUT", "/2"), ("HEAD", "/3"), ("GET", "/4")]
    assert not proxy.fired


@pytest.mark.parametrize(
    ("effect", "answered", "forwarded"),
    [
        (Effect.REFUSE, None, False),
        (Effect.LOSE, None, True),
        (Effect.CUT, None, True),
        (Effect.STATUS, 503, False),
        (Effect.DELAY, 201, True),
    ],
)
def test_a_spoilt_call_is_spoilt_and_its_neighbours_are_not(
    proxy: Proxy, done: list[str], effect: Effect, answered: int | None, forwarded: bool
) -> None:
    proxy.begin(at(1, effect))
    answers = [put(proxy, f"/{number}") for number in range(3)]
    assert [answer and answer[0] for answer in answers] == [201, answered, 201]
    assert ("/1 body" in done) is forwarded
    assert proxy.fired.total() == 1


@pytest.mark.parametrize(
    ("effect", "answered", "forwarded"),
    [
        (Effect.KILL_BEFORE, None, False),
        (Effect.KILL_ANSWERED, None, True),
        (Effect.KILL_RELAYED, 201, True),
    ],
)
def test_after_a_kill_nothing_gets_through(
    proxy: Proxy, done: list[str], effect: Effect, answered: int | None, forwarded: bool
) -> None:
    killed: list[bool] = []
    proxy.begin(at(0, effect), lambda: killed.append(True))
    first, second = put(proxy, "/0"), put(proxy, "/1")
    assert (first and first[0]) == answered
    assert second is None
    assert done == (["/0 body"] if forwarded else [])
    assert killed == [True]
    proxy.begin()
    assert put(proxy, "/2") == (201, ANSWER)


def test_a_call_that_hangs_is_never_answered_nor_forwarded(proxy: Proxy, done: list[str]) -> None:
    proxy.begin(at(0, Effect.HANG))
    connection = http.client.HTTPConnection("127.0.0.1", proxy.ports["storage"], timeout=0.3)
    connection.request("PUT", "/0", b"body")
    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()
    assert not done
