"""What was captured in an hour, by source, how fast, and whose prompts came: small enough to be kept by the hour.

Each instance keeps its own account; together they are the hour's. It is a help for planning and for looking at, not a
record: what a killed instance had not written yet is missing from it, and from nothing else.
"""

import json
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

VERSION = 1
# Where accounts are kept in the container ``state``; a rule of the storage account deletes what is a week old.
PREFIX = "activity/"
# Upper ends in seconds of the latencies counted together; the last count is of all that took longer.
BOUNDS = (1, 2, 3, 5, 8, 12, 20, 30, 45, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 86400)


@dataclass(slots=True)
class Hour:
    """One hour's account. ``latencies``: counts by ``BOUNDS``, by source. ``users``: whose prompts were notified."""

    by_source: dict[str, int] = field(default_factory=dict)
    latencies: dict[str, list[int]] = field(default_factory=dict)
    users: set[str] = field(default_factory=set)

    def add(self, source: str, latency: timedelta | None, user: str | None) -> None:
        """One more came to rest; ``latency`` None where its time of creation is not known."""
        self.by_source[source] = self.by_source.get(source, 0) + 1
        if user is not None:
            self.users.add(user)
        if latency is not None:
            counts = self.latencies.setdefault(source, [0] * (len(BOUNDS) + 1))
            counts[bisect_left(BOUNDS, latency.total_seconds())] += 1


def merged(accounts: Iterable[Hour]) -> Hour:
    """The account of several instances together."""
    whole = Hour()
    for each in accounts:
        for source, count in each.by_source.items():
            whole.by_source[source] = whole.by_source.get(source, 0) + count
        for source, counts in each.latencies.items():
            before = whole.latencies.get(source, [0] * (len(BOUNDS) + 1))
            whole.latencies[source] = [one + other for one, other in zip(before, counts, strict=True)]
        whole.users |= each.users
    return whole


def percentile(counts: Iterable[int], part: float) -> float | None:
    """The bound in seconds below which so big a part of the latencies lies, None where there are none."""
    counted = list(counts)
    wanted = sum(counted) * part
    if not wanted:
        return None
    reached = 0
    for bound, count in zip((*BOUNDS, BOUNDS[-1]), counted, strict=True):
        reached += count
        if reached >= wanted:
            return float(bound)
    return float(BOUNDS[-1])


def hour_of(instant: datetime) -> datetime:
    """The hour that the instant lies in."""
    return instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def hour_prefix(hour: datetime) -> str:
    """The folder of an hour's accounts."""
    return f"{PREFIX}{hour.astimezone(UTC):%Y/%m/%d/%H}/"


def to_json(account: Hour) -> bytes:
    """The blob's content, UTF-8 JSON."""
    document = {
        "version": VERSION,
        "bySource": account.by_source,
        "latencies": account.latencies,
        "users": sorted(account.users),
    }
    return json.dumps(document).encode()


def from_json(content: bytes) -> Hour:
    """The account as saved. One that can't be read counts for nothing."""
    try:
        document = json.loads(content)
        return Hour(
            by_source={str(source): int(count) for source, count in document["bySource"].items()},
            latencies={str(source): _counts(counts) for source, counts in document["latencies"].items()},
            users={str(user) for user in document["users"]},
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return Hour()


def shown(account: Hour) -> Mapping[str, object]:
    """The account for people to look at: counts and latencies, nobody's id."""
    return {
        "bySource": account.by_source,
        "latencySeconds": {
            source: {"p50": percentile(counts, 0.5), "p95": percentile(counts, 0.95)}
            for source, counts in account.latencies.items()
        },
    }


def _counts(counts: Iterable[object]) -> list[int]:
    found = [int(str(count)) for count in counts]
    if len(found) != len(BOUNDS) + 1:
        raise ValueError
    return found
