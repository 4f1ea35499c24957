import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import MalformedContent
from shared.core.resources import (
    AI_INTERACTION,
    CHAT,
    OTHER_CONTAINER,
    digest,
    kind_of,
    parse_resource,
    user_of,
    version_of,
)
from tests.graph_posts import interaction, payload

LEAVES = (
    st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=()), max_size=5)
)
RESOURCES = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_size=5,
)


@pytest.mark.parametrize(
    ("type_name", "resource", "kind"),
    [
        ("aiInteraction", "", AI_INTERACTION),
        ("AIINTERACTION", "", AI_INTERACTION),
        ("chat", "anything", CHAT),
        ("Chat", "copilot/interactionHistory/interactions('1')", CHAT),
        ("", "copilot/interactionHistory/interactions('1')", AI_INTERACTION),
        ("", "/Copilot/users('x')/interactionHistory/interactions('1')", AI_INTERACTION),
        ("", "chats('19:x@thread.v2')", CHAT),
        ("", "/Chats('19:x@thread.v2')", CHAT),
    ],
)
def test_the_type_tells_the_kind_and_where_there_is_none_the_path(type_name: str, resource: str, kind: object) -> None:
    assert kind_of(type_name, resource) is kind


@pytest.mark.parametrize(
    ("type_name", "name"),
    [("callRecord", "callRecord"), ("chatMessage", "chatMessage"), ("", "unknown"), ("../x", "../x")],
)
def test_a_kind_without_a_row_keeps_its_own_name(type_name: str, name: str) -> None:
    kind = kind_of(type_name, "communications/x")

    assert (kind.name, kind.container) == (name, OTHER_CONTAINER)


def test_the_version_of_an_interaction_is_its_etag() -> None:
    assert version_of(AI_INTERACTION, interaction(etag="7")) == "7"


def test_the_version_of_a_chat_is_its_last_update() -> None:
    assert version_of(CHAT, payload("chat")) == "2026-01-05T10:00:00.5Z"


@pytest.mark.parametrize("etag", [None, "", 5, ["7"]])
def test_without_a_stated_version_the_content_tells(etag: object) -> None:
    one, other = interaction(etag=etag), interaction(etag=etag, locale="fr-fr")

    assert version_of(AI_INTERACTION, one).startswith("sha256-")
    assert version_of(AI_INTERACTION, one) == version_of(AI_INTERACTION, interaction(etag=etag))
    assert version_of(AI_INTERACTION, one) != version_of(AI_INTERACTION, other)


def test_each_view_of_a_chat_is_a_version() -> None:
    chat = payload("chat.viewpoint")
    hidden = {**chat, "viewpoint": {"isHidden": True, "lastMessageReadDateTime": None}}
    versions = {version_of(CHAT, view) for view in (payload("chat"), chat, hidden)}

    assert len(versions) == 3
    assert version_of(CHAT, {**chat, "viewpoint": None}) == version_of(CHAT, payload("chat"))


@pytest.mark.parametrize(
    ("sender", "user"),
    [
        ({"user": {"id": "u"}}, "u"),
        ({"user": None}, None),
        ({"user": {"id": ""}}, None),
        ({"user": {"id": 5}}, None),
        ({"user": ["u"]}, None),
        (None, None),
        ("u", None),
    ],
)
def test_the_person_is_the_sender(sender: object, user: str | None) -> None:
    assert user_of(interaction(**{"from": sender})) == user


def test_a_response_has_no_person() -> None:
    assert user_of(payload("aiInteraction.aiResponse")) is None


@pytest.mark.parametrize("content", [b"", b"[]", b"5", b"null", b'"x"', b"{", b"\xff\xff", b"[" * 200_000, b"9" * 5000])
def test_content_that_is_no_object_is_malformed(content: bytes) -> None:
    with pytest.raises(MalformedContent):
        parse_resource(content)


def test_two_hundred_levels_are_content_like_any_other() -> None:
    deep: Any = "x"
    for _ in range(200):
        deep = {"a": [deep]}

    assert digest(parse_resource(json.dumps({"deep": deep}).encode())) == digest({"deep": deep})


def test_content_too_deep_to_be_compared_is_malformed() -> None:
    deep: Any = "x"
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(MalformedContent):
        digest({"deep": deep})


def shuffled(value: Any, chance: random.Random) -> Any:  # noqa: ANN401 - JSON
    """The same said in another order, with nulls and annotations strewn in."""
    if isinstance(value, list):
        return [shuffled(member, chance) for member in value]
    if not isinstance(value, dict):
        return value
    members = [(name, shuffled(member, chance)) for name, member in value.items()]
    members += [("@odata.etag", 'W/"1"'), ("x@odata.count", 5), ("@ODATA-free", None), ("nothing", None)]
    chance.shuffle(members)
    return {name: member for name, member in members if name not in value or value[name] is not None} | {
        name: shuffled(member, chance) for name, member in value.items()
    }


@given(RESOURCES, st.randoms(use_true_random=False))
def test_order_nulls_and_annotations_leave_the_digest_alone(resource: dict[str, Any], chance: random.Random) -> None:
    assert digest(shuffled(resource, chance)) == digest(resource)


@given(RESOURCES, RESOURCES)
def test_resources_that_say_different_things_have_different_digests(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (digest(one) == digest(other)) == (json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True))


@pytest.mark.parametrize(
    "changes",
    [
        {"body": {"contentType": "text", "content": "other"}},
        {"body": {"contentType": "text"}},
        {"locale": None},
        {"mentions": [1, 2]},
        {"mentions": [[]]},
        {"extra": False},
        {"extra": 0},
        {"extra": ""},
        {"extra": "None"},
    ],
)
def test_any_other_difference_changes_the_digest(changes: dict[str, object]) -> None:
    assert digest(interaction(**changes)) != digest(interaction())


def test_the_order_of_a_list_is_content() -> None:
    assert digest({"a": [1, 2]}) != digest({"a": [2, 1]})
    assert digest({"a": [None]}) != digest({"a": []})
