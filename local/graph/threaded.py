"""The simulator in a thread of its own, for callers without an event loop."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Required, TypedDict, TypeVar, Unpack

from local.graph.clock import Clock
from local.graph.export_policy import ExportPolicy
from local.graph.faults import Faults, Timing
from local.graph.policy import Limits
from local.graph.simulator import Simulator

T = TypeVar("T")


class Options(TypedDict, total=False):
    """The parameters of `Simulator`."""

    folder: Required[Path]
    seed: int
    port: int
    bits: int
    roles: frozenset[str]
    faults: Faults
    timing: Timing
    allow_http_loopback: bool
    control: bool
    clock: Clock
    limits: Limits
    strict_patch: bool
    export: ExportPolicy


_START_SECONDS = 30.0


class ThreadedSimulator:
    """A running simulator and the loop that it runs in.

    `graph` may be read from any thread (addresses, settings, ledger); whatever sends or changes something goes
    through `run` or `call`.
    """

    def __init__(self, graph: Simulator, loop: asyncio.AbstractEventLoop) -> None:
        self.graph = graph
        self._loop = loop

    def start(self, work: Callable[[Simulator], Awaitable[T]]) -> "concurrent.futures.Future[T]":
        """Begin something in the simulator's loop, such as `lambda graph: graph.play(changes, seconds=60)`."""

        async def run() -> T:
            return await work(self.graph)

        return asyncio.run_coroutine_threadsafe(run(), self._loop)

    def run(self, work: Callable[[Simulator], Awaitable[T]], timeout_seconds: float | None = None) -> T:
        """Do something asynchronous in the simulator's loop and return its result.

        Raises:
            TimeoutError: it took longer than `timeout_seconds`; it is cancelled.
        """
        future = self.start(work)
        try:
            return future.result(timeout_seconds)
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise

    def call(self, work: Callable[[Simulator], T]) -> T:
        """Do something in the simulator's loop that needs no waiting, such as rotating a key."""

        async def run() -> T:
            return work(self.graph)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()


@contextmanager
def run_in_thread(**options: Unpack[Options]) -> Iterator[ThreadedSimulator]:
    """Run a `Simulator` with these options in a background thread for as long as the context lasts."""
    started: concurrent.futures.Future[ThreadedSimulator] = concurrent.futures.Future()
    over = threading.Event()
    thread = threading.Thread(target=_main, args=(options, started, over), name="graph-simulator", daemon=True)
    thread.start()
    try:
        yield started.result(_START_SECONDS)
    finally:
        over.set()
        thread.join()


def _main(options: Options, started: "concurrent.futures.Future[ThreadedSimulator]", over: threading.Event) -> None:
    async def live() -> None:
        async with Simulator(**options) as graph:
            started.set_result(ThreadedSimulator(graph, asyncio.get_running_loop()))
            await asyncio.to_thread(over.wait)

    try:
        asyncio.run(live())
    except BaseException as error:
        if started.done():
            raise
        started.set_exception(error)
