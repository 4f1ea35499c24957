import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.core.decryption import DecryptionKey
from shared.core.errors import (
    CannotArchive,
    CertificateDisabled,
    ClientStateMismatch,
    DecryptionFailed,
    IdentityMismatch,
    KeyVaultUnavailable,
    MalformedContent,
    MalformedNotification,
    NoResourceData,
    NotGenuine,
    StorageUnavailable,
    UnknownCertificate,
    UnsignedContent,
)
from shared.flows.archive import Provenance
from shared.flows.rest import Outcome
from tests.fakes import NOW
from tests.graph_posts import (
    ANOTHER_TENANT,
    CERTIFICATE_ID,
    CLIENT_STATE,
    PREVIOUS_CLIENT_STATE,
    SUBSCRIPTION,
    TENANT,
    as_bytes,
    encrypted,
    interaction,
    notification,
    payload,
    rsa_key,
    token,
)
from tests.unit.flows.capture import Capture

GENUINE = Provenance(NOW, tenants=frozenset({TENANT}))
FOLDER = f"{TENANT}/2026/01/05/19=3AKq7dVtRmQeOQ0cN1_pXj=40thread.v2/5b0b63a4-6a0f-4b7e-9b32-8c2c7d0d4f11"
NAME = f"{FOLDER}/1767605401234.1767605401234.json"
USER = "c1a7a9f2-63c8-4d0f-8d2b-2b7f2b8f8a10"


def deletion(**changes: object) -> dict[str, Any]:
    return notification(interaction(), **{"changeType": "deleted", "encryptedContent": None, **changes})


def chat_notification(chat: dict[str, Any], **changes: object) -> dict[str, Any]:
    return notification(chat, resource=f"chats('{chat['id']}')", changeType="updated", **changes)


class TestAnInteraction:
    def test_it_rests_byte_for_byte_where_the_contract_says(self, capture: Capture) -> None:
        content = b' {"id" : "1767605401234",\n"n": 1.10, "dup": 1, "dup": 2, "ansi": "\\u001b[31m"} '
        item = notification(interaction(), encryptedContent=encrypted(content))

        assert capture.archiving.archive(item, GENUINE) is Outcome.ARCHIVED
        assert list(capture.archived.values()) == [content]

    def test_its_name_is_that_of_the_contract(self, capture: Capture) -> None:
        capture.archiving.archive(notification(interaction()), GENUINE)

        assert list(capture.archived) == [f"interactions/{NAME}"]

    def test_its_metadata_tell_where_it_comes_from(self, capture: Capture) -> None:
        capture.archiving.archive(notification(interaction(), changeType="Updated"), GENUINE)
        metadata = dict(capture.archive["interactions"].blobs[NAME].metadata)

        assert len(metadata.pop("canonicalsha256")) == 64
        assert metadata == {
            "source": "notification",
            "changetype": "updated",
            "subscriptionid": SUBSCRIPTION,
            "tenantid": TENANT,
            "userid": USER,
            "receivedat": "2026-01-05T09:30:10.000000Z",
            "sha256": hashlib.sha256(as_bytes(interaction())).hexdigest(),
        }

    def test_a_response_rests_beside_its_prompt_without_a_user(self, capture: Capture) -> None:
        capture.archiving.archive(notification(payload("aiInteraction.aiResponse")), GENUINE)
        ((name, blob),) = capture.archive["interactions"].blobs.items()

        assert name == f"{FOLDER}/1767605404567.1767605404567.json"
        assert "userid" not in blob.metadata

    def test_hostile_ids_and_users_stay_in_their_place(self, capture: Capture) -> None:
        hostile = "../../x\r\nInjected: 1\u202e\ud800" + "é" * 2048
        resource = interaction(id="1", sessionId=hostile, requestId=hostile, etag=hostile)
        resource["from"]["user"]["id"] = hostile
        # The container refuses names and metadata that real storage would refuse or resolve.
        item = notification(
            resource,
            subscriptionId=hostile,
            changeType=hostile,
            encryptedContent=encrypted(json.dumps(resource).encode()),
        )

        assert capture.archiving.archive(item, GENUINE) is Outcome.ARCHIVED

    def test_two_people_who_share_an_id_have_a_blob_each(self, capture: Capture) -> None:
        for session in ("19:one@thread.v2", "19:two@thread.v2"):
            assert capture.archiving.archive(notification(interaction(sessionId=session)), GENUINE) is Outcome.ARCHIVED
        assert len(capture.archived) == 2

    def test_each_version_has_a_blob(self, capture: Capture) -> None:
        for etag in ("1", "2"):
            capture.archiving.archive(notification(interaction(etag=etag)), GENUINE)
        assert len(capture.archived) == 2

    def test_repeated_it_is_a_duplicate_whatever_its_order_nulls_and_annotations(self, capture: Capture) -> None:
        capture.archiving.archive(notification(interaction()), GENUINE)
        again = {"@odata.context": "x", "extra": None, **dict(reversed(list(interaction().items())))}

        assert capture.archiving.archive(notification(again), GENUINE) is Outcome.DUPLICATE
        assert list(capture.archived.values()) == [as_bytes(interaction())]

    def test_a_duplicate_is_told_by_a_look_and_not_by_reading(self, capture: Capture) -> None:
        for _ in range(2):
            capture.archiving.archive(notification(interaction()), GENUINE)

        assert capture.world.called("interactions.metadata") == 1
        assert capture.world.called("interactions.read") == 0

    def test_a_lost_acknowledgement_looks_like_a_duplicate(self, capture: Capture) -> None:
        item = notification(interaction())
        capture.world.fail("interactions.create", after=True, times=1)
        with pytest.raises(StorageUnavailable):
            capture.archiving.archive(item, GENUINE)

        assert capture.archiving.archive(item, GENUINE) is Outcome.DUPLICATE
        assert len(capture.archived) == 1

    def test_what_was_archived_by_other_means_is_compared_by_its_content(self, capture: Capture) -> None:
        container = capture.archive["interactions"]
        container.create(NAME, json.dumps(interaction(), indent=3).encode(), {"source": "export"})

        assert capture.archiving.archive(notification(interaction()), GENUINE) is Outcome.DUPLICATE
        assert len(container.blobs) == 1

    @pytest.mark.parametrize("garbage", [b"", b"not JSON", b"[]", b'{"id": "1"}'])
    def test_whatever_holds_its_name_it_is_kept(self, capture: Capture, garbage: bytes) -> None:
        capture.archive["interactions"].create(NAME, garbage, {})

        assert capture.archiving.archive(notification(interaction()), GENUINE) is Outcome.CONFLICT
        assert as_bytes(interaction()) in capture.archived.values()
        assert garbage in capture.archived.values()

    def test_a_blob_that_vanishes_under_the_look_is_looked_for_again(self, capture: Capture) -> None:
        capture.archive["interactions"].create(NAME, b"{}", {})
        capture.world.meanwhile["interactions.metadata"] = capture.archive["interactions"].blobs.clear
        with pytest.raises(StorageUnavailable):
            capture.archiving.archive(notification(interaction()), GENUINE)


class TestAConflict:
    def archive_twice(self, capture: Capture) -> list[Outcome]:
        original, changed = interaction(), interaction(locale="fr-fr")
        return [capture.archiving.archive(notification(each), GENUINE) for each in (original, changed, changed)]

    def test_it_is_kept_beside_and_the_first_stays(self, capture: Capture) -> None:
        assert self.archive_twice(capture) == [Outcome.ARCHIVED, Outcome.CONFLICT, Outcome.DUPLICATE]
        assert capture.archived.pop(f"interactions/{NAME}") == as_bytes(interaction())
        beside = [name for name in capture.archived if "=conflict-" in name]
        assert [capture.archived[name] for name in beside] == [as_bytes(interaction(locale="fr-fr"))]
        assert beside[0].startswith(f"interactions/{FOLDER}/")

    def test_it_is_told_once(self, capture: Capture, caplog: pytest.LogCaptureFixture) -> None:
        self.archive_twice(capture)

        told = [record for record in caplog.records if record.levelname == "ERROR"]
        assert len(told) == 1
        assert NAME in told[0].getMessage()
        assert "fr-fr" not in caplog.text

    def test_its_note_says_where_both_are(self, capture: Capture) -> None:
        self.archive_twice(capture)
        ((name, blob),) = capture.state.blobs.items()
        note = json.loads(blob.content)

        assert name.startswith("conflicts/")
        assert note["container"] == "interactions"
        assert note["name"] == NAME
        assert f"interactions/{note['beside']}" in capture.archived

    def test_it_is_told_even_where_keeping_it_fails_first(self, capture: Capture) -> None:
        capture.archiving.archive(notification(interaction()), GENUINE)
        changed = notification(interaction(locale="fr-fr"))
        capture.world.fail(f"interactions.create {NAME[:-5]}=conflict", times=1)
        with pytest.raises(StorageUnavailable):
            capture.archiving.archive(changed, GENUINE)

        assert len(capture.state.blobs) == 1
        assert capture.archiving.archive(changed, GENUINE) is Outcome.CONFLICT

    def test_a_third_content_has_a_blob_of_its_own(self, capture: Capture) -> None:
        for locale in ("a", "b", "c"):
            capture.archiving.archive(notification(interaction(locale=locale)), GENUINE)
        assert len(capture.archived) == 3
        assert len(capture.state.blobs) == 2


class TestGenuine:
    def test_the_tokens_of_a_post_are_judged_once_and_at_its_receipt(self, capture: Capture) -> None:
        long_ago = NOW - timedelta(days=400)

        assert capture.archiving.provenance([token(at=long_ago)], long_ago) == Provenance(long_ago, frozenset({TENANT}))
        assert capture.archiving.provenance([token(at=long_ago)], NOW).refused is not None

    @pytest.mark.parametrize(
        ("tenant", "provenance"),
        [
            (TENANT, Provenance(NOW)),
            (TENANT, Provenance(NOW, refused="the aud of a validation token is not ours")),
            (TENANT, Provenance(NOW, tenants=frozenset({ANOTHER_TENANT}))),
            (ANOTHER_TENANT, GENUINE),
            (None, GENUINE),
            ("", GENUINE),
            (TENANT + " ", GENUINE),
        ],
    )
    def test_encrypted_content_needs_a_token_for_its_tenant(
        self, capture: Capture, tenant: str | None, provenance: Provenance
    ) -> None:
        with pytest.raises(NotGenuine):
            capture.archiving.archive(notification(interaction(), tenantId=tenant), provenance)
        assert capture.world.calls == [], "no key and no blob is touched for what is not genuine"

    def test_whoever_reads_the_dead_letter_learns_that_tokens_were_missing(self, capture: Capture) -> None:
        with pytest.raises(NotGenuine, match="carries no validation tokens"):
            capture.archiving.archive(notification(interaction()), Provenance(NOW))

    @pytest.mark.parametrize("tenant", [ANOTHER_TENANT, "x"])
    def test_a_deletion_is_about_our_tenant(self, capture: Capture, tenant: str) -> None:
        with pytest.raises(NotGenuine):
            capture.archiving.archive(deletion(tenantId=tenant), Provenance(NOW))

    def test_a_refused_post_has_no_deletions_either(self, capture: Capture) -> None:
        with pytest.raises(NotGenuine):
            capture.archiving.archive(deletion(), Provenance(NOW, refused="forged"))

    def test_tenants_compare_without_case(self, capture: Capture) -> None:
        capture.archiving.archive(notification(interaction(), tenantId=TENANT.upper()), GENUINE)

        assert list(capture.archived) == [f"interactions/{NAME}"]

    @pytest.mark.parametrize(
        ("state", "ours"),
        [(CLIENT_STATE, True), (PREVIOUS_CLIENT_STATE, True), ("theirs", False), (None, False), (..., False)],
    )
    def test_each_item_carries_our_client_state(self, capture: Capture, state: object, ours: bool) -> None:
        item = notification(interaction(), clientState=state)
        if ours:
            capture.archiving.check_client_state(item)
        else:
            with pytest.raises(ClientStateMismatch):
                capture.archiving.check_client_state(item)


class TestContent:
    @pytest.mark.parametrize("identifier", ["other", "1767605401234 ", None, 1767605401234, ["1767605401234"]])
    def test_swapped_content_shows(self, capture: Capture, identifier: object) -> None:
        item = notification(interaction(), encryptedContent=encrypted(as_bytes(interaction(id=identifier))))
        with pytest.raises(IdentityMismatch):
            capture.archiving.archive(item, GENUINE)
        assert capture.archived == {}

    @pytest.mark.parametrize("kind", ["#microsoft.graph.aiInteraction", "#microsoft.graph.chat"])
    def test_an_interaction_without_an_id_is_none(self, capture: Capture, kind: str) -> None:
        item = notification(interaction(), encryptedContent=encrypted(b"{}"), resourceData={"@odata.type": kind})
        with pytest.raises(IdentityMismatch):
            capture.archiving.archive(item, GENUINE)

    @pytest.mark.parametrize("content", [b"", b"text", b"[]", b"\xff\xff", b"[" * 50_000])
    def test_content_that_is_no_object_is_malformed(self, capture: Capture, content: bytes) -> None:
        with pytest.raises(MalformedContent):
            capture.archiving.archive(notification(interaction(), encryptedContent=encrypted(content)), GENUINE)

    @pytest.mark.parametrize(
        "where", ["body", "sessionId", "requestId", "etag", "createdDateTime", "from", "viewpoint", "x"]
    )
    def test_nesting_of_any_depth_is_archived_or_dead_for_good(self, capture: Capture, where: str) -> None:
        for depth in (100, 200, 400, 480, 700, 900, 940, 980, 990, 1000, 2000, 5000, 9000, 50_000):
            nested = b"[" * depth + b"]" * depth
            content = b'{"id":"1767605401234","' + where.encode() + b'":' + nested + b"}"
            item = notification(interaction(), encryptedContent=encrypted(content))
            try:
                capture.archiving.archive(item, GENUINE)
            except CannotArchive:
                assert depth > 200

    def test_two_hundred_levels_are_archived(self, capture: Capture) -> None:
        deep: Any = "x"
        for _ in range(100):
            deep = {"a": [deep]}

        assert capture.archiving.archive(notification(interaction(body=deep)), GENUINE) is Outcome.ARCHIVED

    @pytest.mark.parametrize("change_type", ["created", "updated", "somethingnew"])
    def test_without_resource_data_there_is_nothing_to_archive(self, capture: Capture, change_type: str) -> None:
        item = notification(interaction(), encryptedContent=None, changeType=change_type)
        with pytest.raises(NoResourceData):
            capture.archiving.archive(item, GENUINE)

    @pytest.mark.parametrize("item", [None, 5, "x", [], {}, {"subscriptionId": "s"}])
    def test_what_is_no_notification_is_malformed(self, capture: Capture, item: object) -> None:
        with pytest.raises(MalformedNotification):
            capture.archiving.archive(item, GENUINE)

    @pytest.mark.parametrize(
        "trouble", [CertificateDisabled("disabled"), KeyVaultUnavailable("away"), UnknownCertificate("gone")]
    )
    def test_what_key_vault_says_is_passed_on(self, capture: Capture, trouble: Exception) -> None:
        capture.key_ring.refusals[CERTIFICATE_ID] = trouble
        with pytest.raises(type(trouble)):
            capture.archiving.archive(notification(interaction()), GENUINE)

    def test_the_certificate_id_selects_the_key(self, capture: Capture) -> None:
        capture.key_ring.keys["old"] = DecryptionKey(rsa_key("old"), "ab" * 20)
        content = encrypted(as_bytes(interaction()), owner="old", certificate_id="old", thumbprint="AB" * 20)
        wrong = encrypted(as_bytes(interaction()), owner="old", certificate_id=CERTIFICATE_ID)

        assert capture.archiving.archive(notification(interaction(), encryptedContent=content), GENUINE)
        with pytest.raises(DecryptionFailed):
            capture.archiving.archive(notification(interaction(), encryptedContent=wrong), GENUINE)

    def test_unsigned_content_is_a_matter_of_settings(self, capture: Capture) -> None:
        item = notification(interaction())
        del item["encryptedContent"]["dataSignature"]
        with pytest.raises(UnsignedContent):
            capture.archiving.archive(item, GENUINE)

        assert Capture(allow_unsigned=True).archiving.archive(item, GENUINE) is Outcome.ARCHIVED


class TestADeletion:
    def test_it_becomes_a_tombstone_and_the_content_stays(self, capture: Capture) -> None:
        capture.archiving.archive(notification(interaction()), GENUINE)

        assert capture.archiving.archive(deletion(), Provenance(NOW)) is Outcome.ARCHIVED
        assert f"interactions/{NAME}" in capture.archived
        (tombstone,) = [name for name in capture.archived if "/deleted/" in name]
        assert tombstone.startswith(f"interactions/{TENANT}/deleted/2026/01/05/1767605401234.")
        assert json.loads(capture.archived[tombstone]) == {
            "changeType": "deleted",
            "tenantId": TENANT,
            "subscriptionId": SUBSCRIPTION,
            "receivedAt": "2026-01-05T09:30:10.000000Z",
            "resource": "copilot/interactionHistory/interactions('1767605401234')",
            "resourceData": deletion()["resourceData"],
            "content": None,
        }

    def test_content_that_comes_with_it_is_kept_in_it(self, capture: Capture) -> None:
        item = deletion(encryptedContent=encrypted(as_bytes(interaction())))

        assert capture.archiving.archive(item, GENUINE) is Outcome.ARCHIVED
        assert capture.documents[0]["content"] == interaction()

    @pytest.mark.parametrize("content", [{}, {"etag": "2"}, {"id": None}])
    def test_content_that_names_nothing_is_about_what_the_notification_names(
        self, capture: Capture, content: dict[str, object]
    ) -> None:
        item = deletion(encryptedContent=encrypted(as_bytes(content)))

        assert capture.archiving.archive(item, GENUINE) is Outcome.ARCHIVED
        assert capture.documents[0]["content"] == content

    def test_its_content_needs_a_token_like_any_other(self, capture: Capture) -> None:
        with pytest.raises(NotGenuine):
            capture.archiving.archive(deletion(encryptedContent=encrypted(as_bytes(interaction()))), Provenance(NOW))

    def test_its_content_must_be_the_one_it_names(self, capture: Capture) -> None:
        with pytest.raises(IdentityMismatch):
            capture.archiving.archive(deletion(encryptedContent=encrypted(as_bytes(interaction(id="2")))), GENUINE)

    @pytest.mark.parametrize(
        "again",
        [{}, {"subscriptionId": "another"}, {"resource": "/copilot/interactionHistory/interactions('1767605401234')/"}],
    )
    def test_said_again_it_adds_nothing(self, capture: Capture, again: dict[str, object]) -> None:
        capture.archiving.archive(deletion(), Provenance(NOW))

        assert capture.archiving.archive(deletion(**again), Provenance(NOW + timedelta(hours=1))) is Outcome.DUPLICATE
        assert len(capture.archived) == 1

    @pytest.mark.parametrize("first", [True, False])
    def test_said_again_after_midnight_it_adds_nothing_whichever_is_stored_first(
        self, capture: Capture, *, first: bool
    ) -> None:
        said = [Provenance(datetime(2026, 1, 5, 23, 59, tzinfo=UTC)), Provenance(datetime(2026, 1, 6, 3, tzinfo=UTC))]
        outcomes = [capture.archiving.archive(deletion(), each) for each in (said if first else reversed(said))]

        assert outcomes == [Outcome.ARCHIVED, Outcome.DUPLICATE]
        assert len(capture.archived) == 1

    def test_two_deletions_have_two_tombstones(self, capture: Capture) -> None:
        capture.archiving.archive(deletion(), Provenance(NOW))
        capture.archiving.archive(deletion(resourceData={"id": "1767605401234", "more": 1}), Provenance(NOW))
        assert len(capture.archived) == 2

    def test_a_post_without_tenant_is_about_ours(self, capture: Capture) -> None:
        item = payload("changeNotificationCollection.deleted")["value"][0]

        assert capture.archiving.archive(item, Provenance(NOW)) is Outcome.ARCHIVED
        assert next(iter(capture.archived)).startswith(f"interactions/{TENANT}/deleted/")


class TestOtherKinds:
    def test_a_chat_rests_among_the_chats(self, capture: Capture) -> None:
        capture.archiving.archive(chat_notification(payload("chat")), GENUINE)

        assert list(capture.archived) == [
            f"chats/{TENANT}/2026/01/04/19=3A7f3c2e90a1bd4a64b7f0c6a52de81b3f=40thread.v2/2026-01-05T10=3A00=3A00.5Z.json"
        ]

    def test_each_persons_view_of_a_chat_is_kept(self, capture: Capture) -> None:
        read_later = payload("chat.viewpoint")
        read_later["viewpoint"]["lastMessageReadDateTime"] = "2026-01-05T11:00:00Z"
        views = [payload("chat"), payload("chat.viewpoint"), read_later, payload("chat.viewpoint")]
        outcomes = [capture.archiving.archive(chat_notification(view), GENUINE) for view in views]

        assert outcomes == [Outcome.ARCHIVED] * 3 + [Outcome.DUPLICATE]

    def test_the_casing_that_graph_varies_makes_no_difference(self, capture: Capture) -> None:
        item = payload("changeNotification.variants")
        sealed = encrypted(as_bytes(payload("chat")))
        item["EncryptedContent"] = {name[0].upper() + name[1:]: value for name, value in sealed.items()}

        capture.archiving.check_client_state(item)
        assert capture.archiving.archive(item, GENUINE) is Outcome.ARCHIVED

    @pytest.mark.parametrize(
        "resource", [{"@odata.type": "#microsoft.graph.onlineMeeting"}, {"@odata.type": "#x.y/../z", "id": "1"}]
    )
    def test_an_unknown_kind_is_kept_under_its_own_name(self, capture: Capture, resource: dict[str, Any]) -> None:
        item = notification(resource, resource="somewhere")

        assert capture.archiving.archive(item, GENUINE) is Outcome.ARCHIVED
        assert next(iter(capture.archived)).startswith("resources/")
        assert list(capture.archived.values()) == [as_bytes(resource)]


def test_the_time_of_receipt_is_that_of_the_post(capture: Capture) -> None:
    received_at = datetime.fromisoformat("2025-12-31T23:59:59+00:00")
    capture.archiving.archive(notification(interaction()), Provenance(received_at, frozenset({TENANT})))

    assert capture.archive["interactions"].blobs[NAME].metadata["receivedat"] == "2025-12-31T23:59:59.000000Z"
