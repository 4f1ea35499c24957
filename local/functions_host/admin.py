"""The admin routes: is the host ready, what does it host, run this function now.

https://learn.microsoft.com/azure/azure-functions/functions-manually-run-non-http
"""

import asyncio
import json
import time
from collections.abc import Sequence
from uuid import uuid4

from aiohttp import web

from local.functions_host.descriptors import FunctionDescriptor, HttpTrigger, QueueBinding
from local.functions_host.engine import QueueDelivery, TimerTick, TriggerData
from local.functions_host.http_request import BodyError, headers_of, query_of, read_body
from local.functions_host.invocations import Invocations
from local.functions_host.keys import Keys

_INPUT_LIMIT = 1_048_576
PREFIX = "/admin/"


class Admin:
    """Answers everything below `/admin/`."""

    def __init__(
        self, engine: str, functions: Sequence[FunctionDescriptor], keys: Keys, invocations: Invocations
    ) -> None:
        self._engine = engine
        # The host does not mind the case of a function's name.
        self._functions = {function.name.lower(): function for function in functions}
        self._keys = keys
        self._invocations = invocations
        self._started = time.monotonic()
        self._background: set[asyncio.Task[object]] = set()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """401 without the master key where there is one; 404 for what is not here."""
        if not self._keys.allow_admin_route(headers_of(request), query_of(request)):
            return web.Response(status=401)
        match request.method, request.path.removeprefix(PREFIX).strip("/").split("/"):
            case "GET", ["host", "status"]:
                return web.json_response(self._status())
            case "GET", ["functions"]:
                return web.json_response([_listed(function) for function in self._functions.values()])
            case "POST", ["functions", name] if function := self._functions.get(name.lower()):
                return await self._run(function, request)
        return web.Response(status=404)

    async def _run(self, function: FunctionDescriptor, request: web.BaseRequest) -> web.Response:
        if isinstance(function.trigger, HttpTrigger):
            return web.Response(status=400, text=f"{function.name} is an HTTP function: call its route")
        try:
            text = _input(await read_body(request, _INPUT_LIMIT))
        except BodyError as error:
            return web.Response(status=error.status)
        except ValueError:
            return web.Response(status=400, text='the body must be JSON such as {"input": ""}')
        if self._invocations.closed:
            return web.Response(status=503)
        # The caller gets its 202 before the function ends; the set keeps the task from being collected.
        task: asyncio.Task[object] = asyncio.create_task(self._invocations.run(function, _data(function, text)))
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        # Let it begin, so that a host that is told to stop right now counts it among the running.
        await asyncio.sleep(0)
        return web.Response(status=202)

    def _status(self) -> dict[str, object]:
        uptime = int((time.monotonic() - self._started) * 1000)
        return {"id": "local", "state": "Running", "engine": self._engine, "processUptime": uptime}


def _input(body: bytes) -> str:
    document = json.loads(body)
    text = document.get("input") if isinstance(document, dict) else 0
    if text is not None and not isinstance(text, str):
        raise ValueError("input is not a string")
    return text or ""


def _data(function: FunctionDescriptor, text: str) -> TriggerData:
    if isinstance(function.trigger, QueueBinding):
        return QueueDelivery(body=text.encode(), id=str(uuid4()))
    return TimerTick()


def _listed(function: FunctionDescriptor) -> dict[str, object]:
    return {"name": function.name, "trigger": function.summary, "isAsync": function.is_async}
