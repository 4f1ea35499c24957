from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.export_state import ExportState, from_json, to_json
from tests.fakes import NOW
from tests.unit.instants import INSTANTS

BY_USER = st.dictionaries(st.text(), INSTANTS, max_size=4)
STATES = st.builds(ExportState, st.none() | INSTANTS, BY_USER, BY_USER, st.booleans())
BEFORE = NOW - timedelta(hours=1)
GOOD = to_json(ExportState(NOW, {"a": NOW}, {"b": BEFORE}))


@given(STATES)
def test_what_is_saved_is_what_is_read(state: ExportState) -> None:
    assert from_json(to_json(state)) == state


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"null",
        b"[]",
        b"{}",
        GOOD[:-3],
        GOOD.replace(b'"queued"', b'"cued"'),
        GOOD.replace(b'"left": {', b'"left": [], "x": {'),
        b"[" * 100_000,
    ],
    ids=range(9),
)
def test_one_that_can_not_be_read_is_forgotten(content: bytes) -> None:
    assert from_json(content) == ExportState()


def test_an_instant_that_is_none_is_forgotten_alone() -> None:
    content = GOOD.replace(b'"a": "2026', b'"c": "soon", "a": "2026')

    assert b"soon" in content
    assert from_json(content) == from_json(GOOD)


@given(STATES)
def test_a_plan_that_was_put_on_the_queue_is_beyond_doubt(state: ExportState) -> None:
    doubted = state.without_doubt()

    assert not state.rung or doubted == state
    assert doubted.left == state.left
    assert doubted.without_doubt() == doubted


def test_of_one_that_perhaps_was_not_earlier_windows_still_count() -> None:
    state = ExportState(NOW, {"a": NOW, "b": BEFORE}, {"c": BEFORE}, rung=False)

    assert state.without_doubt().queued == {"b": BEFORE}
    assert state.without_doubt().left == {"c": BEFORE}
