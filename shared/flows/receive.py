"""A post of Graph arrives: check it cheaply, make it durable, answer.

Tokens, Key Vault and Graph are not on this path. https://learn.microsoft.com/graph/change-notifications-delivery-webhooks
asks for an answer within three seconds, and drops notifications for good where that fails too often.
"""

import asyncio
import gc
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime

from shared.core.errors import Overloaded, RequestRefused, Unavailable
from shared.core.inbox_name import inbox_name
from shared.core.metrics import ACKNOWLEDGEMENT_TIME, POSTS_RECEIVED
from shared.core.webhook import (
    Handshake,
    Kept,
    WebhookRequest,
    check_crowd,
    check_items,
    check_size,
    handshake,
    is_heavy,
)
from shared.ports import SILENCE, Clock, InboxWriter, Telemetry

# A look at a heavy post is followed by a rest of so many times as long: nine tenths of the event loop are for others.
REST = 9
# How long a heavy post waits for its turn, in seconds. Graph waits three in all; and what waits takes memory.
PATIENCE = 1.0
# What the host answers where nobody foresaw what happened.
_UNFORESEEN = 500


class Turns:
    """Heavy posts are looked at one at a time, with rests between them.

    A look is on the event loop, where every other post waits meanwhile. A thread would not help: parsing holds the
    interpreter. Without rests a light post, which needs the loop some ten times until it is acknowledged, would wait
    for a heavy one each time (benchmarks/flood.py).
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for one's turn; whoever comes next waits for the rest after it as well. Raises Overloaded."""
        now = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(PATIENCE):
                await self._lock.acquire()
        except TimeoutError:
            raise Overloaded(f"a heavy post was not looked at within {PATIENCE} s; Graph sends it again") from None
        begun = now()
        try:
            yield
        finally:
            # The lock is given back after the rest, which nobody need sit through who has been looked at.
            asyncio.get_running_loop().call_later(REST * (now() - begun), self._lock.release)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the garbage collector still meanwhile.

    What a parser makes looks to it like a reason for a full collection, which goes through everything that the app has
    loaded and takes longer than the look. Nothing of a post refers to itself, so it is freed without.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


@dataclass(frozen=True, slots=True)
class Receiving:
    """What both webhooks do; only the queue differs."""

    inbox: InboxWriter
    client_states: tuple[str, ...]
    max_body_bytes: int
    clock: Clock
    telemetry: Telemetry = SILENCE
    turns: Turns = field(default_factory=Turns)

    async def receive(self, queue: str, request: WebhookRequest) -> Handshake | Kept:
        """Take one request.

        Raises RequestRefused, or StorageUnavailable or Overloaded before anything was promised.
        """
        probed = handshake(request)
        if probed is not None:
            return probed
        arrived_at, answer = self.clock(), _UNFORESEEN
        try:
            with self.telemetry.span("receive", queue=queue):
                kept, answer = await self._keep(queue, request), 202
        except (RequestRefused, Unavailable) as error:
            answer = error.status
            raise
        finally:
            self._answered(queue, answer, arrived_at)
        return kept

    async def _keep(self, queue: str, request: WebhookRequest) -> Kept:
        await self._check(request)
        received_at = self.clock()
        name = inbox_name(queue, received_at, uuid.uuid4())
        self.telemetry.note(post=name)
        await self.inbox.keep(name, request.body, received_at)
        return Kept(name)

    async def _check(self, request: WebhookRequest) -> None:
        check_size(request, max_body_bytes=self.max_body_bytes)
        heavy = is_heavy(request.body)
        async with self.turns.turn() if heavy else nullcontext():
            check_crowd(request.body)
            if heavy:
                # The look has two halves, and others go in between.
                await asyncio.sleep(0)
            with _uncollected():
                check_items(request.body, client_states=self.client_states)

    def _answered(self, queue: str, answer: int, arrived_at: datetime) -> None:
        took = max(0.0, (self.clock() - arrived_at).total_seconds())
        self.telemetry.measure(POSTS_RECEIVED, 1, queue=queue, answer=str(answer))
        self.telemetry.measure(ACKNOWLEDGEMENT_TIME, took, queue=queue, answer=str(answer))
