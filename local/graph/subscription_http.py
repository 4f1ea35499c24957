"""`/subscriptions` of Microsoft Graph, v1.0 and beta: create with handshake, get, list, delete.

https://learn.microsoft.com/graph/api/resources/subscription#methods
"""

import asyncio
import json
import random
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import jwt
from aiohttp import web

from local.graph import handshake, subscription_rules
from local.graph.entra import Entra
from local.graph.graph_errors import GraphError, bad_request, unauthenticated
from local.graph.subscription import Subscription
from local.graph.subscription_rules import Caller
from local.graph.subscription_store import Subscriptions
from local.graph.times import utc_now

Created = Callable[[Subscription], None]


class SubscriptionHttp:
    """The routes. `created` is told of each new subscription before its creator is."""

    def __init__(
        self,
        subscriptions: Subscriptions,
        entra: Entra,
        session: aiohttp.ClientSession,
        rng: random.Random,
        *,
        graph_endpoint: str,
        allow_http_loopback: bool,
        handshake_seconds: float,
        created: Created,
    ) -> None:
        self._subscriptions = subscriptions
        self._entra = entra
        self._session = session
        self._rng = rng
        self._graph_endpoint = graph_endpoint
        self._allow_http_loopback = allow_http_loopback
        self._handshake_seconds = handshake_seconds
        self._created = created

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of both versions."""
        base = "/{version:v1\\.0|beta}/subscriptions"
        return [
            web.post(base, self._create),
            web.get(base, self._list, allow_head=False),
            web.get(base + "/{id}", self._get, allow_head=False),
            web.delete(base + "/{id}", self._delete),
        ]

    async def _create(self, request: web.Request) -> web.Response:
        caller = self._caller(request)
        body = await _json_object(request)
        now = utc_now()
        wanted = subscription_rules.create(body, caller, now, allow_http_loopback=self._allow_http_loopback)
        self._subscriptions.check(wanted, now)
        await self._prove(wanted)
        self._subscriptions.add(wanted, utc_now())
        self._created(wanted)
        location = f"{self._graph_endpoint}/{request.match_info['version']}/subscriptions('{wanted.id}')"
        return web.json_response(self._entity(request, wanted), status=201, headers={"Location": location})

    async def _prove(self, wanted: Subscription) -> None:
        # Two probes even where both URLs are the same, each with a token of its own.
        urls = [wanted.notification_url]
        if wanted.lifecycle_notification_url:
            urls.append(wanted.lifecycle_notification_url)
        probes = [handshake.probe(self._session, url, self._rng, self._handshake_seconds) for url in urls]
        for result in await asyncio.gather(*probes, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response(self._entity(request, self._owned(request)))

    async def _list(self, request: web.Request) -> web.Response:
        caller = self._caller(request)
        if request.query:
            raise bad_request("OData query options are not supported for subscriptions.")
        own = [each for each in self._subscriptions.living(utc_now()) if _is_owner(caller, each)]
        return web.json_response({"@odata.context": self._context(request), "value": [each.listed() for each in own]})

    async def _delete(self, request: web.Request) -> web.Response:
        self._subscriptions.remove(self._owned(request).id)
        return web.Response(status=204)

    def _owned(self, request: web.Request) -> Subscription:
        caller = self._caller(request)
        found = self._subscriptions.find(request.match_info["id"], utc_now())
        if found is None or not _is_owner(caller, found):
            raise GraphError(404, "ResourceNotFound", "The object was not found.")
        return found

    def _context(self, request: web.Request) -> str:
        return f"{self._graph_endpoint}/{request.match_info['version']}/$metadata#subscriptions"

    def _entity(self, request: web.Request, subscription: Subscription) -> dict[str, Any]:
        return {"@odata.context": f"{self._context(request)}/$entity", **subscription.shown()}

    def _caller(self, request: web.Request) -> Caller:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise unauthenticated("Access token is empty.")
        try:
            claims = self._entra.claims_of(token.strip())
        except jwt.ExpiredSignatureError as error:
            raise unauthenticated("Lifetime validation failed, the token is expired.") from error
        except jwt.InvalidTokenError as error:
            raise unauthenticated("Access token validation failure.") from error
        if not self._entra.is_graph(claims["aud"]):
            raise unauthenticated("Access token validation failure. Invalid audience.")
        return self._caller_of(claims)

    def _caller_of(self, claims: Mapping[str, Any]) -> Caller:
        application = self._entra.application(str(claims.get("appid")))
        if application is None:
            raise unauthenticated("Access token validation failure. Unknown application.")
        return Caller(str(claims["tid"]), application, frozenset(claims.get("roles", ())))


def _is_owner(caller: Caller, subscription: Subscription) -> bool:
    return caller.application.client_id == subscription.application_id


async def _json_object(request: web.Request) -> Mapping[str, Any]:
    if request.content_type != "application/json":
        raise GraphError(415, "UnsupportedMediaType", "The Content-Type must be application/json.")
    try:
        body = json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise bad_request("Unable to read JSON request payload.") from error
    if not isinstance(body, dict):
        raise bad_request("Empty Payload. JSON content expected.")
    return body
