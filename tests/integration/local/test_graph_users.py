"""Who holds Copilot, which products bring it, and who is in a group: over HTTPS."""

from dataclasses import replace

import pytest

from local.graph import Simulator
from local.graph.directory import COPILOT_PLAN, COPILOT_SKU, OTHER_COPILOT_SKU
from tests.integration.local.graph_calls import Body, call

pytest_plugins = ("tests.integration.local.graph_fixtures",)
LICENSED = f"$filter=assignedPlans/any(a:a/servicePlanId eq {COPILOT_PLAN} and a/capabilityStatus eq 'Enabled')"


async def test_licensed_users_come_in_pages(simulator: Simulator) -> None:
    link, found = f"/v1.0/users?{LICENSED}&$count=true&$select=id,assignedPlans&$top=10", []
    while link:
        status, page, _ = await call(simulator, "GET", link, ConsistencyLevel="eventual")
        assert (status, page["@odata.count"]) == (200, 25)
        found += page["value"]
        link = page.get("@odata.nextLink", "").removeprefix(simulator.graph_endpoint)
    assert [each["id"] for each in found] == [each.oid for each in simulator.cloud.content.people(25)]
    assert set(found[0]) == {"id", "assignedPlans"}


@pytest.mark.parametrize(
    ("query", "headers", "code"),
    [
        (f"{LICENSED}&$count=true", {}, "Request_UnsupportedQuery"),
        (LICENSED, {"ConsistencyLevel": "eventual"}, "Request_UnsupportedQuery"),
        ("$count=true", {"ConsistencyLevel": "eventual"}, "Request_UnsupportedQuery"),
        (f"{LICENSED}&$count=true&$top=1000", {"ConsistencyLevel": "eventual"}, "BadRequest"),
        (f"{LICENSED}&$count=true&$skiptoken=x", {"ConsistencyLevel": "eventual"}, "Directory_ExpiredPageToken"),
        (f"{LICENSED}&$count=true&$skip=1", {"ConsistencyLevel": "eventual"}, "Request_BadRequest"),
    ],
)
async def test_user_queries_that_graph_refuses(
    simulator: Simulator, query: str, headers: dict[str, str], code: str
) -> None:
    status, answer, _ = await call(simulator, "GET", f"/v1.0/users?{query}", **headers)
    assert (status, answer["error"]["code"]) == (400, code)


async def test_users_need_a_permission(simulator: Simulator) -> None:
    await simulator.revoke_consent(["User.Read.All"])
    status, answer, _ = await call(simulator, "GET", f"/v1.0/users?{LICENSED}", ConsistencyLevel="eventual")
    assert (status, answer["error"]["code"]) == (403, "Authorization_RequestDenied")


ADVANCED = f"/v1.0/users?{LICENSED}&$count=true&$select=id,accountEnabled,assignedPlans,assignedLicenses"


async def listed(simulator: Simulator, link: str, **headers: str) -> list[Body]:
    found: list[Body] = []
    while link:
        status, page, _ = await call(simulator, "GET", link, **headers)
        assert status == 200, page
        found += page["value"]
        link = page.get("@odata.nextLink", "").removeprefix(simulator.graph_endpoint)
    return found


def by_sku(sku: str) -> str:
    return f"/v1.0/users?$filter=assignedLicenses/any(u:u/skuId eq {sku})&$select=id,assignedLicenses&$top=4"


async def test_licences_come_and_go(simulator: Simulator) -> None:
    simulator.policy.licensed_users = 4
    one, two, three, four, *_ = (each.id for each in simulator.directory.accounts())
    stranger = "00000000-0000-4000-8000-000000000001"
    simulator.unlicense(one)
    simulator.enable_user(two, enabled=False)
    simulator.delete_user(three)
    simulator.license(stranger)
    found = await listed(simulator, ADVANCED, ConsistencyLevel="eventual")
    assert {each["id"]: each["accountEnabled"] for each in found} == {two: False, four: True, stranger: True}
    assert {plan["capabilityStatus"] for each in found for plan in each["assignedPlans"]} == {"Enabled"}
    status, former, _ = await call(simulator, "GET", f"/v1.0/users/{one}?$select=id,assignedPlans,assignedLicenses")
    assert (status, former["assignedLicenses"]) == (200, [])
    assert [each["capabilityStatus"] for each in former["assignedPlans"]] == ["Deleted"]
    assert (await call(simulator, "GET", f"/v1.0/users/{three}"))[0] == 404


async def test_the_way_by_licence_leads_to_the_same_people(simulator: Simulator) -> None:
    simulator.policy.export = replace(simulator.policy.export, refuse_plan_filter=True)
    status, body, _ = await call(simulator, "GET", ADVANCED, ConsistencyLevel="eventual")
    assert (status, body["error"]["code"]) == (400, "Request_UnsupportedQuery")
    status, skus, _ = await call(simulator, "GET", "/v1.0/subscribedSkus?$select=skuId,servicePlans")
    assert status == 200
    with_plan = [
        each["skuId"]
        for each in skus["value"]
        if COPILOT_PLAN in {plan["servicePlanId"] for plan in each["servicePlans"]}
    ]
    assert (with_plan, len(skus["value"])) == ([COPILOT_SKU, OTHER_COPILOT_SKU], 3)
    found = [user for sku in with_plan for user in await listed(simulator, by_sku(sku))]
    holders = {
        user["id"]
        for user in found
        if all(COPILOT_PLAN not in licence["disabledPlans"] for licence in user["assignedLicenses"])
    }
    assert holders == {each.id for each in simulator.directory.accounts() if each.is_licensed}
    assert len(found) == len(holders) + 1


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (by_sku(COPILOT_SKU) + "&$count=true", 400, "Request_UnsupportedQuery"),
        (by_sku(COPILOT_SKU).replace("skuId eq", "skuId ne"), 400, "Request_UnsupportedQuery"),
        (by_sku(COPILOT_SKU).replace("$select=id", "$select=id,weather"), 400, "BadRequest"),
        ("/v1.0/users/nobody", 404, "Request_ResourceNotFound"),
        ("/v1.0/users/nobody?$expand=manager", 400, "Request_BadRequest"),
        ("/v1.0/subscribedSkus?$top=1", 400, "Request_BadRequest"),
    ],
)
async def test_directory_questions_that_graph_refuses(simulator: Simulator, path: str, status: int, code: str) -> None:
    answered, body, _ = await call(simulator, "GET", path)
    assert (answered, body["error"]["code"]) == (status, code)


async def test_the_directory_needs_permissions(simulator: Simulator) -> None:
    group = simulator.add_group([])
    await simulator.revoke_consent(["Organization.Read.All", "GroupMember.Read.All"])
    for path in ("subscribedSkus", f"groups/{group}/members/microsoft.graph.user"):
        status, body, _ = await call(simulator, "GET", f"/v1.0/{path}")
        assert (status, body["error"]["code"]) == (403, "Authorization_RequestDenied")


async def test_the_people_of_a_group(simulator: Simulator) -> None:
    people = [each.id for each in simulator.directory.accounts()]
    inner = simulator.add_group(people[10:25])
    outer = simulator.add_group(people[:12], [inner])
    path = f"/v1.0/groups/{outer}/members/microsoft.graph.user?$select=id,accountEnabled&$top=5"
    found = await listed(simulator, path)
    assert [each["id"] for each in found] == people[:12]
    assert set(found[0]) == {"id", "accountEnabled"}
    path = path.replace("members", "transitiveMembers")
    status, body, _ = await call(simulator, "GET", path)
    assert (status, body["error"]["code"]) == (400, "Request_UnsupportedQuery")
    found = await listed(simulator, path + "&$count=true", ConsistencyLevel="eventual")
    assert sorted(each["id"] for each in found) == sorted(people[:25])
    status, body, _ = await call(simulator, "GET", f"/v1.0/groups/{people[0]}/members/microsoft.graph.user")
    assert (status, body["error"]["code"]) == (404, "Request_ResourceNotFound")
    path = f"/v1.0/groups/{outer}/members/microsoft.graph.user"
    assert (await call(simulator, "GET", f"{path}?$top=1000"))[0] == 400
    assert (await call(simulator, "GET", f"{path}?$count=true"))[0] == 400
    assert (await call(simulator, "GET", f"{path}?$filter=accountEnabled eq true"))[0] == 400
    assert simulator.requests["GROUPS"] == 13
