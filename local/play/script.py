"""The script of the day: what goes wrong, and when."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from local.graph.faults import Faults
from local.play.stage import WANTED, Stage
from local.play.verdict import Verdict

SUBSCRIBE_SECONDS = 60.0
SETTLE_SECONDS = 300.0
# Notifications that Graph never sends, without a word to anybody.
DROPPED = 0.1
_POLL_SECONDS = 0.2
_LOOK_SECONDS = 2.0


@dataclass(frozen=True)
class Event:
    """Something that happens when this share of the day's posts (0 to 1) has been answered."""

    at: float
    told: str
    happen: Callable[[Stage], None]


def _vault_away(stage: Stage) -> None:
    stage.cloud.call(lambda graph: graph.cloud.outages.begin("vault", "503"))


def _vault_back(stage: Stage) -> None:
    stage.cloud.call(lambda graph: graph.cloud.outages.end("vault"))


def _crash(stage: Stage) -> None:
    # SIGKILL, as when an instance is taken away: nothing is finished, nothing is said.
    stage.host.kill()
    stage.host.start()


def _remove_subscription(stage: Stage) -> None:
    graph = stage.cloud.graph
    (gone, *_) = [each for each in graph.subscriptions.living() if each.resource.normalised.startswith("copilot")]
    stage.cloud.run(lambda simulator: simulator.remove_subscription(gone.id))


def _rotate(stage: Stage) -> None:
    stage.cloud.call(lambda graph: graph.rotate_certificate())


# The crash follows the outage at once: the new worker holds no key yet and can get none. With the vault back it finds
# the new certificate there, and moves the subscriptions to it.
EVENTS = (
    Event(0.15, "Graph removes the subscription to Copilot interactions, and says so", _remove_subscription),
    Event(0.25, "the certificate has a new version", _rotate),
    Event(0.30, "Key Vault answers 503", _vault_away),
    Event(0.35, "the worker is killed and starts again, without keys", _crash),
    Event(0.65, "Key Vault is back", _vault_back),
)


def wait_for_subscriptions(stage: Stage) -> bool:
    """Wait until the app has subscribed to what it wants; False where it has not within a minute."""
    deadline = time.monotonic() + SUBSCRIBE_SECONDS
    while len(stage.cloud.graph.subscriptions.living()) < len(WANTED):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def play(
    stage: Stage,
    *,
    interactions: int,
    users: int,
    seconds: float,
    tell: Callable[[str], None],
    moved: Callable[[int, int], None],
) -> None:
    """Play yesterday in so many seconds, a week after some that happened before the app was there.

    ``tell`` hears of events, ``moved`` of posts finished and planned.
    """
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date()
    day = stage.cloud.graph.day(yesterday, interactions=interactions, users=users)
    before = stage.cloud.graph.day(yesterday - timedelta(days=7), interactions=interactions // 4, users=users, chats=0)
    stage.cloud.call(lambda graph: setattr(graph.policy, "licensed_users", users))
    stage.cloud.call(lambda graph: graph.happen(before))
    stage.cloud.call(lambda graph: setattr(graph.traffic, "faults", Faults(dropped=DROPPED)))
    playing: Future[Any] = stage.cloud.start(lambda graph: graph.play(day, seconds=seconds))
    waiting = list(EVENTS)
    while not playing.done() or waiting:
        traffic = stage.cloud.graph.traffic
        if waiting and (playing.done() or traffic.finished >= waiting[0].at * max(traffic.planned, 1)):
            event = waiting.pop(0)
            tell(event.told)
            event.happen(stage)
        moved(traffic.finished, traffic.planned)
        time.sleep(_POLL_SECONDS)
    playing.result()
    moved(traffic.finished, traffic.planned)


def settle(judged: Callable[[], Verdict], moved: Callable[[int], None]) -> Verdict:
    """Wait until the verdict is good, five minutes at most; returns the last one. ``moved`` hears what is missing.

    Planner and sweeper run by themselves. It takes minutes where the killed worker was at work on the subscriptions:
    its claim has to end first.
    """
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        verdict = judged()
        moved(len(verdict.lost) + verdict.still_in_inbox)
        if verdict.good or time.monotonic() > deadline:
            return verdict
        time.sleep(_LOOK_SECONDS)
