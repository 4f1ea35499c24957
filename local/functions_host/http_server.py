"""Listens, and gives each request to the admin routes or to the function whose route matches."""

import logging
from typing import Protocol

from aiohttp import web

from local.functions_host.descriptors import HttpTrigger
from local.functions_host.errors import HostError
from local.functions_host.http_request import BodyError, call_of, headers_of, query_of, read_body, response_of
from local.functions_host.invocations import Invocations
from local.functions_host.keys import Keys
from local.functions_host.routes import RouteTable

_LOG = logging.getLogger(__name__)
ADDRESS = "127.0.0.1"  # this host is for one machine: no other may reach it
_HEADER_BYTES = 32_768  # Kestrel's limit; https://learn.microsoft.com/aspnet/core/fundamentals/servers/kestrel/options
_CLOSE_SECONDS = 2.0


class Handler(Protocol):
    """Answers one request."""

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer."""


class HttpFunctions:
    """Finds, guards and runs the HTTP functions."""

    def __init__(self, routes: RouteTable, keys: Keys, invocations: Invocations, body_limit: int) -> None:
        self._routes = routes
        self._keys = keys
        self._invocations = invocations
        self._body_limit = body_limit

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """404 where no route takes path and method, 401 without the key, 413 and 408 for the body, 500 on failure."""
        match = self._routes.find(request.method, request.rel_url.raw_path)
        if match is None or not isinstance(match.function.trigger, HttpTrigger):
            return web.Response(status=404)
        if not self._keys.allow(match.function.trigger.auth, headers_of(request), query_of(request)):
            return web.Response(status=401)
        try:
            body = await read_body(request, self._body_limit)
        except BodyError as error:
            return _closing(web.Response(status=error.status))
        if self._invocations.closed:
            return _closing(web.Response(status=503))
        outcome = await self._invocations.run(match.function, call_of(request, match.parameters, body))
        if outcome.error is not None or outcome.answer is None:
            return web.Response(status=500)
        return response_of(outcome.answer)


class HttpServer:
    """Holds the port from the start, so that callers get a 503 and not a refused connection while the app loads."""

    def __init__(self) -> None:
        self._handler: Handler | None = None
        self._runner: web.ServerRunner | None = None
        self._site: web.TCPSite | None = None

    async def listen(self, port: int) -> int:
        """Listen on loopback and return the port (a free one for 0); `HostError` when it is taken."""
        server = web.Server(self._answer, auto_decompress=False, access_log=None, max_field_size=_HEADER_BYTES)
        self._runner = web.ServerRunner(server, shutdown_timeout=_CLOSE_SECONDS)
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, ADDRESS, port)
        try:
            await self._site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise HostError(f"cannot listen on {ADDRESS}:{port}: {error.strerror or error}") from error
        return int(self._runner.addresses[0][1])

    def serve(self, handler: Handler) -> None:
        """Answer requests from now on."""
        self._handler = handler

    async def stop_listening(self) -> None:
        """Take no new connections, and no new requests on old ones; requests under way go on."""
        self._handler = None
        if self._site is not None:
            await self._site.stop()

    async def close(self) -> None:
        """Close what is left."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        handler = self._handler
        if handler is None:
            return _closing(web.json_response({"state": "Offline"}, status=503))
        try:
            response = await handler(request)
        except ValueError:
            # A status or header that HTTP does not know: the function's doing, so its caller gets a 500.
            _LOG.exception("%s: the answer cannot be sent", request.path)
            response = web.Response(status=500)
        return response if self._handler else _closing(response)


def _closing(response: web.Response | web.StreamResponse) -> web.StreamResponse:
    response.force_close()
    return response
