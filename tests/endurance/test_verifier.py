"""The verdict can fail: each kind of harm is found, is given its name, and nothing else is called harm."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from local.graph.content.canonical import canonical_sha256
from local.graph.ledger import Attempt, Content, Ledger, Post
from tests.endurance.verifier import Figure, Stored, figure, missing

TENANT = "9313401d-5e62-4a6d-88fb-f33e488e91a3"
FOLDER = f"{TENANT}/2026/11/20/s/r"


def content(ref: str, *, change_type: str = "created", forged: str | None = None) -> Content:
    sha256 = None if change_type == "deleted" else hashlib.sha256(ref.encode()).hexdigest()
    return Content(ref, "aiInteraction", change_type, TENANT, ref, ref, "", "s", "r", (), sha256, 1, ("s",), forged)


def post(*refs: str, status: int | None = 202) -> Post:
    return Post("-".join(refs), "", refs, None, 1, attempts=[Attempt(1, "", status)])


def blob(ref: str, name: str = "", *, source: str = "notification", sha256: str | None = None) -> Stored:
    digest = sha256 or hashlib.sha256(ref.encode()).hexdigest()
    return Stored("interactions", name or f"{FOLDER}/{ref}.json", ref.encode(), {"sha256": digest, "source": source})


def text(ref: str) -> bytes:
    return json.dumps({"id": ref, "etag": None}).encode()


def interaction(ref: str, **changed: Any) -> Content:  # noqa: ANN401 - of the type of the field
    """A content that the export shows in another form."""
    said = text(ref)
    digests = {"sha256": hashlib.sha256(said).hexdigest(), "canonical": canonical_sha256(said), "session_id": ref}
    return replace(content(ref), **{**digests, **changed})


def brought(ref: str, source: str = "notification") -> Stored:
    """Its blob: byte for byte, or as the export had it."""
    said = text(ref) if source == "notification" else b'{"id":"%s"}' % ref.encode()
    metadata = {"sha256": hashlib.sha256(said).hexdigest(), "source": source}
    return Stored("interactions", f"{FOLDER}/{ref}.{source}.json", said, metadata)


def item(ref: str) -> dict[str, object]:
    return {"ResourceData": {"id": ref}}


def tombstone(ref: str, unique: str = "0") -> Stored:
    return Stored(
        "interactions", f"{TENANT}/deleted/2026/11/20/{ref}.{unique}.json", json.dumps(item(ref)).encode(), {}
    )


def dead(ref: str, reason: str = "not-genuine") -> Stored:
    return Stored("dead-letters", f"{reason}/2026/11/20/{ref}.json", json.dumps({"item": item(ref)}).encode(), {})


def waiting(*refs: str) -> Stored:
    body = json.dumps({"value": [item(ref) for ref in refs]}).encode()
    return Stored("inbox", "notifications/2026/11/20/09/0.json", body, {})


def judged_exports(contents: Sequence[Content], blobs: Sequence[Stored], shown: Sequence[str] = ()) -> Figure:
    return figure(Ledger(tuple(contents), (), ("s",), shown=frozenset(shown)), blobs, exported=True)


def judged(contents: Sequence[Content], posts: Sequence[Post], blobs: Sequence[Stored]) -> Figure:
    return figure(Ledger(tuple(contents), tuple(posts), ("s",)), blobs)


def test_everything_at_rest_adds_up() -> None:
    contents = [content("1"), content("2", change_type="deleted"), content("3", forged="missing-tokens"), content("4")]
    posts = [post("1", "2"), post("1", "3"), post("4")]
    found = judged(contents, posts, [blob("1"), tombstone("2"), dead("3"), waiting("4")])
    assert found.harm == {}
    assert found.archived == Counter(notification=1)
    assert (found.sent, found.acknowledged) == (3, 3)
    assert found.sum == "5 = 1 archived + 1 duplicates + 1 tombstones + 1 dead letters + 1 in the inbox"


def test_what_was_never_acknowledged_is_not_owed() -> None:
    assert judged([content("1")], [post("1", status=503)], []).harm == {}
    assert judged([content("1")], [post("1", status=None)], [blob("1")]).harm == {}


def test_an_acknowledged_content_that_is_nowhere_is_lost() -> None:
    found = judged([content("1"), content("2", change_type="deleted")], [post("1", "2")], [])
    assert len(found.lost) == 2
    assert "!=" in found.sum


def test_one_content_under_two_names_is_kept_twice() -> None:
    assert judged([content("1")], [post("1")], [blob("1"), blob("1", "elsewhere.json")]).kept_twice


def test_a_tombstone_too_many_is_kept_twice() -> None:
    found = judged([content("1", change_type="deleted")], [post("1")], [tombstone("1"), tombstone("1", "1")])
    assert found.kept_twice


def test_bytes_that_nobody_sent_are_unexpected() -> None:
    assert judged([], [], [blob("1")]).unexpected


def test_bytes_that_are_not_those_of_their_digest_are_corrupted() -> None:
    assert judged([content("1")], [post("1")], [blob("1", sha256="0" * 64)]).corrupted


def test_what_forgers_sent_must_not_be_archived() -> None:
    found = judged([content("1", forged="missing-tokens")], [post("1")], [blob("1"), dead("1")])
    assert found.forged_archived


def test_what_forgers_sent_must_not_vanish_either() -> None:
    assert judged([content("1", forged="missing-tokens")], [post("1")], []).unaccounted_forgeries == 1


def test_a_genuine_content_among_the_dead_letters_was_given_up() -> None:
    found = judged([content("1")], [post("1")], [dead("1")])
    assert found.given_up
    assert not found.lost


def test_sources_are_told_apart() -> None:
    # The export has another form of it: other spaces, another order.
    exported = replace(content("2"), canonical=canonical_sha256(b'{"id": "2", "etag": "e"}'))
    text = b'{ "etag":"e", "id":"2" }'
    digest = hashlib.sha256(text).hexdigest()
    found = Stored("interactions", f"{FOLDER}/2.e.json", text, {"sha256": digest, "source": "export"})
    assert judged([content("1"), exported], [post("1", "2")], [blob("1"), found]).archived == Counter(
        notification=1, export=1
    )


def test_a_forger_who_shares_a_genuine_id_takes_his_own_dead_letter() -> None:
    forged = Content("f", "aiInteraction", "created", TENANT, "1", "1", "", "s", "r", (), "0" * 64, 1, ("s",), "forged")
    found = judged([content("1"), forged], [post("1", "1"), post("f")], [blob("1"), dead("1")])
    assert found.harm == {}
    assert found.sum == "3 = 1 archived + 1 duplicates + 0 tombstones + 1 dead letters + 0 in the inbox"


def test_an_export_that_is_no_json_is_unexpected() -> None:
    text = b"no JSON"
    metadata = {"sha256": hashlib.sha256(text).hexdigest(), "source": "export"}
    gone = content("1", change_type="deleted")
    assert judged([gone], [post("1")], [tombstone("1"), Stored("interactions", "x.json", text, metadata)]).unexpected


def test_what_the_export_shows_is_owed_by_whichever_source_it_came() -> None:
    contents = [interaction("1"), interaction("2"), interaction("3")]
    blobs = [brought("1"), brought("2", "export"), brought("3")]
    found = judged_exports(contents, blobs, shown=["1", "2"])
    assert found.harm == {}
    assert found.exports == "3 = 2 archived by notification + 1 archived by export"
    assert found.corroborated == 1


def test_what_the_export_shows_and_nobody_archived_is_harm() -> None:
    found = judged_exports([interaction("1"), interaction("2")], [brought("1")])
    assert len(found.not_exported) == 1
    assert "!=" in found.exports
    assert not judged([interaction("1"), interaction("2")], [], [brought("1")]).harm


def test_only_what_can_still_be_shown_is_owed() -> None:
    newer = interaction("1-new", session_id="1", id="1", etag="2", change_type="updated")
    gone = interaction("2-gone", session_id="2", id="2", change_type="deleted")
    others = [interaction("c", kind="chat"), interaction("f", forged="missing-tokens")]
    contents = [interaction("1"), newer, interaction("2"), gone, *others]
    found = judged_exports(contents, [brought("1-new")])
    assert found.harm == {}
    assert found.exposed == 1
    assert missing(Ledger(tuple(contents), (), ()), {}) == [newer]


def test_one_content_from_both_sources_is_kept_twice() -> None:
    assert judged_exports([interaction("1")], [brought("1"), brought("1", "export")]).kept_twice


def test_a_report_has_numbers_alone() -> None:
    counts = judged_exports([interaction("1")], []).counts
    assert counts["not_exported"] == 1
    assert json.loads(json.dumps(counts)) == counts
