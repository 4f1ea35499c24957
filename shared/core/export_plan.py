"""Whom to export next: a budget of requests is spent where something is most likely to be missing.

Gaps first; then users whose prompts arrived by notification since their checkpoint; then those who are behind longest;
then everyone within a day; and what is left, on whoever was not looked at for longest. Pure: the same tenant, budget
and time give the same plan.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import IntEnum
from itertools import chain
from math import ceil, fsum

from shared.core.checkpoint import OVERLAP, UNAVAILABLE
from shared.core.checkpoint_json import TENANT, Progress
from shared.core.export_window import PAGE_SIZE, ExportWindow

AN_HOUR = timedelta(hours=1)
A_DAY = timedelta(days=1)
NOTHING = Progress()
# Within a day means so that the next plan would still come in time.
WITHIN_A_DAY = timedelta(hours=23)
SECOND_LOOK = timedelta(hours=48)
SECOND_LOOK_EVERY = timedelta(hours=24)
# Up to so many pages two days are read at every look, and only of whoever has more once in a day: what comes late is
# found within the hour for nearly everybody.
CHEAP_PAGES = 5
LATE_LOOK = timedelta(days=30)
LATE_LOOK_EVERY = timedelta(days=7)
# Whoever has left the plan's users is looked at until nothing of his can be missing that comes as late as that.
LEAVING = timedelta(hours=48)
# A window that was planned and never came to anything is planned again: its message was lost.
FORGOTTEN_AFTER = timedelta(hours=3)
# Where there is room, such a window is put on the queue again sooner: its exporter may have been killed, and the queue
# hides what he held for ten minutes. One that is there twice costs a look.
AGAIN_AFTER = timedelta(minutes=1)
# What part of the budget is spent on users of whom nothing is due: a small tenant is looked at in every hour whole, and
# in a large one those of whom no notification tells are looked at every few hours (docs/performance.md).
SPARE_SHARE = 0.5
# A look is dated by the clock of whoever exports, a window by that of whoever plans.
CLOCKS_APART = timedelta(minutes=5)
# What a user is taken to have in a day as long as nobody has been looked at.
GUESSED_PER_DAY = 3.0


class Due(IntEnum):
    """Why a user is on the plan. The smaller, the sooner."""

    GAP = 0
    ACTIVE = 1
    BEHIND = 2
    SPARE = 3


@dataclass(frozen=True, slots=True)
class OpenGap:
    """Hours that no notification vouches for, of some users, of all where ``users`` is None.

    ``in_part``: of others, too, whom nobody exports.
    """

    begin: datetime
    end: datetime
    users: frozenset[str] | None = None
    in_part: bool = False

    def is_of(self, user: str) -> bool:
        """Whether the user may have something in it."""
        return self.users is None or user in self.users or user == TENANT

    def is_closed(self, progress: Progress) -> bool:
        """Whether a look over all of it has begun after its end."""
        return any(each.begin <= self.begin and each.at >= self.end for each in progress.looks)


@dataclass(frozen=True, slots=True)
class Tenant:
    """What a plan is made from, by user. ``activity``: the latest hour in which a notification brought a prompt of
    his. ``leaving``: since when he is not among ``users`` any more. ``queued``: when a window of his was put on the
    queue that has not come to anything yet.
    """

    users: frozenset[str]
    progress: Mapping[str, Progress]
    activity: Mapping[str, datetime] = field(default_factory=dict)
    leaving: Mapping[str, datetime] = field(default_factory=dict)
    gaps: Sequence[OpenGap] = ()
    queued: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Planned:
    """One line of a plan. ``cost`` is about how many requests it takes."""

    user: str
    begin: datetime
    due: Due
    cost: int

    def window(self, planned_at: datetime) -> ExportWindow:
        """What goes on the queue."""
        return ExportWindow(None if self.user == TENANT else self.user, self.begin, planned_at)


@dataclass(frozen=True, slots=True)
class Plan:
    """The windows to put on the queue, in this order, and the requests that they and the queued ones take."""

    windows: tuple[Planned, ...]
    cost: int


def plan(tenant: Tenant, *, start: datetime, budget: int, now: datetime) -> Plan:
    """Spend the budget, in requests, from ``now`` on. Nothing from before ``start`` is asked for."""
    planner = _Planner(
        tenant,
        gaps=[replace(gap, begin=max(gap.begin, start)) for gap in tenant.gaps if gap.end > start],
        start=start,
        now=now,
        usual_per_day=_usual_per_day(tenant.progress.values()),
    )
    waiting = {user for user, since in tenant.queued.items() if is_waiting(tenant.progress.get(user), since, now)}
    spent = sum(planner.line(user).cost for user in waiting)
    # Ordered first, and only then asked what it costs: most of a large tenant does not come up for that.
    once_more = {user for user in waiting if now - tenant.queued[user] >= AGAIN_AFTER}
    candidates = list(planner.candidates())
    ordered = sorted((*planner.urgency(user), user) for user in candidates if user not in waiting)
    ordered += sorted((Due.SPARE, False, tenant.queued[user], user) for user in candidates if user in once_more)
    windows: list[Planned] = []
    for due, *_, user in ordered:
        if spent >= (budget * SPARE_SHARE if due is Due.SPARE else budget):
            break
        windows.append(planner.line(user, due))
        spent += windows[-1].cost
    return Plan(tuple(windows), spent)


def has_left(progress: Progress, since: datetime, now: datetime) -> bool:
    """Whether a user who is not to be exported any more has been looked at late enough to be let go."""
    until = since + LEAVING
    # No later look makes up for what this one leaves out: it is as wide as the widest, or covers all there is.
    begin = max(since - LATE_LOOK, progress.since or since - LATE_LOOK)
    looked = any(each.at >= until and each.begin <= begin for each in progress.looks)
    gone = progress.reason not in (None, UNAVAILABLE) and now >= until
    return looked or gone


@dataclass(frozen=True, slots=True)
class _Planner:
    tenant: Tenant
    gaps: Sequence[OpenGap]
    start: datetime
    now: datetime
    usual_per_day: float

    def candidates(self) -> Iterable[str]:
        """Whom to think about; not those of whom Graph is to be left alone."""
        users = self.tenant.users
        left = (user for user, since in self.tenant.leaving.items() if user not in users and self._stays(user, since))
        return (user for user in chain(users, left) if not self._is_flagged(user))

    def urgency(self, user: str) -> tuple[Due, bool, datetime]:
        """Why the user is due, whether he was not served the last time, and since when: the lower, the sooner.

        Whoever is tried in vain by each plan must not take the turns of those of whom nothing is known.
        """
        due, since = self._due(user)
        return due, self.tenant.progress.get(user, NOTHING).reason is not None, since

    def _due(self, user: str) -> tuple[Due, datetime]:
        progress = self.tenant.progress.get(user, NOTHING)
        until = progress.complete_until or self.start
        if self.gaps and self._open_gaps(user, progress):
            return Due.GAP, until
        heard = self.tenant.activity.get(user)
        if heard is not None and heard + AN_HOUR > until:
            return Due.ACTIVE, until
        looked_at = max([each.at for each in progress.looks], default=None)
        if looked_at is None or self.now - looked_at >= WITHIN_A_DAY:
            return Due.BEHIND, until
        return Due.SPARE, looked_at

    def line(self, user: str, due: Due = Due.SPARE) -> Planned:
        """The user's line of the plan."""
        progress = self.tenant.progress.get(user, NOTHING)
        gaps = [gap.begin - OVERLAP for gap in self._open_gaps(user, progress)]
        begin = max(min([self._begin(progress), self._last_look(user), *gaps]), self.start)
        return Planned(user, begin, due, self._cost(progress, begin))

    def _open_gaps(self, user: str, progress: Progress) -> list[OpenGap]:
        return [gap for gap in self.gaps if gap.is_of(user) and not gap.is_closed(progress)]

    def _stays(self, user: str, since: datetime) -> bool:
        return not has_left(self.tenant.progress.get(user, NOTHING), since, self.now)

    def _is_flagged(self, user: str) -> bool:
        retry_at = self.tenant.progress.get(user, NOTHING).retry_at
        return retry_at is not None and retry_at > self.now

    def _last_look(self, user: str) -> datetime:
        """From where a user is read who has left, for the last time; ``now`` for anybody else."""
        since = self.tenant.leaving.get(user, self.now)
        return since - LATE_LOOK if user not in self.tenant.users and since + LEAVING <= self.now else self.now

    def _begin(self, progress: Progress) -> datetime:
        """From where a user is read: the checkpoint, or earlier where a second look is due or costs nothing."""
        if progress.complete_until is None or progress.since is None or progress.since > self.start:
            return self.start
        begin = progress.complete_until - OVERLAP
        second = self.now - SECOND_LOOK
        if progress.per_day * (SECOND_LOOK / A_DAY + 1) < PAGE_SIZE * CHEAP_PAGES:
            # Most fit on the page that is asked for anyhow, and are looked at again for nothing. Since midnight, so
            # that a day's looks cover each other, and few need be remembered.
            begin = min(begin, second.replace(hour=0, minute=0, second=0, microsecond=0))
        elif not self._looked(progress, SECOND_LOOK, SECOND_LOOK_EVERY):
            begin = min(begin, second)
        if not self._looked(progress, LATE_LOOK, LATE_LOOK_EVERY):
            begin = min(begin, self.now - LATE_LOOK)
        return begin

    def _looked(self, progress: Progress, reach: timedelta, every: timedelta) -> bool:
        # An hour's tolerance: a window waits on the queue, and the next plan comes an hour later.
        latest = self.now - every + AN_HOUR
        return any(
            each.at >= latest and each.begin <= max(each.at - reach + AN_HOUR, self.start) for each in progress.looks
        )

    def _cost(self, progress: Progress, begin: datetime) -> int:
        """At least a request for each page; and what the last look took, which empty pages may have made more."""
        per_day = progress.per_day if progress.looks else self.usual_per_day
        pages = 1 + int(per_day * max((self.now - begin) / A_DAY, 0.0) // PAGE_SIZE)
        last = max(progress.looks, key=lambda each: each.at, default=None)
        if last is None or progress.requests <= pages:
            return pages
        share = (self.now - begin) / max(last.at - last.begin, AN_HOUR)
        return max(pages, ceil(progress.requests * min(share, 1.0)))


def is_waiting(progress: Progress | None, since: datetime, now: datetime) -> bool:
    """Whether a window that was put on the queue then has not come to anything yet, and still may."""
    done = progress is not None and any(each.at >= since - CLOCKS_APART for each in progress.looks)
    # Nobody is planned before it is time to try again; so a problem with a later time is newer than the window.
    flagged = progress is not None and progress.retry_at is not None and progress.retry_at > since
    return not done and not flagged and now - since < FORGOTTEN_AFTER


def _usual_per_day(known: Iterable[Progress]) -> float:
    # fsum: the same to the last bit, in whatever order they come.
    counts = [progress.per_day for progress in known if progress.looks]
    return fsum(counts) / len(counts) if counts else GUESSED_PER_DAY
