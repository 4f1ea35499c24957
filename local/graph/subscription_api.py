"""`/subscriptions` of Microsoft Graph: create with handshake, get, list, renew, reauthorise, delete.

https://learn.microsoft.com/graph/api/resources/subscription#methods
"""

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Any

from local.graph import subscription_patch, subscription_rules
from local.graph.authorisation import Authorisations
from local.graph.clock import Clock
from local.graph.gateway import Operation, operation
from local.graph.graph_errors import bad_request, forbidden, not_found
from local.graph.graph_request import GraphAnswer, GraphRequest
from local.graph.policy import Policy
from local.graph.resources import TYPES
from local.graph.subscription import Subscription
from local.graph.subscription_rules import Caller
from local.graph.subscription_store import Subscriptions

Probe = Callable[[str], Awaitable[None]]
_ONE = r"/subscriptions(?:/|\(')(?P<id>[^/()']+)(?:'\))?"
_ANY_ROLE = frozenset().union(*(each.roles for each in TYPES))
_AFTER = "after:"


class SubscriptionApi:
    """The operations. `probe` proves a URL, or raises GraphError."""

    def __init__(
        self,
        subscriptions: Subscriptions,
        authorisations: Authorisations,
        probe: Probe,
        clock: Clock,
        policy: Policy,
        *,
        graph_endpoint: str,
        allow_http_loopback: bool,
    ) -> None:
        self._subscriptions = subscriptions
        self._authorisations = authorisations
        self._probe = probe
        self._clock = clock
        self._policy = policy
        self._graph_endpoint = graph_endpoint
        self._allow_http_loopback = allow_http_loopback

    def operations(self) -> list[Operation]:
        """Return what the gateway is to serve."""
        return [
            operation("POST /subscriptions", "POST", "/subscriptions", self._create, "write"),
            operation("LIST", "GET", "/subscriptions", self._list, "list"),
            operation("GET", "GET", _ONE, self._get, "get"),
            operation("PATCH", "PATCH", _ONE, self._patch, "write"),
            operation("DELETE", "DELETE", _ONE, self._delete, "write"),
            operation("REAUTHORIZE", "POST", _ONE + "/reauthorize", self._reauthorize, "reauthorize"),
        ]

    async def _create(self, request: GraphRequest, caller: Caller) -> GraphAnswer:
        wanted = subscription_rules.create(
            request.json_object(), caller, self._clock.now(), allow_http_loopback=self._allow_http_loopback
        )
        self._subscriptions.check(wanted)
        # Two probes even where both URLs are the same, each with a token of its own.
        await self._prove(wanted.notification_url, wanted.lifecycle_notification_url)
        self._subscriptions.add(wanted)
        location = f"{self._graph_endpoint}/{request.version}/subscriptions('{wanted.id}')"
        return GraphAnswer(201, self._entity(request, wanted), {"Location": location})

    async def _get(self, request: GraphRequest, caller: Caller) -> GraphAnswer:
        return GraphAnswer(200, self._entity(request, self._owned(request, caller, "Get")))

    async def _patch(self, request: GraphRequest, caller: Caller) -> GraphAnswer:
        existing = self._owned(request, caller, "Update")
        body = request.json_object()
        changed = self._patched(existing, body)
        if "notificationUrl" in body:
            await self._prove(changed.notification_url)
            # Others may have changed it while the endpoint was asked.
            changed = self._patched(self._owned(request, caller, "Update"), body)
        self._subscriptions.replace(changed)
        self._authorisations.renew(changed.id, "patch")
        return GraphAnswer(200, self._entity(request, changed))

    def _patched(self, existing: Subscription, body: Any) -> Subscription:  # noqa: ANN401 - JSON
        return subscription_patch.patch(
            existing,
            body,
            self._clock.now(),
            allow_http_loopback=self._allow_http_loopback,
            strict=self._policy.strict_patch,
        )

    async def _delete(self, request: GraphRequest, caller: Caller) -> GraphAnswer:
        gone = self._subscriptions.remove(self._owned(request, caller, "Delete").id)
        self._authorisations.forget(gone.id)
        return GraphAnswer(204)

    async def _reauthorize(self, request: GraphRequest, caller: Caller) -> GraphAnswer:
        self._authorisations.renew(self._owned(request, caller, "Reauthorize").id, "reauthorize")
        return GraphAnswer(204)

    async def _list(self, request: GraphRequest, caller: Caller) -> GraphAnswer:
        after = _after(request)
        if not caller.roles & _ANY_ROLE:
            raise forbidden("Insufficient privileges to complete the operation.")
        own = [each for each in self._subscriptions.living() if _is_owner(caller, each)]
        rest = [each for each in own if self._subscriptions.number(each) > after]
        page = rest[: self._policy.limits.page]
        body: dict[str, Any] = {"@odata.context": self._context(request)}
        if len(rest) > len(page):
            body["@odata.nextLink"] = self._next_link(request, self._subscriptions.number(page[-1]))
        return GraphAnswer(200, {**body, "value": [each.listed() for each in page]})

    async def _prove(self, *urls: str | None) -> None:
        probes = [self._probe(url) for url in urls if url]
        for result in await asyncio.gather(*probes, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    def _owned(self, request: GraphRequest, caller: Caller, what: str) -> Subscription:
        found = self._subscriptions.find(request.matched["id"])
        if found is None or not _is_owner(caller, found):
            raise not_found()
        subscription_rules.check_role(caller, found.resource, what)
        return found

    def _next_link(self, request: GraphRequest, number: int) -> str:
        token = base64.urlsafe_b64encode(f"{_AFTER}{number}".encode()).decode()
        return f"{self._graph_endpoint}/{request.version}/subscriptions?$skiptoken={token}"

    def _context(self, request: GraphRequest) -> str:
        return f"{self._graph_endpoint}/{request.version}/$metadata#subscriptions"

    def _entity(self, request: GraphRequest, subscription: Subscription) -> dict[str, Any]:
        return {"@odata.context": f"{self._context(request)}/$entity", **subscription.shown()}


def _is_owner(caller: Caller, subscription: Subscription) -> bool:
    return caller.application.client_id == subscription.application_id


def _after(request: GraphRequest) -> int:
    # The only option is the one that Graph's own links carry.
    if not request.query:
        return -1
    if set(request.query) != {"$skiptoken"}:
        raise bad_request("OData query options are not supported for subscriptions.")
    try:
        text = base64.urlsafe_b64decode(request.query["$skiptoken"]).decode()
        return int(text.removeprefix(_AFTER))
    except (binascii.Error, ValueError) as error:
        raise bad_request("The $skiptoken is not valid.") from error
