"""The engine for Pythons without azure-functions-runtime: the app's own SDK decodes, runs and encodes.

Uses the converters that the worker uses, so a request or message looks to the function as it does on Azure.
Threads as in https://learn.microsoft.com/azure/azure-functions/python-scale-performance-reference
"""

import asyncio
import importlib
import inspect
import logging
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import azure.functions as func
from azure.functions.decorators.function_app import FunctionRegister

from local.functions_host.datums import RefusedResultError, to_answer, to_datum, to_messages
from local.functions_host.descriptors import FunctionDescriptor, HttpTrigger, QueueBinding, describe
from local.functions_host.engine import HttpAnswer, HttpCall, Outcome, TriggerData
from local.functions_host.errors import LoadError
from local.functions_host.sdk_arguments import InvocationContext, OutValue
from local.functions_host.sdk_converters import converter
from local.functions_host.sdk_signature import check_signature

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Function:
    descriptor: FunctionDescriptor
    call: Callable[..., Any]
    directory: str
    takes_context: bool


class SdkEngine:
    """Runs the app with the SDK's converters and a thread pool of the size that Azure would use."""

    name = "sdk"

    def __init__(self, app: Path) -> None:
        sys.path.insert(0, str(app))
        module = importlib.import_module("function_app")
        # get_functions() works once for each app object, so this is the only call.
        self._functions = {f.descriptor.name: f for f in map(_index, _app_object(vars(module)).get_functions())}
        self._threads = ThreadPoolExecutor(max_workers=_thread_count(), thread_name_prefix="function")

    def functions(self) -> Sequence[FunctionDescriptor]:
        """Every function, in the order of the app."""
        return [function.descriptor for function in self._functions.values()]

    async def invoke(self, function: str, invocation_id: str, data: TriggerData) -> Outcome:
        """Run one function to its end."""
        target = self._functions[function]
        try:
            return await self._invoke(target, invocation_id, data)
        except RefusedResultError as refusal:
            return Outcome(error=str(refusal))
        except Exception:  # noqa: BLE001 - whatever a function raises is its outcome, and the caller logs it
            return Outcome(error=traceback.format_exc())

    async def _invoke(self, target: _Function, invocation_id: str, data: TriggerData) -> Outcome:
        outs = {name: OutValue() for name in target.descriptor.outputs}
        arguments: dict[str, Any] = {target.descriptor.trigger.parameter: _decode(target.descriptor, data), **outs}
        if target.takes_context:
            arguments["context"] = InvocationContext(target.descriptor.name, target.directory, invocation_id)
        result = await self._call(target, arguments)
        return Outcome(
            answer=_answer(target.descriptor.name, result, data),
            messages={name: _encode(out.value) for name, out in outs.items() if out.value is not None},
        )

    async def _call(self, target: _Function, arguments: dict[str, Any]) -> object:
        if target.descriptor.is_async:
            result: object = await target.call(**arguments)
            return result
        context = copy_context()
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: context.run(target.call, **arguments)
        )


def _app_object(names: Mapping[str, object]) -> FunctionRegister:
    apps = {id(value): value for value in names.values() if isinstance(value, FunctionRegister)}
    if len(apps) != 1:
        raise LoadError(f"function_app.py must define one FunctionApp at module level, and defines {len(apps)}")
    return next(iter(apps.values()))


def _index(function: func.Function) -> _Function:
    name, call = str(function.get_function_name()), function.get_user_function()
    descriptor = describe(name, is_async=inspect.iscoroutinefunction(call), raw_bindings=function.get_raw_bindings())
    takes_context = check_signature(name, call, function.get_bindings())
    return _Function(descriptor, call, str(Path(inspect.getfile(call)).parent), takes_context)


def _decode(descriptor: FunctionDescriptor, data: TriggerData) -> object:
    kinds = {HttpTrigger: "httpTrigger", QueueBinding: "queueTrigger"}
    datum, metadata = to_datum(data)
    kind = kinds.get(type(descriptor.trigger), "timerTrigger")
    decoded: object = converter(kind).decode(datum, trigger_metadata=metadata)
    return decoded


def _answer(name: str, result: object, data: TriggerData) -> HttpAnswer | None:
    if isinstance(data, HttpCall):
        if not isinstance(result, func.HttpResponse | str):
            raise RefusedResultError(f"an HTTP function must return HttpResponse, not {type(result).__name__}")
        return to_answer(converter("http").encode(result, expected_type=None))
    if result is not None:
        raise RefusedResultError(f"{name} has no $return binding and returned {type(result).__name__}")
    return None


def _encode(value: object) -> list[bytes]:
    try:
        return to_messages(converter("queue").encode(value, expected_type=None))
    except NotImplementedError as error:
        raise RefusedResultError(f"a queue output cannot be set to {type(value).__name__}") from error


def _thread_count() -> int | None:
    """PYTHON_THREADPOOL_THREAD_COUNT; None (Python's default, min(32, cores + 4)) where it is absent or no number."""
    text = os.environ.get("PYTHON_THREADPOOL_THREAD_COUNT")
    if text is None:
        return None
    if not text.isdecimal() or int(text) < 1:
        _LOG.warning("PYTHON_THREADPOOL_THREAD_COUNT is %r, not a number from 1 on; using the default", text)
        return None
    return int(text)
