"""Errors in the shape of Microsoft Graph, and the headers that come with every answer.

https://learn.microsoft.com/graph/errors
"""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from local.graph.times import utc_now

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class GraphError(Exception):
    """A refusal: HTTP status, Graph's `code` and `message`, and headers such as Retry-After."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})

    def body(self, request_id: str, client_request_id: str) -> dict[str, Any]:
        """Return the documented error object."""
        inner = {
            "date": utc_now().strftime("%Y-%m-%dT%H:%M:%S"),
            "request-id": request_id,
            "client-request-id": client_request_id,
        }
        return {"error": {"code": self.code, "message": self.message, "innerError": inner}}


def unauthenticated(message: str) -> GraphError:
    """401: no token, or one that Graph does not accept."""
    return GraphError(401, "InvalidAuthenticationToken", message)


def bad_request(message: str, code: str = "BadRequest") -> GraphError:
    """400 with Graph's general code, or a particular one."""
    return GraphError(400, code, message)


def forbidden(message: str) -> GraphError:
    """403."""
    return GraphError(403, "Forbidden", message)


def not_found() -> GraphError:
    """404: never was, is gone, or belongs to somebody else."""
    return GraphError(404, "ResourceNotFound", "The object was not found.")


def throttled(seconds: int) -> GraphError:
    """429, to be tried again after so many seconds."""
    message = f"Too many requests. Please try again after {seconds} seconds."
    return GraphError(429, "TooManyRequests", message, {"Retry-After": str(seconds)})


async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Run a handler of Graph: errors become bodies, and each answer carries the ids that support asks for."""
    request_id = str(uuid.uuid4())
    client_request_id = request.headers.get("client-request-id", request_id)
    try:
        response = await handler(request)
    except GraphError as error:
        body = error.body(request_id, client_request_id)
        response = web.json_response(body, status=error.status, headers=error.headers)
        if error.status == 401:
            response.headers["WWW-Authenticate"] = 'Bearer realm="", authorization_uri="/common/oauth2/authorize"'
    except web.HTTPException as error:
        missing = GraphError(error.status, _CODES.get(error.status, "BadRequest"), error.reason)
        response = web.json_response(missing.body(request_id, client_request_id), status=error.status)
    response.headers["request-id"] = request_id
    response.headers["client-request-id"] = client_request_id
    response.headers["x-ms-ags-diagnostic"] = '{"ServerInfo":{"DataCenter":"Simulator","Slice":"E","Ring":"0"}}'
    return response


_CODES = {404: "ResourceNotFound", 405: "MethodNotAllowed", 413: "RequestEntityTooLarge"}
