"""The list in pages, rate limits, quotas, and answers that get lost."""

from datetime import timedelta

import aiohttp
import pytest

from local.graph import Limits, Simulator
from tests.integration.local.graph_calls import Body, body, call, create, soon
from tests.integration.local.graph_support import Receiver

pytest_plugins = ("tests.integration.local.graph_fixtures",)
SUBSCRIPTIONS = "/v1.0/subscriptions"


def of_user(number: int) -> str:
    user = f"00000000-0000-4000-8000-{number:012}"
    return f"copilot/users/{user}/interactionHistory/getAllEnterpriseInteractions"


async def several(simulator: Simulator, receiver: Receiver, count: int) -> list[str]:
    made = [await create(simulator, body(simulator, receiver, resource=of_user(number))) for number in range(count)]
    assert {status for status, _ in made} == {201}
    return [answer["id"] for _, answer in made]


async def pages(simulator: Simulator, version: str = "v1.0") -> list[Body]:
    found, link = [], f"/{version}/subscriptions"
    while link:
        status, page, _ = await call(simulator, "GET", link)
        assert status == 200
        found.append(page)
        link = page.get("@odata.nextLink", "").removeprefix(simulator.graph_endpoint)
    return found


@pytest.mark.parametrize("version", ["v1.0", "beta"])
async def test_a_list_comes_in_pages(simulator: Simulator, receiver: Receiver, version: str) -> None:
    simulator.policy.limits = Limits(page=2)
    ids = await several(simulator, receiver, 5)
    found = await pages(simulator, version)
    assert [[each["id"] for each in page["value"]] for page in found] == [ids[:2], ids[2:4], ids[4:]]
    assert all(f"/{version}/subscriptions?" in page["@odata.nextLink"] for page in found[:-1])
    for each in (each for page in found for each in page["value"]):
        assert each["clientState"] is None
        assert not each["encryptionCertificate"]


async def test_a_page_is_right_though_the_list_changes(simulator: Simulator, receiver: Receiver) -> None:
    simulator.policy.limits = Limits(page=2)
    ids = await several(simulator, receiver, 4)
    _, first, _ = await call(simulator, "GET", SUBSCRIPTIONS)
    for gone in ids[:2]:
        simulator.subscriptions.remove(gone)
    _, second, _ = await call(simulator, "GET", first["@odata.nextLink"].removeprefix(simulator.graph_endpoint))
    assert [each["id"] for each in second["value"]] == ids[2:]
    assert "@odata.nextLink" not in second


@pytest.mark.parametrize(
    "query", ["$top=1", "$filter=id eq '1'", "$select=id", "$skiptoken=abc", "$skiptoken=%20", "$skiptoken=YQ==&$top=1"]
)
async def test_options_are_refused(simulator: Simulator, query: str) -> None:
    status, answer, _ = await call(simulator, "GET", f"{SUBSCRIPTIONS}?{query}")
    assert (status, answer["error"]["code"]) == (400, "BadRequest")


async def test_the_list_is_throttled_hardest(simulator: Simulator) -> None:
    token = await simulator.graph_token()
    answers = [await call(simulator, "GET", SUBSCRIPTIONS, token=token) for _ in range(26)]
    assert [status for status, _, _ in answers] == [200] * 25 + [429]
    _, refused, response = answers[-1]
    assert refused["error"]["code"] == "TooManyRequests"
    assert refused["error"]["innerError"]["request-id"]
    assert 1 <= int(response.headers["Retry-After"]) <= 20
    assert simulator.requests["LIST"] == 26


async def test_a_throttle_lets_go_after_its_window(simulator: Simulator) -> None:
    simulator.policy.limits = Limits(list=1)
    assert (await call(simulator, "GET", SUBSCRIPTIONS))[0] == 200
    assert (await call(simulator, "GET", SUBSCRIPTIONS))[0] == 429
    simulator.clock.advance(timedelta(seconds=20))
    assert (await call(simulator, "GET", SUBSCRIPTIONS))[0] == 200


async def test_each_verb_has_its_limit(simulator: Simulator, receiver: Receiver) -> None:
    made = await simulator.subscribe(receiver.url, receiver.lifecycle_url)
    simulator.policy.limits = Limits(write=2, get=1, reauthorize=1)
    path = f"{SUBSCRIPTIONS}/{made['id']}"
    calls: list[tuple[str, str, object]] = [
        ("PATCH", path, {"expirationDateTime": soon(hours=2)}),
        ("PATCH", path, {"expirationDateTime": soon(hours=2)}),
        ("GET", path, None),
        ("GET", path, None),
        ("POST", path + "/reauthorize", None),
        ("POST", path + "/reauthorize", None),
        ("DELETE", path, None),
    ]
    statuses = [(await call(simulator, method, where, json))[0] for method, where, json in calls]
    assert statuses == [200, 429, 200, 429, 204, 429, 429]
    counted = {"POST /subscriptions": 1, "PATCH": 2, "GET": 2, "REAUTHORIZE": 2, "DELETE": 1}
    assert dict(simulator.requests) == counted


async def test_quotas(simulator: Simulator, receiver: Receiver) -> None:
    simulator.policy.limits = Limits(per_organisation=2)
    await several(simulator, receiver, 2)
    status, answer = await create(simulator, body(simulator, receiver, resource=of_user(7)))
    assert (status, answer["error"]["code"]) == (403, "Forbidden")
    assert "2 per organization" in answer["error"]["message"]
    simulator.policy.limits = Limits(per_user=1)
    other = body(simulator, receiver, resource=of_user(0), changeType="created")
    status, answer = await create(simulator, other)
    assert (status, "1 per user" in answer["error"]["message"]) == (403, True)


async def test_a_lost_answer_leaves_what_was_done(simulator: Simulator, receiver: Receiver) -> None:
    simulator.lose_answers("POST /subscriptions", 1)
    with pytest.raises(aiohttp.ClientError):
        await create(simulator, body(simulator, receiver))
    (subscription,) = simulator.subscriptions.living()
    status, answer = await create(simulator, body(simulator, receiver))
    assert (status, subscription.id in answer["error"]["message"]) == (409, True)


async def test_lost_renewals_and_deletions(simulator: Simulator, receiver: Receiver) -> None:
    made = await simulator.subscribe(receiver.url, receiver.lifecycle_url)
    path = f"{SUBSCRIPTIONS}/{made['id']}"
    simulator.lose_answers("PATCH", 1)
    simulator.lose_answers("DELETE", 1)
    status, _, _ = await call(simulator, "PATCH", path, {})
    assert status == 400  # a refusal is not lost: nothing was done
    with pytest.raises(aiohttp.ClientError):
        await call(simulator, "PATCH", path, {"expirationDateTime": soon(hours=50)})
    _, after, _ = await call(simulator, "GET", path)
    assert after["expirationDateTime"] > made["expirationDateTime"]
    # aiohttp tries a DELETE again by itself, and finds what a client finds whose acknowledgement was lost.
    assert (await call(simulator, "DELETE", path))[0] == 404
    assert simulator.requests["DELETE"] == 2
    assert [event.fate for event in simulator.subscriptions.history] == ["created", "changed", "deleted"]


async def test_only_known_verbs_are_lost(simulator: Simulator) -> None:
    verb: str = "PUT"
    with pytest.raises(ValueError, match="PATCH"):
        simulator.lose_answers(verb)  # type: ignore[arg-type] # that is the point


async def test_paths_have_two_forms_and_no_case(simulator: Simulator, receiver: Receiver) -> None:
    made = await simulator.subscribe(receiver.url, receiver.lifecycle_url)
    assert (await call(simulator, "GET", f"/v1.0/Subscriptions('{made['id']}')"))[0] == 200
    assert (await call(simulator, "PUT", SUBSCRIPTIONS))[0] == 405
    assert (await call(simulator, "GET", "/v1.0/me"))[0] == 404
