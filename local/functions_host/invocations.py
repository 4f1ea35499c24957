"""Every run of a function goes through here: its id, its log line, its time limit, its outputs."""

import asyncio
import logging
import time
from uuid import uuid4

from azure.core.exceptions import AzureError

from local.functions_host.descriptors import FunctionDescriptor
from local.functions_host.engine import Engine, Outcome, TriggerData
from local.functions_host.errors import LoadError
from local.functions_host.queue_output import QueueOutputs

_LOG = logging.getLogger(__name__)


class Invocations:
    """Runs functions and knows how many are running, so that the host can let them end."""

    def __init__(self, engine: Engine, outputs: QueueOutputs, time_limit: float | None) -> None:
        self._engine = engine
        self._outputs = outputs
        self._time_limit = time_limit
        self._running = 0
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def running(self) -> int:
        """How many functions are running now."""
        return self._running

    @property
    def closed(self) -> bool:
        """Whether new calls from outside are to be refused, because the host is stopping."""
        return self._closed

    def close(self) -> None:
        """Refuse calls from outside from now on; what runs goes on."""
        self._closed = True

    async def idle(self) -> None:
        """Return when no function is running."""
        await self._idle.wait()

    async def run(self, function: FunctionDescriptor, data: TriggerData) -> Outcome:
        """Run a function and write its outputs; an output that cannot be written is a failed call."""
        invocation_id = str(uuid4())
        started = time.monotonic()
        self._running += 1
        self._idle.clear()
        try:
            outcome = await self._run(function, invocation_id, data)
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()
        _log(function, invocation_id, outcome, (time.monotonic() - started) * 1000)
        return outcome

    async def _run(self, function: FunctionDescriptor, invocation_id: str, data: TriggerData) -> Outcome:
        # A thread cannot be stopped, so the limit is for async functions. Azure would end the whole worker instead.
        limit = self._time_limit if function.is_async else None
        try:
            async with asyncio.timeout(limit):
                outcome = await self._engine.invoke(function.name, invocation_id, data)
        except TimeoutError:
            return Outcome(error=f"ran for longer than functionTimeout, {limit} s")
        if outcome.error is None and outcome.messages:
            try:
                await self._outputs.write(function.outputs, outcome.messages)
            except (AzureError, TimeoutError, ValueError, LoadError) as error:
                # The function believes that its message is on the way: whoever called it must hear that it is not.
                return Outcome(error=f"queue output could not be written: {type(error).__name__}: {error}")
        return outcome


def _log(function: FunctionDescriptor, invocation_id: str, outcome: Outcome, milliseconds: float) -> None:
    if outcome.error is None:
        _LOG.info("%s ok in %.0f ms (%s)", function.name, milliseconds, invocation_id)
    else:
        _LOG.error("%s failed in %.0f ms (%s)\n%s", function.name, milliseconds, invocation_id, outcome.error.rstrip())
