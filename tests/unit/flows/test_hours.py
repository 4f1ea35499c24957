"""The hours as put together: what each instance counted, once, whoever sweeps and however long nobody did."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from shared.core.activity import PREFIX, Hour, hour_of, hour_prefix, to_json
from shared.core.errors import StorageUnavailable
from shared.core.instants import format_instant
from shared.flows.hours import CAPTURED, HOURS_KEPT, Hours, captured
from tests.fakes import NOW, MemoryContainer, World


class Setup:
    """Accounts of instances, and the hours made of them."""

    def __init__(self) -> None:
        self.world = World()
        self.state = MemoryContainer("state", self.world)
        self.hours = Hours(self.state, self.world.clock)

    def account(self, count: int, instance: str = "one", **ago: float) -> None:
        """An instance's account of an hour, written anew."""
        self.world.pass_time(**{unit: -span for unit, span in ago.items()})
        name = f"{hour_prefix(hour_of(self.world.now))}{instance}.json"
        self.world.pass_time(**ago)
        self.state.blobs.pop(name, None)
        self.state.create(name, to_json(Hour({"notification": count})), {})

    def told(self) -> dict[str, Any]:
        """What is told, by hour: how many."""
        return {
            str(each["hour"])[5:13]: each["bySource"]["notification"]  # type: ignore[index] # counts by source
            for each in captured(self.state)
            if each["bySource"]
        }

    def write(self, content: bytes) -> None:
        """Somebody wrote that."""
        self.state.blobs.pop(CAPTURED, None)
        self.state.create(CAPTURED, content, {})


@pytest.fixture
def setup() -> Setup:
    return Setup()


def test_before_the_first_run_there_is_nothing(setup: Setup) -> None:
    assert captured(setup.state) == []


def test_instances_are_put_together_by_the_hour_the_latest_first(setup: Setup) -> None:
    setup.account(2, "one")
    setup.account(3, "two")
    setup.account(7, "one", hours=1)
    setup.hours.put_together()

    assert list(setup.told().items()) == [("01-05T09", 5), ("01-05T08", 7)]
    assert captured(setup.state)[0]["latencySeconds"] == {}


def test_the_first_run_makes_up_for_two_days(setup: Setup) -> None:
    setup.account(1, hours=HOURS_KEPT - 1)
    setup.account(1, hours=HOURS_KEPT)
    setup.hours.put_together()

    assert list(setup.told()) == ["01-03T10"]
    hours = [each["hour"] for each in captured(setup.state)]
    assert len(hours) == HOURS_KEPT
    assert hours == sorted(hours, key=str, reverse=True)


def test_a_regular_run_looks_at_the_last_two_hours_alone(setup: Setup) -> None:
    setup.hours.put_together()
    setup.world.calls.clear()
    setup.account(4)
    setup.account(6, hours=1)
    setup.hours.put_together()

    assert setup.told() == {"01-05T09": 4, "01-05T08": 6}
    assert setup.world.called(f"state.names {PREFIX}") == 2


def test_the_turn_of_the_hour_loses_nothing(setup: Setup) -> None:
    setup.account(4)
    setup.hours.put_together()
    setup.account(6)  # written seconds before the turn of the hour
    setup.world.pass_time(hours=1)
    setup.hours.put_together()

    assert setup.told() == {"01-05T09": 6}


@pytest.mark.parametrize("absence", [1, 2, 3, 20, HOURS_KEPT - 1])
def test_what_was_counted_after_the_last_run_is_made_up_for_however_long_nobody_swept(
    setup: Setup, absence: int
) -> None:
    setup.account(4)
    setup.hours.put_together()
    setup.account(6)
    setup.account(2, "two")
    setup.world.pass_time(hours=absence)
    setup.hours.put_together()

    assert setup.told() == {"01-05T09": 8}


def test_hours_of_a_long_absence_are_made_up_for(setup: Setup) -> None:
    setup.hours.put_together()
    setup.world.pass_time(hours=10)
    setup.account(3, hours=5)
    setup.hours.put_together()

    assert setup.told() == {"01-05T14": 3}


def test_hours_that_are_two_days_past_are_dropped(setup: Setup) -> None:
    setup.account(4)
    setup.hours.put_together()
    setup.world.pass_time(hours=HOURS_KEPT - 1)
    setup.hours.put_together()
    assert setup.told() == {"01-05T09": 4}
    setup.world.pass_time(hours=1)
    setup.hours.put_together()

    assert setup.told() == {}
    assert len(captured(setup.state)) == HOURS_KEPT


def test_an_hour_keeps_its_count_when_its_accounts_are_deleted(setup: Setup) -> None:
    setup.account(4, hours=3)
    setup.hours.put_together()
    setup.state.blobs = {name: blob for name, blob in setup.state.blobs.items() if not name.startswith(PREFIX)}
    setup.world.pass_time(minutes=5)
    setup.hours.put_together()

    assert setup.told() == {"01-05T06": 4}


def test_a_sweeper_whose_clock_is_ahead_settles_nothing(setup: Setup) -> None:
    setup.world.pass_time(hours=5)
    setup.hours.put_together()
    setup.world.pass_time(hours=-5)
    setup.account(4)
    setup.account(3, hours=1)
    setup.hours.put_together()

    assert setup.told() == {"01-05T09": 4, "01-05T08": 3}


def test_nothing_new_is_not_written(setup: Setup) -> None:
    setup.account(4)
    setup.hours.put_together()
    setup.hours.put_together()

    assert setup.world.called("state.replace") == 0
    assert setup.world.called(f"state.create {CAPTURED}") == 1


@pytest.mark.parametrize("first", [False, True], ids=["later", "first"])
def test_of_two_sweepers_both_end_well_and_the_next_run_tells_all(setup: Setup, *, first: bool) -> None:
    if not first:
        setup.hours.put_together()
    setup.account(4)

    def somebody_else() -> None:
        Hours(setup.state, setup.world.clock).put_together()
        setup.account(9)

    setup.world.meanwhile["state.create captured" if first else "state.replace captured"] = somebody_else
    setup.hours.put_together()
    assert setup.told() == {"01-05T09": 4}
    setup.hours.put_together()

    assert setup.told() == {"01-05T09": 9}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"{}",
        b"null",
        b'[1, null, {"day": 5}, []]',
        b'[{"hour": 5}, {"hour": "zzz", "bySource": {}}, {"hour": "9999-01-01T00:00:00.000000Z"}]',
        b"[" * 100_000,
    ],
    ids=range(7),
)
def test_a_blob_that_can_not_be_read_is_made_anew(setup: Setup, content: bytes) -> None:
    setup.write(content)
    setup.account(4)
    setup.account(2, hours=30)
    setup.hours.put_together()

    assert setup.told() == {"01-05T09": 4, "01-04T03": 2}
    assert len(captured(setup.state)) == HOURS_KEPT


def test_a_damaged_account_counts_for_nothing_and_the_others_do(setup: Setup) -> None:
    setup.account(4)
    setup.state.create(f"{hour_prefix(hour_of(NOW))}two.json", b"\xff", {})
    setup.hours.put_together()

    assert setup.told() == {"01-05T09": 4}


def test_an_account_that_is_deleted_under_the_look_counts_for_nothing(setup: Setup) -> None:
    setup.account(4)
    setup.world.meanwhile[f"state.read {PREFIX}"] = setup.state.blobs.clear
    setup.hours.put_together()

    assert setup.told() == {}


@pytest.mark.parametrize("call", ["state.read", "state.names", "state.create"])
def test_storage_out_of_reach_is_raised(setup: Setup, call: str) -> None:
    setup.account(4)
    setup.world.fail(call)
    with pytest.raises(StorageUnavailable):
        setup.hours.put_together()


def test_a_lost_answer_changes_nothing(setup: Setup) -> None:
    setup.account(4)
    setup.world.fail("state.create", after=True, times=1)
    with pytest.raises(StorageUnavailable):
        setup.hours.put_together()
    setup.hours.put_together()

    assert setup.told() == {"01-05T09": 4}


def test_nobody_is_named(setup: Setup) -> None:
    account = Hour()
    account.add("notification", None, "0a1a7a9f")
    setup.state.create(f"{hour_prefix(hour_of(NOW))}one.json", to_json(account), {})
    setup.hours.put_together()
    first: Mapping[str, object] = json.loads(setup.state.blobs[CAPTURED].content)[0]

    assert first["hour"] == format_instant(hour_of(NOW))
    assert "0a1a7a9f" not in setup.state.blobs[CAPTURED].content.decode()
