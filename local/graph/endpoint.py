"""How Graph sees one notification endpoint: healthy, slow, or so slow that it loses notifications.

https://learn.microsoft.com/graph/change-notifications-delivery-webhooks
"""

from collections import deque
from typing import Literal

from local.graph.faults import Timing

State = Literal["healthy", "slow", "drop"]


class Endpoint:
    """The state of one URL; every `now` is in Graph's seconds, every `took` in real seconds.

    After a window in a bad state the record is wiped, so that the next posts are the sample that Graph takes.
    """

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._answers: deque[tuple[float, float]] = deque()
        self._bad: tuple[State, float] | None = None

    def observe(self, now: float, took: float) -> None:
        """Note how long an endpoint took to answer, or was waited for."""
        if self.state(now) != "healthy":
            return
        self._answers.append((now, took))
        while self._answers[0][0] < now - self._timing.window:
            self._answers.popleft()
        if len(self._answers) < self._timing.minimum_answers:
            return
        if self._share(self._timing.retry_answer) > self._timing.drop_share:
            self._bad = ("drop", now + self._timing.window)
        elif self._share(self._timing.first_answer) > self._timing.slow_share:
            self._bad = ("slow", now + self._timing.window)

    def state(self, now: float) -> State:
        """Return the state at `now`."""
        if self._bad is None:
            return "healthy"
        state, until = self._bad
        if now < until:
            return state
        self._bad = None
        self._answers.clear()
        return "healthy"

    def _share(self, limit: float) -> float:
        return sum(took >= limit for _, took in self._answers) / len(self._answers)
