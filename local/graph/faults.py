"""What goes wrong on the way, and how long things take: data, so that a run can be repeated and changed.

Times are Graph's seconds unless they say otherwise. `Timing.time_scale` is how many of them pass in one real second:
the answers of an app are timed in real seconds, the hours of a retry window are not.
"""

from dataclasses import dataclass, fields
from typing import Any, Self


@dataclass(frozen=True)
class Faults:
    """Rates between 0 and 1, drawn from the seed. The defaults are nasty; `friendly()` is a Graph of sunshine.

    `duplicate`: items that are sent a second time, in another post and encrypted anew. `delayed`: items that come
    late, by up to `longest_delay` (documented: 60 minutes), the others by `mean_latency` on average. `batch`: the
    largest number of items in a post, due within `batch_window`; items of different subscriptions to the same URL
    share posts. `shuffle`: posts whose items are out of order. `variants`: items in the less common casing, date and
    thumbprint forms. `forged`: forged posts for each genuine one. `dropped`: notifications that are never sent, which
    nobody can tell but by export.
    """

    duplicate: float = 0.05
    delayed: float = 0.1
    longest_delay: float = 3600.0
    mean_latency: float = 10.0
    batch: int = 10
    batch_window: float = 900.0
    shuffle: float = 0.5
    variants: float = 0.3
    forged: float = 0.3
    dropped: float = 0.0

    def __post_init__(self) -> None:
        for name in ("duplicate", "delayed", "shuffle", "variants", "forged", "dropped"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be between 0 and 1, not {getattr(self, name)}")
        if self.batch < 1 or not isinstance(self.batch, int):
            raise ValueError(f"batch must be a whole number from 1, not {self.batch}")

    @classmethod
    def friendly(cls) -> Self:
        """Return no faults: each item once, alone, at once, in the documented form."""
        return cls(duplicate=0, delayed=0, longest_delay=0, mean_latency=0, batch=1, shuffle=0, variants=0, forged=0)

    @classmethod
    def read(cls, values: dict[str, Any]) -> Self:
        """Return faults from JSON; what is not named keeps its default.

        Raises:
            ValueError: an unknown name or a value out of range.
        """
        known = {field.name for field in fields(cls)}
        if unknown := set(values) - known:
            raise ValueError(f"unknown faults: {', '.join(sorted(unknown))}")
        if not all(isinstance(value, int | float) for value in values.values()):
            raise ValueError("faults are numbers")
        return cls(**values)


@dataclass(frozen=True)
class Timing:
    """How Graph waits for answers, tries again and gives up.

    Answers are waited for `first_answer` and `retry_answer` real seconds. The schedule of retries is not published:
    it starts at `first_retry` and doubles up to `longest_retry`, for `give_up` in all (documented: 4 hours). An
    endpoint is slow when more than `slow_share` of its answers in the last `window` took longer than
    `first_answer`, and dropping when more than `drop_share` took longer than `retry_answer`, judged from
    `minimum_answers` on; new posts are then held for `window`, or lost during it.
    https://learn.microsoft.com/graph/change-notifications-delivery-webhooks
    """

    time_scale: float = 60.0
    first_answer: float = 3.0
    retry_answer: float = 10.0
    handshake_answer: float = 10.0
    first_retry: float = 10.0
    longest_retry: float = 900.0
    give_up: float = 4 * 3600.0
    window: float = 600.0
    slow_share: float = 0.10
    drop_share: float = 0.15
    minimum_answers: int = 10
    concurrency: int = 16

    def real(self, graph_seconds: float) -> float:
        """Return how many real seconds so many of Graph's last."""
        return graph_seconds / self.time_scale

    def retry_after(self, attempt: int) -> float:
        """Return Graph's seconds between attempt number `attempt` (from 1) and the next."""
        return min(self.first_retry * 2.0 ** (attempt - 1), self.longest_retry)
