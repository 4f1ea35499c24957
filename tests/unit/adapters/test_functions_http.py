import json
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

import azure.functions as func
import pytest

from shared.adapters import functions_http
from shared.core.dead_letter import ReplayReport
from shared.core.errors import (
    BodyTooLarge,
    CompressedBody,
    KeyVaultUnavailable,
    MalformedRequest,
    NotOurs,
    Overloaded,
    SettingsError,
    StorageUnavailable,
)
from shared.core.webhook import Handshake, Kept, WebhookRequest

NAME = "notifications/2026/01/05/09/5b0b63a4-6a0f-4b7e-9b32-8c2c7d0d4f11.json"


class Bell(func.Out[str]):
    """The queue output binding."""

    def __init__(self) -> None:
        self.rung: list[str] = []

    def set(self, val: str) -> None:
        self.rung.append(val)

    def get(self) -> str:
        return self.rung[-1]


def request(
    body: bytes = b"", *, params: dict[str, str] | None = None, headers: dict[str, str] | None = None
) -> func.HttpRequest:
    # As the host gives it: a parameter without a value is in the URL alone.
    url = f"https://app.example/api/notifications?{urlencode(params or {})}"
    given = {name: value for name, value in (params or {}).items() if value}
    return func.HttpRequest("POST", url, params=given, headers=headers, body=body)


def taking(
    taken: Handshake | Kept | Exception, seen: list[WebhookRequest] | None = None
) -> Callable[[WebhookRequest], Awaitable[Handshake | Kept]]:
    """A flow that takes a request so."""

    async def take(webhook_request: WebhookRequest) -> Handshake | Kept:
        if seen is not None:
            seen.append(webhook_request)
        if isinstance(taken, Exception):
            raise taken
        return taken

    return take


class TestReceive:
    async def test_the_request_is_handed_on_as_it_came(self) -> None:
        seen: list[WebhookRequest] = []
        await functions_http.receive(
            request(b"\xff body", params={"validationToken": "a b"}, headers={"Content-Encoding": "gzip"}),
            Bell(),
            taking(Kept(NAME), seen),
        )

        assert seen == [WebhookRequest("a b", "gzip", b"\xff body")]

    async def test_what_is_absent_is_none(self) -> None:
        seen: list[WebhookRequest] = []
        await functions_http.receive(request(), Bell(), taking(Kept(NAME), seen))

        assert seen == [WebhookRequest(None, None, b"")]

    @pytest.mark.parametrize(
        "token",
        ["Validation: Testing … Request-Id: 3a1c", "", '{"json": true}', "[1]", "<script>alert(1)</script>", "%20+"],
    )
    async def test_a_probe_gets_its_token_as_plain_text(self, token: str) -> None:
        bell = Bell()
        answer = await functions_http.receive(request(), bell, taking(Handshake(token)))

        assert answer.status_code == 200
        assert answer.get_body() == token.encode()
        assert answer.mimetype == "text/plain"
        assert answer.charset == "utf-8"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert bell.rung == []

    async def test_a_kept_post_is_accepted_and_rung_for(self) -> None:
        bell = Bell()
        answer = await functions_http.receive(request(), bell, taking(Kept(NAME)))

        assert (answer.status_code, answer.get_body()) == (202, b"")
        assert bell.rung == [NAME]

    @pytest.mark.parametrize(
        ("error", "status"),
        [
            (MalformedRequest("why"), 400),
            (NotOurs("why"), 403),
            (BodyTooLarge("why"), 413),
            (CompressedBody("why"), 415),
        ],
    )
    async def test_a_refusal_says_nothing_about_why(
        self, error: Exception, status: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        bell = Bell()
        answer = await functions_http.receive(request(b"canary"), bell, taking(error))

        assert (answer.status_code, answer.get_body()) == (status, b"")
        assert bell.rung == []
        assert "why" in caplog.text
        assert "canary" not in caplog.text

    @pytest.mark.parametrize("error", [StorageUnavailable("away"), Overloaded("a flood")])
    async def test_what_can_not_be_kept_now_is_asked_for_again(self, error: Exception) -> None:
        bell = Bell()
        answer = await functions_http.receive(request(), bell, taking(error))

        assert (answer.status_code, answer.get_body()) == (503, b"")
        assert int(answer.headers["Retry-After"]) > 0
        assert bell.rung == []

    async def test_a_token_is_never_in_the_logs(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        await functions_http.receive(request(params={"validationToken": "canary"}), Bell(), taking(Handshake("canary")))
        await functions_http.receive(
            request(params={"validationToken": "canary"}), Bell(), taking(MalformedRequest("too long"))
        )

        assert "canary" not in caplog.text

    async def test_what_nobody_foresaw_is_left_to_the_host(self) -> None:
        with pytest.raises(ZeroDivisionError):
            await functions_http.receive(request(), Bell(), taking(ZeroDivisionError()))


class TestHealth:
    @pytest.mark.parametrize(
        ("trouble", "status"),
        [(None, 200), (StorageUnavailable("account x"), 503), (SettingsError(["CLIENT_STATE is missing"]), 503)],
    )
    async def test_it_says_yes_or_no_and_nothing_else(self, trouble: Exception | None, status: int) -> None:
        async def check() -> None:
            if trouble is not None:
                raise trouble

        answer = await functions_http.health(check)

        assert (answer.status_code, answer.get_body()) == (status, b"")


class TestStatus:
    def test_bad_settings_are_told_to_whoever_has_the_key(self) -> None:
        def refuse() -> dict[str, object]:
            raise SettingsError(["CLIENT_STATE is missing"])

        answer = functions_http.status(refuse)

        assert answer.status_code == 503
        assert "CLIENT_STATE is missing" in json.loads(answer.get_body())["error"]

    def test_it_is_json_that_nobody_stores(self) -> None:
        answer = functions_http.status(lambda: {"a": 1})

        assert (answer.status_code, json.loads(answer.get_body())) == (200, {"a": 1})
        assert answer.mimetype == "application/json"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"

    def test_storage_out_of_reach_is_told_in_a_sentence(self) -> None:
        def report() -> dict[str, object]:
            raise StorageUnavailable("container inbox could not list")

        answer = functions_http.status(report)

        assert (answer.status_code, json.loads(answer.get_body())) == (503, {"error": "container inbox could not list"})
        assert int(answer.headers["Retry-After"]) > 0


class TestReplay:
    def asked_for(self, http_request: func.HttpRequest) -> list[str | None]:
        asked: list[str | None] = []

        def again(reason: str | None) -> ReplayReport:
            asked.append(reason)
            return ReplayReport()

        assert functions_http.replay(http_request, again).status_code == 200
        return asked

    @pytest.mark.parametrize("body", [b"", b"  ", b"{}", b'{"reason": null}'])
    def test_without_a_reason_it_is_all_of_them(self, body: bytes) -> None:
        assert self.asked_for(request(body)) == [None]

    def test_a_reason_restricts_it(self) -> None:
        assert self.asked_for(request(params={"reason": "not-genuine"})) == ["not-genuine"]
        assert self.asked_for(request(b'{"reason": "not-genuine"}')) == ["not-genuine"]
        assert self.asked_for(request(b'{"reason": "other"}', params={"reason": "not-genuine"})) == ["not-genuine"]

    @pytest.mark.parametrize("reason", ["", "..", "../inbox", "a/b", "A", "a b", "x" * 65, "not-genuine\n", "é"])
    def test_what_is_no_reason_is_refused_before_anything_is_tried(self, reason: str) -> None:
        for refused in (request(params={"reason": reason}), request(json.dumps({"reason": reason}).encode())):
            answer = functions_http.replay(refused, lambda _: pytest.fail("tried"))
            assert answer.status_code == 400

    @pytest.mark.parametrize(
        "body", [b"not JSON", b"[]", b'"x"', b"5", b'{"reason": 5}', b'{"reason": ["a"]}', b"\xff"]
    )
    def test_another_body_is_refused(self, body: bytes) -> None:
        answer = functions_http.replay(request(body), lambda _: pytest.fail("tried"))

        assert answer.status_code == 400

    def test_it_tells_counts_and_no_content(self) -> None:
        report = ReplayReport(
            outcomes=Counter({"archived": 3, "duplicate": 2, "conflict": 1}),
            still_dead=Counter({"not-genuine": 4}),
            unreadable=5,
        )
        answer = functions_http.replay(request(), lambda _: report)

        assert answer.status_code == 200
        assert json.loads(answer.get_body()) == {
            "archived": 3,
            "duplicates": 2,
            "conflicts": 1,
            "stillDead": {"not-genuine": 4},
            "unreadable": 5,
            "postponed": None,
            "complete": True,
        }

    def test_a_run_that_was_cut_short_asks_to_call_again(self) -> None:
        report = ReplayReport(
            outcomes=Counter({"archived": 1}), postponed=str(KeyVaultUnavailable("away")), complete=False
        )
        answer = functions_http.replay(request(), lambda _: report)
        document = json.loads(answer.get_body())

        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert (document["archived"], document["postponed"], document["complete"]) == (1, "away", False)
