"""Resources at rest: once each, whichever source came first, and whatever holds the name already."""

import json
from typing import Any

import pytest

from shared.core.archive_path import archive_path
from shared.core.errors import StorageUnavailable
from shared.core.resources import AI_INTERACTION, digest
from shared.flows.rest import CANONICAL, SOURCE, Outcome, Rested, Resting
from tests.fakes import Crash, MemoryContainer, World
from tests.graph_posts import TENANT, as_bytes, interaction

PATH = archive_path(AI_INTERACTION, TENANT, interaction())
CHANGED = interaction(locale="fr-fr")


class Setup:
    """A container at rest."""

    def __init__(self) -> None:
        self.world = World()
        self.interactions = MemoryContainer("interactions", self.world)
        self.state = MemoryContainer("state", self.world)
        self.resting = Resting({"interactions": self.interactions}, self.state)

    def rest(self, source: str, resource: dict[str, Any] | None = None, *, look_first: bool = False) -> Rested:
        """A source brings a resource."""
        brought = interaction() if resource is None else resource
        return self.resting.rest(
            PATH, as_bytes(brought), digest(brought), {SOURCE: source, "tenantid": TENANT}, look_first=look_first
        )


@pytest.fixture
def setup() -> Setup:
    return Setup()


@pytest.mark.parametrize("look_first", [False, True], ids=["writes", "looks"])
class TestEitherWay:
    def test_what_is_new_is_archived_with_its_digests(self, setup: Setup, *, look_first: bool) -> None:
        assert setup.rest("export", look_first=look_first) == Rested(Outcome.ARCHIVED, "export")
        metadata = setup.interactions.blobs[PATH.name].metadata
        assert (metadata[SOURCE], metadata["tenantid"], metadata[CANONICAL]) == (
            "export",
            TENANT,
            digest(interaction()),
        )

    @pytest.mark.parametrize("first", ["notification", "export"])
    @pytest.mark.parametrize("second", ["notification", "export"])
    def test_what_is_there_tells_what_brought_it(
        self, setup: Setup, first: str, second: str, *, look_first: bool
    ) -> None:
        setup.rest(first)

        assert setup.rest(second, {"@odata.context": "x", **interaction()}, look_first=look_first) == Rested(
            Outcome.DUPLICATE, first
        )
        assert setup.interactions.blobs[PATH.name].content == as_bytes(interaction())

    @pytest.mark.parametrize("first", ["notification", "export"])
    @pytest.mark.parametrize("second", ["notification", "export"])
    def test_a_conflict_is_kept_beside_and_tells_what_holds_the_name(
        self, setup: Setup, first: str, second: str, *, look_first: bool
    ) -> None:
        setup.rest(first)

        assert setup.rest(second, CHANGED, look_first=look_first) == Rested(Outcome.CONFLICT, first)
        assert setup.rest(second, CHANGED, look_first=look_first) == Rested(Outcome.DUPLICATE, first)
        assert sorted(blob.metadata[SOURCE] for blob in setup.interactions.blobs.values()) == sorted([first, second])
        assert len([name for name in setup.state.blobs if name.startswith("conflicts/")]) == 1

    def test_the_same_conflict_in_other_bytes_is_kept_once(self, setup: Setup, *, look_first: bool) -> None:
        setup.rest("notification")
        setup.rest("notification", CHANGED, look_first=look_first)
        as_exported = {"@odata.context": "as another source writes it", **CHANGED}

        assert setup.rest("export", as_exported, look_first=look_first).outcome is Outcome.DUPLICATE
        assert len(setup.interactions.blobs) == 2

    def test_what_was_put_there_by_other_means_has_no_source(self, setup: Setup, *, look_first: bool) -> None:
        setup.interactions.create(PATH.name, json.dumps(interaction(), indent=1).encode(), {})

        assert setup.rest("export", look_first=look_first) == Rested(Outcome.DUPLICATE, "")

    @pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
    @pytest.mark.parametrize("error", [Crash(), StorageUnavailable("no answer")], ids=["killed", "unanswered"])
    def test_wherever_a_conflict_is_broken_off_it_is_told_and_kept_once(
        self, error: BaseException, *, after: bool, look_first: bool
    ) -> None:
        for number in range(1, 20):
            setup = Setup()
            setup.rest("notification")
            setup.world.fail_call(number, error, after=after)
            try:
                setup.rest("export", CHANGED, look_first=look_first)
                ended = len(setup.world.calls) <= number
            except (Crash, StorageUnavailable):
                ended = False
            setup.world.recover()
            setup.rest("export", CHANGED, look_first=look_first)
            assert len(setup.interactions.blobs) == 2, number
            assert len(setup.state.blobs) == 1, number
            if ended:
                return
        raise AssertionError("it never ends")


def test_a_look_first_costs_no_write_where_it_is_there(setup: Setup) -> None:
    setup.rest("notification")
    setup.world.calls.clear()
    setup.rest("export", look_first=True)

    assert setup.world.calls == [f"interactions.metadata {PATH.name}"]


def test_somebody_who_writes_between_look_and_write_was_first(setup: Setup) -> None:
    def somebody_else() -> None:
        setup.rest("notification")

    setup.world.meanwhile["interactions.create"] = somebody_else

    assert setup.rest("export", look_first=True) == Rested(Outcome.DUPLICATE, "notification")
    assert len(setup.interactions.blobs) == 1


def test_our_own_write_whose_answer_was_lost_is_ours(setup: Setup) -> None:
    setup.world.fail("interactions.create", after=True, times=1)
    with pytest.raises(StorageUnavailable):
        setup.rest("export", look_first=True)

    assert setup.rest("export", look_first=True) == Rested(Outcome.DUPLICATE, "export")
