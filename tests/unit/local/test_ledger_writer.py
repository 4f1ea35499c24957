"""A line is on the disk before what it announces: asked of the moment at which the writer has the file synced."""

import os
from pathlib import Path

import pytest

from local.graph.ledger_entries import FILE, Attempt, Content, Post
from local.graph.ledger_writer import LedgerWriter

CONTENT = Content("a", "aiInteraction", "created", "t", "1", "1", "x", "s", "r", ("u",), "d", 1, ("sub",))
POST = Post("p", "https://x", ("a",), None, 10)


@pytest.fixture
def synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many lines the file had whenever it was synced."""
    lines: list[int] = []
    sync = os.fsync

    def noting(descriptor: int) -> None:
        sync(descriptor)
        lines.append(len((tmp_path / FILE).read_text().splitlines()))

    monkeypatch.setattr(os, "fsync", noting)
    return lines


def test_a_post_leaves_after_its_line_and_all_before_it_are_synced(tmp_path: Path, synced: list[int]) -> None:
    writer = LedgerWriter(tmp_path)
    writer.content(CONTENT)
    writer.attempt(POST, 1, "then")
    assert synced == [2]
    writer.attempt(POST, 2, "then")
    assert synced == [2, 3]
    writer.close()


def test_an_export_answers_after_it_is_noted(tmp_path: Path, synced: list[int]) -> None:
    writer = LedgerWriter(tmp_path)
    writer.shown("u", ["a"])
    assert synced == [1]
    writer.close()


def test_what_announces_nothing_waits_for_the_next_sync(tmp_path: Path, synced: list[int]) -> None:
    writer = LedgerWriter(tmp_path)
    writer.answer("p", Attempt(1, "then", 202, 5.0))
    writer.ended(POST, "answered")
    writer.withheld("a", "sub")
    writer.close()
    assert synced == []
    assert len((tmp_path / FILE).read_text().splitlines()) == 3
