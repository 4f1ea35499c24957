"""Requests in batches."""

from typing import Any

import pytest

from local.graph import Limits, Simulator
from tests.integration.local.graph_calls import Body, body, call, soon
from tests.integration.local.graph_support import Receiver

pytest_plugins = ("tests.integration.local.graph_fixtures",)
JSON = {"Content-Type": "application/json"}


def of_user(number: int) -> str:
    return f"copilot/users/00000000-0000-4000-8000-{number:012}/interactionHistory/getAllEnterpriseInteractions"


async def batch(simulator: Simulator, *requests: object, version: str = "v1.0") -> tuple[int, Body]:
    status, answer, _ = await call(simulator, "POST", f"/{version}/$batch", {"requests": list(requests)})
    return status, answer


async def answers(simulator: Simulator, *requests: object, version: str = "v1.0") -> dict[str, Body]:
    status, answer = await batch(simulator, *requests, version=version)
    assert status == 200, answer
    return {each["id"]: each for each in answer["responses"]}


def step(name: str, method: str, url: str, sent: object = None, **more: object) -> Body:
    made: dict[str, Any] = {"id": name, "method": method, "url": url, **more}
    return made if sent is None else {**made, "body": sent, "headers": JSON}


@pytest.mark.parametrize("version", ["v1.0", "beta"])
async def test_the_life_of_subscriptions_in_batches(simulator: Simulator, receiver: Receiver, version: str) -> None:
    creations = [
        step(str(number), "POST", "/subscriptions", body(simulator, receiver, resource=of_user(number)))
        for number in range(20)
    ]
    made = await answers(simulator, *creations, version=version)
    assert {each["status"] for each in made.values()} == {201}
    assert f"/{version}/subscriptions(" in made["0"]["headers"]["Location"]
    assert made["0"]["body"]["resource"] == of_user(0)
    assert len(receiver.probes) == 40
    urls = [f"subscriptions/{made[name]['body']['id']}" for name in ("0", "1", "2")]
    done = await answers(
        simulator,
        step("patch", "patch", urls[0], {"expirationDateTime": soon(hours=50)}),
        step("get", "GET", urls[0]),
        step("list", "GET", "/subscriptions"),
        step("reauthorize", "POST", urls[1] + "/reauthorize"),
        step("delete", "DELETE", urls[2]),
        step("gone", "DELETE", "/subscriptions/none"),
        version=version,
    )
    statuses = {name: each["status"] for name, each in done.items()}
    assert statuses == {"patch": 200, "get": 200, "list": 200, "reauthorize": 204, "delete": 204, "gone": 404}
    assert done["gone"]["body"]["error"]["code"] == "ResourceNotFound"
    assert done["get"]["headers"]["Content-Type"] == "application/json"
    assert "body" not in done["delete"]
    assert simulator.requests["BATCH"] == 2
    assert simulator.requests["POST /subscriptions"] == 20


async def test_each_request_is_throttled_by_itself(simulator: Simulator) -> None:
    simulator.policy.limits = Limits(list=2)
    done = await answers(simulator, *(step(str(number), "GET", "/subscriptions") for number in range(4)))
    assert sorted(each["status"] for each in done.values()) == [200, 200, 429, 429]
    for each in done.values():
        assert ("Retry-After" in each["headers"]) == (each["status"] == 429)


async def test_what_depends_on_a_failure_fails(simulator: Simulator) -> None:
    done = await answers(
        simulator,
        step("c", "GET", "/subscriptions", dependsOn=["b"]),
        step("b", "GET", "/subscriptions", dependsOn=["a"]),
        step("a", "GET", "/subscriptions/none"),
        step("e", "GET", "/subscriptions", dependsOn=["d"]),
        step("d", "GET", "/subscriptions"),
    )
    assert {name: each["status"] for name, each in done.items()} == {"a": 404, "b": 424, "c": 424, "d": 200, "e": 200}
    assert done["c"]["body"]["error"]["code"] == "FailedDependency"


GET = step("1", "GET", "/subscriptions")
REFUSED: list[tuple[Any, str]] = [
    ([step(str(number), "GET", "/subscriptions") for number in range(21)], "maximum value of 20"),
    ([GET, GET], "unique"),
    ([], "Invalid batch"),
    ("all", "Invalid batch"),
    (["GET"], "Invalid batch"),
    ([{**GET, "id": None}], "'id'"),
    ([{**GET, "id": 1}], "'id'"),
    ([{**GET, "method": "TRACE"}], "TRACE"),
    ([{**GET, "url": "https://graph.microsoft.com/v1.0/subscriptions"}], "relative"),
    ([{**GET, "dependsOn": "2"}], "list of ids"),
    ([{**GET, "dependsOn": ["2"]}], "unknown requests: 2"),
    ([{**GET, "dependsOn": ["1"]}], "circle"),
    ([{**GET, "headers": {"x": 1}}], "headers"),
    ([{**GET, "method": "POST", "body": {}}], "Content-Type"),
]


@pytest.mark.parametrize(("requests", "message"), REFUSED)
async def test_batches_that_graph_refuses(simulator: Simulator, requests: object, message: str) -> None:
    status, answer, _ = await call(simulator, "POST", "/v1.0/$batch", {"requests": requests})
    assert (status, message in answer["error"]["message"]) == (400, True), answer


async def test_a_batch_in_a_batch_and_a_batch_without_a_token(simulator: Simulator) -> None:
    done = await answers(simulator, step("1", "POST", "/$batch", {"requests": [GET]}))
    assert done["1"]["status"] == 400
    status, _, _ = await call(simulator, "POST", "/v1.0/$batch", {"requests": [GET]}, Authorization="")
    assert status == 401
