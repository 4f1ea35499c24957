"""What the two webhooks take and what they refuse, decided from the request alone.

Rules: https://learn.microsoft.com/graph/change-notifications-delivery-webhooks. Answers: docs/decisions/0003.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from shared.core import strict_json
from shared.core.errors import BodyTooLarge, CompressedBody, MalformedRequest, NotOurs

MAX_VALIDATION_TOKEN_BYTES = 4096
MAX_ITEMS = 1000
MAX_NESTING = 32
# What a look costs the posts that wait behind is bounded by counts of what makes it dear (benchmarks/flood.py). A
# thousand rich notifications have 13,000 to 17,000 commas, 3,000 brackets and some 25 different names in all.
MAX_VALUES = 18_000
MAX_CONTAINERS = 10_000
MAX_NAMES = 1_000
# Of the bytes that a body may have one in so many may be a backslash. Base64 has one in 35 where a serializer escapes
# its plus, slash and equals signs.
BYTES_TO_AN_ESCAPE = 25
# What is heavier takes its turn: a look at it takes some milliseconds. 150 rich notifications are lighter.
LIGHT_BYTES = 1 << 20
LIGHT_VALUES = 5_000


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """A post to a webhook. ``validation_token`` is the query parameter, decoded once, None where it is absent."""

    validation_token: str | None
    content_encoding: str | None
    body: bytes


@dataclass(frozen=True, slots=True)
class Handshake:
    """Graph probed the URL and gets ``token`` back."""

    token: str


@dataclass(frozen=True, slots=True)
class Kept:
    """The post is durable in the inbox under ``name``, which goes on the queue."""

    name: str


def handshake(request: WebhookRequest) -> Handshake | None:
    """What to answer when Graph probes the URL, None when the request is no handshake.

    Raises MalformedRequest for a token over 4 KB: Graph's are some hundred bytes, and this is an anonymous echo.
    https://learn.microsoft.com/graph/change-notifications-delivery-webhooks#notificationurl-validation
    """
    token = request.validation_token
    if token is not None and len(token.encode("utf-8", "surrogatepass")) > MAX_VALIDATION_TOKEN_BYTES:
        raise MalformedRequest(f"a validationToken of more than {MAX_VALIDATION_TOKEN_BYTES} bytes")
    return None if token is None else Handshake(token)


def check_size(request: WebhookRequest, *, max_body_bytes: int) -> None:
    """Refuse what needs no parsing to be refused. Raises CompressedBody or BodyTooLarge."""
    if (request.content_encoding or "identity").strip().lower() != "identity":
        raise CompressedBody("a post with a content encoding")
    if len(request.body) > max_body_bytes:
        raise BodyTooLarge(f"a post of {len(request.body)} bytes; MAX_BODY_BYTES is {max_body_bytes}")
    for mark, what, most in ((b",", "values", MAX_VALUES), (b"\\", "escapes", max_body_bytes // BYTES_TO_AN_ESCAPE)):
        if request.body.count(mark) > most:
            raise BodyTooLarge(f"a post of more than {most} {what}")


def is_heavy(body: bytes) -> bool:
    """Whether a look at the items of a body takes so long that others would notice."""
    return len(body) > LIGHT_BYTES or sum(map(body.count, (b",", b"[", b"{"))) > LIGHT_VALUES


def check_crowd(body: bytes) -> None:
    """Refuse what would take too long to be parsed. Raises BodyTooLarge or MalformedRequest."""
    strict_json.refuse_crowds(body, max_nesting=MAX_NESTING, max_containers=MAX_CONTAINERS)


def check_items(body: bytes, *, client_states: Sequence[str]) -> None:
    """Pass a body of which at least one item is ours; ``check_size`` and ``check_crowd`` come first.

    Raises BodyTooLarge, MalformedRequest or NotOurs.
    """
    items = _items(strict_json.parse(body, max_nesting=MAX_NESTING, max_names=MAX_NAMES))
    if not any(carries(item, client_states) for item in items):
        raise NotOurs("no item carries our clientState")


def carries(item: object, client_states: Sequence[str]) -> bool:
    """Whether the item's clientState is one of ours, compared in constant time.

    ``client_states`` holds the current secret and, during a change, the previous one.
    """
    sent = _property(item, "clientState")
    if not isinstance(sent, str):
        return False
    given = sent.encode("utf-8", "surrogatepass")
    # A sum, so that a match with the first secret takes as long as one with the second.
    return sum(hmac.compare_digest(given, state.encode()) for state in client_states) > 0


def _items(post: object) -> list[object]:
    items = _property(post, "value")
    if not isinstance(items, list):
        raise MalformedRequest('the body is not {"value": [...]}')
    if len(items) > MAX_ITEMS:
        raise BodyTooLarge(f"a post of {len(items)} items; {MAX_ITEMS} are allowed")
    return items


def _property(document: object, name: str) -> object:
    if not isinstance(document, dict):
        return None
    if name in document:
        return document[name]
    return next((value for key, value in document.items() if key.lower() == name.lower()), None)
