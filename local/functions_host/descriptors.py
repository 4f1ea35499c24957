"""What the host knows of one function: its trigger and its outputs, read from the SDK's bindings.

Both engines give bindings as the JSON that the SDK would write into function.json:
https://learn.microsoft.com/azure/azure-functions/functions-triggers-bindings
"""

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from local.functions_host.errors import LoadError

_SETTING = re.compile(r"%([^%]+)%")
_QUEUE_NAME = re.compile(r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*")

Binding = Mapping[str, object]


@dataclass(frozen=True)
class HttpTrigger:
    """`route` is the template without the prefix; no `methods` means every method; `auth` is lower case."""

    parameter: str
    route: str
    methods: frozenset[str]
    auth: str


@dataclass(frozen=True)
class QueueBinding:
    """A queue that triggers a function or takes its output; `connection` names the setting, not its value."""

    parameter: str
    queue: str
    connection: str


@dataclass(frozen=True)
class TimerTrigger:
    """`schedule` is as written, `%SETTING%` and all: one bad schedule must not keep the others from running."""

    parameter: str
    schedule: str
    run_on_startup: bool


Trigger = HttpTrigger | QueueBinding | TimerTrigger


@dataclass(frozen=True)
class FunctionDescriptor:
    """One function; `outputs` are its queue outputs by parameter name."""

    name: str
    is_async: bool
    trigger: Trigger
    outputs: Mapping[str, QueueBinding] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """The trigger in a few words, for the table at start."""
        trigger = self.trigger
        if isinstance(trigger, HttpTrigger):
            return f"{','.join(sorted(trigger.methods)) or 'any method'} /{trigger.route} ({trigger.auth})"
        if isinstance(trigger, QueueBinding):
            return f"queue {trigger.queue}"
        return f"timer {trigger.schedule}"


def describe(name: str, *, is_async: bool, raw_bindings: Iterable[str]) -> FunctionDescriptor:
    """Read a function's bindings; `LoadError` names the function and what this host cannot do."""
    trigger: Trigger | None = None
    outputs: dict[str, QueueBinding] = {}
    for binding in map(json.loads, raw_bindings):
        kind = binding["type"]
        if kind in _TRIGGERS:
            trigger = _TRIGGERS[kind](name, binding)
        elif kind == "queue":
            outputs[str(binding["name"])] = _queue(name, binding)
        elif kind != "http":
            raise LoadError(f"{name}: {kind} bindings are not hosted here; run it with `func start`")
    if trigger is None:
        raise LoadError(f"{name}: has no trigger")
    return FunctionDescriptor(name, is_async, trigger, outputs)


def expand(text: str) -> str:
    """Replace each `%SETTING%` by that app setting; `LoadError` names the first that is not set."""

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if found is None:
            raise LoadError(f"app setting {match[1]}, asked for by {text!r}, is not set")
        return found

    return _SETTING.sub(value, text)


def _http(function: str, binding: Binding) -> HttpTrigger:
    methods = binding.get("methods") or ()
    route = binding.get("route")
    return HttpTrigger(
        parameter=str(binding["name"]),
        route=expand(function if route is None else str(route)).strip("/"),
        methods=frozenset(str(method).upper() for method in methods if method)
        if isinstance(methods, list)
        else frozenset(),
        auth=str(binding.get("authLevel") or "function").lower(),
    )


def _queue(function: str, binding: Binding) -> QueueBinding:
    queue = expand(str(binding["queueName"])).lower()
    if not _QUEUE_NAME.fullmatch(queue):
        raise LoadError(f"{function}: {queue!r} is no queue name: 3 to 63 of a-z, 0-9 and single inner dashes")
    return QueueBinding(
        parameter=str(binding["name"]), queue=queue, connection=str(binding.get("connection") or "AzureWebJobsStorage")
    )


def _timer(_function: str, binding: Binding) -> TimerTrigger:
    return TimerTrigger(
        parameter=str(binding["name"]),
        schedule=str(binding["schedule"]),
        run_on_startup=bool(binding.get("runOnStartup")),
    )


_TRIGGERS: Mapping[str, Callable[[str, Binding], Trigger]] = {
    "httpTrigger": _http,
    "queueTrigger": _queue,
    "timerTrigger": _timer,
}
