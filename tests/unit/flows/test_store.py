import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from shared.core.decryption import DecryptionKey
from shared.core.errors import (
    KeyVaultUnavailable,
    MalformedNotification,
    SigningKeysUnavailable,
    StorageUnavailable,
    Unavailable,
)
from tests.fakes import NOW, Crash
from tests.graph_posts import (
    ANOTHER_TENANT,
    CERTIFICATE_ID,
    THUMBPRINT,
    as_bytes,
    encrypted,
    interaction,
    notification,
    payload,
    post,
    rsa_key,
    tampered,
    token,
)
from tests.unit.flows.capture import NAME, Capture


def numbered(number: int, **changes: object) -> dict[str, Any]:
    """A notification about an interaction of its own."""
    return notification(interaction(id=str(number), etag=str(number)), **changes)


GOOD = (numbered(1), numbered(2))


def test_a_post_comes_to_rest_and_leaves_the_inbox(capture: Capture) -> None:
    capture.store(post(*GOOD))

    assert [document["id"] for document in capture.documents] == ["1", "2"]
    assert capture.inbox.blobs == {}
    assert capture.letters == []


def test_the_post_leaves_the_inbox_last(capture: Capture) -> None:
    capture.store(post(*GOOD, tampered(numbered(3))))

    assert capture.world.calls[-1].startswith("inbox.delete")
    assert capture.world.called("inbox.delete") == 1


BAD_ITEMS: dict[str, tuple[object, str]] = {
    "null": (None, "client-state-mismatch"),
    "text": ("x", "client-state-mismatch"),
    "another state": (numbered(3, clientState="theirs"), "client-state-mismatch"),
    "no resource": (numbered(3, resource=...), "malformed-notification"),
    "no content": (numbered(3, encryptedContent=None), "no-resource-data"),
    "half content": (numbered(3, encryptedContent={"data": "AAAA"}), "malformed-notification"),
    "foreign tenant": (numbered(3, tenantId=ANOTHER_TENANT), "not-genuine"),
    "no tenant": (numbered(3, tenantId=...), "not-genuine"),
    "tampered": (tampered(numbered(3)), "decryption-failed"),
    "unsigned": (
        numbered(3, encryptedContent={**encrypted(b"{}"), "dataSignature": None}),
        "unsigned-content",
    ),
    "unknown certificate": (
        numbered(3, encryptedContent=encrypted(b"{}", certificate_id="f" * 32)),
        "unknown-certificate",
    ),
    "path as certificate": (
        numbered(3, encryptedContent=encrypted(b"{}", certificate_id="../../keys/x")),
        "unknown-certificate",
    ),
    "no JSON": (numbered(3, encryptedContent=encrypted(b"text")), "malformed-content"),
    "swapped": (numbered(3, encryptedContent=encrypted(as_bytes(interaction(id="4")))), "identity-mismatch"),
}


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(("bad", "reason"), BAD_ITEMS.values(), ids=BAD_ITEMS.keys())
def test_a_bad_item_becomes_a_dead_letter_and_its_neighbours_are_archived(
    capture: Capture, bad: object, reason: str, place: int
) -> None:
    items: list[object] = [*GOOD]
    items.insert(place, bad)
    capture.store(post(*items))

    assert [document["id"] for document in capture.documents] == ["1", "2"]
    assert capture.reasons == Counter({reason: 1})
    assert capture.inbox.blobs == {}
    (letter,) = capture.letters
    assert (letter.reason, letter.item, letter.position) == (reason, bad, place)


def test_a_dead_letter_holds_what_trying_again_takes(capture: Capture) -> None:
    tokens = [token()]
    item = tampered(numbered(1))
    name = capture.keep(post(item, tokens=tokens), received_at=NOW - timedelta(hours=2))
    capture.storing.store(name)
    (letter,) = capture.letters

    assert letter.item == item
    assert letter.validation_tokens == tuple(tokens)
    assert letter.received_at == NOW - timedelta(hours=2)
    assert letter.attempts == 1
    assert letter.post == name


def test_a_dead_letter_is_told_without_its_content(capture: Capture, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    item = notification(interaction(id="2"), resourceData={"id": "1"})
    genuine = token()
    capture.store(post(item, tampered(numbered(3)), GOOD[0], {"clientState": "their-state"}, tokens=[genuine]))

    assert "identity-mismatch/2026/01/05/" in caplog.text
    for secret in ("harbour", "current-secret", "their-state", genuine[:30], item["encryptedContent"]["data"][:30]):
        assert secret not in caplog.text


@pytest.mark.parametrize("tokens", [[], None, [None], [token(aud=ANOTHER_TENANT)], [token(), "forged"], "a.b.c", {}])
def test_a_post_that_is_not_genuine_is_parked_item_by_item(capture: Capture, tokens: object) -> None:
    body = json.dumps({"value": GOOD, "validationTokens": tokens}).encode()
    capture.store(body)

    assert capture.archived == {}
    assert capture.reasons == Counter({"not-genuine": 2})
    assert capture.inbox.blobs == {}
    assert capture.world.called("key-ring") == 0


def test_a_post_without_any_tokens_property_is_not_genuine(capture: Capture) -> None:
    capture.store(json.dumps({"value": GOOD}).encode())

    assert capture.reasons == Counter({"not-genuine": 2})


def test_deletions_need_no_tokens(capture: Capture) -> None:
    capture.store(json.dumps(payload("changeNotificationCollection.deleted")).encode())

    assert len(capture.archived) == 1
    assert capture.letters == []


def test_tokens_are_judged_at_the_time_of_receipt(capture: Capture) -> None:
    body = post(GOOD[0], tokens=[token(at=NOW)])
    name = capture.keep(body, received_at=NOW)
    capture.world.pass_time(days=30)
    capture.storing.store(name)

    assert len(capture.archived) == 1


def test_a_post_without_a_noted_time_is_judged_by_when_it_was_written(capture: Capture) -> None:
    capture.inbox.create(NAME, post(GOOD[0], tokens=[token(at=NOW)]), {})
    capture.world.pass_time(days=30)
    capture.storing.store(NAME)

    assert len(capture.archived) == 1


@pytest.mark.parametrize("body", [b"", b"\xff\xfe not JSON", b"[]", b"{}", b'{"value": 5}'])
def test_a_body_that_no_webhook_let_in_is_parked_as_it_is(capture: Capture, body: bytes) -> None:
    capture.store(body)

    assert capture.reasons == Counter({"malformed-notification": 1})
    assert capture.letters[0].item == body.decode("utf-8", "replace")
    assert capture.inbox.blobs == {}


def test_an_empty_post_leaves_nothing(capture: Capture) -> None:
    capture.store(post())

    assert capture.inbox.blobs == {}
    assert capture.archived == {}


def test_a_second_ring_finds_the_post_at_rest(capture: Capture) -> None:
    name = capture.keep(post(*GOOD))
    capture.storing.store(name)
    before = capture.at_rest()
    capture.storing.store(name)

    assert capture.at_rest() == before


def test_a_post_that_graph_sends_again_adds_nothing(capture: Capture) -> None:
    body = post(*GOOD)
    capture.store(body)
    before = capture.at_rest()
    capture.world.pass_time(hours=3)
    capture.store(json.dumps({**json.loads(body), "validationTokens": [token(at=capture.world.now)]}).encode())

    assert capture.at_rest() == before


@pytest.mark.parametrize(
    "message",
    ["", "../state/checkpoints/x.json", "dead-letters/x.json", NAME + "x", "notifications/" + "x" * 2000, "{}", "\x00"],
)
def test_a_message_that_is_no_inbox_name_touches_nothing(capture: Capture, message: str) -> None:
    with pytest.raises(MalformedNotification):
        capture.storing.store(message)
    assert capture.world.calls == []


TRANSIENT: dict[str, tuple[str, Unavailable]] = {
    "inbox": ("inbox.read", StorageUnavailable("away")),
    "archive": ("interactions.create", StorageUnavailable("away")),
    "archive, acknowledgement lost": ("interactions.metadata", StorageUnavailable("away")),
    "dead letters": ("dead-letters.create", StorageUnavailable("away")),
    "Key Vault": ("key-ring.key", KeyVaultUnavailable("away")),
    "signing keys": ("signing-keys.find", SigningKeysUnavailable("away")),
    "clearing": ("inbox.delete", StorageUnavailable("away")),
}


@pytest.mark.parametrize(("call", "trouble"), TRANSIENT.values(), ids=TRANSIENT.keys())
def test_what_fails_for_now_stays_in_the_inbox_and_is_raised(capture: Capture, call: str, trouble: Unavailable) -> None:
    # The second of the two is a duplicate, so that looking is needed too.
    name = capture.keep(post(*GOOD, GOOD[0], numbered(3, clientState="theirs")))
    capture.world.fail(call, trouble)
    for _ in range(3):
        with pytest.raises(type(trouble)):
            capture.storing.store(name)
        assert name in capture.inbox.blobs
    capture.world.recover()
    capture.storing.store(name)

    assert capture.inbox.blobs == {}
    assert [document["id"] for document in capture.documents] == ["1", "2"]
    assert capture.reasons == Counter({"client-state-mismatch": 1})


def test_an_item_that_waits_for_key_vault_does_not_hold_up_its_neighbours(capture: Capture) -> None:
    waiting = numbered(1, encryptedContent=encrypted(as_bytes(interaction(id="1", etag="1")), certificate_id="new"))
    capture.key_ring.refusals["new"] = KeyVaultUnavailable("away")
    name = capture.keep(post(waiting, GOOD[1], tampered(numbered(3))))
    with pytest.raises(KeyVaultUnavailable):
        capture.storing.store(name)

    assert [document["id"] for document in capture.documents] == ["2"]
    assert capture.reasons == Counter({"decryption-failed": 1})
    assert name in capture.inbox.blobs

    capture.key_ring.refusals.clear()
    capture.key_ring.keys["new"] = DecryptionKey(rsa_key("vault"), THUMBPRINT)
    capture.storing.store(name)

    assert [document["id"] for document in capture.documents] == ["1", "2"]
    assert capture.reasons == Counter({"decryption-failed": 1})
    assert capture.inbox.blobs == {}


def test_trouble_that_nobody_foresaw_is_raised_after_the_neighbours_had_their_turn(capture: Capture) -> None:
    capture.world.fail("key-ring.key", ZeroDivisionError(), times=1)
    name = capture.keep(post(*GOOD))
    with pytest.raises(ZeroDivisionError):
        capture.storing.store(name)

    assert [document["id"] for document in capture.documents] == ["2"]
    assert name in capture.inbox.blobs


def test_storage_that_is_away_is_not_asked_for_each_neighbour(capture: Capture) -> None:
    capture.world.fail("interactions.create")
    with pytest.raises(StorageUnavailable):
        capture.store(post(*[numbered(number) for number in range(20)]))

    assert capture.world.called("interactions.create") == 1


def eventful_post() -> bytes:
    """One of everything that can become of an item."""
    return post(
        GOOD[0],
        tampered(numbered(9)),
        notification(interaction(id="5", etag="5", locale="fr-fr")),
        GOOD[0],
        numbered(1, changeType="deleted", encryptedContent=None),
        notification({"@odata.type": "#microsoft.graph.callRecord", "id": "c"}),
        {"clientState": "theirs"},
        GOOD[1],
    )


@pytest.fixture(scope="module")
def eventful() -> Callable[[], tuple[Capture, str]]:
    """Makes worlds that are alike: one post waits, and another content holds the name of one of its items."""
    body = eventful_post()

    def make() -> tuple[Capture, str]:
        capture = Capture()
        capture.store(post(numbered(5)))
        name = capture.keep(body, name=NAME)
        capture.world.calls.clear()
        return capture, name

    return make


def moments(calls: list[str]) -> Iterator[tuple[int, bool]]:
    """Before and after each call."""
    for number in range(len(calls)):
        yield from ((number, False), (number, True))


def test_killed_at_any_call_a_second_run_leaves_all_as_one_run_would(
    eventful: Callable[[], tuple[Capture, str]],
) -> None:
    undisturbed, name = eventful()
    undisturbed.storing.store(name)
    expected = undisturbed.at_rest()
    assert (len(undisturbed.archived), len(undisturbed.letters), len(undisturbed.state.blobs)) == (6, 2, 1)
    assert len(undisturbed.world.calls) > 20

    for number, after in moments(undisturbed.world.calls):
        capture, name = eventful()
        capture.world.fail_call(number, Crash(), after=after)
        with pytest.raises(Crash):
            capture.storing.store(name)
        capture.restart()
        capture.storing.store(name)

        killed_at = f"killed {'after' if after else 'before'} {undisturbed.world.calls[number]}"
        assert capture.at_rest() == expected, killed_at
        assert capture.inbox.blobs == {}, killed_at


def test_whatever_call_goes_unanswered_the_post_is_kept_until_all_is_at_rest(
    eventful: Callable[[], tuple[Capture, str]],
) -> None:
    undisturbed, name = eventful()
    undisturbed.storing.store(name)

    for number, after in moments(undisturbed.world.calls):
        label = undisturbed.world.calls[number]
        capture, name = eventful()
        capture.world.fail_call(number, StorageUnavailable("no answer"), after=after)
        with pytest.raises(StorageUnavailable):
            capture.storing.store(name)
        deleted = label.startswith("inbox.delete") and after
        assert (name in capture.inbox.blobs) != deleted, label
        capture.storing.store(name)
        assert capture.at_rest() == undisturbed.at_rest(), f"{'after' if after else 'before'} {label}"


def test_a_conflict_is_told_once_also_when_the_worker_is_killed_in_between(
    eventful: Callable[[], tuple[Capture, str]], caplog: pytest.LogCaptureFixture
) -> None:
    capture, name = eventful()
    capture.world.fail("inbox.delete", Crash(), times=1)
    with pytest.raises(Crash):
        capture.storing.store(name)
    capture.storing.store(name)

    assert caplog.text.count("conflict: ") == 1


def test_two_workers_on_one_post_leave_what_one_would(eventful: Callable[[], tuple[Capture, str]]) -> None:
    undisturbed, name = eventful()
    undisturbed.storing.store(name)

    for label in sorted(set(undisturbed.world.calls)):
        capture, name = eventful()

        def another_worker(capture: Capture = capture, name: str = name) -> None:
            capture.storing.store(name)

        capture.world.meanwhile[label] = another_worker
        capture.storing.store(name)
        assert capture.at_rest() == undisturbed.at_rest(), f"both at {label}"


def test_the_certificate_id_reaches_the_key_ring_as_it_is(capture: Capture) -> None:
    capture.store(post(*GOOD))

    assert capture.world.called(f"key-ring.key {CERTIFICATE_ID}") == 2
