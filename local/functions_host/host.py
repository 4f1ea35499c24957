"""Puts the parts together: start, run until told to stop, let running functions end."""

import asyncio
import logging
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from aiohttp import web

from local.functions_host.admin import PREFIX, Admin
from local.functions_host.descriptors import FunctionDescriptor, QueueBinding, TimerTrigger
from local.functions_host.engine import Engine, load_engine
from local.functions_host.host_json import HostJson
from local.functions_host.http_request import DEFAULT_BODY_LIMIT
from local.functions_host.http_server import ADDRESS, Handler, HttpFunctions, HttpServer
from local.functions_host.invocations import Invocations
from local.functions_host.keys import Keys
from local.functions_host.queue_connection import QueueConnections
from local.functions_host.queue_delivery import POISON, Deliveries
from local.functions_host.queue_listener import QueueListener
from local.functions_host.queue_output import QueueOutputs
from local.functions_host.routes import RouteTable
from local.functions_host.timers import Timer, schedule_of

_LOG = logging.getLogger(__name__)
LEASE_SECONDS = 600
_QUEUES_SECONDS = 5.0


@dataclass(frozen=True)
class HostOptions:
    """How one host is to run; times in seconds."""

    app: Path
    port: int
    host_json: HostJson
    keys: Keys
    engine: str = "auto"
    timers: bool = True
    message_lease: int = LEASE_SECONDS
    grace: float = 30.0


@dataclass
class _Loops:
    """The listeners and timers, and the tasks that run them."""

    listeners: list[QueueListener] = field(default_factory=list)
    timers: list[Timer] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def wake(self, queue: str) -> None:
        for listener in self.listeners:
            if listener.queue == queue:
                listener.wake()

    def _loops(self) -> list[QueueListener | Timer]:
        return [*self.listeners, *self.timers]

    def start(self) -> None:
        self.tasks = [asyncio.create_task(loop.run()) for loop in self._loops()]

    async def queues_tried(self) -> None:
        """Whoever hears that the host is ready may count on its queues; a storage that hangs is not waited for."""
        waiting = [asyncio.create_task(listener.tried()) for listener in self.listeners]
        if waiting:
            _done, late = await asyncio.wait(waiting, timeout=_QUEUES_SECONDS)
            for task in late:
                task.cancel()

    def stop(self) -> None:
        for loop in self._loops():
            loop.stop()

    async def ended(self) -> None:
        await asyncio.gather(*self.tasks)


class Host:
    """One run of the host. `run` returns the exit code."""

    def __init__(self, options: HostOptions) -> None:
        self._options = options
        self._server = HttpServer()
        self._loops = _Loops()
        self._stop = asyncio.Event()

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT: 0, or 1 where functions had to be left running.

        `HostError` and whatever the app's import raises pass through.
        """
        self._take_signals()
        port = await self._server.listen(self._options.port)
        try:
            # In a thread, so that the port answers 503 during a slow import.
            engine = await asyncio.to_thread(load_engine, self._options.engine, self._options.app)
            async with QueueConnections() as connections:
                invocations, handler = self._build(engine, connections)
                self._loops.start()
                await self._loops.queues_tried()
                self._server.serve(handler)
                _LOG.info(
                    "Listening on http://%s:%s, functions below /%s",
                    ADDRESS,
                    port,
                    self._options.host_json.route_prefix,
                )
                await self._until_stopped()
                return await self._drain(invocations)
        finally:
            await self._server.close()

    def _build(self, engine: Engine, connections: QueueConnections) -> tuple[Invocations, Handler]:
        options = self._options
        functions = engine.functions()
        _log_table(engine.name, functions)
        outputs = QueueOutputs(connections, options.host_json.queues.message_encoding, self._loops.wake)
        invocations = Invocations(engine, outputs, options.host_json.function_timeout)
        for function in functions:
            self._add_loop(function, invocations, connections)
        routes = RouteTable(functions, options.host_json.route_prefix)
        http = HttpFunctions(routes, options.keys, invocations, _body_limit())
        admin = Admin(engine.name, functions, options.keys, invocations)

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            return await (admin if request.path.startswith(PREFIX) else http)(request)

        return invocations, answer

    def _add_loop(self, function: FunctionDescriptor, invocations: Invocations, connections: QueueConnections) -> None:
        trigger, run = function.trigger, partial(invocations.run, function)
        if isinstance(trigger, QueueBinding):
            queues, lease = self._options.host_json.queues, self._options.message_lease
            client = connections.for_polling(trigger.connection, trigger.queue)
            poison = connections.for_polling(trigger.connection, trigger.queue + POISON)
            deliveries = Deliveries(client, poison, run, queues, lease)
            self._loops.listeners.append(QueueListener(client, deliveries, queues, lease))
        elif isinstance(trigger, TimerTrigger) and self._options.timers:
            schedule = schedule_of(function.name, trigger)
            if schedule is not None:
                self._loops.timers.append(Timer(schedule, run, at_start=trigger.run_on_startup))

    async def _until_stopped(self) -> None:
        """Wait for a signal; a loop that ends before it is a fault of ours, and raises here."""
        stopped = asyncio.create_task(self._stop.wait())
        watched: set[asyncio.Task[None]] = set(self._loops.tasks)
        await asyncio.wait({stopped, *watched}, return_when=asyncio.FIRST_COMPLETED)
        for task in watched:
            if task.done():
                task.result()

    async def _drain(self, invocations: Invocations) -> int:
        _LOG.info("Stopping; %s functions running", invocations.running)
        self._loops.stop()
        invocations.close()
        await self._server.stop_listening()
        try:
            async with asyncio.timeout(self._options.grace):
                await self._loops.ended()
                await invocations.idle()
        except TimeoutError:
            _LOG.error("%s functions still running after %s s", invocations.running, self._options.grace)
            return 1
        _LOG.info("Stopped")
        return 0

    def _take_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled)

    def _signalled(self) -> None:
        if self._stop.is_set():
            os._exit(1)  # asked twice: whoever asks does not want to wait
        self._stop.set()


def _body_limit() -> int:
    """Bytes; the setting is the host's: https://github.com/Azure/azure-functions-host, EnvironmentSettingNames."""
    text = os.environ.get("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", "")
    return int(text) if text.isdecimal() else DEFAULT_BODY_LIMIT


def _log_table(engine: str, functions: Sequence[FunctionDescriptor]) -> None:
    _LOG.info("%s functions, engine %s", len(functions), engine)
    width = max((len(function.name) for function in functions), default=0)
    for function in functions:
        _LOG.info("  %-*s  %s", width, function.name, function.summary)
