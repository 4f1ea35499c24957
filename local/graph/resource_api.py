"""Single resources, for notifications without resource data: chats, and interactions where the policy has them.

The notification of an interaction promises a path for GET calls that Microsoft documents nowhere: it is refused unless
the policy's `interaction_get` says otherwise.
https://learn.microsoft.com/graph/api/chat-get
"""

import json
from collections.abc import Mapping
from typing import Any

from local.graph import directory_query, export_items
from local.graph.export_api import ROLE
from local.graph.gateway import Operation, operation
from local.graph.graph_errors import bad_request, forbidden, not_found
from local.graph.graph_request import GraphAnswer, GraphRequest
from local.graph.policy import Policy
from local.graph.resources import CHAT_ROLES
from local.graph.subscription_rules import Caller
from local.graph.tenant_history import TenantHistory

_EXPANDABLE = (
    "members", "messages", "installedApps", "tabs", "permissionGrants", "operations", "pinnedMessages",
    "lastMessagePreview",
)  # fmt: skip
_CHAT_TYPE = "microsoft.graph.chat"
_KEY = r"(?:/(?P<id>[^/]+)|\('(?P<key>[^']+)'\))"
_USER = r"(?:users(?:/(?P<user>[^/]+)|\('(?P<user_key>[^']+)'\))/)?"


class ResourceApi:
    """The operations."""

    def __init__(self, history: TenantHistory, policy: Policy, *, graph_endpoint: str) -> None:
        self._history = history
        self._policy = policy
        self._graph_endpoint = graph_endpoint

    def operations(self) -> list[Operation]:
        """Return what the gateway is to serve."""
        return [
            operation("CHAT", "GET", f"/chats{_KEY}", self._chat),
            operation(
                "INTERACTION", "GET", f"/copilot/{_USER}interactionHistory/interactions{_KEY}", self._interaction
            ),
        ]

    async def _chat(self, request: GraphRequest, caller: Caller) -> GraphAnswer:
        if caller.roles.isdisjoint(CHAT_ROLES):
            any_of = ",".join(sorted(CHAT_ROLES))
            raise forbidden(f"Missing role permissions on the request. API requires one of '{any_of}'.")
        for name in request.query:
            if name not in {"$select", "$expand"}:
                raise bad_request(f"Query option '{name}' is not allowed.")
        change = self._history.chat(_name(request))
        if change is None:
            raise not_found()
        context = f"{self._graph_endpoint}/{request.version}/$metadata#chats/$entity"
        return GraphAnswer(200, {"@odata.context": context, **_chat(change.properties, request.query)})

    async def _interaction(self, request: GraphRequest, caller: Caller) -> GraphAnswer:
        if ROLE not in caller.roles:
            raise forbidden(f"Missing role permissions on the request. API requires one of '{ROLE}'.")
        if not self._policy.export.interaction_get:
            raise bad_request("Resource not found for the segment 'interactions'.")
        if request.query:
            raise bad_request("Query options are not supported here.")
        user = request.matched["user"] or request.matched["user_key"]
        change = self._history.interaction(_name(request), user)
        if change is None:
            raise not_found()
        path = "copilot/interactionHistory/interactions/$entity"
        context = {"@odata.context": f"{self._graph_endpoint}/{request.version}/$metadata#{path}"}
        document = export_items.document(change) or {}
        return GraphAnswer(200, content=json.dumps({**context, **document}).encode())


def _name(request: GraphRequest) -> str:
    return request.matched["id"] or request.matched["key"].replace("''", "'")


def _chat(properties: Mapping[str, Any], query: Mapping[str, str]) -> dict[str, Any]:
    expanded = [name.strip() for name in query.get("$expand", "").split(",") if name.strip()]
    for name in expanded:
        if name not in _EXPANDABLE:
            raise bad_request(f"Could not find a property named '{name}' on type '{_CHAT_TYPE}'.")
    plain = {name: value for name, value in properties.items() if name not in {*_EXPANDABLE, "viewpoint"}}
    chosen = directory_query.selected(plain, query, ",".join(plain), _CHAT_TYPE)
    return {**chosen, **{name: properties.get(name) for name in expanded}}
