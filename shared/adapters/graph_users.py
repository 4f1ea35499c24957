"""Whom to export: the people with a Copilot plan, and the members of a group.

https://learn.microsoft.com/graph/aad-advanced-queries, https://learn.microsoft.com/graph/api/subscribedsku-list
"""

from collections.abc import Iterable, Iterator
from urllib.parse import quote

from shared.adapters.graph_http import TRIES, GraphHttp
from shared.core.errors import GraphRefused, GraphUnavailable
from shared.core.export_window import is_user_id

# Microsoft Copilot with Graph-grounded chat: what the export asks of a user.
PLAN = "3f30311c-6b1e-48a4-ab79-725b469da960"
# The most that a page may hold.
PAGE = 999
# In its grace period a plan is in normal use: https://learn.microsoft.com/graph/api/resources/assignedplan
IN_USE = ("Enabled", "Warning")

_WHAT = "list the licensed users"
_EVENTUAL = {"ConsistencyLevel": "eventual"}
_BAD_REQUEST = 400


def licensed_users(http: GraphHttp) -> Iterator[str]:
    """Ids in lower case, once each; by plan, or by product where Graph calls the query for the plan a bad request."""
    return _once_each(_licensed(http))


def members(http: GraphHttp, group_id: str) -> Iterator[str]:
    """Ids of a group's users in lower case. A cast is an advanced query, too."""
    path = (
        f"groups/{quote(group_id, safe='')}/transitiveMembers/microsoft.graph.user?$count=true&$select=id&$top={PAGE}"
    )
    what = f"list the members of group {group_id}"
    return _once_each(_id(user, what) for user in http.pages(path, what, _EVENTUAL, tries=TRIES))


def _licensed(http: GraphHttp) -> Iterator[str]:
    try:
        for status in IN_USE:
            yield from _with_plan(http, status)
    except GraphRefused as refused:
        if refused.status != _BAD_REQUEST:
            raise
        for sku in _products(http):
            yield from _with_product(http, sku)


def _with_plan(http: GraphHttp, status: str) -> Iterator[str]:
    wanted = f"assignedPlans/any(a:a/servicePlanId eq {PLAN} and a/capabilityStatus eq '{status}')"
    path = f"users?$filter={quote(wanted)}&$count=true&$select=id&$top={PAGE}"
    return (_id(user, _WHAT) for user in http.pages(path, _WHAT, _EVENTUAL, tries=TRIES))


def _products(http: GraphHttp) -> list[str]:
    what = "list the products with a Copilot plan"
    found: list[str] = []
    for sku in http.pages("subscribedSkus", what, tries=TRIES):
        plans = _list(sku, "servicePlans", what)
        if _text(sku, "capabilityStatus") in IN_USE and any(_text(plan, "servicePlanId") == PLAN for plan in plans):
            found.append(_guid(_text(sku, "skuId"), what))
    return found


def _with_product(http: GraphHttp, sku: str) -> Iterator[str]:
    """Users who hold a product, without those for whom the plan in it is switched off."""
    wanted = quote(f"assignedLicenses/any(u:u/skuId eq {sku})")
    path = f"users?$filter={wanted}&$select=id,assignedLicenses&$top={PAGE}"
    for user in http.pages(path, _WHAT, tries=TRIES):
        licences = [each for each in _list(user, "assignedLicenses", _WHAT) if _text(each, "skuId").lower() == sku]
        if any(PLAN not in _off(licence) for licence in licences):
            yield _id(user, _WHAT)


def _off(licence: object) -> set[str]:
    plans = licence.get("disabledPlans") if isinstance(licence, dict) else None
    return {str(plan).lower() for plan in plans or []}


def _once_each(users: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for user in users:
        if user not in seen:
            seen.add(user)
            yield user


def _id(user: object, what: str) -> str:
    return _guid(_text(user, "id"), what)


def _guid(text: str, what: str) -> str:
    # Passed over, it would be somebody whom nobody looks after.
    if not is_user_id(text.lower()):
        raise GraphUnavailable(f"{what}: an entry has no id; it is looked at again")
    return text.lower()


def _list(entry: object, name: str, what: str) -> list[object]:
    value = entry.get(name) if isinstance(entry, dict) else None
    if not isinstance(value, list):
        raise GraphUnavailable(f"{what}: an entry has no {name}; it is looked at again")
    return value


def _text(entry: object, name: str) -> str:
    value = entry.get(name) if isinstance(entry, dict) else None
    return value if isinstance(value, str) else ""
