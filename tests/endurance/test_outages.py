"""A dependency is gone for a day, by a clock that stands still between events: nothing is poisoned, nobody is needed.

Posts keep coming, Graph insists for four hours, the platform tries each message five times, and the sweeper rings (each
quarter of an hour here, to be quick). Within the hour of the return everything is archived. The same with real parts,
shortened to seconds, is in tests/e2e/test_capture.py.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

import pytest

from shared.core.errors import KeyVaultUnavailable, SigningKeysUnavailable, StorageUnavailable
from shared.core.webhook import Kept, WebhookRequest
from shared.flows.receive import Receiving
from shared.flows.sweep import Sweeping
from tests.fakes import MemoryDoorbell, MemoryInbox
from tests.graph_posts import CLIENT_STATE, interaction, notification, post, token
from tests.unit.flows.capture import Capture

STEP = timedelta(minutes=15)
A_DAY = timedelta(hours=24)
MAX_DEQUEUE_COUNT = 5
GRAPH_INSISTS = timedelta(hours=4)


class Day:
    """One app on a world in memory, with Graph before it and the platform behind it."""

    def __init__(self) -> None:
        self.capture = Capture()
        self.world = self.capture.world
        self.doorbell = MemoryDoorbell(self.world)
        inbox = MemoryInbox(self.capture.inbox, self.world)
        self.receiving = Receiving(
            inbox=inbox, client_states=(CLIENT_STATE,), max_body_bytes=4_194_304, clock=self.world.clock
        )
        self.unanswered: list[tuple[bytes, str]] = []
        self.deadlines: dict[str, datetime] = {}
        self.acknowledged: set[str] = set()
        self.sent = 0
        self.given_up = 0

    def pass_time(self, span: timedelta, *, every: timedelta = timedelta(hours=2)) -> None:
        """Time passes in steps; now and then a post comes."""
        end, next_post = self.world.now + span, self.world.now
        while self.world.now < end:
            if self.world.now >= next_post:
                self.graph_posts()
                next_post += every
            self.graph_insists()
            self.platform_works()
            self.world.now += STEP

    def graph_posts(self) -> None:
        """One more interaction."""
        self.sent += 1
        resource = interaction(id=str(self.sent), etag="1")
        body = post(notification(resource), tokens=[token(at=self.world.now)])
        self.unanswered.append((body, str(self.sent)))
        self.deadlines[str(self.sent)] = self.world.now + GRAPH_INSISTS

    def graph_insists(self) -> None:
        """Send again what was not answered with 202."""
        for body, identifier in list(self.unanswered):
            request = WebhookRequest(validation_token=None, content_encoding=None, body=body)
            try:
                taken = asyncio.run(self.receiving.receive("notifications", request))
            except StorageUnavailable:
                if self.world.now > self.deadlines[identifier]:
                    self.unanswered.remove((body, identifier))
                    self.given_up += 1
                continue
            self.unanswered.remove((body, identifier))
            self.acknowledged.add(identifier)
            assert isinstance(taken, Kept)
            with suppress(StorageUnavailable):
                self.doorbell.ring(taken.name)

    def platform_works(self) -> None:
        """The sweeper rings, and each message is tried five times and then put aside."""
        with suppress(StorageUnavailable):
            Sweeping(self.capture.inbox, self.doorbell, "notifications").sweep()
        for name in dict.fromkeys(self.doorbell.take()):
            for _ in range(MAX_DEQUEUE_COUNT):
                try:
                    self.capture.storing.store(name)
                except (StorageUnavailable, KeyVaultUnavailable, SigningKeysUnavailable):
                    continue
                break


def storage(container: str) -> Callable[[Day], None]:
    return lambda day: day.world.fail(f"{container}.")


OUTAGES: dict[str, Callable[[Day], None]] = {
    "Key Vault": lambda day: day.world.fail("key-ring.", KeyVaultUnavailable("away")),
    "signing keys": lambda day: day.world.fail("signing-keys.", SigningKeysUnavailable("away")),
    "the archive": storage("interactions"),
    "dead letters": storage("dead-letters"),
    "state": storage("state"),
    "the queue": storage("doorbell"),
}


@pytest.mark.parametrize("gone", OUTAGES)
def test_a_day_without_it_loses_nothing_and_needs_nobody(gone: str) -> None:
    day = Day()
    day.pass_time(timedelta(hours=2))
    OUTAGES[gone](day)
    day.pass_time(A_DAY)
    assert day.capture.reasons.total() == 0
    day.world.recover()
    day.pass_time(timedelta(hours=1), every=A_DAY)
    archived = {str(document["id"]) for document in day.capture.documents}
    assert day.given_up == 0
    assert archived == day.acknowledged
    assert len(archived) == day.sent
    assert not day.capture.inbox.blobs
    assert day.capture.reasons.total() == 0


def test_a_day_without_the_inbox_loses_what_graph_gives_up_and_nothing_that_was_acknowledged() -> None:
    # Graph insists for four hours; what it gives up is the export's to find.
    day = Day()
    day.world.fail("inbox.")
    day.pass_time(A_DAY)
    day.world.recover()
    day.pass_time(timedelta(hours=1), every=A_DAY)
    assert day.given_up > 0
    assert {str(document["id"]) for document in day.capture.documents} == day.acknowledged
    assert len(day.acknowledged) + day.given_up == day.sent
    assert not day.capture.inbox.blobs
