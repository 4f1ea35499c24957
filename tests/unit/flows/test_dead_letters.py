import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.core.dead_letter import DeadLetter, from_json
from shared.core.decryption import DecryptionKey
from shared.core.errors import (
    CertificateDisabled,
    KeyVaultUnavailable,
    SigningKeysUnavailable,
    StorageUnavailable,
    UnknownCertificate,
)
from shared.flows import dead_letters
from shared.flows.dead_letters import park
from tests.fakes import NOW, Crash
from tests.graph_posts import THUMBPRINT, as_bytes, encrypted, interaction, notification, post, rsa_key, tampered, token
from tests.unit.flows.capture import NAME, Capture

LETTER = DeadLetter("not-genuine", "detail", {"a": 1}, ("t",), NOW, 1, NAME, 0)
NEW = "n" * 32


def later(number: int) -> dict[str, Any]:
    """A notification for a certificate version that Key Vault has not got yet."""
    resource = interaction(id=str(number), etag=str(number))
    return notification(resource, encryptedContent=encrypted(as_bytes(resource), certificate_id=NEW))


def restore(capture: Capture) -> None:
    """The certificate version is back in Key Vault."""
    capture.key_ring.refusals.clear()
    capture.key_ring.keys[NEW] = DecryptionKey(rsa_key("vault"), THUMBPRINT)


ONE = later(1)


class TestPark:
    def test_it_rests_under_its_reason_and_the_day_of_receipt(self, capture: Capture) -> None:
        park(capture.dead_letters, LETTER)
        ((name, blob),) = capture.dead_letters.blobs.items()

        assert name.startswith("not-genuine/2026/01/05/")
        assert blob.metadata == {"reason": "not-genuine", "receivedat": "2026-01-05T09:30:10.000000Z"}
        assert capture.letters == [LETTER]

    def test_parked_again_it_is_one_letter_told_once(self, capture: Capture, caplog: pytest.LogCaptureFixture) -> None:
        park(capture.dead_letters, LETTER)
        park(capture.dead_letters, LETTER)

        assert len(capture.letters) == 1
        assert len(caplog.records) == 1

    def test_storage_out_of_reach_is_raised(self, capture: Capture) -> None:
        capture.world.fail("dead-letters.create")
        with pytest.raises(StorageUnavailable):
            park(capture.dead_letters, LETTER)


class TestReplay:
    def test_what_can_be_archived_now_leaves_the_dead_letters(self, capture: Capture) -> None:
        capture.store(post(ONE, later(2)))
        assert capture.reasons == Counter({"unknown-certificate": 2})
        restore(capture)
        report = capture.replaying.replay(None)

        assert report.outcomes == Counter({"archived": 2})
        assert (report.complete, report.postponed, report.unreadable, report.still_dead) == (True, None, 0, Counter())
        assert [document["id"] for document in capture.documents] == ["1", "2"]
        assert capture.letters == []

    def test_a_second_replay_finds_nothing_to_do(self, capture: Capture) -> None:
        capture.store(post(ONE))
        restore(capture)
        capture.replaying.replay(None)
        before = capture.at_rest()

        assert capture.replaying.replay(None).outcomes == Counter()
        assert capture.at_rest() == before

    def test_what_the_archive_holds_by_now_is_a_duplicate(self, capture: Capture) -> None:
        capture.store(post(ONE))
        restore(capture)
        capture.store(post(ONE))

        assert capture.replaying.replay(None).outcomes == Counter({"duplicate": 1})
        assert capture.letters == []
        assert len(capture.archived) == 1

    def test_what_is_still_dead_stays_and_counts_its_attempts(self, capture: Capture) -> None:
        capture.store(post(ONE))
        (before,) = capture.letters
        for attempts in (2, 3):
            report = capture.replaying.replay(None)
            assert report.still_dead == Counter({"unknown-certificate": 1})
            (letter,) = capture.letters
            assert letter.attempts == attempts
            assert (letter.item, letter.received_at, letter.fingerprint) == (
                before.item,
                before.received_at,
                before.fingerprint,
            )

    def test_a_letter_that_fails_otherwise_moves_to_that_reason(self, capture: Capture) -> None:
        capture.store(post(tampered(later(1))))
        restore(capture)
        report = capture.replaying.replay(None)

        assert report.still_dead == Counter({"decryption-failed": 1})
        assert capture.reasons == Counter({"decryption-failed": 1})
        (letter,) = capture.letters
        assert (letter.reason, letter.attempts) == ("decryption-failed", 2)

    def test_a_letter_that_moves_is_not_met_again_in_the_same_run(self, capture: Capture) -> None:
        capture.key_ring.refusals[NEW] = CertificateDisabled("disabled")
        capture.store(post(*[later(number) for number in range(6)]))
        capture.key_ring.refusals[NEW] = UnknownCertificate("gone")
        report = capture.replaying.replay(None)

        assert report.still_dead == Counter({"unknown-certificate": 6})
        assert {letter.attempts for letter in capture.letters} == {2}

    def test_a_reason_restricts_it(self, capture: Capture) -> None:
        capture.store(post(ONE, {"clientState": "theirs"}))
        restore(capture)
        report = capture.replaying.replay("client-state-mismatch")

        assert report.still_dead == Counter({"client-state-mismatch": 1})
        assert capture.archived == {}
        assert capture.reasons == Counter({"unknown-certificate": 1, "client-state-mismatch": 1})

        assert capture.replaying.replay("unknown-certificate").outcomes == Counter({"archived": 1})

    def test_a_reason_is_a_whole_folder(self, capture: Capture) -> None:
        capture.store(post(ONE))

        assert capture.replaying.replay("unknown").still_dead == Counter()

    def test_tokens_are_judged_at_the_time_of_receipt(self, capture: Capture) -> None:
        capture.store(post(ONE, tokens=[token(at=NOW)]), received_at=NOW)
        capture.world.pass_time(days=90)
        restore(capture)

        assert capture.replaying.replay(None).outcomes == Counter({"archived": 1})
        assert b"2026-01-05T09:30:10" not in b"".join(capture.archived.values())
        ((_, blob),) = capture.archive["interactions"].blobs.items()
        assert blob.metadata["receivedat"] == "2026-01-05T09:30:10.000000Z"

    def test_a_replay_is_no_way_around_the_tokens(self, capture: Capture) -> None:
        restore(capture)
        capture.store(post(ONE, tokens=[token(owner="stranger")]))
        capture.store(post(ONE, tokens=[]))
        capture.store(post(ONE, tokens=[token(at=NOW - timedelta(days=9))]))

        assert capture.replaying.replay(None).still_dead == Counter({"not-genuine": 3})
        assert capture.archived == {}

    def test_a_replay_is_no_way_around_the_client_state(self, capture: Capture) -> None:
        restore(capture)
        capture.store(post({**ONE, "clientState": "theirs"}))

        assert capture.replaying.replay(None).still_dead == Counter({"client-state-mismatch": 1})
        assert capture.archived == {}

    def test_a_secret_that_became_ours_lets_its_letters_in(self, capture: Capture) -> None:
        restore(capture)
        capture.store(post({**ONE, "clientState": "theirs"}))
        capture.client_states = ("theirs",)
        capture.restart()

        assert capture.replaying.replay(None).outcomes == Counter({"archived": 1})

    def test_a_secret_that_changed_since_does_not_keep_its_letters_out(self, capture: Capture) -> None:
        capture.store(post(ONE))
        restore(capture)
        capture.client_states = ("the next one",)
        capture.restart()

        assert capture.replaying.replay(None).outcomes == Counter({"archived": 1})

    @pytest.mark.parametrize("content", [b"", b"{}", b"not JSON", b"[]"])
    def test_a_blob_that_is_none_of_ours_is_counted_and_left_alone(self, capture: Capture, content: bytes) -> None:
        capture.dead_letters.create("a-first/stranger.json", content, {})
        capture.store(post(ONE))
        restore(capture)
        report = capture.replaying.replay(None)

        assert (report.unreadable, report.outcomes) == (1, Counter({"archived": 1}))
        assert capture.dead_letters.blobs["a-first/stranger.json"].content == content


class TestTrouble:
    @pytest.mark.parametrize(
        ("call", "trouble"),
        [
            ("dead-letters.names", StorageUnavailable("away")),
            ("dead-letters.read", StorageUnavailable("away")),
            ("interactions.create", StorageUnavailable("away")),
            ("dead-letters.delete", StorageUnavailable("away")),
            ("key-ring.key", KeyVaultUnavailable("away")),
            ("signing-keys.find", SigningKeysUnavailable("away")),
        ],
    )
    def test_trouble_for_now_ends_the_run_and_leaves_the_letters(
        self, capture: Capture, call: str, trouble: Exception
    ) -> None:
        capture.store(post(ONE, later(2), later(3)))
        restore(capture)
        before = dict(capture.dead_letters.blobs)
        capture.restart()
        capture.world.calls.clear()
        capture.world.fail(call, trouble)
        report = capture.replaying.replay(None)

        assert (report.postponed, report.complete) == ("away", False)
        assert capture.dead_letters.blobs == before
        assert capture.world.called(call) == 1, "the next letter would meet the same trouble"

        capture.world.recover()
        capture.replaying.replay(None)
        assert [document["id"] for document in capture.documents] == ["1", "2", "3"]
        assert capture.letters == []

    @pytest.mark.parametrize("after", [False, True])
    def test_killed_at_any_call_a_second_run_leaves_all_as_one_run_would(self, after: bool) -> None:
        make = _scene()
        undisturbed = make()
        undisturbed.replaying.replay(None)
        expected = (undisturbed.archived, sorted(undisturbed.dead_letters.blobs))
        assert len(expected[0]) == 2
        assert undisturbed.reasons == Counter({"decryption-failed": 1, "client-state-mismatch": 1})

        for number, label in enumerate(undisturbed.world.calls):
            capture = make()
            capture.world.fail_call(number, Crash(), after=after)
            with pytest.raises(Crash):
                capture.replaying.replay(None)
            capture.restart()
            capture.replaying.replay(None)
            assert (capture.archived, sorted(capture.dead_letters.blobs)) == expected, label

    @pytest.mark.parametrize("after", [False, True])
    def test_whatever_call_goes_unanswered_a_second_run_completes_it(self, after: bool) -> None:
        make = _scene()
        undisturbed = make()
        undisturbed.replaying.replay(None)

        for number, label in enumerate(undisturbed.world.calls):
            capture = make()
            capture.world.fail_call(number, StorageUnavailable("no answer"), after=after)
            assert capture.replaying.replay(None).postponed == "no answer", label
            capture.replaying.replay(None)
            assert capture.archived == undisturbed.archived, label
            assert sorted(capture.dead_letters.blobs) == sorted(undisturbed.dead_letters.blobs), label

    def test_two_replays_that_interleave_anywhere_leave_what_one_would(self) -> None:
        make = _scene()
        undisturbed = make()
        undisturbed.replaying.replay(None)

        for label in sorted(set(undisturbed.world.calls)):
            capture = make()

            def another_replay(capture: Capture = capture) -> None:
                capture.replaying.replay(None)

            capture.world.meanwhile[label] = another_replay
            capture.replaying.replay(None)
            assert capture.archived == undisturbed.archived, label
            assert sorted(capture.dead_letters.blobs) == sorted(undisturbed.dead_letters.blobs), label

    def test_the_slower_replay_does_not_write_over_the_quicker_ones_count(self, capture: Capture) -> None:
        capture.store(post(ONE))

        def another_replay() -> None:
            capture.replaying.replay(None)

        capture.world.meanwhile["dead-letters.replace"] = another_replay
        capture.replaying.replay(None)

        (letter,) = capture.letters
        assert letter.attempts == 2


class TestLimits:
    def test_a_run_tries_so_many_letters_and_says_that_there_are_more(
        self, capture: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(dead_letters, "MAX_PER_RUN", 2)
        capture.store(post(ONE, later(2), later(3)))
        restore(capture)

        assert capture.replaying.replay(None).complete is False
        assert len(capture.letters) == 1
        assert capture.replaying.replay(None).complete is True
        assert capture.letters == []

    def test_a_run_ends_before_the_platform_gives_up_on_it(self, capture: Capture) -> None:
        capture.store(post(ONE, later(2), later(3)))
        restore(capture)
        capture.world.meanwhile["interactions.create"] = lambda: capture.world.pass_time(minutes=4)
        report = capture.replaying.replay(None)

        assert report.outcomes == Counter({"archived": 1})
        assert (report.complete, report.postponed) == (False, None)
        assert len(capture.letters) == 2


def _scene() -> Callable[[], Capture]:
    """Makes worlds that are alike: four letters, of which two can be archived now and one moves."""
    body = post(ONE, tampered(later(2)), later(3), {"clientState": "theirs"})

    def make() -> Capture:
        capture = Capture()
        capture.storing.store(capture.keep(body, name=NAME))
        restore(capture)
        capture.restart()
        capture.world.calls.clear()
        return capture

    return make


def test_a_dead_letter_is_json_for_people_to_read(capture: Capture) -> None:
    capture.store(post(ONE))
    ((_, blob),) = capture.dead_letters.blobs.items()

    assert json.loads(blob.content)["item"] == ONE
    assert b"\n" in blob.content


@pytest.mark.parametrize(("event", "stays"), [("somethingNew", True), ("missed", False)])
def test_a_hint_is_never_archived_and_leaves_once_it_is_understood(capture: Capture, event: str, stays: bool) -> None:
    hint = {"subscriptionId": "s1", "lifecycleEvent": event}
    post_name = NAME.replace("notifications/", "lifecycle/")
    park(capture.dead_letters, replace(LETTER, reason="unknown-lifecycle-event", item=hint, post=post_name))
    report = capture.replaying.replay(None)

    assert capture.archived == {}
    assert capture.reasons == (Counter({"unknown-lifecycle-event": 1}) if stays else Counter())
    assert report.outcomes == (Counter() if stays else Counter({"duplicate": 1}))


def test_what_the_export_could_not_read_stays_what_it_is(capture: Capture) -> None:
    letter = DeadLetter("malformed-content", "exported: no id", {"a": 1}, (), NOW, 1, "exports/somebody/digest", 0)
    park(capture.dead_letters, letter)
    report = capture.replaying.replay(None)

    assert report.still_dead == {"malformed-content": 1}
    ((name, blob),) = capture.dead_letters.blobs.items()
    assert name.startswith("malformed-content/")
    assert from_json(blob.content).detail == "exported: no id"
