"""What came after all, and how many interactions a day has, whatever their versions."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.archive_path import archive_path, conflict_path
from shared.core.errors import StorageUnavailable
from shared.core.resources import AI_INTERACTION
from shared.flows.corroboration import archived_of, came_after_all, note_corroborated
from tests.fakes import MemoryContainer, World
from tests.graph_posts import ANOTHER_TENANT, TENANT, interaction

DAY = "2026-01-05"


def name_of(**changes: object) -> str:
    return archive_path(AI_INTERACTION, TENANT, interaction(**changes)).name


class TestCameAfterAll:
    def test_twice_is_once(self, state: MemoryContainer) -> None:
        for _ in range(2):
            note_corroborated(state, name_of())

        assert came_after_all(state, DAY) == 1

    def test_an_interaction_is_counted_once_whatever_its_versions(self, state: MemoryContainer) -> None:
        for etag in ("1", "2", "a.b"):
            note_corroborated(state, name_of(etag=etag))
        note_corroborated(state, conflict_path(archive_path(AI_INTERACTION, TENANT, interaction()), b"x").name)

        assert came_after_all(state, DAY) == 1

    def test_two_interactions_are_two(self, state: MemoryContainer) -> None:
        for changes in ({}, {"id": "1"}, {"sessionId": "another"}, {"requestId": "another"}):
            note_corroborated(state, name_of(**changes))

        assert came_after_all(state, DAY) == 4

    def test_it_is_noted_by_the_day_of_the_interaction(self, state: MemoryContainer) -> None:
        note_corroborated(state, name_of(createdDateTime="2026-01-04T23:59:59.9999999Z"))
        note_corroborated(state, name_of(createdDateTime=None))

        assert (came_after_all(state, "2026-01-04"), came_after_all(state, DAY)) == (1, 0)
        assert came_after_all(state, "undated") == 1

    def test_storage_out_of_reach_is_raised(self, world: World, state: MemoryContainer) -> None:
        world.fail("state")
        with pytest.raises(StorageUnavailable):
            note_corroborated(state, name_of())
        with pytest.raises(StorageUnavailable):
            came_after_all(state, DAY)


class TestTheArchivesCount:
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["s", "s.", "s-"]), st.sampled_from(["1", "1-", "10", "1.0"]), st.sampled_from("ab.")
            ),
            max_size=20,
        )
    )
    def test_it_is_that_of_the_identities(self, held: list[tuple[str, str, str]]) -> None:
        container = MemoryContainer("interactions", World())
        for session, identifier, etag in held:
            resource = interaction(sessionId=session, id=identifier, etag=etag)
            path = archive_path(AI_INTERACTION, TENANT, resource)
            container.create(path.name, b"", {})
            beside = conflict_path(path, hashlib.sha256(etag.encode()).digest())
            container.create(beside.name, b"", {})

        assert archived_of(container, TENANT, DAY) == len({(session, identifier) for session, identifier, _ in held})

    def test_other_days_tenants_and_deletions_are_not_among_them(self, world: World) -> None:
        container = MemoryContainer("interactions", world)
        for name in (
            name_of(createdDateTime="2026-01-06T00:00:00Z"),
            name_of().replace(TENANT, ANOTHER_TENANT),
            f"{TENANT}/deleted/2026/01/05/1.5b0b63a4-6a0f-4b7e-9b32-8c2c7d0d4f11.json",
            f"{TENANT}/undated/s/r/1.1.json",
        ):
            container.create(name, b"", {})

        assert archived_of(container, TENANT, DAY) == 0

    def test_names_alone_are_listed(self, world: World) -> None:
        container = MemoryContainer("interactions", world)
        for number in range(10):
            container.create(name_of(id=str(number)), b"", {})
        world.calls.clear()

        assert archived_of(container, TENANT, DAY) == 10
        assert {call.partition(" ")[0] for call in world.calls} == {"interactions.names"}
