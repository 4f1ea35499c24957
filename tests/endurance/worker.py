"""A process that has imported everything and forks for each job: the app as a process that can be killed, in 0.1 s.

``python -m tests.endurance.worker`` reads jobs and answers on standard input and output, a line of JSON each. A job is
a list of steps that a fresh child runs through the functions host's own engine: functions of ``function_app.py`` by
name, or ``pump`` and ``settle``, which play the host's part. The child starts when it is told ``go``: by then its
parent's parent knows whom to kill.
"""

import asyncio
import base64
import contextlib
import gc
import importlib
import json
import logging
import os
import pkgutil
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue.aio import QueueClient

import shared
from local.functions_host.engine import HttpCall, Outcome, QueueDelivery, TimerTick, TriggerData
from local.functions_host.engine_sdk import SdkEngine
from local.functions_host.host_json import Encoding
from local.functions_host.invocations import Invocations
from local.functions_host.queue_connection import QueueConnections
from local.functions_host.queue_messages import decode
from local.functions_host.queue_output import QueueOutputs
from tests.endurance import careless

REPOSITORY = Path(__file__).resolve().parents[2]
QUEUES = {
    "notifications": "store_notifications",
    "lifecycle": "handle_lifecycle_notifications",
    "exports": "export_window",
}
HTTP = {
    "receive_notifications": "api/notifications",
    "receive_lifecycle_notifications": "api/lifecycle",
    "replay_dead_letters": "api/dead-letters/replay",
}
# A message is given to a function so often in one go; what it leaves behind is the next sweep's.
TRIES = 2
ROUNDS = 4

Step = list[str]
Result = dict[str, Any]


class Hands:
    """Runs steps in a child, as the host would."""

    def __init__(self, engine: SdkEngine, connections: QueueConnections) -> None:
        self._descriptors = {each.name: each for each in engine.functions()}
        self._connections = connections
        outputs = QueueOutputs(connections, encoding(), lambda _: None)
        self._invocations = Invocations(engine, outputs, None)

    async def run(self, name: str, text: str = "") -> Result:
        """One step: what it answered, and the last line of what it raised."""
        if name == "settle":
            return await self._settle()
        if name == "pump":
            return {"pumped": await self._pump()}
        outcome = await self._invoke(name, text)
        answer = outcome.answer
        # The host answers 500 for a function that failed, one whose output could not be written included.
        status = 500 if outcome.error else answer.status if answer else 0
        body = answer.body.decode("utf-8", "replace") if answer else ""
        return {"function": name, "status": status, "body": body, "error": last_line(outcome.error)}

    async def _invoke(self, name: str, text: str) -> Outcome:
        return await self._invocations.run(self._descriptors[name], data(name, text))

    async def _settle(self) -> Result:
        """Sweep and pump until nothing is rung for any more; how often, and what was raised on the way."""
        errors: list[str] = []
        for _ in range(ROUNDS):
            swept = await self._invoke("sweep_inbox", "")
            errors += [last_line(swept.error)] if swept.error else []
            if not await self._pump(errors):
                break
        return {"function": "settle", "errors": errors}

    async def _pump(self, errors: list[str] | None = None) -> int:
        """Empty the queues; returns how many messages were met."""
        met = 0
        for queue, function in QUEUES.items():
            client = self._connections.for_polling("AzureWebJobsStorage", queue)
            with contextlib.suppress(ResourceNotFoundError):
                met += await self._drain(client, function, errors if errors is not None else [])
        return met

    async def _drain(self, client: QueueClient, function: str, errors: list[str]) -> int:
        met = 0
        async for message in client.receive_messages(messages_per_page=32, visibility_timeout=600):
            met += 1
            text = decode(str(message.content), encoding()).decode()
            for _ in range(TRIES):
                outcome = await self._invoke(function, text)
                if outcome.error is None:
                    break
                errors.append(last_line(outcome.error))
            await client.delete_message(message)
        return met


def data(name: str, text: str) -> TriggerData:
    """What the function's trigger brings: a body in Base64, a queue message, or a tick."""
    if name in HTTP:
        # A query, where there is one, follows the body after a space: Base64 has none.
        body, _, query = text.partition(" ")
        pairs = dict(pair.partition("=")[::2] for pair in query.split("&") if pair)
        url = f"http://127.0.0.1/{HTTP[name]}"
        return HttpCall("POST", url, {"content-type": "application/json"}, pairs, {}, base64.b64decode(body))
    if name in QUEUES.values() or text:
        return QueueDelivery(body=text.encode(), id="a-message")
    return TimerTick()


def encoding() -> Encoding:
    """``messageEncoding`` of host.json."""
    return "base64"


def last_line(error: str | None) -> str:
    """What was raised, without its traceback."""
    return error.strip().splitlines()[-1] if error else ""


@contextlib.contextmanager
def detour(ports: Mapping[int, int]) -> Iterator[None]:
    """Connections of this process to loopback ports go to other ports: to the proxy, with no setting changed."""
    connect = socket.socket.connect

    def elsewhere(self: socket.socket, address: Any) -> None:  # noqa: ANN401 - whatever families have
        if isinstance(address, tuple) and address[1] in ports:
            address = ("127.0.0.1", ports[address[1]])
        connect(self, address)

    socket.socket.connect = elsewhere  # type: ignore[assignment,method-assign] # undone below
    try:
        yield
    finally:
        socket.socket.connect = connect  # type: ignore[method-assign] # as above


def child(engine: SdkEngine, job: Mapping[str, Any], done: Callable[[Result], None]) -> None:
    """All steps of a job, each after the other; ``done`` hears of each as it ends."""
    os.environ.clear()
    os.environ.update(job["env"])
    # The SDKs wait between tries; nothing of it is what is tested here.
    sleep, scale = time.sleep, float(job["sleep"])
    time.sleep = lambda seconds: sleep(float(seconds) * scale)

    async def steps() -> None:
        async with QueueConnections() as connections:
            hands = Hands(engine, connections)
            for step in job["steps"]:
                done(await hands.run(*step))

    # Later, where a job says so: whatever lasts some minutes, such as a claim, is over then.
    ahead = timedelta(seconds=float(job["ahead"]))
    advance(lambda: datetime.now(UTC) + ahead)
    # Accounts are written by the clock, on a thread of their own: calls that may come or not can't be counted through.
    sys.modules["shared.flows.account"].WRITE_AFTER = timedelta(hours=1)  # type: ignore[attr-defined] # a module's

    with detour({int(port): to for port, to in job["detour"].items()}), careless.planted(job["careless"]):
        asyncio.run(steps())


def advance(clock: Callable[[], datetime]) -> None:
    """Give the app another clock, before it builds anything."""
    owners = [
        module for name, module in sys.modules.items() if name.startswith("shared.") and "utc_now" in vars(module)
    ]
    assert owners, "the app has no clock of that name"
    for module in owners:
        vars(module)["utc_now"] = clock


def serve() -> None:
    """Fork for each job until standard input ends."""
    logging.disable(logging.CRITICAL)
    for module in pkgutil.walk_packages(shared.__path__, "shared."):
        importlib.import_module(module.name)
    for name in ("azure.identity.aio", "azure.storage.blob.aio", "azure.keyvault.secrets", "aiohttp", "requests"):
        importlib.import_module(name)
    engine = SdkEngine(REPOSITORY)
    gc.collect()
    gc.freeze()
    tell({"ready": True})
    for line in sys.stdin:
        run_job(engine, json.loads(line))


def run_job(engine: SdkEngine, job: Mapping[str, Any]) -> None:
    """Fork, tell the child's id, wait for ``go``, and tell how the child ended."""
    results, results_in = os.pipe()
    wait, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(go)
        os.read(wait, 1)
        # Told step by step: an answer that was given before a crash was given.
        with os.fdopen(results_in, "w", encoding="utf-8", buffering=1) as out:
            child(engine, job, lambda result: print(json.dumps(result), file=out))
        os._exit(0)
    os.close(results_in)
    os.close(wait)
    tell({"pid": pid})
    sys.stdin.readline()
    os.close(go)
    with os.fdopen(results, encoding="utf-8") as read:
        said = read.read()
    _, status = os.waitpid(pid, 0)
    tell({"status": os.waitstatus_to_exitcode(status), "results": [json.loads(line) for line in said.splitlines()]})


def tell(what: Mapping[str, Any]) -> None:
    """A line for the parent."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve()
