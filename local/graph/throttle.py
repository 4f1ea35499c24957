"""Rate limits: so many requests of one application in one tenant within a window.

https://learn.microsoft.com/graph/throttling
"""

import math
from collections import defaultdict, deque
from datetime import datetime, timedelta
from typing import Literal

from local.graph.graph_errors import GraphError, throttled
from local.graph.policy import Policy

Bucket = Literal["write", "get", "list", "reauthorize"]
Who = tuple[str, str]


class Throttle:
    """Counts requests by bucket and by application and tenant. The moments are those of Graph's stopwatch."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._taken: dict[tuple[Bucket, Who], deque[datetime]] = defaultdict(deque)

    def take(self, bucket: Bucket, who: Who, moment: datetime) -> None:
        """Count a request. Refused ones count as well, so that hammering never helps.

        Raises:
            GraphError: 429 with Retry-After.
        """
        limit = self._limit(bucket)
        window = timedelta(seconds=self._policy.limits.window)
        taken = self._taken[bucket, who]
        while taken and taken[0] <= moment - window:
            taken.popleft()
        taken.append(moment)
        if len(taken) > limit:
            raise _too_many(taken[-limit] + window - moment)

    def _limit(self, bucket: Bucket) -> int:
        limits = self._policy.limits
        return {"write": limits.write, "get": limits.get, "list": limits.list, "reauthorize": limits.reauthorize}[
            bucket
        ]


def _too_many(wait: timedelta) -> GraphError:
    return throttled(max(1, math.ceil(wait.total_seconds())))
