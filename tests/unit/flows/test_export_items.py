"""What a page shows comes to rest once, whatever it looks like, and what is known already costs nothing."""

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.activity import Hour, from_json
from shared.core.archive_path import UNDATED
from shared.core.checkpoint import ENTRY_BYTES, IDENTITY_BYTES, REMEMBERED, Checkpoint, tally
from shared.core.errors import StorageUnavailable
from shared.core.metrics import CONFLICTS, DEAD_LETTERS_PARKED, DUPLICATES, INTERACTIONS_ARCHIVED
from shared.flows import export_items
from shared.flows.account import Account
from shared.flows.export_items import ExportedItems
from shared.flows.rest import Resting
from tests.fake_telemetry import MemoryTelemetry
from tests.fakes import NOW, MemoryContainer, World
from tests.graph_posts import TENANT, interaction
from tests.unit.flows.exporting import ALICE, BOB, prompt

DAY = "2026-01-05"
HOUR = timedelta(hours=1)
SINCE = NOW - timedelta(days=10)


class Setup:
    """The archive, and looks of users over it."""

    def __init__(self) -> None:
        self.world = World()
        self.interactions = MemoryContainer("interactions", self.world)
        self.state = MemoryContainer("state", self.world)
        self.dead_letters = MemoryContainer("dead-letters", self.world)
        self.telemetry = MemoryTelemetry()
        self.account = Account(self.state, self.world.clock, self.telemetry, later=lambda _, act: act())
        self.notified_since: datetime | None = None

    def look(self, checkpoint: Checkpoint | None = None) -> ExportedItems:
        """A user's look, Alice's where nothing is said."""
        return ExportedItems(
            resting=Resting({"interactions": self.interactions}, self.state),
            dead_letters=self.dead_letters,
            tenant_id=TENANT,
            checkpoint=checkpoint or Checkpoint(ALICE),
            notified_since=self.notified_since,
            clock=self.world.clock,
            account=self.account,
            telemetry=self.telemetry,
        )

    def after(self, *items: object, checkpoint: Checkpoint | None = None) -> Checkpoint:
        """The checkpoint after a look that showed these."""
        look = self.look(checkpoint)
        for item in items:
            look.rest(item)
        return look.checkpoint.remembering(look.seen, self.world.now)

    def brought(self, source: str, item: Mapping[str, object]) -> None:
        """A source has archived this before."""
        self.after(item)
        ((name, blob),) = self.interactions.blobs.items()
        metadata = {**blob.metadata, "source": source} if source else {}
        self.interactions.blobs[name] = replace(blob, metadata=metadata)
        self.state.blobs.clear()
        self.account = Account(self.state, self.world.clock, self.telemetry, later=lambda _, act: act())
        self.telemetry.measured.clear()

    def hour(self) -> Hour:
        """The hour's account."""
        ((_, blob),) = self.state.blobs.items()
        return from_json(blob.content)


@pytest.fixture
def setup() -> Setup:
    return Setup()


def counts(checkpoint: Checkpoint, day: str = DAY) -> dict[str, int]:
    return {origin.value: count for origin, count in tally(checkpoint.shown.get(day, {})).items() if count}


def nested(depth: int) -> dict[str, Any]:
    inner: object = 1
    for _ in range(depth):
        inner = [inner]
    return interaction(extra=inner)


class TestWhatIsKnown:
    def test_it_costs_no_call(self, setup: Setup) -> None:
        checkpoint = setup.after(interaction())
        setup.world.calls.clear()
        setup.after(interaction(), checkpoint=checkpoint)

        assert setup.world.calls == []

    def test_what_comes_twice_in_a_look_costs_once(self, setup: Setup) -> None:
        setup.after(*[interaction()] * 5)

        assert setup.world.called("interactions") == 1  # history is not looked for

    def test_key_order_nulls_and_annotations_are_no_news(self, setup: Setup) -> None:
        checkpoint = setup.after(interaction())
        setup.world.calls.clear()
        again = {"@odata.type": "x", "extra": None, **dict(reversed(list(interaction().items())))}
        again["@odata.type"] = interaction().get("@odata.type")
        setup.after(again, checkpoint=checkpoint)

        assert setup.world.calls == []

    @pytest.mark.parametrize("change", [{"etag": "2"}, {"locale": "fr-fr"}, {"sessionId": "s"}, {"id": "1"}], ids=str)
    def test_whatever_is_news_is_looked_at(self, setup: Setup, change: dict[str, object]) -> None:
        checkpoint = setup.after(interaction())
        setup.after(interaction(**change), checkpoint=checkpoint)

        assert len(setup.interactions.blobs) == 2

    def test_what_a_notification_should_have_brought_is_looked_at_and_not_written_again(self, setup: Setup) -> None:
        setup.brought("notification", interaction())
        setup.notified_since = SINCE
        setup.world.calls.clear()
        setup.after(interaction())

        assert [call.partition(" ")[0] for call in setup.world.calls] == ["interactions.metadata"]

    def test_what_did_not_come_to_rest_is_not_remembered(self, setup: Setup) -> None:
        setup.world.fail("interactions.create", times=1)
        look = setup.look()
        with pytest.raises(StorageUnavailable):
            look.rest(interaction())
        assert look.seen == {}
        look.rest(interaction())

        assert len(setup.interactions.blobs) == 1

    def test_entries_are_as_long_as_the_checkpoint_has_them_and_versions_share_an_identity(self, setup: Setup) -> None:
        checkpoint = setup.after(interaction(etag="1"), interaction(etag="2"), interaction(etag="1.5"))
        (entries,) = checkpoint.shown[DAY].values()

        assert {len(entry) for entry in entries} == {ENTRY_BYTES}
        assert len(entries) == 3
        assert len({entry[:IDENTITY_BYTES] for entry in entries}) == 1


class TestWhatIsForgotten:
    def test_what_the_checkpoint_would_forget_at_once_is_not_held(self, setup: Setup) -> None:
        look = setup.look()
        look.rest(prompt(NOW - REMEMBERED - timedelta(days=1)))
        look.rest(prompt(NOW - REMEMBERED))

        assert list(look.seen) == [(NOW - REMEMBERED).date().isoformat()]
        assert len(setup.interactions.blobs) == 2

    def test_nor_more_than_it_remembers(self, setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(export_items, "MAX_REMEMBERED", 3)
        look = setup.look()
        for number in range(5):
            look.rest(prompt(NOW - number * HOUR))

        assert sum(map(len, look.seen.values())) == 3
        assert len(setup.interactions.blobs) == 5

    def test_what_it_remembers_of_the_day_already_counts_too(
        self, setup: Setup, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        checkpoint = setup.after(*(prompt(NOW - number * HOUR) for number in range(2)))
        monkeypatch.setattr(export_items, "MAX_REMEMBERED", 3)
        look = setup.look(checkpoint)
        for number in range(5):
            look.rest(prompt(NOW - number * HOUR))

        assert sum(map(len, look.seen.values())) == 1


class TestWhatBroughtIt:
    def test_what_a_notification_brought_is_told_as_such(self, setup: Setup) -> None:
        setup.brought("notification", interaction())

        assert counts(setup.after(interaction())) == {"notification": 1}

    def test_without_any_subscription_it_is_history(self, setup: Setup) -> None:
        assert counts(setup.after(interaction())) == {"history": 1}

    @pytest.mark.parametrize(("ago", "origin"), [(timedelta(0), "export"), (timedelta(milliseconds=1), "history")])
    def test_history_ends_with_the_first_subscription(self, setup: Setup, ago: timedelta, origin: str) -> None:
        setup.notified_since = SINCE

        assert counts(setup.after(prompt(SINCE - ago)), SINCE.date().isoformat()) == {origin: 1}

    def test_what_has_no_date_is_history(self, setup: Setup) -> None:
        setup.notified_since = SINCE

        assert counts(setup.after(interaction(createdDateTime=None)), UNDATED) == {"history": 1}

    def test_what_was_put_there_by_other_means_was_notified_by_nobody(self, setup: Setup) -> None:
        setup.brought("", interaction())
        setup.notified_since = SINCE

        assert counts(setup.after(interaction())) == {"export": 1}

    def test_what_the_export_itself_brought_before_a_crash_stays_its_own(self, setup: Setup) -> None:
        setup.notified_since = SINCE
        setup.after(interaction())

        assert counts(setup.after(interaction())) == {"export": 1}

    def test_a_conflict_is_kept_beside_and_was_not_missed(self, setup: Setup) -> None:
        setup.brought("notification", interaction())
        setup.notified_since = SINCE
        checkpoint = setup.after(interaction(locale="fr-fr"))
        setup.after(interaction(locale="fr-fr"), checkpoint=checkpoint)

        assert counts(checkpoint) == {"notification": 1}
        assert sorted(blob.metadata["source"] for blob in setup.interactions.blobs.values()) == [
            "export",
            "notification",
        ]
        assert setup.telemetry.counted(CONFLICTS) == {("export",): 1}

    @given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=6), st.integers(1, 3))
    def test_versions_are_one_interaction_however_many_looks_show_them(self, etags: list[str], looks: int) -> None:
        setup = Setup()
        setup.notified_since = SINCE
        checkpoint: Checkpoint | None = None
        for _ in range(looks):
            checkpoint = setup.after(*(interaction(etag=etag) for etag in etags), checkpoint=checkpoint)

        assert checkpoint is not None
        assert counts(checkpoint) == {"export": 1}
        assert len(setup.interactions.blobs) == len(set(etags))

    def test_it_is_the_users_in_whose_history_it_was_found_whoever_wrote_it(self, setup: Setup) -> None:
        setup.after(interaction(**{"from": {"user": {"id": BOB}}}), checkpoint=Checkpoint(ALICE))
        setup.after(interaction(id="1", **{"from": {"user": {"id": BOB.upper()}}}), checkpoint=Checkpoint(None))

        assert [blob.metadata["userid"] for _, blob in sorted(setup.interactions.blobs.items())] == [BOB, ALICE]

    def test_two_users_who_show_the_same_interaction_have_it_archived_once_and_remember_it_each(
        self, setup: Setup
    ) -> None:
        setup.notified_since = SINCE
        checkpoints = [setup.after(interaction(), checkpoint=Checkpoint(user)) for user in (ALICE, BOB)]

        assert len(setup.interactions.blobs) == 1
        assert [counts(each) for each in checkpoints] == [{"export": 1}] * 2
        assert setup.hour().by_source == {"export": 1}


class TestWhatItLooksLike:
    @pytest.mark.parametrize(
        "change",
        [
            {"id": 1767605401234},
            {"id": 1.5},
            {"id": True},
            {"id": {"a": 1}},
            {"id": ""},
            {"id": "../../x"},
            {"id": "é" * 2000},
            {"sessionId": 5, "requestId": None},
            {"sessionId": ["a"], "requestId": {"b": {}}},
            {"sessionId": "../..", "requestId": "a/b\\c"},
            {"etag": None},
            {"etag": 7},
            {"createdDateTime": "2026-01-05T09:30:01.1234567Z"},
            {"createdDateTime": 5},
            {"createdDateTime": "0000-00-00T00:00:00Z"},
            {"from": "hostile"},
            {"from": {"user": {"id": 5}}},
            {"body": {"content": "\ud800\u202e\x00"}},
            {"appClass": {"a": []}, "interactionType": []},
        ],
        ids=range(19),
    )
    def test_it_is_archived_as_it_is_and_known_again(self, setup: Setup, change: dict[str, object]) -> None:
        item = interaction(**change)
        checkpoint = setup.after(item)
        setup.world.calls.clear()
        setup.after(item, checkpoint=checkpoint)

        assert setup.world.calls == []
        assert setup.dead_letters.blobs == {}
        assert [json.loads(blob.content) for blob in setup.interactions.blobs.values()] == [item]

    def test_a_number_and_the_text_of_its_digits_are_two(self, setup: Setup) -> None:
        setup.after(interaction(id=5), interaction(id="5"))

        assert len(setup.interactions.blobs) == 2

    def test_seven_digits_of_a_second_lie_in_their_day(self, setup: Setup) -> None:
        checkpoint = setup.after(interaction(createdDateTime="2026-01-04T23:59:59.9999999Z"))

        assert list(checkpoint.shown) == ["2026-01-04"]

    def test_nested_two_hundred_deep_it_is_archived(self, setup: Setup) -> None:
        setup.after(nested(200))

        assert [json.loads(blob.content) for blob in setup.interactions.blobs.values()] == [nested(200)]

    @pytest.mark.parametrize("part", [0.4, 0.6, 0.8])
    def test_whatever_can_be_parsed_stops_nobody_and_is_kept(self, setup: Setup, part: float) -> None:
        look = setup.look()
        look.rest(nested(int(sys.getrecursionlimit() * part)))
        look.rest(interaction())

        assert len(setup.interactions.blobs) + len(setup.dead_letters.blobs) == 2


class TestWhatIsNone:
    @pytest.mark.parametrize("item", [None, 5, "text", [], {}, {"id": None}, [interaction()]], ids=str)
    def test_it_is_a_dead_letter_once_and_known_again(self, setup: Setup, item: object) -> None:
        checkpoint = setup.after(item, item)
        setup.world.pass_time(days=3)
        setup.world.calls.clear()
        setup.after(item, checkpoint=checkpoint)

        ((name, blob),) = setup.dead_letters.blobs.items()
        letter = json.loads(blob.content)
        assert setup.world.calls == []
        assert name.startswith("malformed-content/2026/01/05/")
        assert letter["item"] == item
        assert letter["post"].startswith(f"exports/{ALICE}/")
        assert setup.interactions.blobs == {}
        assert setup.telemetry.counted(DEAD_LETTERS_PARKED) == {("malformed-content",): 1}

    def test_two_of_them_are_two(self, setup: Setup) -> None:
        setup.after({"id": None, "a": 1}, {"id": None, "a": 2})

        assert len(setup.dead_letters.blobs) == 2

    def test_its_neighbours_are_archived(self, setup: Setup) -> None:
        setup.after(None, interaction(), 5)

        assert len(setup.interactions.blobs) == 1

    def test_storage_out_of_reach_is_raised(self, setup: Setup) -> None:
        setup.world.fail("dead-letters")
        with pytest.raises(StorageUnavailable):
            setup.look().rest(None)


class TestTheAccount:
    def test_what_the_export_brought_is_counted_once_and_what_was_there_is_not(self, setup: Setup) -> None:
        setup.brought("notification", interaction())
        setup.after(interaction(), interaction(id="1"), interaction(id="1"))

        assert setup.hour().by_source == {"export": 1}
        assert setup.hour().users == set()
        assert sum(setup.telemetry.counted(INTERACTIONS_ARCHIVED).values()) == 1
        assert setup.telemetry.counted(DUPLICATES) == {}

    def test_nobody_need_keep_one(self, setup: Setup) -> None:
        look = setup.look()
        look.account = None
        look.rest(interaction())

        assert len(setup.interactions.blobs) == 1
