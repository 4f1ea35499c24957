"""How often the export may be asked, what Retry-After looks like, and who does not wait."""

from datetime import UTC, datetime

import pytest

from local.graph import ExportPolicy, Limits, VirtualClock
from local.graph.authorisation import Violation
from local.graph.export_throttle import ExportThrottle
from local.graph.graph_errors import GraphError
from local.graph.policy import Policy
from local.graph.randomness import stream

START = datetime(2030, 1, 1, tzinfo=UTC)
WHO = "tenant", "application"


class Stopwatch:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def throttled(policy: Policy, told: list[Violation], seed: int = 1) -> tuple[ExportThrottle, Stopwatch]:
    stopwatch = Stopwatch()
    return ExportThrottle(policy, VirtualClock(START), stream(seed, "throttle"), told.append, stopwatch), stopwatch


def test_thirty_a_second_by_real_time_and_hammering_never_helps() -> None:
    told: list[Violation] = []
    throttle, stopwatch = throttled(Policy(export=ExportPolicy.friendly()), told)
    for _ in range(30):
        throttle.take(WHO, "a")
    for _ in range(40):
        with pytest.raises(GraphError) as refused:
            throttle.take(WHO, "a")
        assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, "1")
        stopwatch.now += 0.02
    throttle.take(("tenant", "another application"), "a")
    stopwatch.now += 1.0
    throttle.take(WHO, "a")
    assert {each.rule for each in told} == {"sent-while-throttled"}


def test_who_waits_breaks_no_rule_and_what_was_under_way_neither() -> None:
    told: list[Violation] = []
    throttle, stopwatch = throttled(Policy(Limits(export=1), export=ExportPolicy.friendly(grace=0.2)), told)
    throttle.take(WHO, "a")
    for later in (0.0, 0.1, 0.1):
        stopwatch.now += later
        with pytest.raises(GraphError):
            throttle.take(WHO, "b")
    assert told == []
    stopwatch.now += 0.1
    with pytest.raises(GraphError):
        throttle.take(WHO, "c")
    assert [(each.rule, each.user_id) for each in told] == [("sent-while-throttled", "c")]
    stopwatch.now += 1.0
    throttle.take(WHO, "c")
    assert len(told) == 1


def test_503_is_about_one_mailbox() -> None:
    told: list[Violation] = []
    throttle, stopwatch = throttled(Policy(export=ExportPolicy.friendly(longest_wait=1)), told)
    assert throttle.refusal(503, WHO, "a").headers == {"Retry-After": "1"}
    stopwatch.now += 0.5
    throttle.take(WHO, "b")
    assert told == []
    throttle.take(WHO, "a")
    assert [(each.rule, each.user_id) for each in told] == [("sent-while-unavailable", "a")]


@pytest.mark.parametrize(
    ("rates", "good"),
    [
        ({"retry_date": 1.0}, {"Tue, 01 Jan 2030 00:00:01 GMT", "Tue, 01 Jan 2030 00:00:02 GMT"}),
        ({"retry_missing": 1.0}, {None}),
        ({}, {"1", "2"}),
    ],
)
def test_forms_of_retry_after(rates: dict[str, float], good: set[str | None]) -> None:
    throttle, _ = throttled(Policy(export=ExportPolicy.friendly(longest_wait=2, **rates)), [])
    assert {throttle.refusal(429, WHO).headers.get("Retry-After") for _ in range(40)} == good


def test_nonsense_tells_nobody_to_wait() -> None:
    told: list[Violation] = []
    throttle, stopwatch = throttled(Policy(export=ExportPolicy.friendly(retry_malformed=1.0)), told)
    values = {throttle.refusal(429, WHO).headers["Retry-After"] for _ in range(60)}
    assert "soon" in values
    assert not any(value.isdigit() for value in values)
    stopwatch.now += 0.5
    throttle.take(WHO, "a")
    assert told == []
