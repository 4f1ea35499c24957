"""From a request on the wire to an `HttpCall`, and from an `HttpAnswer` back.

What the host passes on to a Python worker, and how: GrpcMessageConversionExtensions.cs in
https://github.com/Azure/azure-functions-host
"""

import asyncio
from collections.abc import Iterable, Mapping

from aiohttp import web
from multidict import CIMultiDict

from local.functions_host.engine import HttpAnswer, HttpCall

DEFAULT_BODY_LIMIT = 104_857_600
# Kestrel gives a slow body as long before it minds: MinRequestBodyDataRate in
# https://learn.microsoft.com/aspnet/core/fundamentals/servers/kestrel/options
BODY_IDLE_SECONDS = 5.0
# Only the server knows these: what a function says of them would corrupt the connection.
_HOP_BY_HOP = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding", "upgrade"})


class BodyError(Exception):
    """The body cannot be taken; `status` is the answer."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


async def read_body(request: web.BaseRequest, limit: int) -> bytes:
    """The raw body, never decompressed. `BodyError`: 413 over `limit` bytes, 408 when it stops coming, 400 cut off."""
    if (request.content_length or 0) > limit:
        raise BodyError(413)
    body = bytearray()
    try:
        while chunk := await asyncio.wait_for(request.content.readany(), BODY_IDLE_SECONDS):
            body += chunk
            if len(body) > limit:
                raise BodyError(413)
    except TimeoutError as error:
        raise BodyError(408) from error
    except (web.RequestPayloadError, ConnectionError) as error:
        raise BodyError(400) from error
    return bytes(body)


def headers_of(request: web.BaseRequest) -> Mapping[str, str]:
    """Header values by name in lower case."""
    return _joined((name.lower(), value) for name, value in request.headers.items())


def query_of(request: web.BaseRequest) -> Mapping[str, str]:
    """Query values by name, as first spelled; empty ones are left out, as the host leaves them out for Python."""
    return {name: value for name, value in _joined(request.query.items()).items() if value}


def call_of(request: web.BaseRequest, route: Mapping[str, str], body: bytes) -> HttpCall:
    """The request as the function sees it."""
    return HttpCall(
        method=request.method,
        url=f"{request.scheme}://{request.host}{request.raw_path}",
        headers=headers_of(request),
        query=query_of(request),
        route=route,
        body=body,
    )


def response_of(answer: HttpAnswer) -> web.Response:
    """The function's answer for the wire."""
    headers = CIMultiDict[str]()
    for name, value in answer.headers:
        if name.lower() not in _HOP_BY_HOP:
            headers.add(name, value)
    return web.Response(status=answer.status, headers=headers, body=answer.body)


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    spellings: dict[str, str] = {}
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(spellings.setdefault(name.lower(), name), []).append(value)
    return {name: ",".join(found) for name, found in values.items()}
