"""Polls one queue for one function, as the host's queue listener does.

Batches: https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue-trigger#concurrency
Polling: https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue-trigger#polling-algorithm
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from azure.core.exceptions import AzureError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

from local.functions_host.host_json import QueueOptions
from local.functions_host.queue_delivery import Deliveries
from local.functions_host.queue_output import create

_LOG = logging.getLogger(__name__)
FIRST_WAIT = 0.1


class QueueListener:
    """Keeps up to `batch_size + new_batch_threshold` messages running; a new batch is fetched at the threshold."""

    def __init__(self, client: QueueClient, deliveries: Deliveries, options: QueueOptions, lease: int) -> None:
        self._client = client
        self._deliveries = deliveries
        self._options = options
        self._lease = lease
        self._wait = FIRST_WAIT
        self._down = False
        self._stopping = False
        self._ring = asyncio.Event()
        self._tried = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()

    @property
    def queue(self) -> str:
        """The queue's name."""
        return str(self._client.queue_name)

    async def tried(self) -> None:
        """Return once the queue is there, or storage turned out to be out of reach."""
        await self._tried.wait()

    def wake(self) -> None:
        """Poll now: this host has just put something on the queue."""
        self._ring.set()

    def stop(self) -> None:
        """Fetch nothing more; what runs goes on, and `run` returns once the last poll is answered."""
        self._stopping = True
        self._ring.set()

    async def run(self) -> None:
        """Poll until `stop`, then wait for the deliveries under way. Storage being down is waited out."""
        created = False
        while not self._stopping:
            if not created:
                created = await self._patiently(lambda: create(self._client))
            elif len(self._running) > self._options.new_batch_threshold:
                await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            else:
                created = await self._patiently(self._fetch)
        if self._running:
            await asyncio.wait(self._running)

    async def _fetch(self) -> None:
        self._ring.clear()
        messages = await self._receive()
        for message in messages:
            # A message that came after `stop` was asked for is given back rather than kept invisible.
            work = self._deliveries.release(message, 0) if self._stopping else self._deliveries.handle(message)
            task = asyncio.create_task(work)
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        if messages:
            self._wait = FIRST_WAIT
        else:
            await self._pause()

    async def _receive(self) -> list[QueueMessage]:
        size = self._options.batch_size
        pages = self._client.receive_messages(
            messages_per_page=size, max_messages=size, visibility_timeout=self._lease, retry_total=0
        ).by_page()
        # One page is one call; asking for the next would be a second poll.
        async for page in pages:
            return [message async for message in page]
        return []

    async def _patiently(self, attempt: Callable[[], Awaitable[None]]) -> bool:
        """Whether the attempt worked; if storage is down, say so once and wait."""
        try:
            await attempt()
            self._tried.set()
        except AzureError as error:
            self._tried.set()
            if not self._down:
                _LOG.warning("queue %s is out of reach, polling on: %s", self.queue, _first_line(error))
            self._down = True
            await self._pause()
            return False
        if self._down:
            _LOG.info("queue %s is back", self.queue)
        self._down = False
        return True

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._wait):
                await self._ring.wait()
        except TimeoutError:
            self._wait = min(self._wait * 2, self._options.max_polling_interval)
        else:
            self._wait = FIRST_WAIT


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
