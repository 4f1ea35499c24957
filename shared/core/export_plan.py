"""Whom to export next: a budget of requests is spent where something is most likely to be missing.

Gaps first; then users whose prompts arrived by notification since their checkpoint; then those who are behind longest;
then everyone within a day; and what is left, on whoever was not looked at for longest. Pure: the same tenant, budget
and time give the same plan.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import IntEnum

from shared.core.checkpoint import OVERLAP
from shared.core.checkpoint_json import TENANT, Progress
from shared.core.export_window import PAGE_SIZE, ExportWindow

AN_HOUR = timedelta(hours=1)
# Within a day means so that the next plan would still come in time.
WITHIN_A_DAY = timedelta(hours=23)
SECOND_LOOK = timedelta(hours=48)
SECOND_LOOK_EVERY = timedelta(hours=24)
LATE_LOOK = timedelta(days=30)
LATE_LOOK_EVERY = timedelta(days=7)
# Whoever has left the plan's users is looked at until nothing of his can be missing that comes as late as that.
LEAVING = timedelta(hours=48)
# A window that was planned and never came to anything is planned again: its message was lost.
FORGOTTEN_AFTER = timedelta(hours=3)
# What part of the budget is spent on users of whom nothing is due: a small tenant is looked at in every hour whole.
SPARE_SHARE = 0.1


class Due(IntEnum):
    """Why a user is on the plan. The smaller, the sooner."""

    GAP = 0
    ACTIVE = 1
    BEHIND = 2
    SPARE = 3


@dataclass(frozen=True, slots=True)
class OpenGap:
    """Hours that no notification vouches for, of some users, of all where ``users`` is None."""

    begin: datetime
    end: datetime
    users: frozenset[str] | None = None

    def is_of(self, user: str) -> bool:
        """Whether the user may have something in it."""
        return self.users is None or user in self.users

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
    gaps = [replace(gap, begin=max(gap.begin, start)) for gap in tenant.gaps if gap.end > start]
    waiting = {user for user, since in tenant.queued.items() if _is_waiting(tenant.progress.get(user), since, now)}
    spent = sum(tenant.progress[user].requests if user in tenant.progress else 1 for user in waiting)
    due = (_due(user, tenant, gaps, start, now) for user in _candidates(tenant, now) if user not in waiting)
    ordered = sorted((each for each in due if each is not None), key=lambda each: (each[0].due, each[1], each[0].user))
    windows: list[Planned] = []
    for line, _ in ordered:
        if spent >= (budget * SPARE_SHARE if line.due is Due.SPARE else budget):
            break
        windows.append(line)
        spent += line.cost
    return Plan(tuple(windows), spent)


def has_left(progress: Progress, since: datetime, now: datetime) -> bool:
    """Whether a user who is not to be exported any more has been looked at late enough to be let go."""
    until = since + LEAVING
    looked = any(each.at >= until and each.begin <= since for each in progress.looks)
    gone = progress.reason is not None and now >= until
    return looked or gone


def _is_waiting(progress: Progress | None, since: datetime, now: datetime) -> bool:
    done = progress is not None and any(each.at >= since for each in progress.looks)
    flagged = progress is not None and progress.retry_at is not None and progress.retry_at > now
    return not done and not flagged and now - since < FORGOTTEN_AFTER


def _candidates(tenant: Tenant, now: datetime) -> Iterable[str]:
    yield from tenant.users
    for user, since in tenant.leaving.items():
        progress = tenant.progress.get(user)
        if user not in tenant.users and progress is not None and not has_left(progress, since, now):
            yield user


def _due(
    user: str, tenant: Tenant, gaps: Sequence[OpenGap], start: datetime, now: datetime
) -> tuple[Planned, datetime] | None:
    """The user's line with what it is ordered by, None where Graph is to be left alone about him."""
    progress = tenant.progress.get(user) or Progress()
    if progress.retry_at is not None and progress.retry_at > now:
        return None
    open_gaps = [gap for gap in gaps if gap.is_of(user) and not gap.is_closed(progress)]
    begin = max(min([_begin(progress, start, now), *(gap.begin - OVERLAP for gap in open_gaps)]), start)
    until = progress.complete_until or start
    last_look = max((each.at for each in progress.looks), default=start)
    if open_gaps:
        due = Due.GAP
    elif user in tenant.activity and tenant.activity[user] + AN_HOUR > until:
        due = Due.ACTIVE
    else:
        due = Due.BEHIND if now - last_look >= WITHIN_A_DAY else Due.SPARE
    return Planned(user, begin, due, _cost(progress, begin, now)), last_look if due is Due.SPARE else until


def _begin(progress: Progress, start: datetime, now: datetime) -> datetime:
    """From where a user is read: the checkpoint, or earlier where a second look is due or costs nothing."""
    if progress.complete_until is None or progress.since is None or progress.since > start:
        return start
    begin = progress.complete_until - OVERLAP
    second, late = now - SECOND_LOOK, now - LATE_LOOK
    # A request is a request: what fits on its page is looked at again for nothing.
    fits = progress.per_day * (SECOND_LOOK / timedelta(days=1)) < PAGE_SIZE / 2
    if fits or not _looked(progress, SECOND_LOOK, SECOND_LOOK_EVERY, now):
        begin = min(begin, second)
    if not _looked(progress, LATE_LOOK, LATE_LOOK_EVERY, now):
        begin = min(begin, late)
    return begin


def _looked(progress: Progress, reach: timedelta, every: timedelta, now: datetime) -> bool:
    # An hour's tolerance: a window waits on the queue, and the next plan comes an hour later.
    return any(each.at >= now - every + AN_HOUR and each.begin <= each.at - reach + AN_HOUR for each in progress.looks)


def _cost(progress: Progress, begin: datetime, now: datetime) -> int:
    expected = progress.per_day * max((now - begin) / timedelta(days=1), 0.0)
    # The first look of a user reads years, of which nothing is known yet.
    return max(progress.requests if progress.looks else 1, 1 + int(expected // PAGE_SIZE))
