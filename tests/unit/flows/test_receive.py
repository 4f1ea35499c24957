import json

import pytest

from shared.core.errors import (
    BodyTooLarge,
    CompressedBody,
    MalformedRequest,
    NotOurs,
    RequestRefused,
    StorageUnavailable,
)
from shared.core.inbox_name import is_inbox_name
from shared.core.webhook import Handshake, Kept, WebhookRequest
from shared.flows.receive import Receiving
from tests.fakes import NOW, Crash, MemoryContainer, MemoryInbox, World
from tests.graph_posts import CLIENT_STATE, PREVIOUS_CLIENT_STATE, interaction, notification, post

BODY = post(notification(interaction()))


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def inbox(world: World) -> MemoryContainer:
    return MemoryContainer("inbox", world)


@pytest.fixture
def receiving(world: World, inbox: MemoryContainer) -> Receiving:
    return Receiving(
        inbox=MemoryInbox(inbox, world),
        client_states=(CLIENT_STATE, PREVIOUS_CLIENT_STATE),
        max_body_bytes=1 << 20,
        clock=world.clock,
    )


def request(body: bytes = BODY, *, token: str | None = None, encoding: str | None = None) -> WebhookRequest:
    return WebhookRequest(validation_token=token, content_encoding=encoding, body=body)


@pytest.mark.parametrize("queue", ["notifications", "lifecycle"])
async def test_a_post_is_durable_byte_for_byte_before_it_is_promised(
    receiving: Receiving, inbox: MemoryContainer, queue: str
) -> None:
    body = BODY + b" \r\n"
    taken = await receiving.receive(queue, request(body))

    assert isinstance(taken, Kept)
    assert is_inbox_name(taken.name)
    assert taken.name.startswith(f"{queue}/2026/01/05/09/")
    assert inbox.blobs[taken.name].content == body
    assert inbox.blobs[taken.name].received_at == NOW


async def test_a_post_sent_twice_is_kept_twice(receiving: Receiving, inbox: MemoryContainer) -> None:
    names = {str(await receiving.receive("notifications", request())) for _ in range(2)}

    assert len(names) == len(inbox.blobs) == 2


@pytest.mark.parametrize("body", [b"", BODY, b"\xff", b"x" * (2 << 20)])
async def test_a_handshake_stores_nothing_whatever_its_body(world: World, receiving: Receiving, body: bytes) -> None:
    assert await receiving.receive("lifecycle", request(body, token="a b:c")) == Handshake("a b:c")
    assert world.calls == []


@pytest.mark.parametrize(
    ("refused", "error"),
    [
        (request(b"{}"), MalformedRequest),
        (request(json.dumps({"value": [{"clientState": "theirs"}]}).encode()), NotOurs),
        (request(b" " * (1 << 20) + BODY), BodyTooLarge),
        (request(encoding="gzip"), CompressedBody),
        (request(token="x" * 5000), MalformedRequest),
    ],
)
async def test_what_is_refused_costs_storage_nothing(
    world: World, receiving: Receiving, refused: WebhookRequest, error: type[RequestRefused]
) -> None:
    with pytest.raises(error):
        await receiving.receive("notifications", refused)
    assert world.calls == []


@pytest.mark.parametrize("after", [False, True])
async def test_without_storages_word_nothing_is_promised(world: World, receiving: Receiving, after: bool) -> None:
    world.fail("inbox.create", after=after)
    with pytest.raises(StorageUnavailable):
        await receiving.receive("notifications", request())


async def test_a_crash_after_the_write_keeps_the_post(
    world: World, receiving: Receiving, inbox: MemoryContainer
) -> None:
    world.fail("inbox.create", Crash(), after=True)
    with pytest.raises(Crash):
        await receiving.receive("notifications", request())
    assert len(inbox.blobs) == 1
