"""A post of Graph arrives: check it cheaply, make it durable, answer.

Tokens, Key Vault and Graph are not on this path. https://learn.microsoft.com/graph/change-notifications-delivery-webhooks
asks for an answer within three seconds, and drops notifications for good where that fails too often.
"""

import uuid
from dataclasses import dataclass

from shared.core.inbox_name import inbox_name
from shared.core.webhook import Handshake, Kept, WebhookRequest, check_post, handshake
from shared.ports import Clock, InboxWriter


@dataclass(frozen=True, slots=True)
class Receiving:
    """What both webhooks do; only the queue differs."""

    inbox: InboxWriter
    client_states: tuple[str, ...]
    max_body_bytes: int
    clock: Clock

    async def receive(self, queue: str, request: WebhookRequest) -> Handshake | Kept:
        """Take one request. Raises RequestRefused, or StorageUnavailable before anything was promised."""
        probed = handshake(request)
        if probed is not None:
            return probed
        check_post(request, client_states=self.client_states, max_body_bytes=self.max_body_bytes)
        received_at = self.clock()
        name = inbox_name(queue, received_at, uuid.uuid4())
        await self.inbox.keep(name, request.body, received_at)
        return Kept(name)
