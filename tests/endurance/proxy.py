"""Stands between the app and what it depends on, counts every call, and spoils the ones that a plan picks.

One gate for each dependency: plain HTTP for storage, TLS for the simulated cloud, whose own certificate the gate shows.
A call is one request on the wire, retries of an SDK included. Calls are numbered in the order in which they arrive, so
"the process dies at its k-th call, after it was answered" is something that can be said, repeated and enumerated.
"""

import asyncio
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from tests.endurance.wire import Broken, Message, read_request, read_response

LOOPBACK = "127.0.0.1"
# Servers close connections that are idle for a few seconds; a call that meets such an end would be a fault of ours.
FRESH_SECONDS = 1.0


class Effect(StrEnum):
    """What happens to a call. The ``kill`` ones end the caller; whatever it had on the wire goes nowhere."""

    KILL_BEFORE = "killed before the call was forwarded"
    KILL_ANSWERED = "killed after the answer, before it was relayed"
    KILL_RELAYED = "killed after the answer was relayed"
    REFUSE = "connection closed, nothing forwarded"
    LOSE = "done, and the acknowledgement lost"
    CUT = "done, and the answer cut in its middle"
    HANG = "never answered"
    DELAY = "late"
    STATUS = "answered with an error status"


@dataclass(frozen=True, slots=True)
class Fault:
    """One effect; ``status`` is for STATUS, ``seconds`` for DELAY."""

    effect: Effect
    status: int = 503
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.effect} ({self.status})" if self.effect is Effect.STATUS else str(self.effect)


@dataclass(frozen=True, slots=True)
class Call:
    """A request as the plan sees it; ``number`` counts from 0 since the last ``begin``."""

    number: int
    gate: str
    method: str
    path: str

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing. Entra ID is asked for tokens by POST."""
        return self.method in {"GET", "HEAD"} or self.path.endswith("/oauth2/v2.0/token")

    def __str__(self) -> str:
        return f"call {self.number} ({self.gate}: {self.method} {self.path.partition('?')[0]})"


@dataclass(slots=True)
class Done:
    """A request that was forwarded; ``status`` is what upstream said, 0 where it has not said yet."""

    call: Call
    request: Message
    status: int = 0


Plan = Callable[[Call], Fault | None]


@dataclass(frozen=True, slots=True)
class Gate:
    """A dependency: where it listens, and the TLS contexts of both sides where it speaks TLS."""

    port: int
    server_context: ssl.SSLContext | None = None
    client_context: ssl.SSLContext | None = None


def nothing(_: Call) -> Fault | None:
    """The plan of good weather."""
    return None


class Proxy:
    """All gates on one event loop in a thread; a context manager. ``ports`` says where each gate listens.

    Since the last ``begin``: ``calls`` are all that came, ``done`` those that reached their dependency, ``fired`` the
    faults.
    """

    def __init__(self, gates: Mapping[str, Gate]) -> None:
        self.ports: dict[str, int] = {}
        self.calls: list[Call] = []
        self.done: list[Done] = []
        self.fired: Counter[str] = Counter()
        self._gates = gates
        self._plan: Plan = nothing
        self._kill: Callable[[], None] = lambda: None
        self._dead = False
        self._serving: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=self._main, name="proxy", daemon=True)
        self._listening = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        self._listening.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def begin(self, plan: Plan = nothing, kill: Callable[[], None] = lambda: None) -> None:
        """Count from 0 again, under another plan. ``kill`` ends the caller with SIGKILL."""

        def switch() -> None:
            self.calls, self.done, self.fired = [], [], Counter()
            self._plan, self._kill, self._dead = plan, kill, False
            done.set()

        done = threading.Event()
        self._loop.call_soon_threadsafe(switch)
        done.wait()

    def _main(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._live())

    async def _live(self) -> None:
        servers = []
        for name, gate in self._gates.items():

            def serve(
                reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str = name, gate: Gate = gate
            ) -> None:
                task = asyncio.create_task(self._serve(name, gate, reader, writer))
                self._serving.add(task)
                task.add_done_callback(self._serving.discard)

            server = await asyncio.start_server(serve, LOOPBACK, 0, ssl=gate.server_context, limit=2**20)
            self.ports[name] = server.sockets[0].getsockname()[1]
            servers.append(server)
        self._listening.set()
        await self._over.wait()
        for server in servers:
            server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, name: str, gate: Gate, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = _Upstream(gate)
        try:
            while (request := await read_request(reader)) is not None:
                call = Call(len(self.calls), name, request.method, request.path)
                self.calls.append(call)
                if not await self._settle(call, request, upstream, writer):
                    break
        except (OSError, Broken, asyncio.IncompleteReadError):
            pass  # whichever side went away, the other is told by the end of its connection
        finally:
            upstream.close()
            _end(writer)

    async def _settle(self, call: Call, request: Message, upstream: "_Upstream", writer: asyncio.StreamWriter) -> bool:
        """Forward, spoil, relay; whether the connection goes on."""
        fault = None if self._dead else self._plan(call)
        if fault is not None:
            self.fired[str(fault)] += 1
        if self._dead or (fault is not None and not await self._forwards(fault, writer)):
            return False
        done = Done(call, request)
        self.done.append(done)
        answer = await upstream.ask(request)
        done.status = answer.status
        match fault.effect if fault else None:
            case Effect.KILL_ANSWERED:
                self._end_caller()
                return False
            case Effect.LOSE:
                return False
            case Effect.CUT:
                writer.write(answer.head + answer.body[: len(answer.body) // 2])
                return False
            case Effect.KILL_RELAYED:
                # Nothing that it does with the answer gets out any more.
                self._dead = True
        writer.write(answer.head + answer.body)
        await writer.drain()
        if fault is not None and fault.effect is Effect.KILL_RELAYED:
            self._end_caller()
        return not answer.closes

    async def _forwards(self, fault: Fault, writer: asyncio.StreamWriter) -> bool:
        match fault.effect:
            case Effect.KILL_BEFORE:
                self._end_caller()
            case Effect.STATUS:
                writer.write(_error(fault.status))
                await writer.drain()
            case Effect.HANG:
                await self._over.wait()
            case Effect.DELAY:
                await asyncio.sleep(fault.seconds)
        return fault.effect not in {Effect.KILL_BEFORE, Effect.STATUS, Effect.HANG, Effect.REFUSE}

    def _end_caller(self) -> None:
        self._dead = True
        self._kill()


class _Upstream:
    """The connection behind one of the caller's, opened anew where it may have gone stale."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._used = 0.0

    async def ask(self, request: Message) -> Message:
        """Forward a request and read all of its answer."""
        if self._streams is None or time.monotonic() - self._used > FRESH_SECONDS:
            self.close()
            context = self._gate.client_context
            self._streams = await asyncio.open_connection(
                LOOPBACK, self._gate.port, ssl=context, server_hostname="localhost" if context else None, limit=2**20
            )
        reader, writer = self._streams
        writer.write(request.head + request.body)
        await writer.drain()
        answer = await read_response(reader, request.method)
        self._used = time.monotonic() if not answer.closes else 0.0
        return answer

    def close(self) -> None:
        """Close it; the next request opens another."""
        if self._streams is not None:
            _end(self._streams[1])
            self._streams = None


def _end(writer: asyncio.StreamWriter) -> None:
    # A TLS end that nobody answers would be waited for.
    if writer.get_extra_info("ssl_object") is not None and not writer.transport.get_write_buffer_size():
        writer.transport.abort()
    else:
        writer.close()


def _error(status: int) -> bytes:
    # Storage names its error in a header, Graph and Key Vault in a body; each reads the status first.
    body = b'{"error": {"code": "ServerBusy", "message": "As asked for."}}'
    return (
        f"HTTP/1.1 {status} As-asked-for\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        "x-ms-error-code: ServerBusy\r\nRetry-After: 0\r\nConnection: close\r\n\r\n"
    ).encode() + body
