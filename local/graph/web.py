"""The two listeners: everything of the cloud over TLS on one port, the managed identity over plain HTTP beside it."""

import asyncio
import socket
import ssl
from collections.abc import Iterable, Sequence
from datetime import UTC
from email.utils import format_datetime

from aiohttp import web
from aiohttp.typedefs import Middleware

from local.graph.clock import Clock
from local.graph.graph_errors import Handler, answer
from local.graph.outages import Outages, Surface

MAX_REQUEST_BYTES = 4 * 1024 * 1024
_SHUTDOWN_SECONDS = 0.2


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes a free one.

    Raises:
        OSError: the port is taken.
    """
    listener = socket.create_server((host, port), backlog=256)
    listener.setblocking(False)
    return listener


def port_of(listener: socket.socket) -> int:
    """Return the port that a socket listens on."""
    return int(listener.getsockname()[1])


def surface_of(request: web.Request) -> Surface | None:
    """Return the part of the cloud that a request goes to; None for the control API."""
    path = request.path
    if path.startswith(("/v1.0/", "/beta/")):
        return "graph"
    if path.startswith(("/secrets/", "/certificates/")):
        return "vault"
    if path.startswith("/msi/"):
        return "identity"
    if path.endswith(("/openid-configuration", "/keys")):
        return "signing_keys"
    return "entra" if "/oauth2/" in path else None


@web.middleware
async def graph_answers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give Microsoft Graph's answers their shape."""
    return await (answer(request, handler) if surface_of(request) == "graph" else handler(request))


def dated(clock: Clock) -> Middleware:
    """Return the aiohttp middleware that gives each answer the simulated time."""

    @web.middleware
    async def date(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        response.headers["Date"] = format_datetime(clock.now().astimezone(UTC), usegmt=True)
        return response

    return date


class Listener:
    """An aiohttp application on a socket."""

    def __init__(self, listener: socket.socket, routes: Iterable[web.RouteDef], outages: Outages, clock: Clock) -> None:
        middlewares: Sequence[Middleware] = (dated(clock), graph_answers, outages.middleware(surface_of))
        self._listener = listener
        self._application = web.Application(middlewares=middlewares, client_max_size=MAX_REQUEST_BYTES)
        self._application.add_routes(routes)
        self._runner = web.AppRunner(self._application, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)

    async def start(self, context: ssl.SSLContext | None = None) -> None:
        """Begin to serve, over TLS where a context is given."""
        await self._runner.setup()
        await web.SockSite(self._runner, self._listener, ssl_context=context).start()

    async def stop(self) -> None:
        """Close the socket and every connection."""
        # Clients that keep TLS connections alive do not answer a polite end, which asyncio would wait for.
        for connection in self._runner.server.connections if self._runner.server else ():
            if connection.transport is not None:
                connection.transport.abort()
        await self._runner.cleanup()
        self._listener.close()
        # An aborted transport lets go of its socket in the loop's next turns.
        for _ in range(3):
            await asyncio.sleep(0)
