"""Subscriptions grow old, are renewed, changed and reauthorised."""

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from multidict import CIMultiDict

from local.graph import Faults, Ledger, Simulator, VirtualClock
from local.graph.authorisation import REAUTHORIZE_AND_PATCH
from local.graph.graph_errors import GraphError
from local.graph.graph_request import GraphRequest
from local.graph.subscription_rules import LIFECYCLE_REQUIRED
from local.graph.times import milliseconds_z, parse, utc_now
from tests.integration.local.graph_calls import Body, body, call, create, soon
from tests.integration.local.graph_support import FAST, Receiver, echo

pytest_plugins = ("tests.integration.local.graph_fixtures",)


async def made(simulator: Simulator, receiver: Receiver, **changed: object) -> Body:
    status, subscription = await create(simulator, body(simulator, receiver, **changed))
    assert status == 201, subscription
    return subscription


async def patch(
    simulator: Simulator, subscription: Body, version: str = "v1.0", /, **changes: object
) -> tuple[int, Body]:
    status, answer, _ = await call(simulator, "PATCH", f"/{version}/subscriptions/{subscription['id']}", changes)
    return status, answer


async def shown(simulator: Simulator, subscription: Body) -> tuple[int, Body]:
    status, answer, _ = await call(simulator, "GET", f"/v1.0/subscriptions/{subscription['id']}")
    return status, answer


def new_certificate(simulator: Simulator) -> Body:
    version = simulator.rotate_certificate()
    text = base64.b64encode(version.pair.der).decode()
    return {"encryptionCertificate": text, "encryptionCertificateId": version.id}


@pytest.mark.parametrize("version", ["v1.0", "beta"])
async def test_a_renewal_answers_with_the_whole_subscription(
    simulator: Simulator, receiver: Receiver, version: str
) -> None:
    subscription = await made(simulator, receiver)
    until = soon(minutes=4319)
    status, answer = await patch(simulator, subscription, version, expirationDateTime=until)
    assert status == 200
    assert answer["@odata.context"].endswith(f"/{version}/$metadata#subscriptions/$entity")
    assert parse(answer["expirationDateTime"]) == parse(until)
    changed = {"@odata.context", "expirationDateTime"}
    same = {name: value for name, value in subscription.items() if name not in changed}
    assert {name: value for name, value in answer.items() if name not in changed} == same
    assert (await shown(simulator, subscription))[1]["expirationDateTime"] == answer["expirationDateTime"]


REFUSED: list[tuple[Body, str]] = [
    ({}, "At least one of expirationDateTime, notificationUrl"),
    ({"expirationDateTime": soon(minutes=4330)}, "Operation: Update; Exception: [Status Code: BadRequest"),
    ({"expirationDateTime": None}, "must have a value"),
    ({"expirationDateTime": "tomorrow"}, "Edm.DateTimeOffset"),
    ({"expirationDateTime": soon(hours=2), "lifecycleNotificationUrl": "https://x.example"}, "cannot be updated"),
    ({"expirationDateTime": soon(hours=2), "resource": "/chats"}, "cannot be updated"),
    ({"expirationDateTime": soon(hours=2), "changeType": "created"}, "cannot be updated"),
    ({"expirationDateTime": soon(hours=2), "clientState": "another"}, "cannot be updated"),
    ({"expirationDateTime": soon(hours=2), "encryptionCertificateId": "x"}, "Certificate cannot be empty"),
    ({"expirationDateTime": soon(hours=2), "colour": "red"}, "does not exist on type"),
    ({"notificationUrl": "ftp://webhook.example"}, "must be https"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
async def test_a_patch_that_graph_refuses(
    simulator: Simulator, receiver: Receiver, changes: Body, message: str
) -> None:
    subscription = await made(simulator, receiver)
    status, answer = await patch(simulator, subscription, **changes)
    assert (status, answer["error"]["code"]) == (400, "BadRequest")
    assert message in answer["error"]["message"]
    assert (await shown(simulator, subscription))[1] == subscription


async def test_more_than_an_hour_needs_a_lifecycle_url(simulator: Simulator, receiver: Receiver) -> None:
    short = await made(simulator, receiver, lifecycleNotificationUrl=None, expirationDateTime=soon(minutes=50))
    status, answer = await patch(simulator, short, expirationDateTime=soon(hours=2))
    assert (status, answer["error"]["message"]) == (400, LIFECYCLE_REQUIRED)
    assert (await patch(simulator, short, expirationDateTime=soon(minutes=59)))[0] == 200


async def test_a_new_url_is_probed_and_gets_what_comes(simulator: Simulator, receiver: Receiver) -> None:
    subscription = await made(simulator, receiver)
    other = receiver.url.replace("/notifications", "/elsewhere")
    receiver.probes.clear()
    status, answer = await patch(simulator, subscription, notificationUrl=other)
    assert (status, answer["notificationUrl"]) == (200, other)
    assert answer["expirationDateTime"] == subscription["expirationDateTime"]
    assert [probe.path for probe in receiver.probes] == ["/api/elsewhere"]
    posts = await simulator.send(simulator.cloud.content.conversation(utc_now()))
    assert {post.url for post in posts} == {other}


async def test_a_url_that_fails_the_handshake_changes_nothing(simulator: Simulator, receiver: Receiver) -> None:
    subscription = await made(simulator, receiver)
    status, answer = await patch(simulator, subscription, notificationUrl="http://127.0.0.1:9/api")
    assert (status, answer["error"]["code"]) == (400, "ValidationError")
    assert (await shown(simulator, subscription))[1] == subscription


async def test_the_certificate_moves_with_a_renewal(simulator: Simulator, receiver: Receiver) -> None:
    subscription = await made(simulator, receiver)
    pair = new_certificate(simulator)
    status, answer = await patch(simulator, subscription, **pair)
    assert (status, answer["error"]["code"]) == (400, "BadRequest")
    status, _ = await patch(simulator, subscription, notificationUrl=receiver.url, **pair)
    assert status == 400
    status, answer = await patch(simulator, subscription, expirationDateTime=soon(hours=48), **pair)
    assert (status, answer["encryptionCertificateId"]) == (200, pair["encryptionCertificateId"])
    assert answer["encryptionCertificate"] is None
    await simulator.send(simulator.cloud.content.conversation(utc_now()))
    used = {item["encryptedContent"]["encryptionCertificateId"] for item in receiver.items()}
    assert used == {pair["encryptionCertificateId"]}


async def test_a_strict_graph_takes_no_certificate(tmp_path: Path, receiver: Receiver) -> None:
    async with Simulator(folder=tmp_path, timing=FAST, strict_patch=True) as strict:
        subscription = await made(strict, receiver)
        pair = new_certificate(strict)
        until = soon(hours=48)
        status, answer = await patch(strict, subscription, expirationDateTime=until, **pair)
        assert (status, "encryptionCertificate" in answer["error"]["message"]) == (400, True)
        assert (await patch(strict, subscription, expirationDateTime=until))[0] == 200
        strict.policy.strict_patch = False
        assert (await patch(strict, subscription, expirationDateTime=until, **pair))[0] == 200


async def test_basic_subscriptions_have_no_certificate(simulator: Simulator, receiver: Receiver) -> None:
    basic = {"includeResourceData": None, "encryptionCertificate": None, "encryptionCertificateId": None}
    subscription = await made(simulator, receiver, **basic)
    pair = new_certificate(simulator)
    status, answer = await patch(simulator, subscription, expirationDateTime=soon(hours=2), **pair)
    assert (status, "includeResourceData" in answer["error"]["message"]) == (400, True)


async def test_a_subscription_ages_with_the_stopwatch_and_is_gone(simulator: Simulator, receiver: Receiver) -> None:
    subscription = await made(simulator, receiver)
    simulator.clock.advance(timedelta(hours=20))
    _, aged = await shown(simulator, subscription)
    assert parse(subscription["expirationDateTime"]) - parse(aged["expirationDateTime"]) == timedelta(hours=20)
    status, answer = await patch(simulator, subscription, expirationDateTime=soon(hours=24))
    assert status == 200
    assert timedelta(hours=23) < parse(answer["expirationDateTime"]) - utc_now() < timedelta(hours=25)
    simulator.clock.advance(timedelta(hours=24))
    for status, answer in (
        await shown(simulator, subscription),
        await patch(simulator, subscription, expirationDateTime=soon(hours=24)),
        (await call(simulator, "POST", f"/v1.0/subscriptions/{subscription['id']}/reauthorize"))[:2],
        (await call(simulator, "DELETE", f"/v1.0/subscriptions/{subscription['id']}"))[:2],
    ):
        assert (status, answer["error"]["code"]) == (404, "ResourceNotFound")
    assert (await call(simulator, "GET", "/v1.0/subscriptions"))[1]["value"] == []
    assert await simulator.send(simulator.cloud.content.conversation(utc_now())) == []
    assert [event.fate for event in simulator.subscriptions.history] == ["created", "changed", "expired"]
    assert await create(simulator, body(simulator, receiver))


async def test_what_was_planned_for_a_subscription_that_ends_is_withheld(
    simulator: Simulator, receiver: Receiver
) -> None:
    subscription = await made(simulator, receiver)
    changes = simulator.cloud.content.conversation(utc_now())
    simulator.traffic.start(changes)
    simulator.subscriptions.remove(subscription["id"])
    await simulator.delivery.idle(5)
    assert receiver.bodies == []
    ledger: Ledger = simulator.ledger()
    assert {post.outcome for post in ledger.posts} == {"withheld"}
    assert ledger.genuine() == ()
    assert len(ledger.contents) == len(changes)


async def test_a_successor_gets_what_was_planned(simulator: Simulator, receiver: Receiver) -> None:
    subscription = await made(simulator, receiver)
    changes = simulator.cloud.content.conversation(utc_now())
    simulator.traffic.start(changes)
    gone = simulator.subscriptions.remove(subscription["id"])
    simulator.subscriptions.add(replace(gone, id="successor"))
    await simulator.delivery.idle(5)
    assert [item["subscriptionId"] for item in receiver.items()] == ["successor"] * len(changes)
    assert len(simulator.ledger().genuine()) == len(changes)


async def test_a_year_on_a_virtual_clock(tmp_path: Path, receiver: Receiver) -> None:
    clock = VirtualClock(datetime(2030, 1, 1, tzinfo=UTC))
    async with Simulator(folder=tmp_path, timing=FAST, clock=clock) as graph:
        until = milliseconds_z(clock.now() + timedelta(hours=70))
        subscription = await made(graph, receiver, expirationDateTime=until)
        for _ in range(183):
            clock.advance(timedelta(days=2))
            wanted = milliseconds_z(clock.now() + timedelta(hours=70))
            status, answer = await patch(graph, subscription, expirationDateTime=wanted)
            assert (status, parse(answer["expirationDateTime"])) == (200, parse(wanted))
        clock.advance(timedelta(hours=70))
        assert (await shown(graph, subscription))[0] == 404
        end = graph.subscriptions.history[-1]
        assert (end.fate, end.at) == ("expired", clock.now())
        assert clock.now() > datetime(2031, 1, 1, tzinfo=UTC)


async def test_graph_can_be_asked_without_a_connection(simulator: Simulator, receiver: Receiver) -> None:
    subscription = await made(simulator, receiver)
    bearer = CIMultiDict({"Authorization": f"Bearer {await simulator.graph_token()}"})
    asked = GraphRequest("GET", "v1.0", f"/subscriptions/{subscription['id']}", headers=bearer)
    answer = await simulator.gateway.answer(asked)
    assert (answer.status, answer.body) == (200, subscription)
    with pytest.raises(GraphError) as refused:
        await simulator.gateway.answer(replace(asked, headers=CIMultiDict()))
    assert refused.value.status == 401


async def reauthorize(simulator: Simulator, subscription: Body) -> int:
    status, _, _ = await call(simulator, "POST", f"/v1.0/subscriptions/{subscription['id']}/reauthorize")
    return status


async def test_reauthorising_does_not_extend(simulator: Simulator, receiver: Receiver) -> None:
    subscription = await made(simulator, receiver)
    assert await reauthorize(simulator, subscription) == 204
    assert (await shown(simulator, subscription))[1] == subscription
    assert simulator.violations == []


@pytest.mark.parametrize(("minutes", "flagged"), [(0, True), (9, True), (10, False)])
async def test_reauthorize_and_patch_keep_ten_minutes_apart(
    simulator: Simulator, receiver: Receiver, minutes: int, flagged: bool
) -> None:
    subscription = await made(simulator, receiver)
    await reauthorize(simulator, subscription)
    await reauthorize(simulator, subscription)
    simulator.clock.advance(timedelta(minutes=minutes))
    assert (await patch(simulator, subscription, expirationDateTime=soon(hours=24)))[0] == 200
    expected = [(REAUTHORIZE_AND_PATCH, subscription["id"])] if flagged else []
    assert [(each.rule, each.subscription_id) for each in simulator.violations] == expected
    events: list[dict[str, Any]] = [each for each in simulator.ledger().events if each["line"] == "violation"]
    assert [each["subscription"] for each in events] == [each for _, each in expected]


async def test_no_permission_no_renewal(simulator: Simulator, receiver: Receiver) -> None:
    subscription = await made(simulator, receiver)
    entra, who = simulator.cloud.entra, simulator.cloud.who
    token = await simulator.graph_token()
    entra.register(replace(who.application, roles=frozenset({"Chat.Read.All"})))
    path = f"/v1.0/subscriptions/{subscription['id']}"
    for method, where in (("PATCH", path), ("GET", path), ("DELETE", path), ("POST", path + "/reauthorize")):
        status, answer, _ = await call(simulator, method, where, {}, token)
        assert (status, answer["error"]["code"]) == (403, "Forbidden")


async def test_a_subscription_may_vanish_during_its_handshake(tmp_path: Path, receiver: Receiver) -> None:
    async with Simulator(folder=tmp_path, faults=Faults.friendly(), timing=FAST) as graph:
        subscription = await made(graph, receiver)

        async def vanish(request: Any) -> Any:  # noqa: ANN401 - aiohttp's
            graph.subscriptions.remove(subscription["id"])
            return await echo(request)

        receiver.handshake = vanish
        status, _ = await patch(graph, subscription, notificationUrl=receiver.url)
        assert status == 404
