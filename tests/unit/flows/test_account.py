"""What came to rest is counted once, however storage behaves, and nothing that counts ever waits or fails for it."""

import threading
from collections.abc import Callable, Mapping

import pytest

from shared.core.activity import PREFIX, Hour, from_json, hour_of, hour_prefix, merged
from shared.core.errors import StorageUnavailable
from shared.core.metrics import CAPTURE_LATENCY, CONFLICTS, DUPLICATES, INTERACTIONS_ARCHIVED
from shared.core.resources import AI_INTERACTION, CHAT
from shared.flows.account import WRITE_AFTER, Account, in_background
from shared.flows.rest import Outcome
from tests.fake_telemetry import MemoryTelemetry
from tests.fakes import Crash, MemoryContainer, World
from tests.graph_posts import interaction, payload

USER = "c1a7a9f2-63c8-4d0f-8d2b-2b7f2b8f8a10"
CREATED = interaction(createdDateTime="2026-01-05T09:30:00.000Z")


class Setup:
    """Instances with an account each, on one storage; what they put off is done by ``pass_time``."""

    def __init__(self) -> None:
        self.world = World()
        self.state = MemoryContainer("state", self.world)
        self.telemetry = MemoryTelemetry()
        self.put_off: list[tuple[float, Callable[[], None]]] = []
        self.account = self.instance()

    def instance(self) -> Account:
        """One more instance."""
        return Account(
            self.state, self.world.clock, self.telemetry, later=lambda after, act: self.put_off.append((after, act))
        )

    def rest(
        self,
        times: int = 1,
        *,
        source: str = "notification",
        outcome: Outcome = Outcome.ARCHIVED,
        resource: Mapping[str, object] = CREATED,
    ) -> None:
        """So many resources come to rest."""
        for _ in range(times):
            self.account.rested(AI_INTERACTION, resource, outcome, source)

    def later(self) -> None:
        """What was put off is due."""
        due, self.put_off = self.put_off, []
        for _, act in due:
            act()

    def hour(self) -> Hour:
        """The present hour as stored, of all instances together."""
        prefix = hour_prefix(hour_of(self.world.now))
        return merged(from_json(blob.content) for name, blob in self.state.blobs.items() if name.startswith(prefix))


@pytest.fixture
def setup() -> Setup:
    return Setup()


class TestTelemetry:
    def test_what_came_to_rest_is_told_at_once_with_what_brought_it(self, setup: Setup) -> None:
        setup.rest(2)
        setup.rest(source="export")

        counted = setup.telemetry.counted(INTERACTIONS_ARCHIVED)
        assert {labels[:2]: count for labels, count in counted.items()} == {
            ("notification", "aiInteraction"): 2,
            ("export", "aiInteraction"): 1,
        }
        assert setup.telemetry.last(CAPTURE_LATENCY) == {("notification",): 10.0, ("export",): 10.0}

    @pytest.mark.parametrize(
        ("outcome", "metric"), [(Outcome.DUPLICATE, DUPLICATES), (Outcome.CONFLICT, CONFLICTS)], ids=str
    )
    def test_what_was_there_already_is_told_and_not_counted(
        self, setup: Setup, outcome: Outcome, metric: object
    ) -> None:
        setup.rest(outcome=outcome, source="export")
        setup.later()

        assert [(each, value, labels) for each, value, labels in setup.telemetry.measured] == [
            (metric, 1, {"source": "export"})
        ]
        assert setup.state.blobs == {}

    @pytest.mark.parametrize("created", [None, "yesterday", 5, ["2026"], "2026-02-30T00:00:00Z"], ids=str)
    def test_what_has_no_time_of_creation_has_no_latency(self, setup: Setup, created: object) -> None:
        setup.rest(resource={**CREATED, "createdDateTime": created})
        setup.later()

        assert setup.telemetry.last(CAPTURE_LATENCY) == {}
        assert (setup.hour().by_source, setup.hour().latencies) == ({"notification": 1}, {})

    def test_what_graph_dates_ahead_of_our_clock_took_no_time(self, setup: Setup) -> None:
        setup.rest(resource={**CREATED, "createdDateTime": "2026-01-05T09:30:12.000Z"})

        assert setup.telemetry.last(CAPTURE_LATENCY) == {("notification",): 0.0}


class TestTheHour:
    def test_it_is_written_once_for_all_that_came_within_seconds(self, setup: Setup) -> None:
        setup.rest(50)
        assert [after for after, _ in setup.put_off] == [WRITE_AFTER.total_seconds()]
        assert setup.state.blobs == {}
        setup.later()

        assert setup.hour().by_source == {"notification": 50}
        assert setup.world.called("state.create") == 1

    def test_users_are_told_whose_prompts_were_notified(self, setup: Setup) -> None:
        setup.rest(resource={**CREATED, "from": {"user": {"id": USER.upper()}}})
        setup.rest(resource={**CREATED, "from": {"user": {"id": "exported"}}}, source="export")
        setup.rest(resource=payload("aiInteraction.aiResponse"))
        setup.account.rested(CHAT, {"from": "hostile", "createdDateTime": {}}, Outcome.ARCHIVED, "notification")
        setup.later()

        assert setup.hour().users == {USER}

    def test_what_comes_later_is_added(self, setup: Setup) -> None:
        for _ in range(3):
            setup.rest(2)
            setup.later()

        assert setup.hour().by_source == {"notification": 6}
        assert len(setup.state.blobs) == 1

    def test_two_instances_add_up(self, setup: Setup) -> None:
        setup.rest(2)
        setup.account = setup.instance()
        setup.rest(3, source="export")
        setup.later()

        assert setup.hour().by_source == {"notification": 2, "export": 3}
        assert len(setup.state.blobs) == 2

    def test_the_next_hour_has_a_blob_of_its_own(self, setup: Setup) -> None:
        setup.rest()
        setup.later()
        setup.world.pass_time(hours=1)
        setup.rest(2)
        setup.later()

        assert setup.hour().by_source == {"notification": 2}
        assert sorted(name[: len(f"{PREFIX}2026/01/05/09")] for name in setup.state.blobs) == [
            f"{PREFIX}2026/01/05/09",
            f"{PREFIX}2026/01/05/10",
        ]

    def test_an_hour_that_is_written_is_left_alone_once_it_is_over(self, setup: Setup) -> None:
        setup.rest()
        setup.later()
        setup.world.pass_time(hours=1)
        setup.rest()
        setup.later()
        setup.rest()
        setup.world.calls.clear()
        setup.later()

        assert not [call for call in setup.world.calls if "/09/" in call]

    def test_nothing_new_is_not_written(self, setup: Setup) -> None:
        setup.rest()
        setup.later()
        setup.world.calls.clear()
        setup.account.write()

        assert setup.world.calls == []


class TestTrouble:
    @pytest.mark.parametrize("call", ["state.create", "state.read", "state.replace"])
    @pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
    def test_an_outage_leaves_nothing_and_nobody_uncounted(self, setup: Setup, call: str, *, after: bool) -> None:
        setup.rest()
        if call == "state.replace":
            setup.later()
        setup.world.fail(call, after=after)
        for _ in range(3):
            setup.rest()
            setup.later()
        setup.world.recover()
        setup.rest()
        setup.later()

        assert setup.hour().by_source == {"notification": 5}

    @pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
    def test_no_count_is_doubled_or_lost_whichever_answer_is(self, *, after: bool) -> None:
        for number in range(8):  # the calls of the first four writes
            setup = Setup()
            setup.world.fail_call(number, StorageUnavailable("it did not answer"), after=after)
            for _ in range(4):
                setup.rest()
                setup.later()
            setup.rest()
            setup.later()
            assert setup.hour().by_source == {"notification": 5}, number
            assert len(setup.state.blobs) == 1, number

    def test_after_a_lost_answer_the_very_next_write_holds_everything(self, setup: Setup) -> None:
        setup.rest()
        setup.world.fail("state.create", after=True, times=1)
        setup.later()
        setup.rest()
        setup.later()

        assert setup.hour().by_source == {"notification": 2}

    def test_a_blob_that_somebody_deleted_is_written_again_whole(self, setup: Setup) -> None:
        setup.rest()
        setup.later()
        setup.state.blobs.clear()
        setup.rest()
        setup.later()

        assert setup.hour().by_source == {"notification": 2}

    def test_a_blob_that_somebody_wrote_over_is_ours_again(self, setup: Setup) -> None:
        setup.rest()
        setup.later()
        (name,) = setup.state.blobs
        setup.state.replace(name, b"{}", setup.state.blobs[name].etag)
        setup.rest()
        setup.later()

        assert setup.hour().by_source == {"notification": 2}

    def test_an_hour_that_was_not_written_outlives_itself(self, setup: Setup) -> None:
        setup.rest()
        setup.world.fail("state")
        setup.later()
        setup.world.pass_time(hours=1)
        setup.rest()
        setup.later()
        setup.world.recover()
        setup.rest()
        setup.later()

        assert setup.hour().by_source == {"notification": 2}
        setup.world.pass_time(hours=-1)
        assert setup.hour().by_source == {"notification": 1}

    def test_a_killed_instance_takes_only_what_it_had_not_written(self, setup: Setup) -> None:
        setup.rest()
        setup.later()
        setup.rest()
        setup.world.fail("state.replace", Crash())
        with pytest.raises(Crash):
            setup.later()
        setup.world.recover()
        setup.account = setup.instance()
        setup.rest()
        setup.later()

        assert setup.hour().by_source == {"notification": 2}

    def test_where_no_thread_is_to_be_had_it_is_written_with_a_later_one(self, setup: Setup) -> None:
        put_off, setup.account.later = setup.account.later, refuse
        setup.rest()
        setup.account.later = put_off
        setup.rest()
        setup.later()

        assert setup.hour().by_source == {"notification": 2}

    def test_nobody_who_counts_waits_for_storage(self, setup: Setup) -> None:
        setup.rest()
        counted = threading.Event()

        def count() -> None:
            setup.rest()
            counted.set()

        def meanwhile() -> None:
            threading.Thread(target=count, daemon=True).start()
            assert counted.wait(10), "it waits for a write that hangs"

        setup.world.meanwhile["state.create"] = meanwhile
        setup.later()
        assert setup.hour().by_source == {"notification": 1}
        setup.later()

        assert setup.hour().by_source == {"notification": 2}


def refuse(_: float, __: Callable[[], None]) -> None:
    raise RuntimeError("can't start new thread")


def test_threads_that_count_at_once_lose_nothing() -> None:
    setup = Setup()
    setup.account.later = lambda _, act: act()
    threads = [threading.Thread(target=setup.rest, args=(50,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    setup.account.write()

    assert setup.hour().by_source == {"notification": 200}


def test_what_is_put_off_is_done_in_the_background() -> None:
    done = threading.Event()
    in_background(0.0, done.set)

    assert done.wait(10)
