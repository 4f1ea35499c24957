"""The export's walk through a mailbox, and the tokens that lead through it."""

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.graph import ExportPolicy, VirtualClock
from local.graph.content.change import Change
from local.graph.content.day import TenantContent
from local.graph.export_filter import EVERYTHING, ExportFilter, parse
from local.graph.export_pages import turn
from local.graph.export_tokens import Position, SkipTokens
from local.graph.graph_errors import GraphError
from local.graph.mailbox import Mailbox, Row
from local.graph.policy import Policy
from local.graph.randomness import stream
from local.graph.times import epoch_milliseconds

START = datetime(2030, 1, 1, tzinfo=UTC)
DAY = TenantContent(3, "tenant").day(date(2026, 3, 2), interactions=120, users=4, chats=3)
CREATED = [each for each in DAY if each.kind == "aiInteraction" and each.change_type == "created"]
NASTY = ExportPolicy(short=0.4, empty=0.3, repeated=0.4)


def mailbox_of(changes: list[Change]) -> Mailbox:
    made = Mailbox()
    for change in changes:
        row = Row()
        row.show(change)
        made.put(row)
    return made


def walk(
    mailbox: Mailbox, wanted: ExportFilter, size: int, policy: ExportPolicy, rng: random.Random
) -> list[list[Row]]:
    pages, at = [], Position()
    while True:
        page = turn(mailbox, wanted, at, size, policy, rng)
        pages.append(list(page.rows))
        assert len(page.rows) <= size
        if page.following is None:
            return pages
        assert len(pages) < 2_000
        assert (page.following.folder, page.following.skip) > (at.folder, at.skip)
        at = page.following


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(CREATED), max_size=40, unique_by=lambda each: each.ref),
    st.integers(1, 12),
    st.integers(0, 2**32),
    st.integers(0, 1440),
    st.integers(0, 1440),
)
def test_a_walk_shows_what_lies_between_the_bounds_however_nasty(
    changes: list[Change], size: int, seed: int, first: int, last: int
) -> None:
    midnight = epoch_milliseconds(datetime(2026, 3, 2, tzinfo=UTC))
    wanted = ExportFilter(midnight + first * 60_000, midnight + last * 60_000)
    shown = {
        row.shown.ref
        for page in walk(mailbox_of(changes), wanted, size, NASTY, stream(seed, "walk"))
        for row in page
        if row.shown
    }
    assert shown == {
        each.ref
        for each in changes
        if wanted.after is not None
        and wanted.before is not None
        and wanted.after < epoch_milliseconds(each.at) < wanted.before
    }


def test_bounds_are_exclusive_to_the_millisecond() -> None:
    change = CREATED[0]
    at = epoch_milliseconds(change.at)
    mailbox = mailbox_of([change])
    for after, before, count in ((at - 1, at + 1, 1), (at, at + 1, 0), (at - 1, at, 0), (at + 1, at - 1, 0)):
        pages = walk(mailbox, ExportFilter(after, before), 10, ExportPolicy.friendly(), stream(1, "test"))
        assert sum(map(len, pages)) == count


def test_a_friendly_walk_has_full_pages_newest_first_within_a_folder() -> None:
    pages = walk(mailbox_of(CREATED), EVERYTHING, 10, ExportPolicy.friendly(), stream(1, "test"))
    assert sum(map(len, pages)) == len(CREATED)
    assert all(pages)
    assert sum(len(page) < 10 for page in pages) <= 3
    times = [row.created for page in pages for row in page]
    # Three folders: the time goes back up at most twice, and does so.
    ups = sum(later > earlier for earlier, later in pairwise(times))
    assert 1 <= ups <= 2


def test_a_nasty_walk_has_short_empty_and_repeating_pages() -> None:
    pages = walk(mailbox_of(CREATED), EVERYTHING, 10, NASTY, stream(5, "test"))
    assert any(not page for page in pages[:-1])
    assert any(0 < len(page) < 10 for page in pages[:-1])
    assert sum(map(len, pages)) > len(CREATED)


def test_a_deleted_row_moves_no_other() -> None:
    rows = mailbox_of(CREATED)
    policy, rng = ExportPolicy.friendly(), stream(1, "test")
    first = turn(rows, EVERYTHING, Position(), 10, policy, rng)
    second = turn(rows, EVERYTHING, first.following or Position(), 10, policy, rng)
    for row in first.rows:
        row.delete()
    assert turn(rows, EVERYTHING, first.following or Position(), 10, policy, rng).rows == second.rows
    assert not {id(row) for row in turn(rows, EVERYTHING, Position(), 10, policy, rng).rows} & {
        id(row) for row in first.rows
    }


def test_tokens_are_for_one_question_and_not_for_ever() -> None:
    clock = VirtualClock(START)
    tokens = SkipTokens(clock, Policy(export=ExportPolicy(token_life=60)))
    given_out = tokens.give(("one",), Position(1, 7, 20))
    assert tokens.take(given_out, ("one",)) == tokens.take(given_out, ("one",)) == Position(1, 7, 20)
    clock.advance(timedelta(seconds=60))
    assert tokens.take(given_out, ("one",))
    for token, question in ((given_out, ("other",)), ("U2tpcFZhbHVlPTEw", ("one",))):
        with pytest.raises(GraphError) as refused:
            tokens.take(token, question)
        assert refused.value.status == 400
    clock.advance(timedelta(seconds=1))
    with pytest.raises(GraphError):
        tokens.take(given_out, ("one",))


def test_undated_rows_are_shown_where_no_range_is_asked_for() -> None:
    mailbox = mailbox_of([replace(CREATED[0], created="")])
    policy, rng = ExportPolicy.friendly(), stream(1, "test")
    assert sum(map(len, walk(mailbox, EVERYTHING, 5, policy, rng))) == 1
    wanted = parse("createdDateTime gt 1970-01-01T00:00:00Z and createdDateTime lt 2030-01-01T00:00:00Z")
    assert sum(map(len, walk(mailbox, wanted, 5, policy, rng))) == 0
