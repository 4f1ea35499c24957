import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import MalformedNotification
from shared.core.notification import EncryptedContent, Post, parse_item, parse_post
from tests.graph_posts import interaction, notification, payload

ITEM = notification(interaction(), encryptedContent={"data": "a", "dataKey": "b", "encryptionCertificateId": "c"})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("body", "post"),
    [
        ({"value": [1, None, {}]}, Post((1, None, {}), ())),
        ({"value": [], "validationTokens": None}, Post((), ())),
        ({"value": [], "validationTokens": []}, Post((), ())),
        ({"value": [], "validationTokens": ["a", None]}, Post((), ("a", None))),
        ({"Value": [1], "VALIDATIONTOKENS": ["a"]}, Post((1,), ("a",))),
    ],
)
def test_a_post_is_its_items_and_its_tokens(body: object, post: Post) -> None:
    assert parse_post(json.dumps(body).encode()) == post


@pytest.mark.parametrize("tokens", ["a", 5, {"a": 1}, False, "", 0])
def test_tokens_that_are_no_list_are_still_judged(tokens: object) -> None:
    assert parse_post(json.dumps({"value": [], "validationTokens": tokens}).encode()).validation_tokens == (tokens,)


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"[]", b"null", b"{}", b'{"value": {}}', b"[" * 100_000])
def test_another_body_in_the_inbox_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedNotification):
        parse_post(body)


def test_an_item_is_read() -> None:
    read = parse_item(ITEM)

    assert read.subscription_id == ITEM["subscriptionId"]
    assert read.change_type == "created"
    assert read.resource == "copilot/interactionHistory/interactions('1767605401234')"
    assert read.resource_type == "aiInteraction"
    assert read.resource_id == "1767605401234"
    assert read.resource_data == ITEM["resourceData"]
    assert read.tenant_id == ITEM["tenantId"]
    assert read.encrypted_content == EncryptedContent("a", "b", None, "c", None)


def test_the_casing_that_graph_varies_makes_no_difference() -> None:
    read = parse_item(payload("changeNotification.variants"))

    assert read.change_type == "created"
    assert read.resource_type == "Chat"
    assert read.resource_id == "19:7f3c2e90a1bd4a64b7f0c6a52de81b3f@thread.v2"
    assert read.encrypted_content == EncryptedContent(
        data="AAAA",
        data_key="BBBB",
        data_signature="CCCC",
        certificate_id="0123456789abcdef0123456789abcdef",
        certificate_thumbprint="07293748CC064953A3052FB978C735FB89E61C3D",
    )


@pytest.mark.parametrize(
    "name", ["tenantId", "encryptedContent", "resourceData", "clientState", "subscriptionExpirationDateTime"]
)
@pytest.mark.parametrize("value", [None, ...])
def test_what_graph_leaves_out_may_be_missing(name: str, value: object) -> None:
    item = {key: member for key, member in {**ITEM, name: value}.items() if member is not ...}
    read = parse_item(item)

    assert name != "tenantId" or read.tenant_id is None
    assert name != "encryptedContent" or read.encrypted_content is None
    assert name != "resourceData" or (read.resource_id, read.resource_type, read.resource_data) == (None, "", {})


@pytest.mark.parametrize("name", ["subscriptionId", "changeType", "resource"])
@pytest.mark.parametrize("value", [None, "", 5, [], {}])
def test_what_is_needed_must_be_text(name: str, value: object) -> None:
    with pytest.raises(MalformedNotification, match=name):
        parse_item({**ITEM, name: value})


@pytest.mark.parametrize("name", ["data", "dataKey", "encryptionCertificateId"])
@pytest.mark.parametrize("value", [None, "", 5, []])
def test_encrypted_content_must_be_whole(name: str, value: object) -> None:
    with pytest.raises(MalformedNotification, match=name):
        parse_item({**ITEM, "encryptedContent": {**ITEM["encryptedContent"], name: value}})


@pytest.mark.parametrize("name", ["dataSignature", "encryptionCertificateThumbprint"])
def test_a_signature_that_is_no_text_is_not_taken_for_a_missing_one(name: str) -> None:
    with pytest.raises(MalformedNotification, match=name):
        parse_item({**ITEM, "encryptedContent": {**ITEM["encryptedContent"], name: 0}})


@pytest.mark.parametrize("content", [{}, [], "", 0, False, "x"])
def test_encrypted_content_of_another_shape_is_not_taken_for_none(content: object) -> None:
    with pytest.raises(MalformedNotification):
        parse_item({**ITEM, "encryptedContent": content})


@pytest.mark.parametrize("item", [None, 5, "x", [], [ITEM], True])
def test_an_item_is_an_object(item: object) -> None:
    with pytest.raises(MalformedNotification):
        parse_item(item)


@pytest.mark.parametrize("changes", [{"resourceData": []}, {"resourceData": "x"}, {"tenantId": 5}])
def test_other_shapes_of_the_rest_are_malformed(changes: dict[str, object]) -> None:
    with pytest.raises(MalformedNotification):
        parse_item({**ITEM, **changes})


@pytest.mark.parametrize(
    ("odata_type", "bare"),
    [
        ("#Microsoft.Graph.aiInteraction", "aiInteraction"),
        ("#microsoft.graph.chat", "chat"),
        ("microsoft.graph.chat", "chat"),
        ("chat", "chat"),
        ("#", ""),
        (None, ""),
    ],
)
def test_the_type_is_told_without_its_namespace(odata_type: str | None, bare: str) -> None:
    assert parse_item({**ITEM, "resourceData": {"@odata.type": odata_type}}).resource_type == bare


@given(
    JSON, st.sampled_from(["subscriptionId", "changeType", "resource", "resourceData", "tenantId", "encryptedContent"])
)
def test_any_item_is_read_or_malformed(value: object, name: str) -> None:
    # Anything but MalformedNotification fails the test.
    with suppress(MalformedNotification):
        assert parse_item({**ITEM, name: value}).subscription_id


@pytest.mark.parametrize("name", ["subscriptionId", "resourceData", "tenantId", "encryptedContent"])
def test_a_message_holds_no_value(name: str) -> None:
    with pytest.raises(MalformedNotification) as caught:
        parse_item({**ITEM, name: ["canary"]})

    assert "canary" not in str(caught.value)
