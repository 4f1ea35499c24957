import base64
import hashlib
import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.core.errors import BodyTooLarge, CompressedBody, MalformedRequest, NotOurs, RequestRefused
from shared.core.webhook import (
    LIGHT_BYTES,
    LIGHT_VALUES,
    MAX_CONTAINERS,
    MAX_ITEMS,
    MAX_NAMES,
    Handshake,
    WebhookRequest,
    carries,
    check_crowd,
    check_items,
    check_size,
    handshake,
    is_heavy,
)
from tests.graph_posts import CLIENT_STATE, PREVIOUS_CLIENT_STATE, payload

STATES = (CLIENT_STATE, PREVIOUS_CLIENT_STATE)
OURS = {"clientState": CLIENT_STATE}


def request(body: bytes, *, token: str | None = None, encoding: str | None = None) -> WebhookRequest:
    return WebhookRequest(validation_token=token, content_encoding=encoding, body=body)


def check(body: bytes, *, encoding: str | None = None, max_body_bytes: int = 1 << 22) -> None:
    check_size(request(body, encoding=encoding), max_body_bytes=max_body_bytes)
    check_crowd(body)
    check_items(body, client_states=STATES)


def posted(*items: object, **more: object) -> bytes:
    return json.dumps({"value": items, **more}).encode()


@pytest.mark.parametrize(
    "token",
    [
        "Validation: Testing client application reachability for subscription Request-Id: 3a1c",
        "",
        "<script>alert(1)</script>",
        "a+b%20c",
        "ü" * 2048,
        "x" * 4096,
    ],
)
def test_a_probe_gets_its_token_back_as_it_is(token: str) -> None:
    assert handshake(request(b"anything", token=token)) == Handshake(token)


def test_without_a_token_there_is_no_handshake() -> None:
    assert handshake(request(b"")) is None


@pytest.mark.parametrize("token", ["x" * 4097, "ü" * 2049, "\ud800" * 1366])
def test_an_echo_is_capped(token: str) -> None:
    with pytest.raises(MalformedRequest):
        handshake(request(b"", token=token))


@pytest.mark.parametrize("state", STATES)
def test_the_current_and_the_previous_secret_pass(state: str) -> None:
    check(posted({"clientState": state}))


@pytest.mark.parametrize(
    "name", ["changeNotificationCollection.deleted", "lifecycleNotification.reauthorizationRequired"]
)
def test_posts_of_both_webhooks_pass(name: str) -> None:
    check(json.dumps(payload(name)).encode())


def test_names_are_read_in_any_case() -> None:
    check(json.dumps({"VALUE": [payload("changeNotification.variants")], "ValidationTokens": None}).encode())


def test_one_of_ours_brings_its_neighbours_in() -> None:
    check(posted({"clientState": "theirs"}, None, [], OURS))


@pytest.mark.parametrize(
    "items",
    [
        [],
        [{}],
        [None, 1, "x", []],
        [{"clientState": None}],
        [{"clientState": ""}],
        [{"clientState": CLIENT_STATE.upper()}],
        [{"clientState": CLIENT_STATE + " "}],
        [{"clientState": f"{CLIENT_STATE},{PREVIOUS_CLIENT_STATE}"}],
        [{"clientState": [CLIENT_STATE]}],
        [{"clientState": 5}],
        [{"clientState": "\ud800"}],
        [{"resourceData": {"clientState": CLIENT_STATE}}],
        [[OURS]],
    ],
)
def test_a_post_without_our_client_state_is_not_ours(items: list[Any]) -> None:
    with pytest.raises(NotOurs):
        check(posted(*items))


def test_client_state_beside_the_items_does_not_count() -> None:
    with pytest.raises(NotOurs):
        check(posted({}, clientState=CLIENT_STATE))


def test_without_secrets_nothing_is_ours() -> None:
    assert not carries({"clientState": ""}, ())
    assert not carries({}, ())


@given(st.text(st.characters(exclude_categories=())))
def test_no_other_text_is_our_secret(state: str) -> None:
    assert carries({"clientState": state}, STATES) == (state in STATES)


def test_every_secret_is_compared_whichever_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []

    def compare(given: bytes, ours: bytes) -> bool:
        compared.append(ours)
        return given == ours

    monkeypatch.setattr("hmac.compare_digest", compare)

    assert carries(OURS, STATES)
    assert compared == [state.encode() for state in STATES]


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"5", b'"value"', b"{}", b'{"value": null}', b'{"value": {}}', b'{"values": []}', b"\xff"],
)
def test_what_is_no_list_of_items_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedRequest):
        check(body)


def test_two_lists_of_items_are_malformed() -> None:
    with pytest.raises(MalformedRequest):
        check(b'{"value": [{"clientState": "current-secret"}], "Value": []}')


@pytest.mark.parametrize("levels", [30, 31])
def test_items_nest_to_a_bound(levels: int) -> None:
    deep: object = "x"
    for _ in range(levels - 1):
        deep = [deep]
    body = posted(OURS, deep)  # the body and its list are two levels themselves

    if levels == 31:
        with pytest.raises(MalformedRequest):
            check(body.replace(b'"x"', b'["x"]'))
    else:
        check(body)


def test_a_number_is_no_client_state() -> None:
    with pytest.raises(NotOurs):
        check_items(b'{"value": [{"clientState": 5}, {"clientState": 0}]}', client_states=("5", "0"))


def test_a_body_has_a_size() -> None:
    body = posted(OURS)

    check(body, max_body_bytes=len(body))
    with pytest.raises(BodyTooLarge):
        check(body, max_body_bytes=len(body) - 1)


def test_a_post_has_at_most_a_thousand_items() -> None:
    check(posted(*[OURS] * MAX_ITEMS))
    with pytest.raises(BodyTooLarge):
        check(posted(*[OURS] * (MAX_ITEMS + 1)))


@pytest.mark.parametrize("member", [b"0" + b",0" * 200_000, b'"' + b"\\n" * 2_000_000 + b'"'])
def test_a_body_of_countless_values_or_escapes_is_refused_before_it_is_parsed(
    monkeypatch: pytest.MonkeyPatch, member: bytes
) -> None:
    monkeypatch.setattr("shared.core.strict_json.parse", lambda *_, **__: pytest.fail("parsed"))
    with pytest.raises(BodyTooLarge):
        check(b'{"value": [' + member + b"]}")


def test_a_body_of_countless_names_is_refused() -> None:
    with pytest.raises(BodyTooLarge, match="names"):
        check(posted(OURS, {f"name {number}": 0 for number in range(MAX_NAMES)}))


def test_a_thousand_notifications_with_all_that_graph_may_say_pass() -> None:
    names = (
        "id subscriptionId subscriptionExpirationDateTime changeType resource tenantId lifecycleEvent organizationId"
    )
    fullest = {
        **dict.fromkeys(names.split(), "x"),
        "clientState": CLIENT_STATE,
        "resourceData": dict.fromkeys(("@odata.type", "@odata.id", "@odata.etag", "id"), "x"),
        "encryptedContent": dict.fromkeys(("data", "dataSignature", "dataKey", "an id", "a thumbprint"), "x" * 800),
    }
    body = posted(*[fullest] * MAX_ITEMS)

    check(body, max_body_bytes=len(body))


def test_base64_that_is_escaped_with_care_passes() -> None:
    content = base64.b64encode(hashlib.shake_128(b"").digest(3_000_000))
    escaped = content.replace(b"+", b"\\u002B").replace(b"/", b"\\/").replace(b"=", b"\\u003D")
    body = posted(OURS, {"data": "here"}).replace(b"here", escaped)

    assert escaped.count(b"\\") > 100_000
    check(body, max_body_bytes=len(body))


@pytest.mark.parametrize("level", [b"[", b'{"a":'])
def test_depth_is_malformed_however_much_there_is_of_it(level: bytes) -> None:
    for times in (33, 100_000, 700_000):
        with pytest.raises(MalformedRequest):
            check(level * times)


def test_countless_values_need_no_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("json.loads", lambda *_, **__: pytest.fail("parsed"))
    with pytest.raises(BodyTooLarge):
        check(b'{"value": [' + (b"[" * 30 + b"]" * 30 + b",") * 60_000 + b"0]}")


@pytest.mark.parametrize(
    "body",
    [
        posted(*[payload("changeNotification.variants")] * 150),
        posted(OURS, {"data": "A" * 900_000}),
        posted(*[OURS] * MAX_ITEMS),
        b"",
    ],
)
def test_what_graph_sends_is_light(body: bytes) -> None:
    assert not is_heavy(body)


@pytest.mark.parametrize("body", [b"," * (LIGHT_VALUES + 1), b"[{" * LIGHT_VALUES, b"x" * (LIGHT_BYTES + 1)])
def test_what_takes_long_to_look_at_is_heavy(body: bytes) -> None:
    assert is_heavy(body)


class Pairs(list[tuple[str, Any]]):
    """An object as it is written."""

    def get(self, name: str) -> object:
        return next((value for each, value in self if each.lower() == name.lower()), None)


def answer(body: bytes) -> int:
    """What the contract says, in the order of its table, from a parser that keeps everything."""

    def refuse(constant: str) -> object:
        raise ValueError(constant)

    def is_sound(value: object, levels: int) -> bool:
        if not isinstance(value, list):
            return True
        names = [name.lower() for name, _ in value] if isinstance(value, Pairs) else []
        members = [member for _, member in value] if isinstance(value, Pairs) else value
        return levels > 0 and len(set(names)) == len(names) and all(is_sound(each, levels - 1) for each in members)

    try:
        post = json.loads(body.decode(), object_pairs_hook=Pairs, parse_constant=refuse)
    except (ValueError, RecursionError):
        return 400
    items = post.get("value") if isinstance(post, Pairs) else None
    if not isinstance(items, list) or isinstance(items, Pairs) or not is_sound(post, 32):
        return 400
    if len(items) > 1000:
        return 413
    return 202 if any(isinstance(item, Pairs) and item.get("clientState") in STATES for item in items) else 403


TEXTS = st.sampled_from([f'"{CLIENT_STATE}"', f'"{PREVIOUS_CLIENT_STATE}"', '"theirs"', '"\\u0063"', r'"\"]},"', "5"])
NAMES = st.sampled_from(['"value"', '"VALUE"', '"clientState"', '"CLIENTSTATE"', '"client\\u0053tate"', '"a"', '"[{"'])
VALUES = st.recursive(
    TEXTS | st.integers(28, 32).map(lambda levels: "[" * levels + "]" * levels),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda members: f"[{','.join(members)}]")
        | st.lists(st.tuples(NAMES, inner), max_size=3).map(
            lambda pairs: "{" + ",".join(f"{name}:{value}" for name, value in pairs) + "}"
        )
    ),
    max_leaves=8,
)
ITEMS = st.tuples(NAMES, TEXTS, NAMES, VALUES).map(lambda parts: "{{{}: {}, {}: {}}}".format(*parts)) | VALUES


@given(NAMES, st.lists(ITEMS, max_size=4), st.sampled_from([1, 1, 1, 400]), st.integers(0, 200), st.binary(max_size=1))
def test_the_answer_is_the_contracts(name: str, items: list[str], times: int, place: int, slip: bytes) -> None:
    body = f"{{{name}: [{','.join(items * times)}]}}".encode()
    body = body[:place] + slip + body[place:]
    assume(body.count(b"[") + body.count(b"{") <= MAX_CONTAINERS)

    try:
        check(body)
        given_answer = 202
    except RequestRefused as refused:
        given_answer = refused.status
    assert given_answer == answer(body)


@pytest.mark.parametrize("oversized", [b'{"value": [' + b" " * 5000 + b"]}", b"x" * 5000])
def test_an_oversized_body_is_refused_before_it_is_parsed(monkeypatch: pytest.MonkeyPatch, oversized: bytes) -> None:
    monkeypatch.setattr("shared.core.strict_json.parse", lambda *_, **__: pytest.fail("parsed"))
    with pytest.raises(BodyTooLarge):
        check(oversized, max_body_bytes=4096)


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "identity, gzip", "GZIP", "zstd"])
def test_compressed_bodies_are_refused(encoding: str) -> None:
    with pytest.raises(CompressedBody):
        check(posted(OURS), encoding=encoding)


@pytest.mark.parametrize("encoding", [None, "", "identity", " Identity "])
def test_no_encoding_passes(encoding: str | None) -> None:
    check(posted(OURS), encoding=encoding)


@given(st.binary(max_size=300))
def test_any_bytes_get_one_of_the_refusals(body: bytes) -> None:
    with pytest.raises((MalformedRequest, NotOurs)):
        check(body)
