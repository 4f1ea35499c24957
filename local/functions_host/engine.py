"""The seam between the host and what runs Python functions; two engines stand behind it.

`runtime` is Azure's own execution engine (Python 3.13 and later), `sdk` does the same with the converters of
azure-functions (any Python). The host gives an engine a trigger's data and gets an `Outcome`; nothing else passes.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from local.functions_host.descriptors import FunctionDescriptor

ENGINES = ("auto", "sdk", "runtime")


@dataclass(frozen=True)
class HttpCall:
    """A request as the function sees it: header names in lower case, repeated values joined with commas."""

    method: str
    url: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    route: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class QueueDelivery:
    """A message as the function sees it, decoded; times are aware, None where nobody knows (an admin call)."""

    body: bytes = field(repr=False)
    id: str
    dequeue_count: int = 1
    pop_receipt: str = ""
    inserted_on: datetime | None = None
    expires_on: datetime | None = None
    next_visible_on: datetime | None = None


@dataclass(frozen=True)
class TimerTick:
    """One firing; `last` and `next` are the schedule's times around it, UTC."""

    past_due: bool = False
    last: datetime | None = None
    next: datetime | None = None


TriggerData = HttpCall | QueueDelivery | TimerTick


@dataclass(frozen=True)
class HttpAnswer:
    """What an HTTP function returned; `headers` may name Set-Cookie more than once."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Outcome:
    """How a call ended. `error` is the traceback of a failed call, or why its result was refused.

    `messages` are the queue outputs by parameter name, neither encoded nor written yet.
    """

    error: str | None = None
    answer: HttpAnswer | None = None
    messages: Mapping[str, Sequence[bytes]] = field(default_factory=dict, repr=False)


class Engine(Protocol):
    """Runs the functions of one app. `invoke` never raises for what a function does: it says so in the outcome."""

    name: str

    def functions(self) -> Sequence[FunctionDescriptor]:
        """Every function, in the order of the app."""

    async def invoke(self, function: str, invocation_id: str, data: TriggerData) -> Outcome:
        """Run one function to its end: async ones on this event loop, sync ones on the engine's threads."""


def load_engine(name: str, app: Path) -> Engine:
    """Import the app in `app` and index it with the engine called `name` (see `ENGINES`).

    Whatever the import raises passes through: the traceback is what its author needs. Call once a process.
    """
    if name == "runtime" or (name == "auto" and sys.version_info >= (3, 13)):
        # Its package exists for 3.13 and later only, so it cannot be imported above.
        from local.functions_host.engine_runtime import RuntimeEngine  # noqa: PLC0415 - see above

        return RuntimeEngine(app)
    from local.functions_host.engine_sdk import SdkEngine  # noqa: PLC0415 - the SDK is not loaded where it is not used

    return SdkEngine(app)
