import json
from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.subscription_watch import Problem, Tracked, Watch
from shared.core.watch_json import from_json, to_json
from tests.fakes import NOW
from tests.unit.instants import INSTANTS

LIVE = Tracked("s1", "Chats", NOW + timedelta(days=2), "v1", last_live=NOW)
WATCH = Watch(tracked={"chats": LIVE}, reconciled_at=NOW)

TRACKED = st.builds(
    Tracked,
    id=st.text(),
    resource=st.text(),
    expires_at=INSTANTS,
    certificate_id=st.none() | st.text(),
    last_live=INSTANTS,
    challenged_at=st.none() | INSTANTS,
    refused_since=st.none() | INSTANTS,
    hinted_at=st.none() | INSTANTS,
    missed_at=st.none() | INSTANTS,
    renewed_at=st.none() | INSTANTS,
    authorised_at=st.none() | INSTANTS,
    unseen_since=st.none() | INSTANTS,
    seen_again_at=st.none() | INSTANTS,
    predecessor=st.none() | st.text(),
)
WATCHES = st.builds(
    Watch,
    tracked=st.dictionaries(st.text(), TRACKED, max_size=3),
    problems=st.dictionaries(st.text(), st.builds(Problem, st.text(), INSTANTS, INSTANTS), max_size=3),
    reconciled_at=st.none() | INSTANTS,
    claimed_by=st.none() | st.text(),
    claimed_until=st.none() | INSTANTS,
    not_before=st.none() | INSTANTS,
    awaited=st.dictionaries(st.text(), INSTANTS, max_size=3),
    notified=st.dictionaries(st.text(), INSTANTS, max_size=3),
)


@given(WATCHES)
def test_what_is_saved_is_what_is_read(watch: Watch) -> None:
    assert from_json(to_json(watch)) == watch


def test_no_field_is_left_out() -> None:
    names = [each.name for each in fields(Tracked)]
    instants = ("_at", "_since", "_live", "_until")
    values: dict[str, Any] = {name: NOW if name.endswith(instants) else "x" for name in names}
    tracked = Tracked(**{**values, "gone": True})
    watch = Watch({"a": tracked}, {"a": Problem("no", NOW, NOW)}, NOW, "me", NOW, NOW, {"b": NOW}, {"c": NOW})

    assert all(getattr(watch, each.name) for each in fields(Watch))
    assert from_json(to_json(watch)) == watch


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b"5",
        b'{"subscriptions": {}, "problems": []}',
        to_json(Watch(notified={"a": NOW})).replace(b'"a": "2026', b'"a": "x026'),
        to_json(WATCH).replace(b'"notifiedSince": {}', b'"notifiedSince": []'),
        b"[" * 100_000,
        to_json(WATCH).replace(b'"lastLive"', b'"lastSeen"'),
        to_json(WATCH).replace(b'"lastLive": "2026', b'"lastLive": "x026'),
        to_json(WATCH).replace(b'"subscriptions": {', b'"subscriptions": [], "x": {'),
        to_json(WATCH)[:-5],
    ],
)
def test_a_blob_of_somebody_else_is_told_as_such(content: bytes) -> None:
    with pytest.raises(ValueError, match="none of ours"):
        from_json(content)


def test_the_blob_is_for_people_too() -> None:
    document = json.loads(to_json(WATCH))

    assert document["version"] == 1
    assert document["subscriptions"]["chats"]["lastLive"] == "2026-01-05T09:30:10.000000Z"
