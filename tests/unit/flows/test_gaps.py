"""Gaps are noted once, filled once, and lost by nobody who is killed in between."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.core.errors import StorageUnavailable
from shared.core.gap import EXPORTED_GAPS, GAPS, LOST_GAPS, Gap
from shared.flows.gaps import ask_for_export, close, open_gaps
from tests.fakes import NOW, Crash, MemoryContainer, World

HOUR = timedelta(hours=1)
GAP = Gap("copilot/interactionHistory/getAllEnterpriseInteractions", NOW - HOUR, NOW, "the subscription was gone")


def folders(state: MemoryContainer) -> list[str]:
    return sorted(f"{name.partition('/')[0]}/" for name in state.blobs)


def waiting(state: MemoryContainer) -> list[Gap]:
    return [gap for _, gap in open_gaps(state)]


class TestAsking:
    def test_a_gap_waits_as_it_was_noted(self, state: MemoryContainer) -> None:
        ask_for_export(state, GAP)
        ((name, gap),) = open_gaps(state)

        assert gap == GAP
        assert json.loads(state.blobs[name].content) == {
            "resource": GAP.resource,
            "from": "2026-01-05T08:30:10.000000Z",
            "to": "2026-01-05T09:30:10.000000Z",
            "reason": "the subscription was gone",
        }

    def test_the_same_twice_is_one(self, state: MemoryContainer, caplog: pytest.LogCaptureFixture) -> None:
        for _ in range(3):
            ask_for_export(state, replace(GAP))

        assert waiting(state) == [GAP]
        assert len(caplog.records) == 1

    @pytest.mark.parametrize(
        "other",
        [
            replace(GAP, resource="chats"),
            replace(GAP, begin=GAP.begin - timedelta(microseconds=1)),
            replace(GAP, end=GAP.end + timedelta(microseconds=1)),
            replace(GAP, reason="Graph refused the app"),
        ],
        ids=["resource", "begin", "end", "reason"],
    )
    def test_what_differs_is_another(self, state: MemoryContainer, other: Gap) -> None:
        ask_for_export(state, GAP)
        ask_for_export(state, other)

        assert len(waiting(state)) == 2

    @pytest.mark.parametrize("folder", [EXPORTED_GAPS, LOST_GAPS])
    def test_one_that_waits_no_more_is_not_opened_again(self, state: MemoryContainer, folder: str) -> None:
        ask_for_export(state, GAP)
        ((name, _),) = open_gaps(state)
        close(state, name, folder)
        ask_for_export(state, GAP)

        assert waiting(state) == []
        assert folders(state) == [folder]

    @pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
    def test_a_lost_answer_is_raised_and_the_next_time_it_is_one(
        self, world: World, state: MemoryContainer, *, after: bool
    ) -> None:
        world.fail("state.create", after=after, times=1)
        with pytest.raises(StorageUnavailable):
            ask_for_export(state, GAP)
        ask_for_export(state, GAP)

        assert waiting(state) == [GAP]

    def test_whoever_can_not_look_does_not_note(self, world: World, state: MemoryContainer) -> None:
        world.fail("state.metadata")
        with pytest.raises(StorageUnavailable):
            ask_for_export(state, GAP)

        assert state.blobs == {}


class TestTheOpenOnes:
    def test_they_come_with_their_names_over_all_pages(self, state: MemoryContainer) -> None:
        for hours in range(7):
            ask_for_export(state, replace(GAP, begin=GAP.begin - hours * HOUR))

        assert sorted(name for name, _ in open_gaps(state)) == sorted(state.blobs)

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"\xff",
            b"null",
            b"[]",
            b'"text"',
            b"{}",
            b'{"resource": "chats", "from": "soon", "to": "2026-01-05T09:30:10Z", "reason": ""}',
            b'{"resource": "chats", "from": "2026-01-05T09:30:10Z", "to": null, "reason": ""}',
            b"[" * 100_000,
        ],
        ids=range(9),
    )
    def test_what_is_none_of_ours_is_told_and_stands_in_nobodys_way(
        self, state: MemoryContainer, content: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        state.create(f"{GAPS}0.json", content, {})
        ask_for_export(state, GAP)

        assert waiting(state) == [GAP]
        assert "gaps/0.json is no gap of ours" in caplog.text

    def test_one_that_is_closed_under_the_look_waits_no_more(self, world: World, state: MemoryContainer) -> None:
        ask_for_export(state, GAP)
        world.meanwhile["state.read"] = state.blobs.clear

        assert waiting(state) == []


class TestClosing:
    @pytest.mark.parametrize("folder", [EXPORTED_GAPS, LOST_GAPS])
    def test_the_note_moves_as_it_is(self, state: MemoryContainer, folder: str) -> None:
        ask_for_export(state, GAP)
        ((name, _),) = open_gaps(state)
        content = state.blobs[name].content
        close(state, name, folder)

        assert {name: blob.content for name, blob in state.blobs.items()} == {name.replace(GAPS, folder): content}

    def test_twice_is_once(self, state: MemoryContainer) -> None:
        ask_for_export(state, GAP)
        ((name, _),) = open_gaps(state)
        for _ in range(2):
            close(state, name, EXPORTED_GAPS)

        assert folders(state) == [EXPORTED_GAPS]

    @pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
    @pytest.mark.parametrize("error", [Crash(), StorageUnavailable("no answer")], ids=["killed", "unanswered"])
    def test_wherever_it_is_broken_off_the_note_is_never_gone(self, error: BaseException, *, after: bool) -> None:
        for number in range(3):  # read, create, delete
            world = World()
            state = MemoryContainer("state", world)
            ask_for_export(state, GAP)
            ((name, _),) = open_gaps(state)
            world.fail_call(len(world.calls) + number, error, after=after)
            with pytest.raises(type(error)):
                close(state, name, EXPORTED_GAPS)
            assert state.blobs, number
            # Asked for in that moment it is there already, in one folder or the other.
            ask_for_export(state, GAP)
            for left, _ in list(open_gaps(state)):
                close(state, left, EXPORTED_GAPS)
            assert folders(state) == [EXPORTED_GAPS], number
