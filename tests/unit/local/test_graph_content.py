import json
from collections import Counter
from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.graph.content import hostile
from local.graph.content.change import Change
from local.graph.content.day import TenantContent
from local.graph.times import epoch_milliseconds, parse

TENANT = "6f0f31b9-59e2-4f0c-9c7f-1f3d5a5b7a10"
DAY = date(2026, 3, 2)


@pytest.fixture(scope="module")
def day() -> list[Change]:
    return TenantContent(5, TENANT).day(DAY, interactions=2000, users=40, chats=30)


def created(day: list[Change]) -> list[Change]:
    return [change for change in day if (change.kind, change.change_type) == ("aiInteraction", "created")]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 60), st.integers(1, 9), st.integers(0, 3))
def test_the_same_seed_gives_the_same_day(seed: int, interactions: int, users: int, chats: int) -> None:
    one, other = (
        TenantContent(seed, TENANT).day(DAY, interactions=interactions, users=users, chats=chats) for _ in range(2)
    )
    assert one == other
    assert len(created(one)) == interactions
    assert [change.at for change in one] == sorted(change.at for change in one)
    assert len({change.ref for change in one}) == len(one)


def test_another_seed_gives_another_day(day: list[Change]) -> None:
    other = TenantContent(6, TENANT).day(DAY, interactions=50)
    assert {change.sha256 for change in day}.isdisjoint(change.sha256 for change in other if change.plaintext)


def test_documents_agree_with_their_change(day: list[Change]) -> None:
    for change in created(day):
        document = json.loads(change.plaintext or b"")
        assert (document["id"], document["etag"]) == (change.id, change.etag)
        assert (document["sessionId"], document["requestId"]) == (change.session_id, change.request_id)
        assert document["createdDateTime"] == change.created
        assert str(epoch_milliseconds(parse(change.created))) == change.id == change.etag


def test_an_identity_is_given_once(day: list[Change]) -> None:
    identities = Counter((change.session_id, change.request_id, change.id) for change in created(day))
    assert set(identities.values()) == {1}


def test_people_meet_in_the_same_millisecond(day: list[Change]) -> None:
    sessions: dict[str, set[str | None]] = {}
    for change in created(day):
        sessions.setdefault(change.id, set()).add(change.session_id)
    assert any(len(each) > 1 for each in sessions.values())


def test_a_request_is_one_prompt_and_its_answers(day: list[Change]) -> None:
    kinds: dict[str | None, list[str]] = {}
    for change in created(day):
        kinds.setdefault(change.request_id, []).append(change.properties["interactionType"])
    assert {each[0] for each in kinds.values()} == {"userPrompt"}
    answers = Counter(len(each) - 1 for each in kinds.values())
    assert set(answers) <= {0, 1, 2}
    assert answers[0] <= 1
    assert all(set(each[1:]) <= {"aiResponse"} for each in kinds.values())


def test_prompts_are_from_people_and_answers_from_apps(day: list[Change]) -> None:
    for change in created(day):
        sender = change.properties["from"]
        if change.properties["interactionType"] == "userPrompt":
            assert sender["user"]["id"] in change.user_ids
            assert sender["application"] is None
        else:
            assert sender["application"]["applicationIdentityType"] == "bot"
            assert sender["user"] is None


def test_a_day_has_everything_that_is_promised(day: list[Change]) -> None:
    documents = [change.properties for change in created(day)]
    apps = {document["appClass"].rpartition(".")[2] for document in documents}
    assert apps >= {"BizChat", "WebChat", "Teams", "Word", "Excel", "PowerPoint", "Outlook", "OneNote", "Loop"}
    assert {change.change_type for change in day} == {"created", "updated", "deleted"}
    for name in ("contexts", "links", "mentions", "attachments"):
        assert any(document[name] for document in documents), name
    assert max(change.size for change in day) > 80_000
    assert any(change.created.endswith("0000Z") for change in created(day))
    assert any(document["conversationType"] is None for document in documents)
    assert any("/" in (change.session_id or "") for change in day)
    texts = [document["body"]["content"] for document in documents]
    assert any("<script>" in text for text in texts)
    assert any(text == hostile.nested_json() for text in texts)
    assert any("\x1b[" in text for text in texts)


def test_cards_are_json_in_a_string(day: list[Change]) -> None:
    cards = [each["content"] for change in day for each in change.properties.get("attachments", [])]
    assert cards
    assert all(json.loads(card)["type"] == "AdaptiveCard" for card in cards)


def test_updates_are_new_versions_and_deletions_come_in_both_forms(day: list[Change]) -> None:
    interactions = [change for change in day if change.kind == "aiInteraction"]
    versions = {change.id: change.etag for change in created(day)}
    for change in interactions:
        if change.change_type == "updated":
            assert int(change.etag) > int(versions[change.id])
    deleted = [change for change in interactions if change.change_type == "deleted"]
    assert {change.plaintext is None for change in deleted} == {True, False}


def test_chats_are_created_and_updated_with_and_without_viewpoint(day: list[Change]) -> None:
    chats = [change for change in day if change.kind == "chat"]
    assert {change.change_type for change in chats} == {"created", "updated"}
    assert {"viewpoint" in change.properties for change in chats} == {True, False}
    assert {change.properties["chatType"] for change in chats} == {"oneOnOne", "group"}
    for change in chats:
        assert json.loads(change.plaintext or b"")["lastUpdatedDateTime"] == change.etag


def test_a_conversation_is_of_its_moment() -> None:
    moment = datetime(2026, 3, 2, 9, 30, 1, 123_999, tzinfo=UTC)
    first, *rest = TenantContent(1, TENANT).conversation(moment)
    assert first.id == str(epoch_milliseconds(moment))
    assert rest


def test_hostile_nesting_is_as_deep_as_it_says() -> None:
    depth, value = 0, json.loads(hostile.nested_json())
    while not isinstance(value, str):
        value = value["a"] if isinstance(value, dict) else value[0]
        depth += 1
    assert depth == hostile.NESTING
