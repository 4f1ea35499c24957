"""Lifecycle notifications, removed subscriptions, pauses, and consent that is revoked and restored."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from local.graph import Faults, Simulator
from local.graph.times import parse, utc_now
from tests.integration.local.graph_calls import Body, body, call, create, soon
from tests.integration.local.graph_support import FAST, Receiver

pytest_plugins = ("tests.integration.local.graph_fixtures",)
BASIC = {"includeResourceData": None, "encryptionCertificate": None, "encryptionCertificateId": None}


async def subscribed(simulator: Simulator, receiver: Receiver) -> Body:
    return await simulator.subscribe(receiver.url, receiver.lifecycle_url)


async def renew(simulator: Simulator, subscription: Body) -> int:
    path = f"/v1.0/subscriptions/{subscription['id']}"
    status, _, _ = await call(simulator, "PATCH", path, {"expirationDateTime": soon(hours=30)})
    return status


async def notified(simulator: Simulator, receiver: Receiver) -> int:
    receiver.bodies.clear()
    await simulator.send(simulator.cloud.content.conversation(utc_now()))
    return len(receiver.bodies)


@pytest.mark.parametrize("event", ["reauthorizationRequired", "subscriptionRemoved", "missed", "notInventedYet"])
async def test_the_documented_shape(simulator: Simulator, receiver: Receiver, event: str) -> None:
    subscription = await subscribed(simulator, receiver)
    (post,) = await simulator.emit_lifecycle(event, subscription["id"])
    assert (post.url, post.acknowledged) == (receiver.lifecycle_url, True)
    (sent,) = [json.loads(each) for each in receiver.bodies]
    assert sent == {
        "value": [
            {
                "subscriptionId": subscription["id"],
                "subscriptionExpirationDateTime": subscription["expirationDateTime"],
                "tenantId": simulator.tenant_id,
                "clientState": simulator.client_state,
                "lifecycleEvent": event,
            }
        ]
    }
    lines = [each for each in simulator.ledger().events if each["line"] == "lifecycle"]
    assert lines == [{"line": "lifecycle", "event": event, "subscription": subscription["id"]}]


async def test_the_rarer_shapes(tmp_path: Path, receiver: Receiver) -> None:
    async with Simulator(folder=tmp_path, timing=FAST, faults=Faults(variants=1, forged=0)) as graph:
        subscription = await subscribed(graph, receiver)
        for _ in range(30):
            await graph.emit_lifecycle("missed")
    posts = [json.loads(each) for each in receiver.bodies]
    assert any("resource" in item for item in receiver.items())
    assert any("organizationId" in item for item in receiver.items())
    assert all(post.get("validationTokens") is None for post in posts)
    expected = parse(subscription["expirationDateTime"])
    for item in receiver.items():
        assert item["clientState"] == graph.client_state
        assert expected - parse(item["subscriptionExpirationDateTime"]) < timedelta(milliseconds=1)


async def test_one_post_tells_of_several_subscriptions(simulator: Simulator, receiver: Receiver) -> None:
    await subscribed(simulator, receiver)
    assert (await create(simulator, body(simulator, receiver, resource="chats", changeType="created", **BASIC)))[0]
    without = body(simulator, receiver, resource="chats", changeType="updated", **BASIC)
    without |= {"expirationDateTime": soon(minutes=50)}
    del without["lifecycleNotificationUrl"]
    status, silent = await create(simulator, without)
    assert status == 201
    assert len(await simulator.emit_lifecycle("missed")) == 2
    simulator.traffic.faults = Faults(batch=10, variants=0)
    assert len(await simulator.emit_lifecycle("missed")) == 1
    assert len(receiver.items()) == 4
    with pytest.raises(ValueError, match="no lifecycle URL"):
        await simulator.emit_lifecycle("missed", silent["id"])
    with pytest.raises(KeyError):
        await simulator.emit_lifecycle("missed", "never")


async def test_a_removed_subscription_is_gone_and_then_told_of(simulator: Simulator, receiver: Receiver) -> None:
    subscription = await subscribed(simulator, receiver)
    (post,) = await simulator.remove_subscription(subscription["id"])
    assert post.acknowledged
    assert [item["lifecycleEvent"] for item in receiver.items()] == ["subscriptionRemoved"]
    assert (await call(simulator, "GET", f"/v1.0/subscriptions/{subscription['id']}"))[0] == 404
    assert [event.fate for event in simulator.subscriptions.history] == ["created", "removed"]
    await simulator.emit_lifecycle("subscriptionRemoved", subscription["id"])
    again = await subscribed(simulator, receiver)
    receiver.bodies.clear()
    assert await simulator.remove_subscription(again["id"], tell=False) == []
    assert receiver.bodies == []
    with pytest.raises(KeyError):
        await simulator.remove_subscription(again["id"])


async def test_who_ignores_reauthorization_required_gets_nothing_after_a_while(
    simulator: Simulator, receiver: Receiver
) -> None:
    subscription = await subscribed(simulator, receiver)
    simulator.policy.patience = timedelta(minutes=30)
    await simulator.emit_lifecycle("reauthorizationRequired")
    assert await notified(simulator, receiver) > 0
    simulator.clock.advance(timedelta(minutes=20))
    await simulator.emit_lifecycle("reauthorizationRequired")
    simulator.clock.advance(timedelta(minutes=10))
    assert await notified(simulator, receiver) == 0
    assert await renew(simulator, subscription) == 200
    assert await notified(simulator, receiver) > 0
    simulator.clock.advance(timedelta(hours=2))
    assert await notified(simulator, receiver) > 0


async def test_reauthorising_is_enough(simulator: Simulator, receiver: Receiver) -> None:
    subscription = await subscribed(simulator, receiver)
    await simulator.emit_lifecycle("reauthorizationRequired")
    path = f"/v1.0/subscriptions/{subscription['id']}/reauthorize"
    assert (await call(simulator, "POST", path))[0] == 204
    simulator.clock.advance(timedelta(hours=5))
    assert await notified(simulator, receiver) > 0


async def test_revoked_consent_stops_everything(simulator: Simulator, receiver: Receiver) -> None:
    subscription = await subscribed(simulator, receiver)
    before = await simulator.graph_token()
    (post,) = await simulator.revoke_consent()
    assert post.acknowledged
    assert [item["lifecycleEvent"] for item in receiver.items()] == ["reauthorizationRequired"]
    after = await simulator.graph_token()
    assert simulator.cloud.entra.claims_of(after)["roles"] == []
    for token in (before, after):
        assert (await call(simulator, "GET", "/v1.0/subscriptions", token=token))[0] == 403
        status, _, _ = await call(simulator, "POST", "/v1.0/subscriptions", body(simulator, receiver), token)
        assert status == 403
    assert await renew(simulator, subscription) == 403
    assert await notified(simulator, receiver) == 0
    simulator.restore_consent()
    assert (await call(simulator, "GET", "/v1.0/subscriptions", token=after))[0] == 403
    assert await notified(simulator, receiver) == 0
    assert await renew(simulator, subscription) == 200
    assert await notified(simulator, receiver) > 0


async def test_one_permission_can_be_missing(simulator: Simulator, receiver: Receiver) -> None:
    await subscribed(simulator, receiver)
    assert await simulator.revoke_consent(["Chat.Read.All", "ChatMember.Read.All"]) == []
    asked = body(simulator, receiver, resource="chats", changeType="created", **BASIC)
    status, answer = await create(simulator, asked)
    assert (status, answer["error"]["code"]) == (403, "Forbidden")
    assert "Chat.ReadBasic.All" in answer["error"]["message"]
    assert await notified(simulator, receiver) > 0
    simulator.restore_consent(["Chat.ReadBasic.All"])
    assert (await create(simulator, asked))[0] == 201
    assert await notified(simulator, receiver) == 0
