"""`GET /subscribedSkus`: which products bring which service plans.

https://learn.microsoft.com/graph/api/subscribedsku-list
"""

from typing import Any

from local.graph import directory_query
from local.graph.directory import COPILOT_PLAN, COPILOT_SKU, OFFICE_SKU, OTHER_COPILOT_SKU, Directory
from local.graph.gateway import Operation, operation
from local.graph.graph_request import GraphAnswer, GraphRequest
from local.graph.subscription_rules import Caller

ROLES = frozenset(
    {
        "LicenseAssignment.Read.All",
        "LicenseAssignment.ReadWrite.All",
        "Organization.Read.All",
        "Organization.ReadWrite.All",
        "Directory.Read.All",
        "Directory.ReadWrite.All",
    }
)
_PLANS = {
    COPILOT_PLAN: "M365_COPILOT_BUSINESS_CHAT",
    "a62f8878-de10-42f3-b68f-6149a25ceb97": "M365_COPILOT_APPS",
    "b95945de-b3bd-46db-8437-f2beb6ea2347": "M365_COPILOT_TEAMS",
    "931e4a88-a67f-48b5-814f-16a5f1e6028d": "M365_COPILOT_INTELLIGENT_SEARCH",
}
_OFFICE_PLANS = {"57ff2da0-773e-42df-b2af-ffb7a2317929": "TEAMS1", "9aaf7827-d63c-4b61-89c3-182f06f82e5c": "EXCHANGE"}
_SKUS = (
    (COPILOT_SKU, "Microsoft_365_Copilot", _PLANS),
    (OTHER_COPILOT_SKU, "Microsoft_365_Copilot_Other_Offer", _PLANS),
    (OFFICE_SKU, "SPE_E5", _OFFICE_PLANS),
)


class SkusApi:
    """The operation."""

    def __init__(self, directory: Directory, *, tenant_id: str, graph_endpoint: str) -> None:
        self._directory = directory
        self._tenant_id = tenant_id
        self._graph_endpoint = graph_endpoint

    def operations(self) -> list[Operation]:
        """Return what the gateway is to serve."""
        return [operation("SKUS", "GET", "/subscribedSkus", self._list)]

    async def _list(self, request: GraphRequest, caller: Caller) -> GraphAnswer:
        directory_query.check_role(caller, ROLES)
        directory_query.check_options(request.query, {"$select"})
        made = [self._sku(*each) for each in _SKUS]
        every = ",".join(made[0])
        value = [directory_query.selected(each, request.query, every, "microsoft.graph.subscribedSku") for each in made]
        context = f"{self._graph_endpoint}/{request.version}/$metadata#subscribedSkus"
        return GraphAnswer(200, {"@odata.context": context, "value": value})

    def _sku(self, sku: str, name: str, plans: dict[str, str]) -> dict[str, Any]:
        used = sum(each.sku == sku for each in self._directory.accounts())
        return {
            "id": f"{self._tenant_id}_{sku}",
            "skuId": sku,
            "skuPartNumber": name,
            "accountId": self._tenant_id,
            "appliesTo": "User",
            "capabilityStatus": "Enabled",
            "consumedUnits": used,
            "prepaidUnits": {"enabled": used + 10, "suspended": 0, "warning": 0, "lockedOut": 0},
            "servicePlans": [_plan(*each) for each in plans.items()],
        }


def _plan(plan: str, name: str) -> dict[str, str]:
    return {
        "servicePlanId": plan,
        "servicePlanName": name,
        "provisioningStatus": "Success",
        "appliesTo": "User",
    }
