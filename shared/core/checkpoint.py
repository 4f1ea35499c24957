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
# How long a look counts for hours that no later one has covered: twice as long as the widest regular look is wide.
LOOKS_COUNT = timedelta(days=62)
ENTRY_BYTES = 12
IDENTITY_BYTES = 6
# The reason of a problem that is not about the user: Graph did not answer, however often it was asked.
UNAVAILABLE = "unavailable"


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
        if begin > self.complete_until or reach < self.since:
            return self
        since, until = min(self.since, begin), max(self.complete_until, reach)
        return replace(self, since=since, complete_until=until)

    def looked(self, begin: datetime, at: datetime, requests: int) -> "Checkpoint":
        """As this, after a whole look. What a later look covers as well is forgotten, and what is too long ago."""
        looks = self.looks
        if not self.has_looked(begin, at):
            looks = (Look(begin, at), *(each for each in looks if each.begin < begin or each.at > at))
        oldest = max(each.at for each in looks) - LOOKS_COUNT
        return replace(
            self,
            since=self._since_by_look(begin, at),
            looks=tuple(each for each in looks if each.at >= oldest),
            requests=max(requests, 1),
            problem=None,
        )

    def _since_by_look(self, begin: datetime, at: datetime) -> datetime | None:
        # What was read in steps, of which the first ones did not reach the checkpoint, is whole now.
        if self.since is None or begin >= self.since or self.since > at - SETTLE:
            return self.since
        return begin

    def has_looked(self, begin: datetime, since: datetime) -> bool:
        """Whether a look over all from ``begin`` on has begun at ``since`` or later."""
        return any(each.begin <= begin and each.at >= since for each in self.looks)

    def with_problem(self, problem: ExportProblem) -> "Checkpoint":
        """As this, with a problem; one that goes on keeps its beginning."""
        before = self.problem
        since = before.since if before is not None and before.reason == problem.reason else problem.since
        return replace(self, problem=replace(problem, since=since))

    def remembering(self, seen: Mapping[str, Mapping[bytes, Origin]], now: datetime) -> "Checkpoint":
        """As this, with more that export has shown, by day. All versions of an interaction keep its first origin."""
        shown = {**self.shown, **{day: _joined(self.shown.get(day, {}), seen[day]) for day in seen if seen[day]}}
        return replace(self, shown=_pruned(shown, now))

    def knows(self, day: str, entry: bytes) -> bool:
        """Whether export has shown this before, and the archive was seen to hold it."""
        return any(entry in entries for entries in self.shown.get(day, {}).values())


def is_dated(day: str) -> bool:
    """Whether it is a day, and not the name that stands for interactions without one."""
    return day[:1].isdigit()


def tally(by_origin: Mapping[Origin, frozenset[bytes]]) -> dict[Origin, int]:
    """How many interactions, whatever their versions, by what brought the first one."""
    counted: set[bytes] = set()
    counts = {}
    for origin in Origin:
        identities = {entry[:IDENTITY_BYTES] for entry in by_origin.get(origin, ())} - counted
        counts[origin] = len(identities)
        counted |= identities
    return counts


def _joined(
    by_origin: Mapping[Origin, frozenset[bytes]], entries: Mapping[bytes, Origin]
) -> dict[Origin, frozenset[bytes]]:
    first = {entry[:IDENTITY_BYTES]: origin for origin, its in by_origin.items() for entry in its}
    new: dict[Origin, set[bytes]] = {}
    for origin in Origin:
        for entry in (entry for entry, its in entries.items() if its is origin):
            new.setdefault(first.setdefault(entry[:IDENTITY_BYTES], origin), set()).add(entry)
    return {origin: by_origin.get(origin, frozenset()) | new.get(origin, set()) for origin in {**by_origin, **new}}


def _pruned(
    shown: Mapping[str, Mapping[Origin, frozenset[bytes]]], now: datetime
) -> dict[str, Mapping[Origin, frozenset[bytes]]]:
    oldest = (now - REMEMBERED).date().isoformat()
    kept: dict[str, Mapping[Origin, frozenset[bytes]]] = {}
    total = 0
    # What has no day comes last: it never grows old, and must not drive out what has one.
    for day in sorted((day for day in shown if day >= oldest), key=lambda day: (is_dated(day), day), reverse=True):
        total += sum(len(entries) for entries in shown[day].values())
        if total > MAX_REMEMBERED and kept:
            break
        kept[day] = shown[day]
    return kept
