"""`/$batch`: up to twenty requests in one, each with an answer, and a rate limit, of its own.

https://learn.microsoft.com/graph/json-batching
"""

import asyncio
import json
import random
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

from multidict import CIMultiDict

from local.graph.gateway import Operation, operation
from local.graph.graph_errors import GraphError, bad_request
from local.graph.graph_request import GraphAnswer, GraphRequest, Json, options
from local.graph.subscription_rules import Caller

MAXIMUM = 20
_INVALID = "Invalid batch payload format."
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
Answer = Callable[[GraphRequest], Awaitable[GraphAnswer]]


@dataclass(frozen=True)
class Step:
    """One request of a batch; it waits for those that it depends on."""

    id: str
    request: GraphRequest
    depends_on: tuple[str, ...]


class BatchApi:
    """The operation. `answer` carries out one request; answers come back in an order that means nothing."""

    def __init__(self, answer: Answer, rng: random.Random) -> None:
        self._answer = answer
        self._rng = rng

    def operations(self) -> list[Operation]:
        """Return what the gateway is to serve."""
        return [operation("BATCH", "POST", r"/\$batch", self._batch)]

    async def _batch(self, request: GraphRequest, _: Caller) -> GraphAnswer:
        tasks: dict[str, asyncio.Task[Json]] = {}
        for step in _in_order(read(request)):
            before = [tasks[name] for name in step.depends_on]
            tasks[step.id] = asyncio.create_task(self._run(step, before))
        responses = list(await asyncio.gather(*tasks.values()))
        self._rng.shuffle(responses)
        return GraphAnswer(200, {"responses": responses})

    async def _run(self, step: Step, before: list[asyncio.Task[Json]]) -> Json:
        if any(answer["status"] >= 400 for answer in await asyncio.gather(*before)):
            return _failed(step, GraphError(424, "FailedDependency", "A request that this one depends on has failed."))
        try:
            answer = await self._answer(step.request)
        except GraphError as error:
            return _failed(step, error)
        return _response(step, answer)


def read(request: GraphRequest) -> list[Step]:
    """Return the steps of a batch.

    Raises:
        GraphError: 400, when the batch as a whole cannot be understood.
    """
    requests = request.json_object().get("requests")
    if not isinstance(requests, list) or not requests:
        raise bad_request(_INVALID)
    if len(requests) > MAXIMUM:
        message = f"Number of batch request steps exceeds the maximum value of {MAXIMUM}."
        raise bad_request(message, "MaximumValueExceeded")
    steps = [_step(request, each) for each in requests]
    names = {step.id for step in steps}
    if len(names) < len(steps):
        raise bad_request("Request Id has to be unique in a batch.")
    for step in steps:
        if unknown := set(step.depends_on) - names:
            raise bad_request(f"Request '{step.id}' depends on unknown requests: {', '.join(sorted(unknown))}.")
    return steps


def _step(outer: GraphRequest, values: Any) -> Step:  # noqa: ANN401 - JSON
    if not isinstance(values, dict):
        raise bad_request(_INVALID)
    for name in ("id", "method", "url"):
        if not isinstance(values.get(name), str) or not values[name]:
            raise bad_request(f"{_INVALID} Every request needs a text '{name}'.")
    depends_on = values.get("dependsOn") or []
    if not isinstance(depends_on, list) or not all(isinstance(each, str) for each in depends_on):
        raise bad_request(f"{_INVALID} dependsOn is a list of ids.")
    if values["method"].upper() not in _METHODS:
        raise bad_request(f"{_INVALID} Unknown method '{values['method']}'.")
    return Step(values["id"], _inner(outer, values), tuple(depends_on))


def _inner(outer: GraphRequest, values: Mapping[str, Any]) -> GraphRequest:
    if ":" in values["url"].partition("?")[0].partition("/")[0]:
        raise bad_request(f"{_INVALID} The url of request '{values['id']}' must be relative.")
    if any("\ud800" <= character <= "\udfff" for character in values["url"]):
        # JSON can carry half a surrogate pair, a URL cannot.
        raise bad_request(f"{_INVALID} The url of request '{values['id']}' is none.")
    headers = _headers(values)
    # Every request of a batch is sent in the name of the batch's caller.
    headers["Authorization"] = outer.headers.get("Authorization", "")
    path, _, query = values["url"].partition("?")
    body = values.get("body")
    if body is not None and "Content-Type" not in headers:
        raise bad_request(f"{_INVALID} Request '{values['id']}' has a body and no Content-Type header.")
    return GraphRequest(
        method=values["method"].upper(),
        version=outer.version,
        path="/" + unquote(path).lstrip("/"),
        query=options(parse_qsl(query, keep_blank_values=True)),
        headers=headers,
        body=b"" if body is None else json.dumps(body).encode(),
    )


def _headers(values: Mapping[str, Any]) -> "CIMultiDict[str]":
    headers = values.get("headers") or {}
    if not isinstance(headers, dict) or not all(isinstance(each, str) for each in headers.values()):
        raise bad_request(f"{_INVALID} headers are texts.")
    return CIMultiDict(headers)


def _in_order(steps: list[Step]) -> list[Step]:
    # Whatever order they came in: each behind those that it waits for. What waits for itself is no batch.
    ordered: list[Step] = []
    waiting = list(steps)
    while waiting:
        done = {step.id for step in ordered}
        ready = [step for step in waiting if done.issuperset(step.depends_on)]
        if not ready:
            raise bad_request(f"{_INVALID} The requests depend on each other in a circle.")
        ordered += ready
        waiting = [step for step in waiting if step not in ready]
    return ordered


def _response(step: Step, answer: GraphAnswer) -> Json:
    response: Json = {"id": step.id, "status": answer.status, "headers": dict(answer.headers)}
    if (document := answer.document()) is not None:
        response["headers"]["Content-Type"] = "application/json"
        response["body"] = document
    return response


def _failed(step: Step, error: GraphError) -> Json:
    request_id = str(uuid.uuid4())
    client_request_id = step.request.headers.get("client-request-id", request_id)
    return _response(step, GraphAnswer(error.status, error.body(request_id, client_request_id), error.headers))
