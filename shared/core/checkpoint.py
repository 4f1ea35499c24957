"""How far one user's export is complete, and what it has shown: a checkpoint never goes back.

Graph has no delta for interactions, and says nothing of how late one may show up. So completeness is a matter of looks:
a *look* reads everything since some instant, and later looks over the same hours find what came late.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

# The checkpoint stays this far behind Graph's clock: the longest delay that is documented for a notification
# (https://learn.microsoft.com/graph/change-notifications-overview#latency) is the best guess for the export, too.
SETTLE = timedelta(hours=1)
# Windows overlap, because bounds are exclusive and because rows shift while pages are walked.
OVERLAP = timedelta(minutes=15)
# How long an interaction that export has shown is remembered: as long as the widest regular look.
REMEMBERED = timedelta(days=31)
# A user with more than this many in a month has his oldest days looked at again instead of remembered.
MAX_REMEMBERED = 20_000
ENTRY_BYTES = 12
IDENTITY_BYTES = 6


class Origin(StrEnum):
    """What brought an interaction that export has shown. History is older than our first subscription."""

    NOTIFICATION = "notification"
    EXPORT = "export"
    HISTORY = "history"


@dataclass(frozen=True, slots=True)
class Look:
    """Everything since ``begin`` was read, beginning at ``at``."""

    begin: datetime
    at: datetime


@dataclass(frozen=True, slots=True)
class ExportProblem:
    """Why a user can't be exported now. ``reason`` is a word for counting, ``sentence`` is for the operator."""

    reason: str
    sentence: str
    since: datetime
    retry_at: datetime


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One user's (the tenant's where ``user_id`` is None): all from ``since`` to ``complete_until`` is archived.

    ``shown``: by day and origin, what export has shown and the archive holds, as entries of 12 bytes: 6 of a digest of
    the interaction's identity, 6 of its version and content. ``requests`` is what the last look took.
    """

    user_id: str | None
    since: datetime | None = None
    complete_until: datetime | None = None
    looks: tuple[Look, ...] = ()
    shown: Mapping[str, Mapping[Origin, frozenset[bytes]]] = field(default_factory=dict)
    requests: int = 1
    problem: ExportProblem | None = None

    def advanced(self, begin: datetime, end: datetime, graph_now: datetime) -> "Checkpoint":
        """As this, with all between two instants durable. Hours beyond a hole don't count, and nothing goes back."""
        reach = min(end, graph_now - SETTLE)
        if self.since is None or self.complete_until is None:
            return replace(self, since=begin, complete_until=max(begin, reach))
        if begin > self.complete_until or end < self.since:
            return self
        since, until = min(self.since, begin), max(self.complete_until, reach)
        return replace(self, since=since, complete_until=until)

    def looked(self, begin: datetime, at: datetime, requests: int) -> "Checkpoint":
        """As this, after a whole look. What a later look covers as well is forgotten."""
        latest = Look(begin, at)
        kept = (each for each in self.looks if each.begin < begin or each.at > at)
        return replace(self, looks=(latest, *kept), requests=max(requests, 1), problem=None)

    def has_looked(self, begin: datetime, since: datetime) -> bool:
        """Whether a look over all from ``begin`` on has begun at ``since`` or later."""
        return any(each.begin <= begin and each.at >= since for each in self.looks)

    def with_problem(self, problem: ExportProblem) -> "Checkpoint":
        """As this, with a problem; one that goes on keeps its beginning."""
        before = self.problem
        since = before.since if before is not None and before.reason == problem.reason else problem.since
        return replace(self, problem=replace(problem, since=since))

    def remembering(self, seen: Mapping[str, Mapping[bytes, Origin]], now: datetime) -> "Checkpoint":
        """As this, with more that export has shown, by day. What is remembered already keeps its first origin."""
        shown = {day: dict(by_origin) for day, by_origin in self.shown.items()}
        for day, entries in seen.items():
            by_origin = shown.setdefault(day, {})
            known = frozenset[bytes]().union(*by_origin.values())
            for origin in Origin:
                new = frozenset(entry for entry, its in entries.items() if its is origin) - known
                if new:
                    by_origin[origin] = by_origin.get(origin, frozenset()) | new
        return replace(self, shown=_pruned(shown, now))

    def knows(self, day: str, entry: bytes) -> bool:
        """Whether export has shown this before, and the archive was seen to hold it."""
        return any(entry in entries for entries in self.shown.get(day, {}).values())


def tally(by_origin: Mapping[Origin, frozenset[bytes]]) -> dict[Origin, int]:
    """How many interactions, whatever their versions, by what brought the first one."""
    counted: set[bytes] = set()
    counts = {}
    for origin in Origin:
        identities = {entry[:IDENTITY_BYTES] for entry in by_origin.get(origin, ())} - counted
        counts[origin] = len(identities)
        counted |= identities
    return counts


def _pruned(
    shown: dict[str, dict[Origin, frozenset[bytes]]], now: datetime
) -> dict[str, Mapping[Origin, frozenset[bytes]]]:
    oldest = (now - REMEMBERED).date().isoformat()
    kept: dict[str, Mapping[Origin, frozenset[bytes]]] = {}
    total = 0
    for day in sorted(shown, reverse=True):
        total += sum(len(entries) for entries in shown[day].values())
        if day < oldest or (total > MAX_REMEMBERED and kept):
            break
        kept[day] = shown[day]
    return kept
