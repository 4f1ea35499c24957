"""The engine that Azure itself runs on Python 3.13 and later: azure-functions-runtime, in this process.

Everything that touches its internals is in this file, and requirements.txt pins the version: `native_invocation`
is its seam for hosts other than gRPC ones, but not part of what it exports.
https://github.com/Azure/azure-functions-python-worker
"""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import azure_functions_runtime as runtime
from azure_functions_runtime import handle_event, loader, native_invocation

from local.functions_host.datums import RefusedResultError, to_answer, to_datum, to_messages
from local.functions_host.descriptors import FunctionDescriptor, describe
from local.functions_host.engine import HttpCall, Outcome, TriggerData

# The runtime takes its protobuf classes from whoever drives it and asks only for attributes of these three.
_BindingInfo = type("BindingInfo", (SimpleNamespace,), {"in": 0, "out": 1, "inout": 2, "undefined": 0})
_PROTOS = SimpleNamespace(
    BindingInfo=_BindingInfo, RpcFunctionMetadata=SimpleNamespace, RpcRetryOptions=SimpleNamespace
)


class RuntimeEngine:
    """Indexes and runs the app with the code that does it on Azure, load-time checks included."""

    name = "runtime"

    def __init__(self, app: Path) -> None:
        sys.path.insert(0, str(app))
        handle_event.protos = _PROTOS
        handle_event.load_binding_registry()
        logging.getLogger("azure.functions").addFilter(_not_a_failed_call)
        indexed = loader.index_function_app(str(app / "function_app.py"))
        metadata, _logs = loader.process_indexed_function(_PROTOS, handle_event._functions, indexed, str(app))  # noqa: SLF001 - no public way to it
        runtime.start_threadpool_executor()
        self._ids = {entry.name: entry.function_id for entry in metadata}
        self._functions = {entry.name: _describe(entry) for entry in metadata}

    def functions(self) -> Sequence[FunctionDescriptor]:
        """Every function, in the order of the app."""
        return list(self._functions.values())

    async def invoke(self, function: str, invocation_id: str, data: TriggerData) -> Outcome:
        """Run one function to its end."""
        datum, metadata = to_datum(data)
        trace_parent = data.headers.get("traceparent", "") if isinstance(data, HttpCall) else ""
        ok, returned, outputs, message, trace = await native_invocation.invocation_request_native(
            invocation_id,
            self._ids[function],
            [(self._functions[function].trigger.parameter, datum)],
            metadata,
            trace_parent=trace_parent,
        )
        if not ok:
            return Outcome(error=trace or message)
        try:
            return Outcome(
                answer=to_answer(returned) if isinstance(data, HttpCall) else None,
                messages={name: to_messages(output) for name, output in outputs},
            )
        except RefusedResultError as refusal:
            return Outcome(error=str(refusal))


def _describe(entry: SimpleNamespace) -> FunctionDescriptor:
    info = handle_event._functions.get_function(entry.function_id)  # noqa: SLF001 - as above
    return describe(entry.name, is_async=info.is_async, raw_bindings=entry.raw_bindings)


def _not_a_failed_call(record: logging.LogRecord) -> bool:
    # The runtime logs the traceback of a failed call without the function's name; the host logs it with the name.
    return record.msg != "Native invocation failed"
