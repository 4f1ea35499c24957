"""`GET /users` for the one question that an export asks: who holds the Copilot plan.

An advanced query: it needs `ConsistencyLevel: eventual` and `$count=true`.
https://learn.microsoft.com/graph/aad-advanced-queries
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from local.graph.content.day import TenantContent
from local.graph.content.people import Person
from local.graph.gateway import Operation, operation
from local.graph.graph_errors import GraphError, bad_request
from local.graph.graph_request import GraphAnswer, GraphRequest
from local.graph.policy import Policy
from local.graph.subscription_rules import Caller

COPILOT_PLAN = "3f30311c-6b1e-48a4-ab79-725b469da960"
ROLES = frozenset({"User.Read.All", "User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"})
DEFAULT_PAGE, LARGEST_PAGE = 100, 999
_FILTER = re.compile(
    r"assignedPlans/any\((?P<x>\w+):\s*(?P=x)/servicePlanId eq (?P<plan>[0-9a-f-]{36}) "
    r"and (?P=x)/capabilityStatus eq 'Enabled'\)",
    re.IGNORECASE,
)
_OPTIONS = frozenset({"$filter", "$count", "$select", "$top", "$skiptoken"})


class UsersApi:
    """The operation: the tenant's first `policy.licensed_users` people hold the plan, and nobody another."""

    def __init__(self, content: TenantContent, policy: Policy, *, graph_endpoint: str) -> None:
        self._content = content
        self._policy = policy
        self._graph_endpoint = graph_endpoint

    def operations(self) -> list[Operation]:
        """Return what the gateway is to serve."""
        return [operation("USERS", "GET", "/users", self._list)]

    async def _list(self, request: GraphRequest, caller: Caller) -> GraphAnswer:
        if not caller.roles & ROLES:
            message = "Insufficient privileges to complete the operation."
            raise GraphError(403, "Authorization_RequestDenied", message)
        plan = _plan(request)
        size, start = _size(request.query), _start(request.query)
        people = self._content.people(self._policy.licensed_users) if plan == COPILOT_PLAN else ()
        page = people[start : start + size]
        body: dict[str, Any] = {
            "@odata.context": f"{self._graph_endpoint}/{request.version}/$metadata#users",
            "@odata.count": len(people),
        }
        if start + size < len(people):
            body["@odata.nextLink"] = self._next_link(request, start + size)
        return GraphAnswer(200, {**body, "value": [_shown(each, request.query) for each in page]})

    def _next_link(self, request: GraphRequest, start: int) -> str:
        token = base64.urlsafe_b64encode(str(start).encode()).decode()
        options = {**request.query, "$skiptoken": token}
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in options.items())
        return f"{self._graph_endpoint}/{request.version}/users?{query}"


def _plan(request: GraphRequest) -> str:
    if unknown := set(request.query) - _OPTIONS:
        raise bad_request(f"Unrecognized query options: {', '.join(sorted(unknown))}.", "Request_BadRequest")
    found = _FILTER.fullmatch(request.query.get("$filter", ""))
    if found is None:
        raise bad_request("Unsupported or invalid query filter clause.", "Request_UnsupportedQuery")
    eventual = request.headers.get("ConsistencyLevel", "").lower() == "eventual"
    if not eventual or request.query.get("$count", "").lower() != "true":
        message = "Property 'assignedPlans' supports this filter only with ConsistencyLevel eventual and $count=true."
        raise bad_request(message, "Request_UnsupportedQuery")
    return found["plan"].lower()


def _size(query: Mapping[str, str]) -> int:
    text = query.get("$top", str(DEFAULT_PAGE))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= LARGEST_PAGE:
        raise bad_request(f"Invalid page size specified: '{text}'. Must be between 1 and {LARGEST_PAGE} inclusive.")
    return int(text)


def _start(query: Mapping[str, str]) -> int:
    if "$skiptoken" not in query:
        return 0
    try:
        return int(base64.urlsafe_b64decode(query["$skiptoken"]))
    except (binascii.Error, ValueError) as error:
        raise bad_request("The $skiptoken is not valid.", "Directory_ExpiredPageToken") from error


def _shown(person: Person, query: Mapping[str, str]) -> dict[str, Any]:
    everything: dict[str, Any] = {
        "id": person.oid,
        "displayName": person.name,
        "userPrincipalName": f"{person.oid[:8]}@contoso.example",
        "accountEnabled": True,
        "assignedPlans": [
            {"service": "MicrosoftOffice", "servicePlanId": COPILOT_PLAN, "capabilityStatus": "Enabled"},
        ],
    }
    # Plans are shown only to those who select them.
    selected = query.get("$select", "id,displayName,userPrincipalName").split(",")
    return {name: everything[name] for name in map(str.strip, selected) if name in everything}
