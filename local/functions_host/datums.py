"""Between the host's values and the `Datum` that the SDK's converters read and write.

The shapes are those that the host sends a Python worker:
https://github.com/Azure/azure-functions-host/tree/dev/src/WebJobs.Script.Grpc/MessageExtensions
"""

import json
from collections.abc import Mapping
from datetime import datetime

from azure.functions.meta import Datum

from local.functions_host.engine import HttpAnswer, HttpCall, QueueDelivery, TimerTick, TriggerData

Metadata = Mapping[str, Datum]


class RefusedResultError(Exception):
    """A function returned what the real host would misread, or what this host does not carry."""


def to_datum(data: TriggerData) -> tuple[Datum, Metadata]:
    """The trigger's datum and its metadata."""
    if isinstance(data, HttpCall):
        return _http(data), {}
    if isinstance(data, QueueDelivery):
        return _queue_body(data.body), _queue_metadata(data)
    return _timer(data), {}


def to_answer(datum: Datum | None) -> HttpAnswer:
    """The answer in the datum that the HTTP converter made of a function's result."""
    if datum is None or datum.type != "http":
        # The real host parses such a text and may take it for a whole response (HttpBinding.cs in the host's
        # source), so the function's author would be surprised on Azure only.
        raise RefusedResultError("an HTTP function must return azure.functions.HttpResponse, not a bare str")
    value = datum.value
    headers = [(name, header.value) for name, header in value["headers"].items()]
    for cookie in value.get("cookies") or ():
        headers += [("set-cookie", morsel.OutputString()) for morsel in cookie.values()]
    return HttpAnswer(status=int(value["status_code"].value), headers=headers, body=bytes(value["body"].value))


def to_messages(datum: Datum) -> list[bytes]:
    """The messages in the datum that the queue converter made of an output: str, bytes or a list of str."""
    if datum.type == "bytes":
        return [bytes(datum.value)]
    if datum.type == "string":
        return [datum.value.encode()]
    if datum.type == "json":
        items = json.loads(datum.value)
        if isinstance(items, list) and all(isinstance(item, str) for item in items):
            return [item.encode() for item in items]
    raise RefusedResultError("a queue output must be set to str, bytes or a list of str")


def _http(call: HttpCall) -> Datum:
    return Datum(
        type="http",
        value={
            "method": Datum(call.method, "string"),
            "url": Datum(call.url, "string"),
            "headers": _strings(call.headers),
            "query": _strings(call.query),
            "params": _strings(call.route),
            "body": Datum(call.body, "bytes"),
        },
    )


def _strings(values: Mapping[str, str]) -> dict[str, Datum]:
    return {name: Datum(value, "string") for name, value in values.items()}


def _queue_body(body: bytes) -> Datum:
    try:
        return Datum(body.decode(), "string")
    except UnicodeDecodeError:
        return Datum(body, "bytes")


def _queue_metadata(delivery: QueueDelivery) -> Metadata:
    times = {
        "InsertionTime": delivery.inserted_on,
        "ExpirationTime": delivery.expires_on,
        "NextVisibleTime": delivery.next_visible_on,
    }
    return {
        "Id": Datum(delivery.id, "string"),
        "DequeueCount": Datum(str(delivery.dequeue_count), "json"),
        "PopReceipt": Datum(delivery.pop_receipt, "string"),
        **{name: Datum(json.dumps(_time(time)), "json") for name, time in times.items() if time},
    }


def _timer(tick: TimerTick) -> Datum:
    status = {"Last": _time(tick.last), "Next": _time(tick.next), "LastUpdated": _time(tick.last)}
    document = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": tick.past_due}
    return Datum(json.dumps(document), "json")


def _time(time: datetime | None) -> str | None:
    return time.isoformat() if time else None
