"""Notifications without resource data, and the GET calls that they lead to."""

from dataclasses import replace
from urllib.parse import quote

import pytest

from local.graph import Simulator
from tests.integration.local.graph_calls import call
from tests.integration.local.graph_exports import DAY, content, latest
from tests.integration.local.graph_support import Receiver, member

pytest_plugins = ("tests.integration.local.graph_fixtures",)
RETURNED = {"id", "topic", "createdDateTime", "lastUpdatedDateTime", "chatType", "webUrl", "tenantId"}


async def test_a_basic_notification_leads_to_its_chat(simulator: Simulator, receiver: Receiver) -> None:
    await simulator.subscribe(
        receiver.url, receiver.lifecycle_url, resource="/chats", change_type="created,updated", rich=False
    )
    chats = [each for each in simulator.day(DAY, interactions=0, users=6, chats=4) if each.kind == "chat"]
    await simulator.send(chats)
    assert len(receiver.items()) == len(chats)
    newest = {each.id: each for each in sorted(chats, key=lambda each: each.at)}
    for item in receiver.items():
        assert member(item, "encryptedContent") is None
        data = member(item, "resourceData")
        for path in (data["@odata.id"], f"chats/{quote(data['id'], safe='')}"):
            status, chat, _ = await call(simulator, "GET", f"/v1.0/{path}")
            assert status == 200, chat
            assert chat["@odata.context"].endswith("/v1.0/$metadata#chats/$entity")
            assert chat["lastUpdatedDateTime"] == newest[data["id"]].etag
            assert set(chat) >= RETURNED
            assert not {"members", "viewpoint"} & set(chat)
    assert simulator.requests["CHAT"] == 2 * len(chats)


async def test_what_a_chat_can_be_asked_for(simulator: Simulator) -> None:
    (chat, *_) = [each for each in simulator.day(DAY, interactions=0, users=6, chats=1) if each.kind == "chat"]
    simulator.happen([chat])
    path = f"/beta/chats/{chat.id}"
    _, answer, _ = await call(simulator, "GET", f"{path}?$expand=members&$select=id,topic")
    assert set(answer) == {"@odata.context", "id", "topic", "members"}
    for query in ("$expand=weather", "$select=weather", "$top=1"):
        assert (await call(simulator, "GET", f"{path}?{query}"))[0] == 400
    assert (await call(simulator, "GET", "/v1.0/chats/19:nobody@thread.v2"))[0] == 404
    await simulator.revoke_consent(["Chat.Read.All"])
    status, body, _ = await call(simulator, "GET", path)
    assert (status, body["error"]["code"]) == (403, "Forbidden")


@pytest.mark.parametrize("form", ["interactions('{}')", "interactions/{}"])
async def test_the_path_of_an_interaction_is_a_promise(simulator: Simulator, receiver: Receiver, form: str) -> None:
    await simulator.subscribe(receiver.url, receiver.lifecycle_url, rich=False)
    changes = simulator.day(DAY, interactions=30, users=3, chats=0)
    await simulator.send(changes)
    (one, *_) = [each for each in latest(changes).values() if sum(each.id == other.id for other in changes) == 1]
    path = f"/v1.0/copilot/interactionHistory/{form.format(one.id)}"
    status, body, _ = await call(simulator, "GET", path)
    assert (status, body["error"]["message"]) == (400, "Resource not found for the segment 'interactions'.")
    simulator.policy.export = replace(simulator.policy.export, interaction_get=True)
    status, body, _ = await call(simulator, "GET", path)
    assert status == 200
    del body["@odata.context"]
    assert body == content(one)
    owner = next(iter(one.user_ids))
    of_owner = f"/v1.0/copilot/users/{owner}/interactionHistory/{form.format(one.id)}"
    assert (await call(simulator, "GET", of_owner))[0] == 200
    stranger = "00000000-0000-4000-8000-000000000001"
    assert (await call(simulator, "GET", of_owner.replace(owner, stranger)))[0] == 404
    assert (await call(simulator, "GET", path.replace(one.id, "1")))[0] == 404
    assert (await call(simulator, "GET", path + "?$select=id"))[0] == 400


async def test_a_deleted_interaction_cannot_be_got(simulator: Simulator) -> None:
    simulator.policy.export = replace(simulator.policy.export, interaction_get=True)
    changes = simulator.day(DAY, interactions=120, users=3, chats=0)
    simulator.happen(changes)
    (gone, *_) = [each for each in changes if each.change_type == "deleted"]
    assert sum(each.id == gone.id for each in changes) == 2
    status, _, _ = await call(simulator, "GET", f"/v1.0/copilot/interactionHistory/interactions('{gone.id}')")
    assert status == 404
    await simulator.revoke_consent()
    status, _, _ = await call(simulator, "GET", f"/v1.0/copilot/interactionHistory/interactions('{gone.id}')")
    assert status == 403
