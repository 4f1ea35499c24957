import asyncio
import gc
import json
import time
from dataclasses import replace

import pytest

from shared.core.errors import (
    BodyTooLarge,
    CompressedBody,
    MalformedRequest,
    NotOurs,
    Overloaded,
    RequestRefused,
    StorageUnavailable,
)
from shared.core.inbox_name import is_inbox_name
from shared.core.webhook import LIGHT_VALUES, Handshake, Kept, WebhookRequest, check_items, is_heavy
from shared.flows.receive import Receiving
from tests.fakes import NOW, Crash, MemoryContainer, MemoryInbox, World
from tests.graph_posts import CLIENT_STATE, PREVIOUS_CLIENT_STATE, interaction, notification, post

BODY = post(notification(interaction()))


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


def heavy(*items: object) -> WebhookRequest:
    return request(json.dumps({"value": [*items, {"a": [0] * LIGHT_VALUES}]}).encode())


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow this machine is, everybody gets his turn, where a test does not say otherwise."""
    monkeypatch.setattr("shared.flows.receive.PATIENCE", 60.0)


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Whose items were looked at, in order: each look takes a while and holds up the event loop."""
    names: list[str] = []

    def look(body: bytes, *, client_states: tuple[str, ...]) -> None:
        names.append("heavy" if is_heavy(body) else "light")
        time.sleep(0.02)
        check_items(body, client_states=client_states)

    monkeypatch.setattr("shared.flows.receive.check_items", look)
    return names


async def test_light_posts_do_not_wait_for_all_the_heavy_ones(receiving: Receiving, looked: list[str]) -> None:
    flood = [asyncio.create_task(receiving.receive("notifications", heavy({}))) for _ in range(4)]
    assert isinstance(await receiving.receive("notifications", request()), Kept)

    assert looked.count("heavy") <= 1
    refusals = await asyncio.gather(*flood, return_exceptions=True)
    assert [type(refusal) for refusal in refusals] == [NotOurs] * 4
    assert looked.count("heavy") == 4


async def test_a_light_post_goes_between_the_halves_of_a_look(receiving: Receiving, looked: list[str]) -> None:
    posts = (heavy({"clientState": CLIENT_STATE}), request())
    await asyncio.gather(*(receiving.receive("notifications", post) for post in posts))

    assert looked == ["light", "heavy"]


async def test_heavy_posts_of_ours_are_kept_in_turn(receiving: Receiving, inbox: MemoryContainer) -> None:
    posts = [heavy({"clientState": CLIENT_STATE}) for _ in range(3)]
    kept = await asyncio.gather(*(receiving.receive("notifications", post) for post in posts))

    assert {each.name for each in kept if isinstance(each, Kept)} == set(inbox.blobs)
    assert len(inbox.blobs) == 3


async def test_whoever_gives_up_waiting_lets_the_next_one_in(receiving: Receiving, looked: list[str]) -> None:
    first, second, third = (asyncio.create_task(receiving.receive("notifications", heavy({}))) for _ in range(3))
    await asyncio.sleep(0)
    second.cancel()
    results = await asyncio.gather(first, second, third, return_exceptions=True)

    assert [type(result) for result in results] == [NotOurs, asyncio.CancelledError, NotOurs]
    assert looked == ["heavy"] * 2


async def test_whoever_would_wait_for_long_is_asked_to_come_again(
    receiving: Receiving, looked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.flows.receive.PATIENCE", 0.05)
    flood = [receiving.receive("notifications", heavy({})) for _ in range(5)]
    results = await asyncio.gather(*flood, return_exceptions=True)

    assert [type(result) for result in results] == [NotOurs] + [Overloaded] * 4
    assert looked == ["heavy"]
    await asyncio.sleep(0.4)
    with pytest.raises(NotOurs):
        await receiving.receive("notifications", heavy({}))


async def test_what_needs_no_look_waits_for_nobody(receiving: Receiving, looked: list[str]) -> None:
    async with receiving.turns.turn():
        with pytest.raises(BodyTooLarge):
            await receiving.receive("notifications", request(b"," * (1 << 21)))
        with pytest.raises(CompressedBody):
            await receiving.receive("notifications", replace(heavy({}), content_encoding="gzip"))
    assert looked == []


@pytest.mark.parametrize("collects", [True, False])
async def test_the_garbage_collector_is_left_as_it_was(
    receiving: Receiving, monkeypatch: pytest.MonkeyPatch, collects: bool
) -> None:
    collecting: list[bool] = []
    monkeypatch.setattr("shared.flows.receive.check_items", lambda *_, **__: collecting.append(gc.isenabled()))
    (gc.enable if collects else gc.disable)()
    try:
        await receiving.receive("notifications", request())
        collecting.append(gc.isenabled())
    finally:
        gc.enable()
    assert collecting == [False, collects]
