"""What an HTTP caller of the local host meets, on each engine."""

import http.client
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.integration.local.conftest import FUNCTION_KEY, World


def url(world: World, path: str) -> str:
    return f"{world.host.url}/api/{path}"


def raw(world: World, method: str, path: str, headers: list[tuple[str, str]], body: bytes = b"") -> tuple[int, bytes]:
    """A request whose headers are sent exactly as listed."""
    connection = http.client.HTTPConnection("127.0.0.1", world.host.port, timeout=10)
    connection.putrequest(method, path)
    for name, value in headers:
        connection.putheader(name, value)
    connection.putheader("content-length", str(len(body)))
    connection.endheaders(body)
    with connection.getresponse() as response:
        answer = response.status, response.read()
    connection.close()
    return answer


def test_text_is_echoed_as_plain_text(world: World) -> None:
    answer = requests.get(url(world, "open?validationToken=a%20b%2Bc+%E2%82%AC%26%3D"), timeout=10)
    assert (answer.status_code, answer.content.decode()) == (200, "a b+c €&=")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "DELETE", "PURGE"])
def test_another_method_is_404(world: World, method: str) -> None:
    assert requests.request(method, url(world, "open"), timeout=10).status_code == 404


@pytest.mark.parametrize("path", ["", "nothing", "open/more", "request/a/b", "request"])
def test_another_path_is_404(world: World, path: str) -> None:
    assert requests.get(url(world, path), timeout=10).status_code == 404


def test_a_path_without_the_prefix_is_404(world: World) -> None:
    assert requests.get(f"{world.host.url}/open", timeout=10).status_code == 404


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({}, "", 401),
        ({"x-functions-key": FUNCTION_KEY}, "", 200),
        ({}, "?code=a%20function%20key", 200),
        ({"x-functions-key": "wrong"}, "", 401),
        ({}, "?code=wrong", 401),
        ({"x-functions-key": "wrong"}, "?code=a%20function%20key", 401),
        ({"x-functions-key": FUNCTION_KEY}, "?code=wrong", 200),
    ],
)
@pytest.mark.parametrize("path", ["keyed", "admin-only"])
def test_keys(world: World, path: str, headers: dict[str, str], query: str, status: int) -> None:
    assert requests.get(url(world, path + query), headers=headers, timeout=10).status_code == status


def test_a_function_sees_the_whole_request(world: World) -> None:
    path = "/api/request/J%C3%BCrgen%2FX/7?a=1&b=%C3%A4&a=2&empty=&c=x%20y"
    status, body = raw(world, "PATCH", path, [("X-One", "1"), ("x-one", "2"), ("X-Two", "ü")], b"\x00\xff")
    seen = json.loads(body)
    assert status == 200
    assert seen["method"] == "PATCH"
    assert seen["url"] == world.host.url + path
    assert seen["query"] == {"a": "1,2", "b": "ä", "c": "x y"}
    assert seen["route"] == {"name": "Jürgen%2FX", "number": "7"}
    assert seen["headers"]["x-one"] == "1,2"
    assert seen["body"] == "00ff"


def test_an_optional_parameter_may_be_absent(world: World) -> None:
    seen = requests.get(url(world, "Request/x/"), timeout=10).json()
    assert seen["route"] == {"name": "x"}


def test_a_catch_all_takes_the_rest(world: World) -> None:
    assert requests.get(url(world, "files/a/b%20c"), timeout=10).text == "a/b c"
    assert requests.get(url(world, "files"), timeout=10).text == "nothing"


def test_bytes_come_back_unchanged(world: World) -> None:
    every_byte = bytes(range(256)) * 100
    answer = requests.post(url(world, "echo"), data=every_byte, timeout=10)
    assert answer.content == every_byte


def test_a_compressed_body_is_not_touched(world: World) -> None:
    body = b"\x1f\x8b not really gzip"
    answer = requests.post(url(world, "echo"), data=body, headers={"content-encoding": "gzip"}, timeout=10)
    assert answer.content == body


def test_a_big_body_arrives(world: World) -> None:
    answer = requests.post(url(world, "length"), data=bytes(20_000_000), timeout=30)
    assert answer.text == "20000000"


def test_a_body_over_the_limit_is_413_before_it_is_sent(world: World) -> None:
    with socket.create_connection(("127.0.0.1", world.host.port), timeout=10) as connection:
        connection.sendall(b"POST /api/length HTTP/1.1\r\nHost: x\r\nContent-Length: 104857601\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_status_headers_and_cookies_of_the_answer(world: World) -> None:
    answer = requests.get(url(world, "answer?status=418"), timeout=10)
    assert (answer.status_code, answer.content) == (418, b"")
    assert answer.headers["retry-after"] == "7"
    assert answer.headers["set-cookie"] == "a=1; Path=/"


@pytest.mark.parametrize("path", ["fail", "fail-async"])
def test_an_exception_is_an_empty_500_and_a_traceback_in_the_log(world: World, path: str) -> None:
    answer = requests.get(url(world, path), timeout=10)
    assert (answer.status_code, answer.content) == (500, b"")
    name = path.replace("-", "_")
    world.wait_for_log(f"{name} failed in ")
    world.wait_for_log('raise RuntimeError(f"on purpose: {req.method}")')


def test_a_bare_text_is_refused(world: World) -> None:
    assert requests.get(url(world, "bare"), timeout=10).status_code == 500
    world.wait_for_log("must return azure.functions.HttpResponse, not a bare str")


def test_sync_functions_run_on_threads(world: World) -> None:
    assert requests.get(url(world, "thread"), timeout=10).text == "GET False"


def test_the_context_names_function_and_invocation(world: World) -> None:
    method, name, invocation = requests.get(url(world, "context"), timeout=10).text.split()
    assert (method, name) == ("GET", "with_context")
    world.wait_for_log(f"({invocation})")
    world.wait_for_log("the app logs in with_context")


@pytest.mark.parametrize("path", ["slow", "slow-async"])
def test_a_slow_call_holds_up_nobody(world: World, path: str) -> None:
    with ThreadPoolExecutor() as threads:
        slow = threads.submit(requests.get, url(world, f"{path}?seconds=1.5"), timeout=10)
        time.sleep(0.2)
        started = time.monotonic()
        assert requests.get(url(world, "open"), timeout=10).status_code == 200
        assert time.monotonic() - started < 1
        assert slow.result().text == "slept"


def test_a_body_that_does_not_come_holds_up_nobody(world: World) -> None:
    with socket.create_connection(("127.0.0.1", world.host.port), timeout=10) as connection:
        connection.sendall(b"POST /api/length HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nab")
        assert requests.get(url(world, "open"), timeout=10).status_code == 200
        assert connection.recv(100).startswith(b"HTTP/1.1 408 ")


def test_an_async_function_over_the_time_limit_fails(world: World) -> None:
    assert requests.get(url(world, "slow-async?seconds=20"), timeout=10).status_code == 500
    world.wait_for_log("ran for longer than functionTimeout, 3.0 s")


def test_status_and_list_of_functions(world: World) -> None:
    status = requests.get(f"{world.host.url}/admin/host/status", timeout=10).json()
    assert status["state"] == "Running"
    functions = requests.get(f"{world.host.url}/admin/functions", timeout=10).json()
    assert {"name": "keyed", "trigger": "GET /keyed (function)", "isAsync": True} in functions


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("nothing", b'{"input": ""}', 404),
        ("tick", b"", 400),
        ("tick", b"{", 400),
        ("tick", b"[]", 400),
        ("tick", b'{"input": 7}', 400),
        ("keyed", b'{"input": ""}', 400),
    ],
)
def test_admin_calls_that_are_refused(world: World, name: str, body: bytes, status: int) -> None:
    assert requests.post(f"{world.host.url}/admin/functions/{name}", data=body, timeout=10).status_code == status
