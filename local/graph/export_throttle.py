"""How often the export may be asked, in real time, and who asks again before it was told to.

https://learn.microsoft.com/graph/throttling-limits has 30 requests a second of an application in a tenant.
"""

import math
import random
import time
from collections import defaultdict, deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from local.graph.authorisation import Violation
from local.graph.clock import Clock
from local.graph.graph_errors import GraphError
from local.graph.policy import Policy

SENT_WHILE_THROTTLED = "sent-while-throttled"
SENT_WHILE_UNAVAILABLE = "sent-while-unavailable"
_NONSENSE = ("", "soon", "-1", "1.5s", "NaN", "Tomorrow, 99 Foo 20xx")
Who = tuple[str, str]
Stopwatch = Callable[[], float]


class ExportThrottle:
    """Counts requests by application and tenant, refused ones too, so that hammering never helps."""

    def __init__(
        self,
        policy: Policy,
        clock: Clock,
        rng: random.Random,
        violated: Callable[[Violation], None],
        stopwatch: Stopwatch = time.monotonic,
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._rng = rng
        self._violated = violated
        self._stopwatch = stopwatch
        self._taken: dict[Who, deque[float]] = defaultdict(deque)
        self._told: dict[tuple[str, ...], tuple[float, float]] = {}

    def take(self, who: Who, mailbox: str) -> None:
        """Count a request.

        Raises:
            GraphError: 429, mostly with Retry-After.
        """
        now, limits = self._stopwatch(), self._policy.limits
        self._watch(now, who, mailbox)
        taken = self._taken[who]
        while taken and taken[0] <= now - limits.export_window:
            taken.popleft()
        taken.append(now)
        if len(taken) > limits.export:
            raise self.refusal(429, who, wait=taken[-limits.export] + limits.export_window - now)

    def refusal(self, status: int, who: Who, mailbox: str = "", wait: float | None = None) -> GraphError:
        """Return 429 for an application in a tenant, or 503 for one mailbox: to be tried again later.

        Without `wait` it is up to the policy's longest.
        """
        longest = max(1, math.ceil(self._policy.export.longest_wait))
        seconds = self._rng.randint(1, longest) if wait is None else max(1, math.ceil(wait))
        headers = self._retry_after(who if status == 429 else (*who, mailbox), seconds)
        if status == 429:
            return GraphError(429, "TooManyRequests", "Too many requests. Please try again later.", headers)
        return GraphError(503, "ServiceUnavailable", "The service is unavailable. Please try again later.", headers)

    def _retry_after(self, subject: tuple[str, ...], seconds: int) -> dict[str, str]:
        policy, drawn = self._policy.export, self._rng.random()
        if drawn < policy.retry_missing:
            return {}
        if drawn < policy.retry_missing + policy.retry_malformed:
            return {"Retry-After": self._rng.choice(_NONSENSE)}
        # Only who could understand it was told.
        self._tell(subject, seconds)
        if drawn < policy.retry_missing + policy.retry_malformed + policy.retry_date:
            return {"Retry-After": _http_date(self._clock.now() + timedelta(seconds=seconds))}
        return {"Retry-After": str(seconds)}

    def _tell(self, subject: tuple[str, ...], seconds: int) -> None:
        now = self._stopwatch()
        since, until = self._told.get(subject, (now, now))
        self._told[subject] = (since if now < until else now), max(until, now + seconds)

    def _watch(self, now: float, who: Who, mailbox: str) -> None:
        for subject, rule in ((who, SENT_WHILE_THROTTLED), ((*who, mailbox), SENT_WHILE_UNAVAILABLE)):
            since, until = self._told.get(subject, (now, now))
            # What arrives just after the refusal was under way before it.
            if since + self._policy.export.grace < now < until:
                self._violated(Violation(rule, "", self._clock.now(), mailbox))


def _http_date(moment: datetime) -> str:
    # To the next whole second: a date has no fractions, and nobody may be let in too early.
    whole = moment.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1 if moment.microsecond else 0)
    return format_datetime(whole, usegmt=True)
