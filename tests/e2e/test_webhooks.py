"""Every row of the contract's answers (design 4.2), over HTTP."""

import gzip
import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.e2e.app import App

ROUTES = ("notifications", "lifecycle")


def ours(app: App, **more: object) -> bytes:
    item = {"subscriptionId": "s", "changeType": "created", "resource": "r", **more}
    return json.dumps({"value": [{**item, "clientState": app.cloud.graph.client_state}]}).encode()


def test_answers(app: App) -> None:
    """One app for the whole table: each row is a request and its answer."""
    for route in ROUTES:
        _handshakes(app, route)
        _refusals(app, route)
        _taken(app, route)
    assert {name.partition("/")[0] for name in app.names("inbox")} <= set(ROUTES)


def _handshakes(app: App, route: str) -> None:
    for sent, token in (
        ("Validation%3A+Testing+client%20application", "Validation: Testing client application"),
        ("a%252Bb", "a%2Bb"),  # decoded once, not twice
        ("%3Cscript%3Ealert(1)%3C%2Fscript%3E", "<script>alert(1)</script>"),
        ("%E2%80%AE%F0%9F%98%80", "\u202e😀"),
        ("x" * 4096, "x" * 4096),
    ):
        answer = app.post(b"any body is ignored", route=f"{route}?validationToken={sent}")
        assert answer.status_code == 200
        assert answer.content.decode() == token
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert app.post(b"", route=f"{route}?validationToken={'x' * 4097}").status_code == 400


def _refusals(app: App, route: str) -> None:
    secret = app.cloud.graph.client_state
    deep = ours(app)[:-2] + b', "x": ' + b"[" * 33 + b"]" * 33 + b"}]}"
    twice = ours(app)[:-2] + b', "clientstate": "another"}]}'
    many = json.dumps({"value": [{"clientState": secret}] * 1001}).encode()
    rows: list[tuple[int, bytes, dict[str, str]]] = [
        (400, b"", {}),
        (400, b"not json", {}),
        (400, '{"value": []}'.encode("utf-16"), {}),
        (400, b'{"value": ["\xff"]}', {}),
        (400, b'{"value": {}}', {}),
        (400, b'[{"clientState": "x"}]', {}),
        (400, deep, {}),
        (400, twice, {}),
        (403, b'{"value": []}', {}),
        (403, b'{"value": [{"clientState": "wrong"}]}', {}),
        (403, b'{"value": [{"clientState": null}, {}, 1, "x"]}', {}),
        (403, json.dumps({"value": [{"clientState": secret.upper() + "x"}]}).encode(), {}),
        (413, b" " * (4 * 1024 * 1024 + 1), {}),
        (413, many, {}),
        (415, gzip.compress(ours(app)), {"Content-Encoding": "gzip"}),
    ]
    before = app.names("inbox")
    for status, body, headers in rows:
        answer = app.post(body, route=route, **headers)
        assert (answer.status_code, answer.content) == (status, b""), body[:80]
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        assert requests.request(method, f"{app.host.url}/api/{route}", timeout=30).status_code in (404, 405)
    assert not set(app.names("inbox")) - set(before)


def _taken(app: App, route: str) -> None:
    stranger_too = json.loads(ours(app))
    stranger_too["value"].append({"clientState": "wrong"})
    for body in (ours(app), ours(app).replace(b"clientState", b"ClientState"), json.dumps(stranger_too).encode()):
        answer = app.post(body, route=route)
        assert (answer.status_code, answer.content) == (202, b"")


def test_a_lifecycle_post_is_kept(app: App) -> None:
    assert app.post(ours(app, lifecycleEvent="missed"), route="lifecycle").status_code == 202
    (name,) = app.names("inbox")
    assert name.startswith("lifecycle/")


def test_storage_that_refuses_gives_503_within_two_seconds(app: App) -> None:
    assert app.post(ours(app)).status_code == 202
    app.azurite.stop()
    begun = time.monotonic()
    answer = app.post(ours(app))
    assert time.monotonic() - begun < 2
    assert (answer.status_code, answer.content) == (503, b"")
    assert int(answer.headers["Retry-After"]) > 0
    assert requests.get(f"{app.host.url}/api/health", timeout=30).status_code == 503
    app.azurite.start()
    assert app.post(ours(app)).status_code == 202


def test_storage_that_hangs_gives_503_within_two_seconds_to_all_at_once(app: App) -> None:
    assert app.post(ours(app)).status_code == 202
    os.kill(app.azurite.pid, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(20) as pool:
            begun = time.monotonic()
            answers = list(pool.map(lambda _: app.post(ours(app)).status_code, range(20)))
            took = time.monotonic() - begun
    finally:
        os.kill(app.azurite.pid, signal.SIGCONT)
    assert answers == [503] * 20
    # Two for the answer; the rest is for twenty threads of this test on a busy machine.
    assert took < 4


def test_anonymous_callers_get_no_further(app: App) -> None:
    for method, route in (("GET", "status"), ("POST", "dead-letters/replay")):
        for headers in ({}, {"x-functions-key": "guess"}):
            answer = requests.request(method, f"{app.host.url}/api/{route}", headers=headers, timeout=30)
            assert answer.status_code == 401
    health = requests.get(f"{app.host.url}/api/health", timeout=30)
    assert (health.status_code, health.content) == (200, b"")


@pytest.mark.parametrize("body", [b'{"reason": "../x"}', b'{"reason": 1}', b"[]", b"nonsense", b"\xff"])
def test_a_replay_of_nonsense_is_refused(app: App, body: bytes) -> None:
    answer = requests.post(
        f"{app.host.url}/api/dead-letters/replay",
        data=body,
        headers={"x-functions-key": "an-operators-key"},
        timeout=30,
    )
    assert answer.status_code == 400
    assert "reason" in answer.json()["error"]
