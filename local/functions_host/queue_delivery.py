"""What happens to one message: run, then delete, release or poison.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue-trigger#poison-messages
While a function runs its message is invisible; a host that dies leaves it so until the lease ends.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

from local.functions_host.engine import Outcome, QueueDelivery
from local.functions_host.host_json import QueueOptions
from local.functions_host.queue_messages import decode
from local.functions_host.queue_output import send

_LOG = logging.getLogger(__name__)
POISON = "-poison"


class Deliveries:
    """Handles the messages of one queue; `run` runs the function, `lease` is seconds of invisibility."""

    def __init__(
        self,
        client: QueueClient,
        poison: QueueClient,
        run: Callable[[QueueDelivery], Awaitable[Outcome]],
        options: QueueOptions,
        lease: int,
    ) -> None:
        self._client = client
        self._poison_client = poison
        self._run = run
        self._options = options
        self._lease = lease

    async def handle(self, message: QueueMessage) -> None:
        """See a message through. Storage failing here is logged: the message comes back when its lease ends."""
        try:
            await self._handle(message)
        except AzureError as error:
            _LOG.warning("%s: message %s could not be settled: %s", self._client.queue_name, message.id, error)

    async def release(self, message: QueueMessage, delay: float) -> None:
        """Make a message visible again after `delay` seconds."""
        try:
            await self._client.update_message(message.id, message.pop_receipt, visibility_timeout=int(delay))
        except ResourceNotFoundError:
            _log_lost(message)

    async def _handle(self, message: QueueMessage) -> None:
        count = message.dequeue_count or 1
        body = self._decode(message)
        if body is None or count > self._options.max_dequeue_count:
            await self._poison(message)
            return
        outcome = await self._run_leased(message, body)
        if outcome.error is None:
            await self._delete(message)
        elif count >= self._options.max_dequeue_count:
            await self._poison(message)
        else:
            await self.release(message, self._options.visibility_timeout)

    def _decode(self, message: QueueMessage) -> bytes | None:
        try:
            return decode(str(message.content), self._options.message_encoding)
        except ValueError:
            encoding = self._options.message_encoding
            _LOG.error("%s: message %s is not %s text", self._client.queue_name, message.id, encoding)
            return None

    async def _run_leased(self, message: QueueMessage, body: bytes) -> Outcome:
        done = asyncio.Event()
        renewal = asyncio.create_task(self._renew(message, done))
        try:
            return await self._run(_delivery(message, body))
        finally:
            # Not cancelled: a renewal cut off half-way would leave us with the wrong pop receipt.
            done.set()
            await renewal

    async def _renew(self, message: QueueMessage, done: asyncio.Event) -> None:
        while not done.is_set():
            try:
                async with asyncio.timeout(self._lease / 2):
                    await done.wait()
            except TimeoutError:
                await self._renew_once(message)

    async def _renew_once(self, message: QueueMessage) -> None:
        try:
            renewed = await self._client.update_message(message.id, message.pop_receipt, visibility_timeout=self._lease)
        except AzureError as error:
            _LOG.warning("%s: message %s was not renewed: %s", self._client.queue_name, message.id, error)
        else:
            message.pop_receipt = renewed.pop_receipt

    async def _delete(self, message: QueueMessage) -> None:
        try:
            await self._client.delete_message(message.id, message.pop_receipt)
        except ResourceNotFoundError:
            _log_lost(message)

    async def _poison(self, message: QueueMessage) -> None:
        # Added before it is deleted: a crash in between leaves two copies, never none.
        await send(self._poison_client, str(message.content))
        await self._delete(message)
        _LOG.error(
            "%s: message %s went to %s after %s tries",
            self._client.queue_name,
            message.id,
            self._poison_client.queue_name,
            message.dequeue_count,
        )


def _log_lost(message: QueueMessage) -> None:
    _LOG.warning("message %s is no longer ours: its lease ended, or it was deleted", message.id)


def _delivery(message: QueueMessage, body: bytes) -> QueueDelivery:
    fields: Any = message
    return QueueDelivery(
        body=body,
        id=fields.id,
        dequeue_count=fields.dequeue_count or 1,
        pop_receipt=fields.pop_receipt or "",
        inserted_on=fields.inserted_on,
        expires_on=fields.expires_on,
        next_visible_on=fields.next_visible_on,
    )
