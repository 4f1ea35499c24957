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
import inspect
import json
import logging
import os
import pkgutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, SupportsIndex

from azure.core.exceptions import ResourceNotFoundError
from azure.keyvault.secrets._shared import http_challenge_cache
from azure.storage.queue.aio import QueueClient

import shared
from local.functions_host.engine import HttpCall, Outcome, QueueDelivery, TimerTick, TriggerData
from local.functions_host.engine_sdk import SdkEngine
from local.functions_host.host_json import Encoding
from local.functions_host.invocations import Invocations
from local.functions_host.queue_connection import QueueConnections
from local.functions_host.queue_messages import decode
from local.functions_host.queue_output import QueueOutputs
from shared import parts, wiring
from tests.endurance import careless
from tests.endurance.detour import detour

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
    "health": "api/health",
    "status": "api/status",
}
LOOKS = frozenset({"health", "status"})
# What the SDKs import when they are used first.
LATE = (
    "aiohttp",
    "azure.core.rest._aiohttp",
    "azure.core.rest._http_response_impl",
    "azure.core.rest._http_response_impl_async",
    "azure.core.rest._requests_basic",
    "azure.identity.aio",
    "azure.keyvault.secrets",
    "azure.storage.blob.aio",
    "encodings.utf_8_sig",
    "msal_extensions.token_cache",
    "pwd",
    "requests",
)
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
            errors: list[str] = []
            return {"function": "pump", "pumped": await self._pump(text.split() or QUEUES, errors), "errors": errors}
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
            if not await self._pump(QUEUES, errors):
                break
        return {"function": "settle", "errors": errors}

    async def _pump(self, queues: Iterable[str], errors: list[str]) -> int:
        """Empty queues; returns how many messages were met. What was raised on the way is added to ``errors``."""
        met = 0
        for queue in queues:
            client = self._connections.for_polling("AzureWebJobsStorage", queue)
            with contextlib.suppress(ResourceNotFoundError):
                met += await self._drain(client, QUEUES[queue], errors)
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
        method = "GET" if name in LOOKS else "POST"
        return HttpCall(method, url, {"content-type": "application/json"}, pairs, {}, base64.b64decode(body))
    if name in QUEUES.values() or text:
        return QueueDelivery(body=text.encode(), id="a-message")
    return TimerTick()


def encoding() -> Encoding:
    """``messageEncoding`` of host.json."""
    return "base64"


def last_line(error: str | None) -> str:
    """What was raised, without its traceback."""
    return error.strip().splitlines()[-1] if error else ""


def child(engine: SdkEngine, job: Mapping[str, Any], done: Callable[[Result], None]) -> None:
    """All steps of a job, each after the other; ``done`` hears of each as it ends."""
    os.environ.clear()
    os.environ.update(job["env"])
    SLEEP.scale = float(job["sleep"])

    async def steps() -> None:
        async with QueueConnections() as connections:
            hands = Hands(engine, connections)
            for step in job["steps"]:
                done(await hands.run(*step))

    # Later, where a job says so: whatever lasts some minutes, such as a claim, is over then.
    ahead = timedelta(seconds=float(job["ahead"]))
    advance(lambda: datetime.now(UTC) + ahead)
    shorten()
    if job["quiet"]:
        # Nobody listens: then the gauges, which cost a status each time, are left alone.
        sys.modules.pop("opentelemetry", None)

    with detour({int(port): to for port, to in job["detour"].items()}), careless.planted(job["careless"]):
        asyncio.run(steps())


class Sleep:
    """``time.sleep``, of which a child keeps a part: what the app and the SDKs wait between tries is not tried here."""

    def __init__(self) -> None:
        self.scale = 1.0
        self._sleep = time.sleep

    def __call__(self, seconds: float | SupportsIndex, /) -> None:
        """Sleep for that part of the time."""
        self._sleep(float(seconds) * self.scale)


SLEEP = Sleep()


def shorten() -> None:
    """What is done a hundred times in the same way is done three times here, and what comes by the clock not at all."""
    # Accounts are written on a thread of their own: calls that may come or not can't be counted through.
    vars(sys.modules["shared.flows.account"])["WRITE_AFTER"] = timedelta(hours=1)
    # Each hour is one request like the next.
    vars(sys.modules["shared.flows.hours"])["HOURS_KEPT"] = 3
    vars(sys.modules["shared.flows.export_tenant"])["ACTIVITY_REACH"] = timedelta(hours=2)


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
    # Before the app is imported: what it takes for a default is this one.
    time.sleep = SLEEP
    for module in pkgutil.walk_packages(shared.__path__, "shared."):
        importlib.import_module(module.name)
    for name in LATE:
        importlib.import_module(name)
    exporting = sys.modules["shared.flows.export"].Exporting
    assert inspect.signature(exporting).parameters["sleep"].default is SLEEP, "the app was imported too early"
    engine = SdkEngine(REPOSITORY)
    gc.collect()
    gc.freeze()
    tell({"ready": True})
    for line in sys.stdin:
        job = json.loads(line)
        if "warm" in job:
            warm(job["warm"])
        else:
            run_job(engine, job)


def warm(env: Mapping[str, str]) -> None:
    """Do a bit of everything here, so that what is built on first use is there in each child: caches, no connections.

    On this thread alone: of others a child would have none but their locks.
    """
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(env)
    try:
        wiring.reconciling().reconcile()
        wiring.planning().plan_exports()
        wiring.reporting().status()
    finally:
        parts.reset()
        # What Key Vault wants to be asked with, the SDK remembers by itself.
        http_challenge_cache.clear()
        os.environ.clear()
        os.environ.update(before)
    assert threading.active_count() == 1
    gc.collect()
    gc.freeze()
    tell({"warm": True})


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
