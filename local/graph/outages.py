"""Outages by script: any part of the simulated cloud can fail, hang or hang up.

The parts are what an app depends on separately: "graph", "entra" (tokens), "signing_keys" (metadata and keys),
"vault" and "identity" (the managed identity endpoint).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, get_args

from aiohttp import web
from aiohttp.typedefs import Middleware

Surface = Literal["graph", "entra", "signing_keys", "vault", "identity"]
Kind = Literal["403", "429", "500", "503", "hang", "refuse"]
SURFACES: tuple[Surface, ...] = get_args(Surface)
KINDS: tuple[Kind, ...] = get_args(Kind)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Outage:
    """How a part fails, and for how many more requests (None: until restored)."""

    kind: Kind
    left: int | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Outages:
    """What is failing now; `refused` counts the requests that met an outage, by part."""

    def __init__(self) -> None:
        self._now: dict[Surface, Outage] = {}
        self.refused: dict[Surface, int] = dict.fromkeys(SURFACES, 0)

    def begin(self, surface: Surface, kind: Kind, *, requests: int | None = None) -> None:
        """Let `surface` fail from now on, for so many `requests` or until `end`.

        Kinds: an HTTP status (429 and 503 with `Retry-After: 1`); "hang" accepts the request and never answers;
        "refuse" drops the connection without an answer.

        Raises:
            ValueError: an unknown part or kind.
        """
        if surface not in SURFACES or kind not in KINDS:
            raise ValueError(f"no such outage: {surface!r} {kind!r}; parts {SURFACES}, kinds {KINDS}")
        self.end(surface)
        self._now[surface] = Outage(kind, requests)

    def end(self, surface: Surface) -> None:
        """Let `surface` work again; requests that hang are answered 503."""
        if (outage := self._now.pop(surface, None)) is not None:
            outage.over.set()

    def end_all(self) -> None:
        """Let everything work again."""
        for surface in SURFACES:
            self.end(surface)

    def now(self) -> dict[Surface, Kind]:
        """Return what is failing, and how."""
        return {surface: outage.kind for surface, outage in self._now.items()}

    def take(self, surface: Surface) -> Outage | None:
        """Return the outage that the next request to `surface` meets, and count it."""
        outage = self._now.get(surface)
        if outage is None:
            return None
        self.refused[surface] += 1
        if outage.left is not None:
            outage.left -= 1
            if outage.left <= 0:
                del self._now[surface]
        return outage

    def middleware(self, surface_of: Callable[[web.Request], Surface | None]) -> Middleware:
        """Return the aiohttp middleware that lets requests run into the outages of their part."""

        @web.middleware
        async def fail(request: web.Request, handler: Handler) -> web.StreamResponse:
            surface = surface_of(request)
            outage = self.take(surface) if surface else None
            return await handler(request) if outage is None else await _failure(request, outage)

        return fail


async def _failure(request: web.Request, outage: Outage) -> web.Response:
    if outage.kind == "hang":
        await outage.over.wait()
        return web.json_response(_BODY, status=503)
    if outage.kind == "refuse":
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=503)
    status = int(outage.kind)
    headers = {"Retry-After": "1"} if status in {429, 503} else {}
    return web.json_response(_BODY, status=status, headers=headers)


_BODY = {"error": {"code": "ServiceUnavailable", "message": "This part is out of order, as asked for."}}
