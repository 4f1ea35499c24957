"""A tenant to plan for: who writes when, what notifications bring of it, and what a look of the export finds.

Seeded, so that every run sees the same tenant. Users differ lognormally, as people do, and work in one of three time
zones. No prompt has to do with the one before: a plan that learns from one where others are finds it hardest that way.
"""

import random
from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from math import exp, sqrt

from shared.core.export_window import PAGE_SIZE

BEGIN = datetime(2026, 11, 16, tzinfo=UTC)
HOUR, DAY = 3600.0, 86_400.0
# The shape of the lognormal: the busiest twentieth writes half of everything.
SIGMA = 1.5
# Hours from UTC, and the part of the users who live there.
ZONES = ((1, 0.5), (-6, 0.3), (8, 0.2))
# How likely a prompt is in each hour of a user's own day.
OFFICE_HOURS = (*[0.2] * 7, 1, 4, 8, 9, 8, 5, 7, 9, 8, 6, 3, 1, 1, 0.5, 0.5, 0.2, 0.2)
ANSWERED_AFTER = 8.0
# How long after its creation the export shows an interaction.
SHOWN_AFTER = 300.0
# Interactions from before the first day, which the first look of a user reads.
HISTORY = timedelta(days=30)
START = BEGIN - HISTORY


@dataclass(slots=True)
class User:
    """One user: when he wrote or was answered, in seconds since ``BEGIN``, and what of it no notification brought."""

    id: str
    per_day: float
    created: "array[float]" = field(default_factory=lambda: array("d"))
    missing: "array[float]" = field(default_factory=lambda: array("d"))

    def requests(self, begin: float, end: float) -> int:
        """How many pages a look over these seconds takes."""
        before = self.per_day * max(0.0, -begin) / DAY
        return 1 + int(before + bisect_right(self.created, end) - bisect_left(self.created, begin)) // PAGE_SIZE


@dataclass(slots=True)
class Tenant:
    """All users, and by hour those of whom a notification brought a prompt."""

    users: list[User]
    heard: list[set[str]]

    @classmethod
    def of(cls, users: int, per_day: int, hours: int, dropped: float = 0.5, seed: int = 7) -> "Tenant":
        """So many users with so many interactions a day together, of whose notifications a part is dropped."""
        chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
        weights = [chance.lognormvariate(0.0, SIGMA) for _ in range(users)]
        prompts = per_day / 2 / sum(weights)
        tenant = cls([], [set() for _ in range(hours)])
        for number, weight in enumerate(weights):
            user = User(f"{number:08x}-0000-4000-8000-{number:012x}", 2 * weight * prompts)
            zone = chance.choices([hours for hours, _ in ZONES], [part for _, part in ZONES])[0]
            tenant._write(user, zone, chance, dropped)
            tenant.users.append(user)
        return tenant

    def _write(self, user: User, zone: int, chance: random.Random, dropped: float) -> None:
        missing = []
        for at in _prompts(user.per_day / 2, zone, len(self.heard), chance):
            user.created.extend((at, at + ANSWERED_AFTER))
            if chance.random() < dropped:
                missing.append(at)
            else:
                self.heard[int(at // HOUR)].add(user.id)
            if chance.random() < dropped:
                missing.append(at + ANSWERED_AFTER)
        user.created = array("d", sorted(user.created))
        user.missing = array("d", sorted(missing))


def instant(seconds: float) -> datetime:
    """Seconds since ``BEGIN`` as an instant."""
    return BEGIN + timedelta(seconds=seconds)


def seconds(at: datetime) -> float:
    """An instant as seconds since ``BEGIN``."""
    return (at - BEGIN).total_seconds()


def told_per_day(user: User) -> float:
    """The mean of the days on which he had something, as checkpoints tell it."""
    prompts = user.per_day / 2
    return user.per_day / (1 - exp(-prompts)) if prompts * HISTORY.days > 1 else 0.0


_BY_HOUR = list(accumulate(OFFICE_HOURS))


def _prompts(per_day: float, zone: int, hours: int, chance: random.Random) -> list[float]:
    found = []
    for day in range(-1, hours // 24 + 2):
        for _ in range(_poisson(per_day, chance)):
            local = bisect_right(_BY_HOUR, chance.random() * _BY_HOUR[-1])
            at = day * DAY + (local - zone + chance.random()) * HOUR
            if 0 <= at < hours * HOUR - ANSWERED_AFTER:
                found.append(at)
    return found


def _poisson(mean: float, chance: random.Random) -> int:
    if mean > 30:
        return max(0, round(chance.gauss(mean, sqrt(mean))))
    left, count = exp(-mean), 0
    product = chance.random()
    while product > left:
        product *= chance.random()
        count += 1
    return count
