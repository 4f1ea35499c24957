"""Reads what this host honours of `host.json`.

Names, defaults and ranges:
https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue#hostjson-settings
https://learn.microsoft.com/azure/azure-functions/functions-host-json#functiontimeout
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from local.functions_host.errors import SettingsError

_TIME_SPAN = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{1,2}):(\d{1,2}(?:\.\d{1,7})?)")
MAX_BATCH = 32  # what one Get Messages call may ask for

Encoding = Literal["base64", "none"]


@dataclass(frozen=True)
class QueueOptions:
    """How queues are polled and retried; times in seconds."""

    batch_size: int = 16
    new_batch_threshold: int = 8
    max_dequeue_count: int = 5
    visibility_timeout: float = 0
    max_polling_interval: float = 60
    message_encoding: Encoding = "base64"


@dataclass(frozen=True)
class HostJson:
    """`route_prefix` has no slashes at its ends; `function_timeout` is seconds, None for no limit."""

    route_prefix: str = "api"
    function_timeout: float | None = 1800
    queues: QueueOptions = QueueOptions()


def read_host_json(path: Path) -> HostJson:
    """Read and check `host.json`; a missing file, or a value out of its range, is a `SettingsError`."""
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: cannot be read as JSON: {error}") from error
    try:
        return _parse(_object("host.json", document))
    except ValueError as error:
        raise SettingsError(f"{path}: {error}") from error


def seconds(text: object) -> float:
    """Seconds of a .NET TimeSpan in `[d.]hh:mm:ss[.fffffff]`; anything else raises `ValueError`."""
    match = _TIME_SPAN.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{text!r} is not a time span such as 00:00:10")
    days, hours, minutes, secs = match.groups(default="0")
    return int(days) * 86400 + int(hours) * 3600 + int(minutes) * 60 + float(secs)


def _parse(document: Mapping[str, object]) -> HostJson:
    extensions = _object("extensions", document.get("extensions", {}))
    http = _object("extensions.http", extensions.get("http", {}))
    return HostJson(
        route_prefix=str(http.get("routePrefix", "api")).strip("/"),
        function_timeout=_timeout(document.get("functionTimeout", "00:30:00")),
        queues=_queues(_object("extensions.queues", extensions.get("queues", {}))),
    )


def _timeout(value: object) -> float | None:
    return None if value == "-1" else seconds(value)


def _queues(section: Mapping[str, object]) -> QueueOptions:
    batch_size = _whole(section, "batchSize", 16, 1, MAX_BATCH)
    encoding = section.get("messageEncoding", "base64")
    if encoding not in ("base64", "none"):
        raise ValueError(f"extensions.queues.messageEncoding is {encoding!r}, not base64 or none")
    return QueueOptions(
        batch_size=batch_size,
        new_batch_threshold=_whole(section, "newBatchThreshold", batch_size // 2, 0, 1000),
        max_dequeue_count=_whole(section, "maxDequeueCount", 5, 1, 1_000_000),
        visibility_timeout=seconds(section.get("visibilityTimeout", "00:00:00")),
        max_polling_interval=max(0.1, seconds(section.get("maxPollingInterval", "00:01:00"))),
        message_encoding="base64" if encoding == "base64" else "none",
    )


def _whole(section: Mapping[str, object], name: str, default: int, low: int, high: int) -> int:
    value = section.get(name, default)
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"extensions.queues.{name} is {value!r}, not a whole number from {low} to {high}")
    return value


def _object(name: str, value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"{name} is not a JSON object")  # noqa: TRY004 - the file's value is wrong, not a type of ours
    return value
