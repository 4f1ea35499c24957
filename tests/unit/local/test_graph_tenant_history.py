"""What the export shows of what happened: which version, when, and in which form."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.graph import ExportPolicy, VirtualClock
from local.graph.content.canonical import canonical_sha256
from local.graph.content.change import Change
from local.graph.content.day import TenantContent
from local.graph.export_filter import EVERYTHING
from local.graph.export_items import rendered
from local.graph.mailbox import FOLDERS, Mailbox
from local.graph.policy import Policy
from local.graph.randomness import stream
from local.graph.tenant_history import TenantHistory

START = datetime(2030, 1, 1, tzinfo=UTC)
DAY = TenantContent(3, "tenant").day(date(2026, 3, 2), interactions=120, users=4, chats=3)
CREATED = [each for each in DAY if each.kind == "aiInteraction" and each.change_type == "created"]


@settings(deadline=None)
@given(st.sampled_from(CREATED), st.integers(0, 1000), st.floats(0, 1))
def test_an_item_is_the_same_content_in_another_form(change: Change, seed: int, variants: float) -> None:
    made = rendered(change, seed, variants)
    assert made == rendered(change, seed, variants)
    assert canonical_sha256(made) == canonical_sha256(change.plaintext)
    assert json.loads(made)["createdDateTime"] == change.created


def test_variants_differ_in_every_way_that_means_nothing() -> None:
    made = [json.loads(rendered(change, 1, 1.0)) for change in CREATED]
    plain = [json.loads(rendered(change, 1, 0.0)) for change in CREATED]
    assert plain == [json.loads(change.plaintext or b"") for change in CREATED]
    assert any(list(one) != list(other) for one, other in zip(made, plain, strict=True))
    assert any("@odata.type" in each for each in made)
    assert any("@odata.etag" in each for each in made)
    assert any(None in each.values() for each in made)
    assert any(None not in each.values() for each in made)


@pytest.mark.parametrize("content", [None, b"", b"half {", b'"\xff"'])
def test_no_digest_without_json(content: bytes | None) -> None:
    assert canonical_sha256(content) is None


def test_digests_differ_where_the_content_does() -> None:
    one = canonical_sha256(b'{"a": 1, "b": null, "b@odata.type": "x", "c": [{"@odata.id": 1}, null]}')
    assert one == canonical_sha256(b'{"c": [{}, null], "a": 1}')
    assert one != canonical_sha256(b'{"c": [{}], "a": 1}')
    assert one != canonical_sha256(b'{"c": [{}, null], "a": "1"}')


def history(**export: float) -> tuple[TenantHistory, VirtualClock]:
    clock = VirtualClock(START)
    return TenantHistory(clock, Policy(export=ExportPolicy.friendly(**export)), seed=1), clock


def refs(mailbox: Mailbox | None) -> set[str]:
    views = [(mailbox or Mailbox()).view(folder, EVERYTHING) for folder in range(len(FOLDERS))]
    return {row.shown.ref for view in views for row in view.take(0, len(view))[0] if row.shown}


def test_the_latest_version_is_shown_and_what_is_deleted_is_not() -> None:
    made, _ = history()
    for change in stream(4, "test").sample(DAY, len(DAY)):
        made.add(change)
    interactions = [each for each in DAY if each.kind == "aiInteraction"]
    latest = {
        (each.session_id, each.request_id, each.id): each for each in sorted(interactions, key=lambda each: each.at)
    }
    expected = {each.ref for each in latest.values() if each.change_type != "deleted"}
    assert refs(made.whole()) == expected
    assert {each.change_type for each in latest.values()} == {"created", "updated", "deleted"}
    for owner in {owner for each in interactions for owner in each.user_ids}:
        owned = {each.ref for each in latest.values() if owner in each.user_ids} & expected
        assert refs(made.mailbox(owner.upper())) == owned


def test_a_change_shows_up_late_and_by_its_own_time() -> None:
    made, clock = history(mean_delay=60.0, longest_delay=600.0)
    for change in CREATED:
        made.add(change, after=10.0)
    assert made.mailbox(next(iter(CREATED[0].user_ids))) is None
    assert made.interaction(CREATED[0].id) is None
    clock.advance(timedelta(seconds=10))
    assert made.interaction(CREATED[0].id) is not None
    seen = [len(refs(made.whole()))]
    for _ in range(10):
        clock.advance(timedelta(seconds=60))
        seen.append(len(refs(made.whole())))
    assert seen == sorted(seen)
    assert seen[0] < seen[1] < len(CREATED) == seen[-1]


def test_an_update_is_late_too_and_a_deletion_is_not() -> None:
    created = CREATED[0]
    updated = replace(created, ref="updated", at=created.at + timedelta(seconds=1), change_type="updated")
    deleted = replace(created, ref="deleted", at=created.at + timedelta(seconds=2), change_type="deleted")
    made, clock = history(mean_delay=60.0, longest_delay=600.0)
    made.add(created)
    clock.advance(timedelta(seconds=600))
    made.add(updated)
    assert refs(made.whole()) == {created.ref}
    clock.advance(timedelta(seconds=600))
    assert refs(made.whole()) == {"updated"}
    made.add(deleted)
    assert refs(made.whole()) == set()
    assert made.interaction(created.id) is None


@pytest.mark.parametrize(
    "values",
    [
        {"short": 1.1},
        {"empty": -0.1},
        {"default_page": 0},
        {"default_page": 5, "largest_page": 4},
        {"largest_page": 1.5},
        {"refuse_filter": 1},
        {"short": True},
        {"token_life": -1},
        {"retry_date": 0.6, "retry_missing": 0.6},
        {"mean_delay": "1"},
        {"weather": 1},
    ],
)
def test_policies_that_make_no_sense(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        ExportPolicy.read(values)


def test_a_policy_is_read() -> None:
    assert ExportPolicy.read({"friendly": True, "short": 0.5}) == ExportPolicy.friendly(short=0.5)
    assert ExportPolicy.read({"token_life": 5}) == ExportPolicy(token_life=5)


def test_a_delay_has_an_end() -> None:
    made, clock = history(mean_delay=1000.0, longest_delay=5.0)
    made.add(CREATED[0])
    clock.advance(timedelta(seconds=5))
    assert refs(made.whole()) == {CREATED[0].ref}
