"""Days of a tenant, hour by hour: plan, export at Graph's pace in the plan's order, note when the missing are found."""

import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from benchmarks.plan_tenant import DAY, HOUR, SHOWN_AFTER, START, Tenant, instant, seconds, told_per_day
from shared.core import export_plan
from shared.core.checkpoint import OVERLAP, Checkpoint
from shared.core.checkpoint_json import Progress, to_metadata
from shared.core.export_plan import Due, Planned
from shared.core.request_budget import REQUESTS_PER_SECOND

# What the rate is for. A smaller tenant is given as much less, so that it is the same problem.
FULL_SIZE = 300_000


def rate_for(users: int) -> float:
    """Requests in a second: ours for 300,000 users, and for fewer in proportion."""
    return REQUESTS_PER_SECOND * users / FULL_SIZE


@dataclass(frozen=True, slots=True)
class HourOfPlan:
    """What one hour's plan was, and what became of it. ``behind``: users not looked at within a day by then."""

    due: Counter[Due]
    requests: int
    queued: int
    behind: int
    plan_seconds: float


@dataclass(slots=True)
class Found:
    """When each of the dropped was created, and how many hours later it was found."""

    pairs: list[tuple[float, float]] = field(default_factory=list)

    def add(self, created: Sequence[float], at: float) -> None:
        """These were archived at that second."""
        self.pairs.extend((each, (at - each) / HOUR) for each in created)

    def hours(self, begin: float, end: float) -> list[float]:
        """The hours, of what was created between two seconds."""
        return [hours for created, hours in self.pairs if begin <= created < end]


class PlannedDays:
    """The app: a plan each hour by the real rules from real checkpoints, exported without a fault."""

    def __init__(self, tenant: Tenant) -> None:
        self.hours: list[HourOfPlan] = []
        self.found = Found()
        self._progress: dict[str, Progress] = {}
        self._tenant = tenant
        self._users = {user.id: user for user in tenant.users}
        self._rate = rate_for(len(tenant.users))
        self._missing = {user.id: deque(user.missing) for user in tenant.users}
        self._looked_at = dict.fromkeys(self._users, -DAY)
        self._checkpoints: dict[str, Checkpoint] = {}
        self._activity: dict[str, datetime] = {}
        self._queue: deque[tuple[Planned, datetime]] = deque()
        self._free_at = 0.0

    def run_hour(self) -> int:
        """Plan, and export until the next plan is due; how many requests it took."""
        hour = len(self.hours)
        now = instant(hour * HOUR)
        tenant = self.rules_tenant(now)
        behind = sum(1 for looked_at in self._looked_at.values() if looked_at <= hour * HOUR - DAY)
        start = time.process_time()
        plan = export_plan.plan(tenant, start=START, budget=round(self._rate * HOUR), now=now)
        took = time.process_time() - start
        self._queue.extend((line, now) for line in plan.windows)
        requests = self._export(hour * HOUR)
        due = Counter(line.due for line in plan.windows)
        self.hours.append(HourOfPlan(due, requests, len(self._queue), behind, took))
        return requests

    def rules_tenant(self, now: datetime) -> export_plan.Tenant:
        """What the planner knows then."""
        hour = round(seconds(now) / HOUR)
        if hour:
            self._activity.update(dict.fromkeys(self._tenant.heard[hour - 1], instant((hour - 1) * HOUR)))
        queued = {line.user: planned_at for line, planned_at in self._queue}
        return export_plan.Tenant(frozenset(self._users), self._progress, activity=self._activity, queued=queued)

    def metadata(self) -> list[dict[str, str]]:
        """The metadata of all checkpoints, as a listing gives it."""
        return [self._metadata(user) for user in self._checkpoints]

    def _export(self, begin: float) -> int:
        spent = 0
        self._free_at = max(self._free_at, begin)
        while self._queue and self._free_at < begin + HOUR:
            line, planned_at = self._queue.popleft()
            checkpoint = self._checkpoints.get(line.user) or Checkpoint(line.user)
            if not checkpoint.has_looked(line.begin, planned_at):
                spent += self._look(line, checkpoint)
        return spent

    def _look(self, line: Planned, checkpoint: Checkpoint) -> int:
        user, at = self._users[line.user], instant(self._free_at)
        requests = user.requests(seconds(line.begin), self._free_at)
        after = checkpoint.advanced(line.begin, at, at).looked(line.begin, at, requests)
        self._checkpoints[user.id] = after
        self._looked_at[user.id] = self._free_at
        # What the planner would read from the blob's metadata, without writing it and reading it.
        self._progress[user.id] = Progress(
            after.since, after.complete_until, after.looks, after.requests, told_per_day(user)
        )
        found = _taken(self._missing[user.id], self._free_at)
        self._free_at += requests / self._rate
        self.found.add(found, self._free_at)
        return requests

    def _metadata(self, user: str) -> dict[str, str]:
        # What checkpoints remember is left out, which is nothing to the planner but this one number.
        return {**to_metadata(self._checkpoints[user]), "perday": f"{told_per_day(self._users[user]):.1f}"}


class RoundRobin:
    """The naive way: one user after the other, round and round, at the same pace with the requests that it is given."""

    def __init__(self, tenant: Tenant) -> None:
        self.found = Found()
        self._users = tenant.users
        self._rate = rate_for(len(tenant.users))
        self._missing = {user.id: deque(user.missing) for user in tenant.users}
        self._read_until = dict.fromkeys(self._missing, seconds(START))
        self._next, self._owed = 0, 0

    def run_hour(self, hour: int, requests: int) -> None:
        """Spend so many requests from the beginning of that hour on."""
        self._owed += requests
        at = hour * HOUR
        while self._owed > 0:
            user = self._users[self._next % len(self._users)]
            self._next += 1
            cost = user.requests(self._read_until[user.id], at)
            self._read_until[user.id] = at - HOUR - OVERLAP.total_seconds()
            found = _taken(self._missing[user.id], at)
            at += cost / self._rate
            self.found.add(found, at)
            self._owed -= cost


def _taken(missing: deque[float], at: float) -> list[float]:
    """What a look that began then finds of the missing; it is missing no more."""
    found = []
    while missing and missing[0] + SHOWN_AFTER <= at:
        found.append(missing.popleft())
    return found
