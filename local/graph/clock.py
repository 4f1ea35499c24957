"""Graph's clock: how long subscriptions have lived, apart from the wall clock that tokens are judged by.

Two times are kept apart. `now` is the calendar that the app shares: every date in a request or an answer is in it.
`passed` is the stopwatch by which Graph measures: lives, rate limits, pauses. `Clock.advance` moves the stopwatch
alone, so that an app which reads the real clock sees its subscriptions age: an hour's advance brings every shown
`expirationDateTime` an hour closer, and what it asks for next is still counted from its own present.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from local.graph.times import utc_now


class Clock:
    """Follows `source`, by default the wall clock; what it was advanced by comes on top."""

    def __init__(self, source: Callable[[], datetime] = utc_now) -> None:
        self._source = source
        self._advanced = timedelta(0)

    @property
    def advanced(self) -> timedelta:
        """By how much the stopwatch is ahead of the calendar."""
        return self._advanced

    def now(self) -> datetime:
        """Return the present in the calendar that the app shares."""
        return self._source()

    def passed(self) -> datetime:
        """Return the present by Graph's stopwatch: only differences of it mean something."""
        return self.now() + self._advanced

    def advance(self, by: timedelta) -> None:
        """Let time pass for Graph.

        Raises:
            ValueError: backwards.
        """
        self._advanced += _forwards(by)


class VirtualClock(Clock):
    """Stands still until it is advanced, and moves calendar and stopwatch together.

    For an app in the same process that takes its own time from `now`: a year then lasts as long as its steps.
    """

    def __init__(self, start: datetime) -> None:
        super().__init__(lambda: self._present)
        self._present = start

    def advance(self, by: timedelta) -> None:
        """Let time pass for Graph and for whoever reads `now`.

        Raises:
            ValueError: backwards.
        """
        self._present += _forwards(by)


def _forwards(by: timedelta) -> timedelta:
    if by < timedelta(0):
        raise ValueError(f"time does not go back: {by}")
    return by
