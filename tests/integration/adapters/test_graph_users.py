"""Whom to export, and single resources: against the simulated Graph, and against one that answers oddly."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest

from local.graph import ExportPolicy, Simulator, ThreadedSimulator, run_in_thread
from local.graph.content.change import Change
from shared.adapters import graph_users
from shared.adapters.graph_client import GraphClient
from shared.adapters.graph_http import TRIES
from shared.adapters.graph_users import PLAN
from shared.core.errors import GraphNotFound, GraphRefused, GraphUnavailable
from shared.core.resource_path import resource_path
from tests.integration.adapters.credentials import OneToken, app_credential
from tests.integration.adapters.odd_graph import OddGraph, Wire

NOW = datetime(2026, 1, 5, 9, 30, 10, tzinfo=UTC)
USERS = "/v1.0/users"
SKUS = "/v1.0/subscribedSkus"
SKU, OTHER_SKU, OFFICE = (f"{digit * 8}-0000-4000-8000-000000000000" for digit in "abc")
PEOPLE = [f"{number:08}-1111-4222-8333-444455556666" for number in range(10)]


# ---- the simulated Graph


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadedSimulator]:
    friendly = ExportPolicy.friendly(interaction_get=True)
    with run_in_thread(folder=tmp_path_factory.mktemp("cloud"), export=friendly) as running:
        yield running


@pytest.fixture
def client(cloud: ThreadedSimulator, monkeypatch: pytest.MonkeyPatch) -> GraphClient:
    graph = cloud.graph
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(graph.ca_file))
    monkeypatch.setattr(graph_users, "PAGE", 4)
    return GraphClient(graph.graph_endpoint, "v1.0", app_credential(graph), lambda: datetime.now(UTC))


def licensed(cloud: ThreadedSimulator) -> set[str]:
    return cloud.call(lambda graph: {each.id for each in graph.directory.accounts() if each.is_licensed})


def test_by_plan_everybody_licensed_is_there_once(client: GraphClient, cloud: ThreadedSimulator) -> None:
    before = cloud.graph.requests["SKUS"]
    users = list(client.licensed_users())

    assert len(users) == len(set(users)) > 20
    assert set(users) == licensed(cloud)
    assert cloud.graph.requests["SKUS"] == before, "one question is enough"


def test_where_graph_does_not_take_the_plan_the_products_lead_to_the_same(
    client: GraphClient, cloud: ThreadedSimulator
) -> None:
    expected = list(client.licensed_users())
    refusing = ExportPolicy.friendly(refuse_plan_filter=True)
    friendly = cloud.graph.policy.export
    cloud.call(lambda graph: setattr(graph.policy, "export", refusing))
    try:
        users = list(client.licensed_users())
    finally:
        cloud.call(lambda graph: setattr(graph.policy, "export", friendly))

    assert sorted(users) == sorted(expected)
    assert len(users) == len(set(users))


def test_members_of_nested_groups_are_members(client: GraphClient, cloud: ThreadedSimulator) -> None:
    people = sorted(licensed(cloud))

    def build(graph: Simulator) -> str:
        inner = graph.add_group(people[3:9])
        return graph.add_group(people[:5], nested=[inner])

    group = cloud.call(build)

    assert sorted(client.members(group)) == people[:9]


def test_a_group_that_is_gone_is_not_found(client: GraphClient) -> None:
    with pytest.raises(GraphNotFound, match=PEOPLE[0]):
        list(client.members(PEOPLE[0]))


@pytest.fixture(scope="module")
def happened(cloud: ThreadedSimulator) -> list[Change]:
    def happen(graph: Simulator) -> list[Change]:
        made = graph.day(NOW.date(), interactions=60, users=2, chats=3)
        graph.happen(made)
        return made

    return cloud.call(happen)


@pytest.mark.parametrize("kind", ["chat", "aiInteraction"])
def test_what_a_notification_names_can_be_fetched(
    client: GraphClient, cloud: ThreadedSimulator, happened: list[Change], kind: str
) -> None:
    change = next(each for each in happened if each.kind == kind)
    cloud.call(lambda graph: setattr(graph.policy, "export", ExportPolicy.friendly(interaction_get=True)))
    named = f"chats('{change.id}')" if kind == "chat" else f"copilot/interactionHistory/interactions('{change.id}')"
    path = resource_path(named)
    assert path is not None

    assert json.loads(client.resource(path))["id"] == change.id


def test_what_is_not_there_is_not_found(client: GraphClient, happened: list[Change]) -> None:
    assert happened
    with pytest.raises(GraphNotFound):
        client.resource("chats('19%3Anobody%40thread.v2')")


# ---- a Graph that answers oddly


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def odd(graph: OddGraph, slept: list[float]) -> GraphClient:
    client = GraphClient(graph.origin, "v1.0", OneToken(), lambda: NOW)
    client.http.sleep = slept.append
    return client


def asked_for(wire: Wire) -> str:
    return parse_qs(urlsplit(wire.path).query)["$filter"][0]


def send(wire: Wire, status: int, value: object) -> None:
    wire.whole(status, {}, json.dumps({"value": value} if status == 200 else {"error": {"code": "x"}}).encode())


def sku(sku_id: str, *plans: str, status: str = "Enabled") -> dict[str, object]:
    return {
        "skuId": sku_id,
        "capabilityStatus": status,
        "servicePlans": [{"servicePlanId": plan, "provisioningStatus": "Success"} for plan in plans],
    }


def holder(user: str, *licences: tuple[str, list[str]]) -> dict[str, object]:
    assigned = [{"skuId": sku_id, "disabledPlans": disabled} for sku_id, disabled in licences]
    return {"id": user, "assignedLicenses": assigned}


def test_the_query_for_the_plan_is_an_advanced_one(graph: OddGraph, odd: GraphClient) -> None:
    graph.answer(USERS, {"value": []})
    assert list(odd.licensed_users()) == []

    assert {each.headers["ConsistencyLevel"] for each in graph.asked} == {"eventual"}
    queries = [parse_qs(urlsplit(each.target).query) for each in graph.asked]
    assert [query["$filter"] for query in queries] == [
        [f"assignedPlans/any(a:a/servicePlanId eq {PLAN} and a/capabilityStatus eq '{status}')"]
        for status in ("Enabled", "Warning")
    ]
    assert all((query["$count"], query["$select"], query["$top"]) == (["true"], ["id"], ["999"]) for query in queries)


def test_somebody_in_the_grace_period_is_licensed_and_nobody_is_there_twice(graph: OddGraph, odd: GraphClient) -> None:
    enabled, warning = [PEOPLE[0], PEOPLE[1].upper()], [PEOPLE[1], PEOPLE[2]]
    graph.write(
        USERS, lambda wire: send(wire, 200, [{"id": id_} for id_ in (warning if "Warn" in wire.path else enabled)])
    )

    assert list(odd.licensed_users()) == PEOPLE[:3]


def test_whose_plan_is_switched_off_in_all_his_products_is_left_out(graph: OddGraph, odd: GraphClient) -> None:
    by_sku = {
        SKU: [
            holder(PEOPLE[0], (SKU.upper(), [])),
            holder(PEOPLE[1], (SKU, [PLAN.upper()]), (OFFICE, [])),
            holder(PEOPLE[2], (SKU, [PLAN]), (OTHER_SKU, [])),
            holder(PEOPLE[3], (SKU, ["a62f8878-de10-42f3-b68f-6149a25ceb97"]), (OTHER_SKU, [PLAN])),
        ],
        OTHER_SKU: [
            holder(PEOPLE[2].upper(), (SKU, [PLAN]), (OTHER_SKU, [])),
            holder(PEOPLE[3], (SKU, []), (OTHER_SKU, [PLAN])),
            holder(PEOPLE[4], (OTHER_SKU, [])),
            holder(PEOPLE[5], (OTHER_SKU, [PLAN])),
        ],
    }

    def users(wire: Wire) -> None:
        wanted = asked_for(wire)
        if "assignedPlans" in wanted:
            send(wire, 400, None)
        else:
            assert "ConsistencyLevel" not in wire.headers
            send(wire, 200, by_sku[wanted.removeprefix("assignedLicenses/any(u:u/skuId eq ").removesuffix(")")])

    graph.write(USERS, users)
    skus = [sku(SKU, "x", PLAN), sku(OFFICE, "y"), sku(OTHER_SKU.upper(), PLAN, status="Warning")]
    graph.answer(SKUS, {"value": [*skus, sku("d" * 36, PLAN, status="Suspended")]})

    assert sorted(odd.licensed_users()) == [PEOPLE[0], PEOPLE[2], PEOPLE[3], PEOPLE[4]]


def test_a_plan_query_that_breaks_off_in_the_middle_is_made_up_for(graph: OddGraph, odd: GraphClient) -> None:
    link = f"{graph.origin}{USERS}?$skiptoken=old"
    graph.answer(USERS, {"value": [{"id": PEOPLE[0]}], "@odata.nextLink": link})
    graph.answer(f"{USERS}?$skiptoken=old", {"error": {"code": "Directory_ExpiredPageToken"}}, 400)
    graph.answer(SKUS, {"value": [sku(SKU, PLAN)]})
    by_sku = f"{USERS}?$filter=assignedLicenses/any%28u%3Au/skuId%20eq%20{SKU}%29&$select=id,assignedLicenses&$top=999"
    graph.answer(by_sku, {"value": [holder(id_, (SKU, [])) for id_ in PEOPLE[:3]]})

    assert list(odd.licensed_users()) == PEOPLE[:3]


@pytest.mark.parametrize("status", [403, 404])
def test_any_other_refusal_is_no_reason_to_ask_otherwise(graph: OddGraph, odd: GraphClient, status: int) -> None:
    graph.answer(USERS, {"error": {"code": "x"}}, status)
    with pytest.raises((GraphRefused, GraphNotFound)):
        list(odd.licensed_users())

    assert len(graph.asked) == 1


@pytest.mark.parametrize(("status", "asked_for"), [(429, "7"), (503, "7"), (500, "0")])
def test_a_page_is_tried_again_so_that_a_long_list_comes_to_its_end(
    graph: OddGraph, odd: GraphClient, slept: list[float], status: int, asked_for: str
) -> None:
    link = f"{graph.origin}{USERS}?$skiptoken=2"
    graph.answer(USERS, {"value": [{"id": PEOPLE[0]}], "@odata.nextLink": link})

    def refuse_at_first(wire: Wire) -> None:
        refused = sum("skiptoken" in each.target for each in graph.asked) < TRIES
        wire.whole(status, {"Retry-After": asked_for}, b"{}") if refused else send(wire, 200, [{"id": PEOPLE[1]}])

    graph.write(f"{USERS}?$skiptoken=2", refuse_at_first)

    assert list(odd.licensed_users()) == PEOPLE[:2]
    assert len(slept) == TRIES - 1
    assert all(seconds >= max(0.5, float(asked_for)) for seconds in slept)


@pytest.mark.parametrize(("asked_for", "tries"), [("1", TRIES), ("61", 1)])
def test_after_some_tries_or_where_it_takes_long_the_next_plan_asks(
    graph: OddGraph, odd: GraphClient, slept: list[float], asked_for: str, tries: int
) -> None:
    graph.answer(USERS, {"error": {"code": "x"}}, 429, Retry_After=asked_for)
    with pytest.raises(GraphUnavailable):
        list(odd.licensed_users())

    assert len(graph.asked) == tries
    assert len(slept) == tries - 1


@pytest.mark.parametrize("entry", [{}, {"id": None}, {"id": ""}, {"id": "adele"}, None, "x", {"id": f"{PEOPLE[0]}/.."}])
def test_a_user_without_an_id_is_not_passed_over(graph: OddGraph, odd: GraphClient, entry: object) -> None:
    graph.answer(USERS, {"value": [entry]})
    with pytest.raises(GraphUnavailable, match="has no id"):
        list(odd.licensed_users())


@pytest.mark.parametrize(
    ("skus", "users"),
    [
        ([{"skuId": SKU, "capabilityStatus": "Enabled"}], []),
        ([sku("../x", PLAN)], []),
        ([None], []),
        ([sku(SKU, PLAN)], [{"id": PEOPLE[0]}]),
        ([sku(SKU, PLAN)], [{"id": PEOPLE[0], "assignedLicenses": None}]),
        ([sku(SKU, PLAN)], [holder("", (SKU, []))]),
    ],
)
def test_an_odd_answer_about_products_is_no_answer(
    graph: OddGraph, odd: GraphClient, skus: list[object], users: list[object]
) -> None:
    graph.answer(SKUS, {"value": skus})
    graph.write(USERS, lambda wire: send(wire, 400 if "assignedPlans" in wire.path else 200, users))
    with pytest.raises(GraphUnavailable):
        list(odd.licensed_users())


def test_users_come_page_by_page_as_they_are_asked_for(graph: OddGraph, odd: GraphClient) -> None:
    link = f"{graph.origin}{USERS}?$skiptoken=2"
    graph.answer(USERS, {"value": [{"id": PEOPLE[0]}], "@odata.nextLink": link})
    users = odd.licensed_users()
    assert graph.asked == []

    assert next(users) == PEOPLE[0]
    assert len(graph.asked) == 1


def test_the_cast_of_members_is_an_advanced_query(graph: OddGraph, odd: GraphClient) -> None:
    path = f"/v1.0/groups/{PEOPLE[9]}/transitiveMembers/microsoft.graph.user"
    graph.answer(path, {"value": [{"id": PEOPLE[1].upper()}, {"id": PEOPLE[1]}]})

    assert list(odd.members(PEOPLE[9])) == [PEOPLE[1]]
    assert graph.asked[0].target == f"{path}?$count=true&$select=id&$top=999"
    assert graph.asked[0].headers["ConsistencyLevel"] == "eventual"


def test_a_resource_is_the_bytes_that_graph_sent(graph: OddGraph, odd: GraphClient) -> None:
    body = b'{ "id" : "19:x",\n "n":1.0, "t":"\\u00e9\xc3\xa9" }'
    graph.answer("/v1.0/chats('19%3Ax')", body)

    assert odd.resource("chats('19%3Ax')") == body


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'"x"', b'{"id": "'])
def test_a_resource_that_is_no_object_is_no_answer(graph: OddGraph, odd: GraphClient, body: bytes) -> None:
    graph.answer("/v1.0/chats('x')", body)
    with pytest.raises(GraphUnavailable, match="no JSON object"):
        odd.resource("chats('x')")


@pytest.mark.parametrize(("status", "error"), [(403, GraphRefused), (404, GraphNotFound), (400, GraphRefused)])
def test_a_resource_that_graph_does_not_give(
    graph: OddGraph, odd: GraphClient, status: int, error: type[Exception]
) -> None:
    graph.answer("/v1.0/chats('x')", {"error": {"code": "Forbidden", "message": "adele.vance@contoso.example"}}, status)
    with pytest.raises(error) as raised:
        odd.resource("chats('x')")

    assert "adele" not in str(raised.value)
