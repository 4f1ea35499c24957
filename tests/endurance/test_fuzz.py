"""Whatever bytes come from outside, each parser answers, or raises what it says that it raises.

Documents are those that the app or its peers write, with one thing in them exchanged for anything: nearly right is what
finds the checks that are missing. Parsers that have properties of their own beside their unit tests are not repeated.
"""

import copy
import json
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core import checkpoint_json, dead_letter, export_state, export_window, request_budget, watch_json
from shared.core.checkpoint import Checkpoint
from shared.core.errors import CaptureError, GraphUnavailable, MalformedNotification, SigningKeysUnavailable
from shared.core.graph_fault import fault
from shared.core.graph_subscription import parse_subscription
from shared.core.notification import parse_item, parse_lifecycle_item, parse_post
from shared.core.signing_keys import Discovery, parse_discovery, parse_jwks
from shared.core.subscription_watch import Watch
from tests.graph_posts import TENANT, interaction, notification

NOW = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([1e400, -1e400, float("nan"), 10**400, -1, 2**63])
    | st.text(max_size=20)
    | st.sampled_from(
        ["\ud800", "\x00", "9999-12-31T23:59:59.9999999Z", "0001-01-01T00:00:00+14:00", "https://[", "a" * 5000]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
LETTER = dead_letter.DeadLetter("not-genuine", "why", {"id": "1"}, ("token",), NOW, 1, "post", 0)
JWK = {"kty": "RSA", "use": "sig", "kid": "k", "n": "AQAB", "e": "AQAB", "issuer": "https://issuer/{tenantid}"}
DISCOVERY = {"issuer": "https://issuer/{tenantid}/v2.0", "jwks_uri": "https://keys.example/keys"}
SUBSCRIPTION = {
    "id": "1",
    "resource": "chats",
    "changeType": "created",
    "notificationUrl": "https://app.example/api/notifications",
    "expirationDateTime": "2026-01-07T10:30:34.9097561Z",
}
LIFECYCLE = {"subscriptionId": "1", "lifecycleEvent": "missed", "clientState": "s", "tenantId": TENANT}


def _bytes(document: object) -> bytes:
    return json.dumps(document).encode("utf-8", "surrogatepass")


# Each with a document that it takes, how the document reaches it, and what it may raise.
PARSERS: dict[str, tuple[Any, Callable[[Any], object], tuple[type[Exception], ...]]] = {
    "checkpoint": (
        json.loads(checkpoint_json.to_json(Checkpoint("user"))),
        lambda document: checkpoint_json.from_json(_bytes(document)),
        (ValueError,),
    ),
    "dead letter": (
        json.loads(dead_letter.to_json(LETTER)),
        lambda document: dead_letter.from_json(_bytes(document)),
        (MalformedNotification,),
    ),
    "export state": (
        json.loads(export_state.to_json(export_state.ExportState())),
        lambda document: export_state.from_json(_bytes(document)),
        (),
    ),
    "export window": (
        {
            "userId": "8f4c1a52-0f6b-4a83-9d57-31c6d8b0e7aa",
            "from": "2026-01-05T09:30:00Z",
            "to": "2026-01-05T10:30:00Z",
        },
        lambda document: export_window.from_message(json.dumps(document)),
        (MalformedNotification,),
    ),
    "budget": (
        json.loads(request_budget.to_json(request_budget.RequestBudget())),
        lambda document: request_budget.from_json(_bytes(document)),
        (),
    ),
    "watch": (
        json.loads(watch_json.to_json(Watch())),
        lambda document: watch_json.from_json(_bytes(document)),
        (ValueError,),
    ),
    "OpenID configuration": (
        DISCOVERY,
        lambda document: parse_discovery(document, TENANT),
        (SigningKeysUnavailable,),
    ),
    "signing keys": (
        {"keys": [JWK]},
        lambda document: parse_jwks(document, Discovery("https://issuer/", "https://keys.example/keys"), TENANT),
        (SigningKeysUnavailable,),
    ),
    "subscription": (SUBSCRIPTION, parse_subscription, (GraphUnavailable,)),
    "Graph's error": (
        {"error": {"code": "TooManyRequests", "message": "m", "innerError": {"code": "c"}}},
        lambda document: fault(429, document, {"Retry-After": "5"}, "what", NOW),
        (),
    ),
    "post": (
        {"value": [notification(interaction())], "validationTokens": ["token"]},
        lambda document: parse_post(_bytes(document)),
        (MalformedNotification,),
    ),
    "item": (notification(interaction()), parse_item, (CaptureError,)),
    "lifecycle item": (LIFECYCLE, lambda document: parse_lifecycle_item(document, NOW), (CaptureError,)),
}


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=150)
@given(anything=ANYTHING, dice=st.integers(0, 2**32))
def test_a_document_with_anything_in_it_is_answered(name: str, anything: object, dice: int) -> None:
    document, parse, raised = PARSERS[name]
    spoilt = _exchanged(copy.deepcopy(document), anything, random.Random(dice))
    with suppress(*raised):
        parse(spoilt)


@pytest.mark.parametrize("name", ["checkpoint", "dead letter", "export state", "budget", "watch", "post"])
@given(
    content=st.binary(max_size=200) | st.sampled_from([b"[", b'{"a":', b"1"]), times=st.sampled_from([1, 5000, 100_000])
)
def test_bytes_that_are_no_document_are_answered(name: str, content: bytes, times: int) -> None:
    parse: Callable[[bytes], object] = {
        "checkpoint": checkpoint_json.from_json,
        "dead letter": dead_letter.from_json,
        "export state": export_state.from_json,
        "budget": request_budget.from_json,
        "watch": watch_json.from_json,
        "post": parse_post,
    }[name]
    with suppress(*PARSERS[name][2]):
        # Few bytes many times: lists in lists, objects in objects, a number without end.
        parse(content if len(content) > 5 else content * times)


def test_a_dead_letter_with_numbers_beyond_integers_is_none_of_ours() -> None:
    # Taken for a crash, it would end every replay at this letter.
    document = {**json.loads(dead_letter.to_json(LETTER)), "attempts": float("inf")}
    with pytest.raises(MalformedNotification):
        dead_letter.from_json(_bytes(document))


def test_a_watch_that_is_nested_too_deep_is_none_of_ours() -> None:
    with pytest.raises(ValueError, match="none of ours"):
        watch_json.from_json(b"[" * 100_000)


def _exchanged(document: Any, anything: object, dice: random.Random) -> Any:  # noqa: ANN401 - JSON
    """The document with one node of it, or all of it, exchanged."""
    if isinstance(document, dict) and document and dice.random() < 0.9:
        name = dice.choice(sorted(document))
        return {**document, name: _exchanged(document[name], anything, dice)}
    if isinstance(document, list) and document and dice.random() < 0.9:
        place = dice.randrange(len(document))
        return [*document[:place], _exchanged(document[place], anything, dice), *document[place + 1 :]]
    return anything
