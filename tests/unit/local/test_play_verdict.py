"""The verdict of a run can fail: each kind of harm is found, and nothing else is called harm."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence

from local.graph.content.canonical import canonical_sha256
from local.graph.ledger import Attempt, Content, Ledger, Post
from local.play.verdict import Blob, Verdict, verdict

TENANT = "9313401d-5e62-4a6d-88fb-f33e488e91a3"
SUBSCRIBED = ("a-subscription",)


def content(
    ref: str,
    *,
    change_type: str = "created",
    forged: str | None = None,
    subscriptions: tuple[str, ...] = SUBSCRIBED,
) -> Content:
    has_content = change_type != "deleted"
    return Content(
        ref=ref,
        kind="aiInteraction",
        change_type=change_type,
        tenant_id=TENANT,
        id=ref,
        etag=ref,
        created="2026-11-20T09:30:00Z",
        session_id="s",
        request_id="r",
        user_ids=(),
        sha256=hashlib.sha256(ref.encode()).hexdigest() if has_content else None,
        size=len(ref),
        subscriptions=subscriptions,
        forged=forged,
        canonical=canonical_sha256(ref.encode()) if has_content else None,
    )


def archived(ref: str, name: str = "") -> Blob:
    return Blob("interactions", name or f"{TENANT}/2026/11/20/s/r/{ref}.{ref}.json", ref.encode())


def tombstone(ref: str) -> Blob:
    body = json.dumps({"resourceData": {"id": ref}}).encode()
    return Blob("interactions", f"{TENANT}/deleted/2026/11/20/{ref}.0.json", body)


def judged(contents: Sequence[Content], blobs: list[Blob], *, waiting: int = 0, posts: Sequence[Post] = ()) -> Verdict:
    ledger = Ledger(tuple(contents), tuple(posts), SUBSCRIBED)
    return verdict(ledger, blobs, still_in_inbox=waiting, dead_letters=Counter())


def test_all_at_rest_once_is_good() -> None:
    found = judged([content("1"), content("2", change_type="deleted")], [archived("1"), tombstone("2")])
    assert found.good
    assert (found.sent, found.archived, found.tombstones) == (2, 1, 1)


def test_what_is_missing_is_lost() -> None:
    found = judged([content("1"), content("2")], [archived("1")])
    assert not found.good
    assert found.lost == ["2 (aiInteraction 2, version 2)"]


def test_a_deletion_without_a_tombstone_is_lost() -> None:
    assert judged([content("1", change_type="deleted")], []).lost == ["deletion of 1"]


def test_two_blobs_of_one_interaction_are_harm() -> None:
    found = judged([content("1")], [archived("1"), archived("1", "elsewhere")])
    assert not found.good
    assert found.kept_twice == ["1"]


def test_changed_bytes_are_lost_and_unexpected() -> None:
    found = judged([content("1")], [Blob("interactions", "n", b"1 ")])
    assert not found.good
    assert found.unexpected == ["interactions/n"]


def test_a_forgery_in_the_archive_is_harm() -> None:
    forgery = Post("p", "u", ("2",), "no-tokens", 1, by_graph=False, attempts=[Attempt(1, "now", 202, 1.0)])
    found = judged([content("1"), content("2", forged="no-tokens")], [archived("1"), archived("2")], posts=[forgery])
    assert not found.good
    assert found.forged_archived
    assert (found.forged_posts, found.forged_refused) == (1, 0)


def test_a_forgery_that_was_refused_is_none() -> None:
    forgery = Post("p", "u", ("2",), "garbage", 1, by_graph=False, attempts=[Attempt(1, "now", 400, 1.0)])
    found = judged([content("1"), content("2", forged="garbage")], [archived("1")], posts=[forgery])
    assert found.good
    assert found.forged_refused == 1


def test_what_still_waits_is_not_at_rest() -> None:
    assert not judged([content("1")], [archived("1")], waiting=1).good


def test_what_only_the_export_shows_is_owed_in_the_exports_form() -> None:
    silent = content("2", subscriptions=())
    lost = judged([content("1"), silent], [archived("1")])
    exported = Blob("interactions", "n", b" 2 ", "export")
    found = judged([content("1"), silent], [archived("1"), exported])

    assert lost.lost == ["2 (aiInteraction 2, version 2)"]
    assert found.good
    assert (found.sent, found.export_alone, found.by_notification, found.by_export) == (1, 1, 1, 1)


def test_what_a_notification_brought_in_another_form_is_unexpected() -> None:
    found = judged([content("1")], [Blob("interactions", "n", b" 1 ", "notification")])

    assert found.unexpected == ["interactions/n"]


def test_what_no_source_shows_any_more_is_owed_by_nobody() -> None:
    gone = content("2", subscriptions=())
    found = judged([content("1"), gone, content("2", change_type="deleted", subscriptions=())], [archived("1")])

    assert found.good
    assert found.unseen == 2
