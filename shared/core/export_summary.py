"""What a plan tells people: how complete the export is, and how the two sources corroborate each other, by day."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from shared.core.checkpoint import SETTLE
from shared.core.checkpoint_json import Progress
from shared.core.export_plan import Tenant, has_left
from shared.core.instants import format_instant

# A user is complete where his last look is a day old at most.
COMPLETE_WITHIN = timedelta(hours=25) + SETTLE
# What a notification brought must be shown by the export within this time, late arrivals and second looks included.
SHOWN_WITHIN = timedelta(hours=48)
DAYS_KEPT = 90
RESOURCE = "aiInteraction"


@dataclass(frozen=True, slots=True)
class Coverage:
    """One day of interactions. ``missed``: what export found and notifications should have brought, before those that
    came after all are taken off. ``shown``: all that export has shown. ``complete``: for every user who is not flagged.
    """

    day: str
    by_notification: int
    missed: int
    shown: int
    complete: bool


def states(tenant: Tenant, now: datetime) -> Mapping[str, int]:
    """Users by state: complete, behind, flagged, leaving."""
    counts = Counter(_state(tenant.progress.get(user), now) for user in tenant.users)
    counts["leaving"] = len(leaving(tenant, now))
    return {state: counts[state] for state in ("complete", "behind", "flagged", "leaving")}


def leaving(tenant: Tenant, now: datetime) -> frozenset[str]:
    """Who is not among the users any more and has not been looked at for the last time."""
    left = ((user, since) for user, since in tenant.leaving.items() if user not in tenant.users)
    return frozenset(user for user, since in left if not has_left(tenant.progress.get(user, Progress()), since, now))


def oldest(tenant: Tenant, now: datetime) -> datetime | None:
    """The checkpoint of the user who is furthest behind; flagged ones and new ones are told apart by their state."""
    checkpoints = (
        each.complete_until
        for each in _planned(tenant)
        if each.complete_until is not None and _state(each, now) != "flagged"
    )
    return min(checkpoints, default=None)


def served_at(tenant: Tenant) -> datetime | None:
    """When the latest look began at anybody who is known."""
    return max((look.at for each in tenant.progress.values() for look in each.looks), default=None)


def coverage(tenant: Tenant, now: datetime, days: int) -> list[Coverage]:
    """The latest days, today first."""
    today = now.astimezone(UTC).date()
    wanted = [today - timedelta(days=back) for back in range(days)]
    return [_covered(tenant, day, now) for day in wanted]


def day_document(coverage: Coverage, came_after_all: int, not_shown: int | None) -> dict[str, object]:
    """A day as status tells it."""
    return {
        "day": coverage.day,
        "resource": RESOURCE,
        "byNotification": coverage.by_notification + came_after_all,
        "missedByNotifications": max(coverage.missed - came_after_all, 0),
        "notShownByExport": not_shown,
        "complete": coverage.complete,
    }


def is_due_for_count(coverage: Coverage, now: datetime) -> bool:
    """Whether the archive's interactions of that day may be counted against those that export has shown."""
    return coverage.complete and now >= _end(date.fromisoformat(coverage.day)) + SHOWN_WITHIN


def joined(new: Sequence[dict[str, object]], before: Iterable[object]) -> list[dict[str, object]]:
    """The days of the last plan and of this one, the latest first, for a quarter of a year."""
    by_day = {str(each["day"]): each for each in before if isinstance(each, dict) and "day" in each}
    by_day |= {str(each["day"]): each for each in new}
    return [by_day[day] for day in sorted(by_day, reverse=True)[:DAYS_KEPT]]


def problem_document(user: str, reason: str, sentence: str, since: datetime, retry_at: datetime) -> dict[str, object]:
    """A flagged user as status tells him: by id, never by name."""
    return {
        "userId": user,
        "reason": reason,
        "sentence": sentence,
        "since": format_instant(since),
        "retryAt": format_instant(retry_at),
    }


def _covered(tenant: Tenant, day: date, now: datetime) -> Coverage:
    text = day.isoformat()
    totals = [0, 0, 0]
    for each in tenant.progress.values():
        for origin, count in enumerate((each.tallies or {}).get(text, ())):
            totals[origin] += count
    end = _end(day)
    served = [each for each in _planned(tenant) if _state(each, now) != "flagged"]
    # Where nobody was looked at nothing is known, and not everything.
    complete = bool(served) and all(each.complete_until is not None and each.complete_until >= end for each in served)
    by_notification, missed, history = totals
    return Coverage(text, by_notification, missed, by_notification + missed + history, complete)


def _planned(tenant: Tenant) -> Iterable[Progress]:
    return (tenant.progress.get(user, Progress()) for user in tenant.users)


def _state(progress: Progress | None, now: datetime) -> str:
    if progress is not None and progress.reason is not None:
        return "flagged"
    until = progress.complete_until if progress is not None else None
    return "complete" if until is not None and now - until <= COMPLETE_WITHIN else "behind"


def _end(day: date) -> datetime:
    return datetime.combine(day, time(), UTC) + timedelta(days=1)
