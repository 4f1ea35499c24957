"""The InboxWriter port on real Azurite, and on storage that hangs or refuses."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import pytest

from local.azurite import Azurite
from local.free_ports import free_ports
from shared.adapters.blob_container import open_container
from shared.adapters.blob_inbox import INBOX, PATIENCE_SECONDS, BlobInbox, open_inbox
from shared.core.errors import StorageUnavailable
from tests.refusing_storage import refusing_storage

RECEIVED = datetime(2026, 1, 31, 8, 30, 0, 123456, tzinfo=UTC)
# The contract's two seconds, of which the rest of the answer needs little.
ALLOWED_SECONDS = 2.0


@asynccontextmanager
async def inbox(connection_string: str) -> AsyncIterator[BlobInbox]:
    writer = open_inbox(connection_string=connection_string, service_uri=None, client_id=None, ca_bundle=None)
    try:
        yield writer
    finally:
        await writer.close()


def at(port: int) -> str:
    return f"AccountName=a;AccountKey=a2V5;BlobEndpoint=http://127.0.0.1:{port}/a"


@asynccontextmanager
async def hanging_storage() -> AsyncIterator[str]:
    over = asyncio.Event()
    hanging = set()

    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hanging.add(asyncio.current_task())
        await over.wait()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
        yield at(server.sockets[0].getsockname()[1])
        over.set()
        await asyncio.gather(*(task for task in hanging if task))


async def test_a_post_is_durable_with_its_time_of_receipt(azurite: Azurite) -> None:
    name = "notifications/2026/01/31/08/6f2f6f0e-5d0c-4f0b-9a55-000000000001.json"
    async with inbox(azurite.connection_string) as writer:
        await writer.check()
        await writer.keep(name, b'{"value": []}', RECEIVED)
        await writer.keep(name, b'{"value": []}', RECEIVED)  # its own write, whose answer was lost
    reader = open_container(INBOX, connection_string=azurite.connection_string, service_uri=None, credential=None)
    blob = reader.read(name)
    assert blob is not None
    assert blob.content == b'{"value": []}'
    assert blob.received_at == RECEIVED
    reader.delete(name)


async def test_storage_that_hangs_is_unavailable_within_two_seconds() -> None:
    async with hanging_storage() as connection_string, inbox(connection_string) as writer:
        begun = time.monotonic()
        with pytest.raises(StorageUnavailable, match="the inbox could not be reached"):
            await writer.keep("n", b"", RECEIVED)
        assert PATIENCE_SECONDS * 0.9 < time.monotonic() - begun < ALLOWED_SECONDS


async def test_fifty_posts_to_hanging_storage_give_up_together() -> None:
    async with hanging_storage() as connection_string, inbox(connection_string) as writer:
        begun = time.monotonic()
        results = await asyncio.gather(
            *(writer.keep(f"n{number}", b"", RECEIVED) for number in range(50)), return_exceptions=True
        )
        assert all(isinstance(result, StorageUnavailable) for result in results)
        # One after the other they would take more than a minute.
        assert time.monotonic() - begun < 2 * ALLOWED_SECONDS


async def test_storage_that_refuses_is_unavailable() -> None:
    (port,) = free_ports(1)
    async with inbox(at(port)) as writer:
        with pytest.raises(StorageUnavailable):
            await writer.keep("n", b"", RECEIVED)
        with pytest.raises(StorageUnavailable):
            await writer.check()


@pytest.mark.parametrize(
    ("status", "code"),
    [(409, "ContainerBeingDeleted"), (409, "ContainerDisabled"), (409, ""), (412, "ConditionNotMet"), (412, "")],
)
async def test_a_conflict_that_is_not_the_blobs_own_is_no_success(status: int, code: str) -> None:
    # The container is being deleted, say: for half a minute everything is a conflict, and nothing is written.
    with refusing_storage(status, code) as connection_string:
        async with inbox(connection_string) as writer:
            with pytest.raises(StorageUnavailable):
                await writer.keep("n", b"", RECEIVED)
