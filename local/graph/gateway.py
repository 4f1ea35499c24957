"""The way into Microsoft Graph: token, rate limit, operation, answer. For requests alone and inside of batches alike.

https://learn.microsoft.com/graph/use-the-api
"""

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal, get_args

from aiohttp import web

from local.graph.callers import Callers
from local.graph.clock import Clock
from local.graph.graph_errors import GraphError, not_found
from local.graph.graph_request import GraphAnswer, GraphRequest, options
from local.graph.subscription_rules import Caller
from local.graph.throttle import Bucket, Throttle

Verb = Literal[
    "POST /subscriptions",
    "LIST",
    "GET",
    "PATCH",
    "DELETE",
    "REAUTHORIZE",
    "BATCH",
    "USERS",
    "GROUPS",
    "SKUS",
    "EXPORT",
    "CHAT",
    "INTERACTION",
]
VERBS: tuple[Verb, ...] = get_args(Verb)
Handler = Callable[[GraphRequest, Caller], Awaitable[GraphAnswer]]
_BATCH: Verb = "BATCH"


@dataclass(frozen=True)
class Operation:
    """What Graph can be asked for, by method and path; `bucket` is the rate limit that it counts towards."""

    verb: Verb
    method: str
    pattern: re.Pattern[str]
    handler: Handler
    bucket: Bucket | None


def operation(verb: Verb, method: str, path: str, handler: Handler, bucket: Bucket | None = None) -> Operation:
    """Return an operation; `path` is a regular expression, compared without case."""
    return Operation(verb, method, re.compile(path, re.IGNORECASE), handler, bucket)


class Gateway:
    """Serves operations. `requests` counts what was asked for, refused or not, inside of batches too."""

    def __init__(self, callers: Callers, throttle: Throttle, clock: Clock) -> None:
        self.requests: Counter[str] = Counter()
        self._callers = callers
        self._throttle = throttle
        self._clock = clock
        self._operations: list[Operation] = []
        self._lost: Counter[str] = Counter()

    def add(self, operations: Iterable[Operation]) -> None:
        """Serve more operations."""
        self._operations += operations

    def lose_answers(self, verb: Verb, count: int = 1) -> None:
        """Carry out the next `count` requests of a verb that succeed, and hang up instead of answering.

        Raises:
            ValueError: no such verb, or a count below 0.
        """
        if verb not in VERBS or count < 0:
            raise ValueError(f"cannot lose {count} answers of {verb!r}; there are {', '.join(VERBS)}")
        self._lost[verb] = count

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of both versions."""
        return [web.route("*", "/{version:v1\\.0|beta}/{path:.*}", self._serve)]

    async def answer(self, request: GraphRequest, *, batched: bool = True) -> GraphAnswer:
        """Carry out one request.

        Raises:
            GraphError: 401, 404, 405, 429, and whatever the operation refuses.
        """
        found = self._find(request)
        if batched and found.verb == _BATCH:
            raise GraphError(400, "BadRequest", "A batch cannot be nested in a batch.")
        self.requests[found.verb] += 1
        caller = self._callers.identify(request.headers)
        if found.bucket is not None:
            who = caller.tenant_id, caller.application.client_id
            self._throttle.take(found.bucket, who, self._clock.passed())
        match = found.pattern.fullmatch(request.path)
        return await found.handler(replace(request, matched=match.groupdict() if match else {}), caller)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        asked = GraphRequest(
            method=request.method,
            version=request.match_info["version"],
            path="/" + request.match_info["path"],
            query=options(request.query.items()),
            headers=request.headers,
            body=await request.read(),
        )
        answer = await self.answer(asked, batched=False)
        if self._is_lost(self._find(asked).verb) and request.transport is not None:
            request.transport.abort()
        body = answer.text()
        if body is None:
            return web.Response(status=answer.status, headers=answer.headers)
        content_type = {"Content-Type": "application/json; charset=utf-8"}
        return web.Response(body=body, status=answer.status, headers={**answer.headers, **content_type})

    def _find(self, request: GraphRequest) -> Operation:
        there = [each for each in self._operations if each.pattern.fullmatch(request.path)]
        if not there:
            raise not_found()
        for each in there:
            if each.method == request.method:
                return each
        allowed = ", ".join(sorted({each.method for each in there}))
        raise GraphError(405, "MethodNotAllowed", f"{request.method} is not allowed here.", {"Allow": allowed})

    def _is_lost(self, verb: Verb) -> bool:
        self._lost[verb] -= 1
        if self._lost[verb] >= 0:
            return True
        del self._lost[verb]
        return False
