"""The delivery engine: posts, waits, tries again, gives up. At least once, as long as the endpoint is fit to receive.

https://learn.microsoft.com/graph/change-notifications-delivery-webhooks#receive-notifications
"""

import asyncio
import io
import time
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from local.graph.endpoint import Endpoint
from local.graph.envelope import Message
from local.graph.faults import Timing
from local.graph.ledger_entries import Attempt, Outcome, Post
from local.graph.ledger_writer import LedgerWriter
from local.graph.times import ticks_z, utc_now


@dataclass(frozen=True)
class Outgoing:
    """A post as bytes. `make` is called at each post's first try, so that tokens are young and keys current.

    It returns None where there is nothing left to tell: the subscriptions are gone, or deliveries to them paused.

    `by_graph` posts are sent until they are accepted; an attacker's are sent once, whatever Graph thinks of the
    endpoint.
    """

    post_id: str
    url: str
    make: Callable[[], Message | None]
    items: tuple[str, ...] = ()
    forged: str | None = None
    by_graph: bool = True


class Delivery:
    """Sends posts side by side, each on its own schedule of retries."""

    def __init__(self, session: aiohttp.ClientSession, ledger: LedgerWriter, timing: Timing) -> None:
        self._session = session
        self._ledger = ledger
        self._timing = timing
        self._endpoints: dict[str, Endpoint] = {}
        self._room = asyncio.Semaphore(timing.concurrency)
        self._tasks: set[asyncio.Task[Post]] = set()

    @property
    def pending(self) -> int:
        """How many posts are neither answered nor given up."""
        return len(self._tasks)

    def endpoint(self, url: str) -> Endpoint:
        """Return what Graph thinks of an endpoint."""
        return self._endpoints.setdefault(url, Endpoint(self._timing))

    def send(self, outgoing: Outgoing, *, after: float = 0.0) -> asyncio.Task[Post]:
        """Send a post after so many real seconds; the task ends with its last try."""
        task = asyncio.create_task(self._run(outgoing, after))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def idle(self, timeout_seconds: float | None = None) -> None:
        """Wait until no post is under way.

        Raises:
            TimeoutError: some still are.
        """
        async with asyncio.timeout(timeout_seconds):
            while self._tasks:
                await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Drop what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, outgoing: Outgoing, after: float) -> Post:
        await asyncio.sleep(after)
        post = Post(outgoing.post_id, outgoing.url, outgoing.items, outgoing.forged, 0, by_graph=outgoing.by_graph)
        if outgoing.by_graph and await self._held_back(outgoing.url):
            return self._end(post, "dropped")
        async with self._room:
            message = outgoing.make()
        if message is None:
            return self._end(post, "withheld")
        post.items = post.items if message.items is None else message.items
        post.size = len(message.body)
        if not outgoing.by_graph:
            answer = await self._attempt(post, message, 1)
            return self._end(post, "answered" if _accepted(answer) else "refused")
        return self._end(post, await self._insist(post, message))

    async def _held_back(self, url: str) -> bool:
        state = self.endpoint(url).state(self._now())
        if state == "slow":
            await asyncio.sleep(self._timing.real(self._timing.window))
        return state == "drop"

    async def _insist(self, post: Post, message: Message) -> Outcome:
        deadline, number = self._now() + self._timing.give_up, 1
        while not _accepted(await self._attempt(post, message, number)):
            pause = self._timing.retry_after(number)
            if self._now() + pause > deadline:
                return "gave-up"
            await asyncio.sleep(self._timing.real(pause))
            number += 1
        return "answered"

    async def _attempt(self, post: Post, message: Message, number: int) -> Attempt:
        limit = self._timing.first_answer if number == 1 else self._timing.retry_answer
        async with self._room:
            at = ticks_z(utc_now())
            self._ledger.attempt(post, number, at)
            started = time.monotonic()
            status, error = await self._post(post.url, message, limit)
            took = time.monotonic() - started
        answer = Attempt(number, at, status, round(took * 1000, 1), error)
        if post.by_graph and error in {None, "timeout"}:
            self.endpoint(post.url).observe(self._now(), took)
        post.attempts.append(answer)
        self._ledger.answer(post.id, answer)
        return answer

    async def _post(self, url: str, message: Message, limit: float) -> tuple[int | None, str | None]:
        headers = {"Content-Type": "application/json", **message.headers}
        timeout = aiohttp.ClientTimeout(total=limit)
        try:
            async with self._session.post(
                url, data=io.BytesIO(message.body), headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                await response.read()
                return response.status, None
        except TimeoutError:
            return None, "timeout"
        except aiohttp.ClientError as error:
            return None, type(error).__name__

    def _end(self, post: Post, outcome: Outcome) -> Post:
        post.outcome = outcome
        self._ledger.ended(post, outcome)
        return post

    def _now(self) -> float:
        return time.monotonic() * self._timing.time_scale


def _accepted(answer: Attempt) -> bool:
    return answer.status is not None and 200 <= answer.status < 300
