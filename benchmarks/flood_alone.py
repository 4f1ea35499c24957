"""The same flood on a clock that stands still for everybody else: the app's event loop by its own CPU time.

On a machine that others use, a percentile near the end is theirs. Here nothing listens and nothing is waited for: the
loop's time is the CPU time of this process, and where there is nothing to do it leaps to what is due next. A post needs
the loop as often as on the way through host and storage. What shows is what posts do to each other, and nothing else.
"""

import asyncio
import selectors
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TypeAlias

import azure.functions as func

from benchmarks.receivers import MAX_BODY_BYTES, Doorbell
from benchmarks.tenant import CLIENT_STATE
from shared.adapters import functions_http
from shared.core.inbox_name import NOTIFICATIONS
from shared.flows.receive import Receiving, Turns
from shared.parts import utc_now

# Reading the request, the blob write, the doorbell, the answer: so often a post waits, and then needs the loop.
WAITS, WAIT_SECONDS = 10, 0.003
Take: TypeAlias = Callable[[func.HttpRequest], Awaitable[object]]


@dataclass(frozen=True)
class Stream:
    """Posts that come steadily, so many a second, and who takes them."""

    take: Take
    bodies: Sequence[bytes]
    rate: float


def meet(genuine: Stream, forged: Stream | None, seconds: float) -> tuple[list[float], float]:
    """Both streams at once for so long; how long each genuine post took, and the share of one core that it all took."""
    with asyncio.Runner(loop_factory=_OwnTime) as runner:
        cpu = time.process_time()
        latencies = runner.run(_meet(genuine, forged, seconds))
        return latencies, (time.process_time() - cpu) / seconds


async def _meet(genuine: Stream, forged: Stream | None, seconds: float) -> list[float]:
    until = asyncio.get_running_loop().time() + seconds
    flow = asyncio.create_task(_pour(forged, until)) if forged else None
    latencies = await _pour(genuine, until)
    if flow:
        await flow
    return latencies


async def _pour(stream: Stream, until: float) -> list[float]:
    now = asyncio.get_running_loop().time
    latencies: list[float] = []

    async def post(body: bytes, due: float) -> None:
        request = func.HttpRequest("POST", "https://app.example/api/notifications", headers={}, params={}, body=body)
        await stream.take(request)
        # A post that came while the loop was busy has waited since then.
        latencies.append(now() - due)

    async with asyncio.TaskGroup() as group:
        begun, number = now(), 0
        while (due := begun + number / stream.rate) < until:
            await asyncio.sleep(due - now())
            group.create_task(post(stream.bodies[number % len(stream.bodies)], due))
            number += 1
    return latencies


def app(*, turns: bool = True) -> Take:
    """The app's webhook."""
    flow = Receiving(
        inbox=_Inbox(),
        client_states=(CLIENT_STATE,),
        max_body_bytes=MAX_BODY_BYTES,
        clock=utc_now,
        turns=Turns() if turns else _AtOnce(),
    )

    async def take(request: func.HttpRequest) -> object:
        return await functions_http.receive(request, Doorbell(), partial(flow.receive, NOTIFICATIONS))

    return take


async def bare(request: func.HttpRequest) -> object:
    """403, whatever it is."""
    request.get_body()
    return func.HttpResponse(status_code=403)


class _Leaping(selectors.SelectSelector):
    """Says at once that nothing has come, and notes for how long it was to wait for something."""

    leapt = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.leapt += max(0.0, timeout or 0.0)
        return []


class _OwnTime(asyncio.SelectorEventLoop):
    """An event loop whose time is its process' CPU time, idleness leapt over."""

    def __init__(self) -> None:
        self._leaping = _Leaping()
        super().__init__(self._leaping)

    def time(self) -> float:
        return time.process_time() + self._leaping.leapt


class _Inbox:
    """A storage that answers in time; nothing is kept."""

    async def keep(self, name: str, body: bytes, received_at: datetime) -> None:
        del name, body, received_at
        for _ in range(WAITS):
            await asyncio.sleep(WAIT_SECONDS)

    async def check(self) -> None:
        return


class _AtOnce(Turns):
    """Every look at once, as if no post were heavy."""

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        yield
