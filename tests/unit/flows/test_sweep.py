import uuid

import pytest

from shared.core.errors import StorageUnavailable
from shared.flows import sweep
from shared.flows.sweep import MAX_DEPTH, Sweeping
from tests.fakes import MemoryContainer, MemoryDoorbell, World


class Setup:
    """An inbox with posts, and the sweeper of one queue."""

    def __init__(self, *, waiting: int = 0) -> None:
        self.world = World()
        self.inbox = MemoryContainer("inbox", self.world)
        self.doorbell = MemoryDoorbell(self.world, waiting)
        self.sweeping = Sweeping(inbox=self.inbox, doorbell=self.doorbell, queue="notifications")

    def keep(self, *hours: str, queue: str = "notifications") -> list[str]:
        names = [f"{queue}/2026/01/05/{hour}/{uuid.uuid4()}.json" for hour in hours]
        for name in names:
            self.inbox.create(name, b"{}", {})
        return names


def test_what_waits_is_rung_for_oldest_hour_first() -> None:
    setup = Setup()
    names = setup.keep("11", "09", "10", "09", "23")

    assert setup.sweeping.sweep() == 5
    assert setup.doorbell.rung == sorted(names)


def test_an_empty_inbox_is_quiet() -> None:
    setup = Setup()

    assert setup.sweeping.sweep() == 0
    assert setup.doorbell.rung == []


def test_posts_of_another_queue_are_left_alone() -> None:
    setup = Setup()
    setup.keep("09", queue="lifecycle")

    assert setup.sweeping.sweep() == 0


def test_nothing_leaves_the_inbox() -> None:
    setup = Setup()
    names = setup.keep("09", "10")
    setup.sweeping.sweep()
    setup.sweeping.sweep()

    assert sorted(setup.inbox.blobs) == sorted(names)
    assert len(setup.doorbell.rung) == 4


@pytest.mark.parametrize(("waiting", "rung"), [(0, 4), (1, 3), (3, 1), (4, 0), (99, 0)])
def test_the_queue_never_holds_more_than_is_useful(monkeypatch: pytest.MonkeyPatch, waiting: int, rung: int) -> None:
    monkeypatch.setattr(sweep, "MAX_DEPTH", 4)
    assert MAX_DEPTH > 4
    setup = Setup(waiting=waiting)
    names = setup.keep(*[f"{hour:02}" for hour in range(10)])

    assert setup.sweeping.sweep() == rung
    assert setup.doorbell.rung == names[:rung]


@pytest.mark.parametrize(
    "stranger",
    ["notifications/readme.json", "notifications/0000/x.json", "notifications/2026/01/05/09/not-a-uuid.json"],
)
def test_a_blob_that_no_webhook_put_there_never_reaches_the_queue(
    caplog: pytest.LogCaptureFixture, stranger: str
) -> None:
    setup = Setup()
    (name,) = setup.keep("09")
    setup.inbox.create(stranger, b"{}", {})

    assert setup.sweeping.sweep() == 1
    assert setup.doorbell.rung == [name]
    assert stranger in caplog.text


@pytest.mark.parametrize("call", ["inbox.names", "doorbell.depth", "doorbell.ring"])
def test_trouble_is_told_and_the_next_sweep_rings(call: str) -> None:
    setup = Setup()
    names = setup.keep("09", "10")
    setup.world.fail(call, times=1)

    with pytest.raises(StorageUnavailable):
        setup.sweeping.sweep()
    setup.sweeping.sweep()

    assert set(setup.doorbell.rung) == set(names)
