"""The Doorbell port on real Azurite."""

import base64
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from azure.storage.queue import QueueClient, QueueMessage

from local.azurite import Azurite
from local.free_ports import free_ports
from shared.adapters.storage_queue import RINGERS, StorageQueue, open_queue
from shared.core.errors import GraphUnavailable, StorageUnavailable


def test_a_ring_is_a_base64_message_that_never_expires(azurite: Azurite) -> None:
    name = f"q{uuid.uuid4().hex}"
    queue = open_queue(name, connection_string=azurite.connection_string, service_uri=None, credential=None)
    assert queue.depth() == 0
    queue.ring("notifications/2026/01/31/08/x.json")
    assert queue.depth() == 1
    with QueueClient.from_connection_string(azurite.connection_string, name) as client:
        message = next(iter(client.receive_messages()))
    # host.json's messageEncoding is base64: this is what the host expects to read.
    assert base64.b64decode(message.content) == b"notifications/2026/01/31/08/x.json"
    assert message.expires_on is not None
    assert message.expires_on.year == 9999


def test_a_queue_that_refuses_is_unavailable() -> None:
    (port,) = free_ports(1)
    connection = f"AccountName=a;AccountKey=a2V5;QueueEndpoint=http://127.0.0.1:{port}/a"
    queue = open_queue("q", connection_string=connection, service_uri=None, credential=None)
    with pytest.raises(StorageUnavailable, match="queue q did not answer"):
        queue.ring("n")


def seen(azurite: Azurite, name: str) -> list[str]:
    with QueueClient.from_connection_string(azurite.connection_string, name) as client:
        return [base64.b64decode(each.content).decode() for each in client.receive_messages(messages_per_page=32)]


@pytest.fixture
def name() -> str:
    return f"q{uuid.uuid4().hex}"


@pytest.fixture
def queue(azurite: Azurite, name: str) -> StorageQueue:
    return open_queue(name, connection_string=azurite.connection_string, service_uri=None, credential=None)


def test_a_ring_for_later_is_on_the_queue_and_nobody_sees_it(azurite: Azurite, name: str, queue: StorageQueue) -> None:
    queue.ring("later", timedelta(hours=1))
    queue.ring("now")

    assert queue.depth() == 2
    assert seen(azurite, name) == ["now"]


@pytest.mark.parametrize(
    ("after", "hidden"),
    [
        (timedelta(0), 0),
        (timedelta(seconds=-5), 0),
        (timedelta(milliseconds=1), 1),
        (timedelta(seconds=90, milliseconds=1), 91),
        (timedelta(days=7), 604_800),
        (timedelta(days=70), 604_800),
    ],
)
def test_nothing_is_seen_before_its_time_and_nothing_waits_longer_than_storage_can(
    queue: StorageQueue, monkeypatch: pytest.MonkeyPatch, after: timedelta, hidden: int
) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    sent: list[QueueMessage] = []
    send = queue._client.send_message

    def noted(content: str, *, visibility_timeout: int, time_to_live: int) -> QueueMessage:
        sent.append(send(content, visibility_timeout=visibility_timeout, time_to_live=time_to_live))
        return sent[-1]

    # What storage answers tells when the message is seen.
    monkeypatch.setattr(queue._client, "send_message", noted)
    queue.ring("x", after)

    assert sent[0].next_visible_on is not None
    waits = sent[0].next_visible_on - before
    assert timedelta(seconds=hidden) <= waits <= timedelta(seconds=hidden + 60)


def test_many_are_rung_once_each(azurite: Azurite, name: str, queue: StorageQueue) -> None:
    wanted = {f"window {number}" for number in range(200)}
    queue.ring_all(iter(wanted))

    found: list[str] = []
    while more := seen(azurite, name):
        found += more
    assert sorted(found) == sorted(wanted)


def test_none_at_all_are_no_trouble(queue: StorageQueue) -> None:
    queue.ring_all([])

    assert queue.depth() == 0


def test_many_for_a_queue_that_refuses_end_soon() -> None:
    (port,) = free_ports(1)
    connection = f"AccountName=a;AccountKey=a2V5;QueueEndpoint=http://127.0.0.1:{port}/a"
    queue = open_queue("q", connection_string=connection, service_uri=None, credential=None)
    asked: list[int] = []

    def names() -> Iterator[str]:
        for number in range(100_000):
            asked.append(number)
            yield str(number)

    with pytest.raises(StorageUnavailable, match="queue q did not answer"):
        queue.ring_all(names())
    # Whoever was at it when the first one failed, and no others.
    assert len(asked) <= 2 * RINGERS


def test_one_that_storage_refuses_leaves_the_others_on_the_queue(queue: StorageQueue) -> None:
    names = [*map(str, range(20)), "x" * 100_000]
    with pytest.raises(StorageUnavailable):
        queue.ring_all(names)

    assert queue.depth() == 20


def test_what_breaks_the_list_breaks_the_ringing(queue: StorageQueue) -> None:
    def names() -> Iterator[str]:
        yield "one"
        raise GraphUnavailable("the list of users broke off")

    with pytest.raises(GraphUnavailable, match="broke off"):
        queue.ring_all(names())
