"""Writes what a function put on its queue outputs, after it returned and before anybody is answered."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.queue.aio import QueueClient

from local.functions_host.descriptors import QueueBinding
from local.functions_host.host_json import Encoding
from local.functions_host.queue_connection import QueueConnections
from local.functions_host.queue_messages import encode

LIMIT_SECONDS = 3.0


class QueueOutputs:
    """Encodes and enqueues; `on_written(queue)` is told each time, so that a listener here need not wait."""

    def __init__(self, connections: QueueConnections, encoding: Encoding, on_written: Callable[[str], None]) -> None:
        self._connections = connections
        self._encoding = encoding
        self._on_written = on_written

    async def write(self, bindings: Mapping[str, QueueBinding], messages: Mapping[str, Sequence[bytes]]) -> None:
        """Enqueue every message; raises what storage raises, or `TimeoutError` after `LIMIT_SECONDS` for each."""
        for parameter, bodies in messages.items():
            binding = bindings[parameter]
            client = self._connections.for_output(binding.connection, binding.queue)
            for body in bodies:
                async with asyncio.timeout(LIMIT_SECONDS):
                    await send(client, encode(body, self._encoding))
            self._on_written(binding.queue)


async def send(client: QueueClient, text: str) -> None:
    """Enqueue a text; a queue that is not there is made, as the host does."""
    try:
        await client.send_message(text)
    except ResourceNotFoundError:
        await create(client)
        await client.send_message(text)


async def create(client: QueueClient) -> None:
    """Make the queue; one that is there is fine."""
    try:
        await client.create_queue(retry_total=0)
    except ResourceExistsError:
        return
