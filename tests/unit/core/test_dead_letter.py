import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.dead_letter import DeadLetter, from_json, to_json
from shared.core.errors import MalformedNotification

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=())),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(exclude_categories=())), inner, max_size=3)
    ),
    max_leaves=8,
)
LETTER = DeadLetter(
    reason="not-genuine",
    detail="the aud of a validation token is not ours",
    item={"clientState": "x"},
    validation_tokens=("a.b.c", None),
    received_at=datetime(2026, 1, 5, 9, 30, 1, 234_567, tzinfo=UTC),
    attempts=3,
    post="notifications/2026/01/05/09/5b0b63a4-6a0f-4b7e-9b32-8c2c7d0d4f11.json",
    position=7,
)


@given(JSON, st.lists(JSON, max_size=3))
def test_what_is_parked_is_read_back_whatever_it_holds(item: object, tokens: list[object]) -> None:
    letter = replace(LETTER, item=item, validation_tokens=tuple(tokens))

    assert from_json(to_json(letter)) == letter


def test_the_blob_holds_all_that_trying_again_takes() -> None:
    document = json.loads(to_json(LETTER))

    assert document == {
        "version": 1,
        "reason": "not-genuine",
        "detail": "the aud of a validation token is not ours",
        "receivedAt": "2026-01-05T09:30:01.234567Z",
        "attempts": 3,
        "post": LETTER.post,
        "position": 7,
        "validationTokens": ["a.b.c", None],
        "item": {"clientState": "x"},
    }


def test_the_fingerprint_is_the_items_place_and_nothing_that_changes() -> None:
    moved = replace(LETTER, reason="unknown-certificate", detail="other", attempts=9)

    assert moved.fingerprint == LETTER.fingerprint
    assert replace(LETTER, position=8).fingerprint != LETTER.fingerprint
    assert replace(LETTER, post="another").fingerprint != LETTER.fingerprint


@pytest.mark.parametrize(
    "missing", ["reason", "detail", "receivedAt", "attempts", "post", "position", "validationTokens", "item"]
)
def test_a_blob_without_a_part_is_none_of_ours(missing: str) -> None:
    document = json.loads(to_json(LETTER))
    del document[missing]

    with pytest.raises(MalformedNotification):
        from_json(json.dumps(document).encode())


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"[]", b"null", b"5", b'"x"', b"[" * 100_000],
)
def test_other_blobs_are_none_of_ours(content: bytes) -> None:
    with pytest.raises(MalformedNotification):
        from_json(content)


@pytest.mark.parametrize(
    "changes", [{"receivedAt": "today"}, {"attempts": "many"}, {"position": None}, {"validationTokens": 5}]
)
def test_parts_of_another_type_are_none_of_ours(changes: dict[str, object]) -> None:
    with pytest.raises(MalformedNotification):
        from_json(json.dumps({**json.loads(to_json(LETTER)), **changes}).encode())
