"""Which post carries what, and when: at least once, out of order, in batches. Pure, so that it can be tested.

https://learn.microsoft.com/graph/change-notifications-overview#latency documents an average below 10 seconds and a
maximum of 60 minutes for Copilot interactions and chats.
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from local.graph.envelope import Notice
from local.graph.faults import Faults
from local.graph.randomness import chance


@dataclass(frozen=True)
class PlannedPost:
    """A post to `url` at the tenant's time `at`."""

    at: datetime
    url: str
    notices: tuple[Notice, ...]


def plan(notices: Iterable[Notice], faults: Faults, rng: random.Random) -> list[PlannedPost]:
    """Return the posts that bring every notice at least once, in order of time."""
    by_url: dict[str, list[tuple[datetime, Notice]]] = defaultdict(list)
    for notice in notices:
        for at in _times(notice.change.at, faults, rng):
            by_url[notice.subscription.notification_url].append((at, notice))
    posts = [
        PlannedPost(at, url, _ordered(batch, faults, rng))
        for url, due in by_url.items()
        for at, batch in _batches(sorted(due, key=lambda each: each[0]), faults, rng)
    ]
    return sorted(posts, key=lambda post: post.at)


def _times(at: datetime, faults: Faults, rng: random.Random) -> Iterator[datetime]:
    yield at + _latency(faults, rng)
    if chance(rng, faults.duplicate):
        yield at + _latency(faults, rng) + timedelta(seconds=faults.batch_window * rng.random())


def _latency(faults: Faults, rng: random.Random) -> timedelta:
    if chance(rng, faults.delayed):
        return timedelta(seconds=rng.uniform(0, faults.longest_delay))
    if faults.mean_latency == 0:
        return timedelta(0)
    return timedelta(seconds=min(rng.expovariate(1 / faults.mean_latency), faults.longest_delay))


def _batches(
    due: list[tuple[datetime, Notice]], faults: Faults, rng: random.Random
) -> Iterator[tuple[datetime, list[Notice]]]:
    window = timedelta(seconds=faults.batch_window)
    while due:
        first, size = due[0][0], rng.randint(1, faults.batch)
        batch = [each for each in due[:size] if each[0] - first <= window]
        del due[: len(batch)]
        yield batch[-1][0], [notice for _, notice in batch]


def _ordered(batch: list[Notice], faults: Faults, rng: random.Random) -> tuple[Notice, ...]:
    if chance(rng, faults.shuffle):
        rng.shuffle(batch)
    return tuple(batch)
