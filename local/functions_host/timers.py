"""Runs one timer function on its schedule, one run at a time.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from local.functions_host.descriptors import TimerTrigger, expand
from local.functions_host.engine import Outcome, TimerTick
from local.functions_host.errors import LoadError
from local.functions_host.ncrontab import Schedule

_LOG = logging.getLogger(__name__)
_LONGEST_SLEEP = 30.0  # a clock that was set, or a laptop that slept, is noticed within this time
_PAST_DUE = timedelta(minutes=1)

Run = Callable[[TimerTick], Awaitable[Outcome]]


def schedule_of(name: str, trigger: TimerTrigger) -> Schedule | None:
    """The timer's schedule, or None after a line that says why it will only run when asked to."""
    try:
        return Schedule(expand(trigger.schedule))
    except (LoadError, ValueError) as error:
        _LOG.error("timer %s will not fire by itself: %s", name, error)
        return None


class Timer:
    """Fires until cancelled or stopped. Firings that come due during a run are skipped, never run side by side."""

    def __init__(self, schedule: Schedule, run: Run, *, at_start: bool = False) -> None:
        self._schedule = schedule
        self._run = run
        self._at_start = at_start
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Fire no more; a run under way goes on."""
        self._stop.set()

    async def run(self) -> None:
        """Fire at each time of the schedule until `stop`."""
        last: datetime | None = None
        if self._at_start:
            last = await self._fire(None, datetime.now(UTC))
        while not self._stop.is_set():
            due = self._schedule.after(max(datetime.now(UTC), last or datetime.min.replace(tzinfo=UTC)))
            if await self._sleep_until(due):
                last = await self._fire(last, due)

    async def _fire(self, last: datetime | None, due: datetime) -> datetime:
        past_due = datetime.now(UTC) - due > _PAST_DUE
        await self._run(TimerTick(past_due=past_due, last=last, next=self._schedule.after(due)))
        return due

    async def _sleep_until(self, due: datetime) -> bool:
        """True at the time, False when stopped before it."""
        while (wait := (due - datetime.now(UTC)).total_seconds()) > 0:
            try:
                async with asyncio.timeout(min(wait, _LONGEST_SLEEP)):
                    await self._stop.wait()
            except TimeoutError:
                continue
            return False
        return not self._stop.is_set()
