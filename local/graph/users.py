"""`GET /users` for the question that an export asks, who holds Copilot, by plan or by licence; and one user by id.

By plan it is an advanced query: it needs `ConsistencyLevel: eventual` and `$count=true`.
https://learn.microsoft.com/graph/aad-advanced-queries
"""

import re
from typing import Any

from local.graph import directory_query
from local.graph.directory import COPILOT_PLAN, COPILOT_SKU, Account, Directory
from local.graph.directory_query import Pages
from local.graph.gateway import Operation, operation
from local.graph.graph_request import GraphAnswer, GraphRequest
from local.graph.policy import Policy
from local.graph.subscription_rules import Caller

__all__ = ["COPILOT_PLAN", "COPILOT_SKU", "ROLES", "UsersApi", "shown"]
ROLES = frozenset({"User.Read.All", "User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"})
USER_TYPE = "Microsoft.DirectoryServices.User"
_DEFAULT = "displayName,mail,userPrincipalName,id"
_BY_PLAN = re.compile(
    r"assignedPlans/any\((?P<x>\w+):\s*(?P=x)/servicePlanId eq (?P<plan>[0-9a-f-]{36}) "
    r"and (?P=x)/capabilityStatus eq '(?P<status>Enabled|Warning)'\)",
    re.IGNORECASE,
)
_BY_SKU = re.compile(r"assignedLicenses/any\((?P<x>\w+):\s*(?P=x)/skuId eq (?P<sku>[0-9a-f-]{36})\)", re.IGNORECASE)
_OPTIONS = frozenset({"$filter", "$count", "$select", "$top", "$skiptoken"})


class UsersApi:
    """The operations."""

    def __init__(self, directory: Directory, policy: Policy, *, graph_endpoint: str) -> None:
        self._directory = directory
        self._policy = policy
        self._graph_endpoint = graph_endpoint

    def operations(self) -> list[Operation]:
        """Return what the gateway is to serve."""
        return [
            operation("USERS", "GET", "/users", self._list),
            operation("USERS", "GET", r"/users(?:/(?P<id>[^/]+)|\('(?P<key>[^']+)'\))", self._get),
        ]

    async def _list(self, request: GraphRequest, caller: Caller) -> GraphAnswer:
        directory_query.check_role(caller, ROLES)
        directory_query.check_options(request.query, _OPTIONS)
        holders = self._holders(request)
        counted = directory_query.check_count(request)
        return Pages(self._graph_endpoint, "users", "users").answer(request, holders, shown, counted=counted)

    async def _get(self, request: GraphRequest, caller: Caller) -> GraphAnswer:
        directory_query.check_role(caller, ROLES)
        directory_query.check_options(request.query, {"$select"})
        name = request.matched["id"] or request.matched["key"]
        if (account := self._directory.find(name)) is None:
            raise directory_query.missing(name)
        context = f"{self._graph_endpoint}/{request.version}/$metadata#users/$entity"
        return GraphAnswer(200, {"@odata.context": context, **shown(account, request)})

    def _holders(self, request: GraphRequest) -> list[Account]:
        wanted = request.query.get("$filter", "")
        accounts = self._directory.accounts()
        if (by_plan := _BY_PLAN.fullmatch(wanted)) is not None:
            self._check_plan_filter(request)
            # Nobody is in a grace period here.
            licensed = by_plan["plan"].lower() == COPILOT_PLAN and by_plan["status"].lower() == "enabled"
            return [each for each in accounts if licensed and each.is_licensed]
        if (by_sku := _BY_SKU.fullmatch(wanted)) is not None:
            return [each for each in accounts if each.sku == by_sku["sku"].lower()]
        raise directory_query.unsupported()

    def _check_plan_filter(self, request: GraphRequest) -> None:
        if self._policy.export.refuse_plan_filter:
            raise directory_query.unsupported("Complex query on property assignedPlans is not supported.")
        if not directory_query.is_advanced(request):
            raise directory_query.unsupported(
                "Property 'assignedPlans' supports this filter only with ConsistencyLevel eventual and $count=true."
            )


def shown(account: Account, request: GraphRequest) -> dict[str, Any]:
    """Return a user as a request selects it: plans, licences and state only for those who ask for them.

    Raises:
        GraphError: 400, there is no such property.
    """
    everything: dict[str, Any] = {
        "id": account.id,
        "displayName": account.person.name,
        "mail": account.principal_name,
        "userPrincipalName": account.principal_name,
        "accountEnabled": account.enabled,
        "userType": "Member",
        "assignedLicenses": _licenses(account),
        "assignedPlans": _plans(account),
    }
    return directory_query.selected(everything, request.query, _DEFAULT, USER_TYPE)


def _licenses(account: Account) -> list[dict[str, Any]]:
    if account.sku is None:
        return []
    return [{"skuId": account.sku, "disabledPlans": [] if account.plan else [COPILOT_PLAN]}]


def _plans(account: Account) -> list[dict[str, Any]]:
    # What was there is listed for some time after it is gone.
    if account.sku is None and not account.former:
        return []
    status = "Enabled" if account.is_licensed else "Deleted"
    return [{"service": "MicrosoftOffice", "servicePlanId": COPILOT_PLAN, "capabilityStatus": status}]
