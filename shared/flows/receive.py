"""A post of Graph arrives: check it cheaply, make it durable, answer.

Tokens, Key Vault and Graph are not on this path. https://learn.microsoft.com/graph/change-notifications-delivery-webhooks
asks for an answer within three seconds, and drops notifications for good where that fails too often.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime

from shared.core.errors import RequestRefused, StorageUnavailable
from shared.core.inbox_name import inbox_name
from shared.core.metrics import ACKNOWLEDGEMENT_TIME, POSTS_RECEIVED
from shared.core.webhook import Handshake, Kept, WebhookRequest, check_post, handshake
from shared.ports import SILENCE, Clock, InboxWriter, Telemetry

# What the host answers where nobody foresaw what happened.
_UNFORESEEN = 500


@dataclass(frozen=True, slots=True)
class Receiving:
    """What both webhooks do; only the queue differs."""

    inbox: InboxWriter
    client_states: tuple[str, ...]
    max_body_bytes: int
    clock: Clock
    telemetry: Telemetry = SILENCE

    async def receive(self, queue: str, request: WebhookRequest) -> Handshake | Kept:
        """Take one request. Raises RequestRefused, or StorageUnavailable before anything was promised."""
        probed = handshake(request)
        if probed is not None:
            return probed
        arrived_at, answer = self.clock(), _UNFORESEEN
        try:
            with self.telemetry.span("receive", queue=queue):
                kept, answer = await self._keep(queue, request), 202
        except (RequestRefused, StorageUnavailable) as error:
            answer = error.status
            raise
        finally:
            self._answered(queue, answer, arrived_at)
        return kept

    async def _keep(self, queue: str, request: WebhookRequest) -> Kept:
        check_post(request, client_states=self.client_states, max_body_bytes=self.max_body_bytes)
        received_at = self.clock()
        name = inbox_name(queue, received_at, uuid.uuid4())
        self.telemetry.note(post=name)
        await self.inbox.keep(name, request.body, received_at)
        return Kept(name)

    def _answered(self, queue: str, answer: int, arrived_at: datetime) -> None:
        took = max(0.0, (self.clock() - arrived_at).total_seconds())
        self.telemetry.measure(POSTS_RECEIVED, 1, queue=queue, answer=str(answer))
        self.telemetry.measure(ACKNOWLEDGEMENT_TIME, took, queue=queue, answer=str(answer))
