import asyncio
import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import jwt
import pytest
from aiohttp import web

from local.graph import Faults, Simulator, Timing, run_in_thread
from local.graph.content.change import Change
from local.graph.ledger import Content
from tests.integration.local.graph_support import FAST, Receiver, decrypted, member, receiving

pytest_plugins = ("tests.integration.local.graph_fixtures",)
DAY = date(2026, 3, 2)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


async def subscribed(simulator: Simulator, receiver: Receiver) -> None:
    await simulator.subscribe(receiver.url, receiver.lifecycle_url)


def conversation(simulator: Simulator) -> list[Change]:
    return simulator.cloud.content.conversation(NOON)


async def test_a_rich_notification_opens_to_the_exact_bytes(simulator: Simulator, receiver: Receiver) -> None:
    made = await simulator.subscribe(receiver.url, receiver.lifecycle_url)
    changes = conversation(simulator)
    await simulator.send(changes)
    version = simulator.cloud.vault.versions(simulator.certificate_name)[-1]
    by_id = {change.id: change for change in changes}
    assert len(receiver.bodies) == len(changes)
    for body in receiver.bodies:
        post = json.loads(body)
        (item,) = post["value"]
        change = by_id[item["resourceData"]["id"]]
        content = item["encryptedContent"]
        assert decrypted(content, version.pair.private_key) == change.plaintext
        assert content["encryptionCertificateId"] == made["encryptionCertificateId"] == version.id
        assert item["resource"] == f"copilot/interactionHistory/interactions('{change.id}')"
        assert item["clientState"] == simulator.client_state
        assert item["tenantId"] == simulator.tenant_id
        (token,) = post["validationTokens"]
        assert jwt.decode(token, options={"verify_signature": False})["aud"] == simulator.client_id


async def test_each_item_has_a_key_of_its_own(simulator: Simulator, receiver: Receiver) -> None:
    await subscribed(simulator, receiver)
    await simulator.send(conversation(simulator) + conversation(simulator))
    keys = [item["encryptedContent"]["dataKey"] for item in receiver.items()]
    assert len(set(keys)) == len(keys) > 2


async def test_old_subscriptions_keep_their_certificate(simulator: Simulator, receiver: Receiver) -> None:
    await subscribed(simulator, receiver)
    old = simulator.cloud.vault.versions(simulator.certificate_name)[-1]
    simulator.rotate_certificate()
    await simulator.send(conversation(simulator))
    assert {item["encryptedContent"]["encryptionCertificateId"] for item in receiver.items()} == {old.id}


async def test_basic_notifications_carry_no_content_and_no_tokens(simulator: Simulator, receiver: Receiver) -> None:
    await simulator.subscribe(receiver.url, receiver.lifecycle_url, rich=False)
    await simulator.send(conversation(simulator))
    for body in receiver.bodies:
        assert not json.loads(body).get("validationTokens")
    assert all(member(item, "encryptedContent") is None for item in receiver.items())


async def test_subscriptions_get_what_they_cover(simulator: Simulator, receiver: Receiver) -> None:
    changes = simulator.day(DAY, interactions=60, users=4, chats=4)
    user = simulator.cloud.content.people(4)[0].oid
    chat = next(change for change in changes if change.kind == "chat")
    resources = {
        f"copilot/users/{user}/interactionHistory/getAllEnterpriseInteractions": sum(
            user in change.user_ids for change in changes if change.kind == "aiInteraction"
        ),
        f"chats/{chat.id}": sum(change.id == chat.id for change in changes),
        "copilot/interactionHistory/getAllEnterpriseInteractions"
        "?$filter=appClass eq 'IPM.SkypeTeams.Message.Copilot.BizChat'": sum(
            change.properties.get("appClass", "").endswith(".BizChat") for change in changes
        ),
    }
    made = {}
    for resource in resources:
        change_type = "created,updated" if resource.startswith("chats") else "created,updated,deleted"
        answer = await simulator.subscribe(
            receiver.url, receiver.lifecycle_url, resource=resource, change_type=change_type
        )
        made[answer["id"]] = resource
    await simulator.send(changes)
    counts = Counter(made[item["subscriptionId"]] for item in receiver.items())
    assert counts == {resource: count for resource, count in resources.items() if count}


async def test_a_refusal_is_tried_again_until_it_is_accepted(simulator: Simulator, receiver: Receiver) -> None:
    await subscribed(simulator, receiver)
    statuses = iter([503, 400, 302])

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=next(statuses, 202), headers={"Location": "/elsewhere"})

    receiver.answer = answer
    (post,) = await simulator.send(conversation(simulator)[:1])
    assert [attempt.status for attempt in post.attempts] == [503, 400, 302, 202]
    assert len(set(receiver.bodies)) == 1
    assert post.outcome == "answered"


async def test_silence_is_tried_again(simulator: Simulator, receiver: Receiver) -> None:
    await subscribed(simulator, receiver)
    pauses = iter([1.3, 1.3])

    async def answer(_: web.Request) -> web.Response:
        # Too slow for a first try, in time for a second.
        await asyncio.sleep(next(pauses))
        return web.Response(status=202)

    receiver.answer = answer
    (post,) = await simulator.send(conversation(simulator)[:1])
    assert [(attempt.status, attempt.error) for attempt in post.attempts] == [(None, "timeout"), (202, None)]


async def test_graph_gives_up_after_its_hours(tmp_path: Path, receiver: Receiver) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=500)

    timing = Timing(time_scale=100, first_retry=1, longest_retry=2, give_up=100)
    async with Simulator(folder=tmp_path, faults=Faults.friendly(), timing=timing) as simulator:
        await subscribed(simulator, receiver)
        receiver.answer = refuse
        (post,) = await simulator.send(conversation(simulator)[:1])
        assert post.outcome == "gave-up"
        assert len(post.attempts) > 3
        assert simulator.ledger().summary()["abandoned_posts"] == 1


async def test_nobody_listening_is_no_answer(simulator: Simulator, receiver: Receiver) -> None:
    await subscribed(simulator, receiver)
    (subscription,) = simulator.subscriptions
    simulator.subscriptions.remove(subscription.id)
    gone = replace(subscription, notification_url="http://127.0.0.1:9/api")
    simulator.subscriptions._by_id[gone.id] = gone
    simulator.traffic.start(conversation(simulator)[:1])
    with pytest.raises(TimeoutError):
        await simulator.delivery.idle(0.3)
    (post,) = simulator.ledger().posts
    assert len(post.attempts) > 2
    assert {attempt.error for attempt in post.attempts[:2]} == {"ClientConnectorError"}


async def test_a_slow_endpoint_loses_what_graph_documents(tmp_path: Path, receiver: Receiver) -> None:
    timing = Timing(
        time_scale=600, first_answer=0.05, retry_answer=0.1, minimum_answers=2, first_retry=60, handshake_answer=2
    )
    async with Simulator(folder=tmp_path, faults=Faults.friendly(), timing=timing) as simulator:
        await subscribed(simulator, receiver)

        async def stall(_: web.Request) -> web.Response:
            await asyncio.sleep(0.3)
            return web.Response(status=202)

        receiver.answer = stall
        simulator.traffic.start(conversation(simulator)[:2])
        endpoint = simulator.delivery.endpoint(receiver.url)
        while endpoint.state(simulator.delivery._now()) != "drop":
            await asyncio.sleep(0.02)
            assert simulator.delivery.pending
        (post, *_) = await simulator.send(conversation(simulator)[:1])
        assert post.outcome == "dropped"
        assert not post.attempts
        assert simulator.ledger().summary()["dropped_posts"] == 1


async def test_the_ledger_is_written_before_the_post_leaves(simulator: Simulator, receiver: Receiver) -> None:
    await subscribed(simulator, receiver)
    seen: list[tuple[Content, ...]] = []

    async def look(_: web.Request) -> web.Response:
        seen.append(simulator.ledger().contents)
        assert simulator.ledger().posts[-1].attempts[-1].status is None
        return web.Response(status=202)

    receiver.answer = look
    (change, *_) = conversation(simulator)
    await simulator.send([change])
    assert seen[0][0].sha256 == change.sha256
    assert simulator.ledger().acknowledged() == {change.ref}


def test_a_nasty_day_arrives_completely_from_a_thread(tmp_path: Path) -> None:
    async def play(graph: Simulator) -> Receiver:
        async with receiving() as endpoint:
            urls = endpoint.url, endpoint.lifecycle_url
            await graph.subscribe(*urls)
            await graph.subscribe(*urls, resource="/chats", change_type="created,updated")
            await graph.play(graph.day(DAY, interactions=150), seconds=1)
        return endpoint

    with run_in_thread(folder=tmp_path, timing=Timing(time_scale=3600), seed=7) as running:
        receiver = running.run(play, timeout_seconds=60)
        ledger = running.graph.ledger()
        assert ledger.acknowledged() == {content.ref for content in ledger.genuine()}
        summary = ledger.summary()
        assert summary["duplicates"] > 0
        assert summary["forged_posts"] > 5
        assert summary["contents"] > 150
        assert len(receiver.bodies) == summary["posts"]
        assert running.graph.traffic.planned == running.graph.traffic.finished == summary["posts"]
    text = (tmp_path / "ledger.jsonl").read_text()
    assert "Summarise" not in text
    assert running.graph.client_state not in text


async def test_every_form_of_an_item_comes_and_means_the_same(tmp_path: Path, receiver: Receiver) -> None:
    faults = replace(Faults.friendly(), variants=1.0, batch=50)
    async with Simulator(folder=tmp_path, faults=faults, timing=FAST) as simulator:
        await subscribed(simulator, receiver)
        changes = simulator.day(DAY, interactions=200, chats=0)
        await simulator.send(changes)
        key = simulator.cloud.vault.versions(simulator.certificate_name)[-1].pair.private_key
    items = receiver.items()
    contents = [content for item in items if (content := member(item, "encryptedContent"))]
    digests = Counter(decrypted(content, key) for content in contents)
    assert digests == Counter(change.plaintext for change in changes if change.plaintext is not None)
    assert {"created", "Created"} <= {member(item, "changeType") for item in items}
    assert {"encryptedContent", "EncryptedContent"} <= {name for item in items for name in item}
    assert any("ClientState" in item for item in items)
    prints = {content["encryptionCertificateThumbprint"] for content in contents}
    assert len(prints) == 2
    assert len({one.lower() for one in prints}) == 1
    expiries = {member(item, "subscriptionExpirationDateTime")[19:] for item in items}
    assert any(text.endswith("+05:30") for text in expiries)
    assert any(text.endswith("Z") for text in expiries)


async def test_a_seed_repeats_what_is_sent(tmp_path: Path, receiver: Receiver) -> None:
    async def once() -> list[tuple[str, tuple[str, ...], str | None]]:
        async with Simulator(folder=tmp_path, seed=11, timing=FAST) as simulator:
            await subscribed(simulator, receiver)
            posts = await simulator.send(simulator.day(DAY, interactions=60))
            return sorted((post.id, post.items, post.forged) for post in posts)

    assert await once() == await once()
