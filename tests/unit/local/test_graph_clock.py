"""Clock, rate limits, patience and history, without any network."""

import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.graph import Clock, Limits, VirtualClock
from local.graph.authorisation import Authorisations, Violation
from local.graph.entra import Principal
from local.graph.graph_errors import GraphError
from local.graph.policy import Policy
from local.graph.subscription import Subscription
from local.graph.subscription_rules import Caller, create
from local.graph.subscription_store import Subscriptions
from local.graph.throttle import Throttle

START = datetime(2030, 1, 1, tzinfo=UTC)
WHO = "tenant", "application"
HOUR = timedelta(hours=1)


def chat(number: int, now: datetime = START) -> Subscription:
    body = {
        "changeType": "created",
        "notificationUrl": "https://webhook.example/",
        "resource": f"/chats/{number}",
        "expirationDateTime": (now + HOUR).isoformat(),
    }
    return create(body, Caller("tenant", Principal("app", "oid"), frozenset({"Chat.Read.All"})), now)


def test_a_clock_keeps_calendar_and_stopwatch_apart() -> None:
    clock = Clock(lambda: START)
    clock.advance(HOUR)
    assert (clock.now(), clock.passed(), clock.advanced) == (START, START + HOUR, HOUR)


def test_a_virtual_clock_moves_both() -> None:
    clock = VirtualClock(START)
    clock.advance(HOUR)
    assert (clock.now(), clock.passed(), clock.advanced) == (START + HOUR, START + HOUR, timedelta(0))


@pytest.mark.parametrize("clock", [Clock(), VirtualClock(START)])
def test_no_clock_goes_back(clock: Clock) -> None:
    with pytest.raises(ValueError, match="back"):
        clock.advance(-HOUR)


@given(st.lists(st.integers(0, 30), max_size=60), st.integers(1, 5), st.integers(1, 20))
def test_never_more_than_the_limit_passes_within_a_window(steps: list[int], limit: int, window: int) -> None:
    throttle, moment, passed = Throttle(Policy(Limits(list=limit, window=window))), START, []
    for step in steps:
        moment += timedelta(seconds=step)
        with contextlib.suppress(GraphError):
            throttle.take("list", WHO, moment)
            passed.append(moment)
    for first in passed:
        assert sum(first <= each < first + timedelta(seconds=window) for each in passed) <= limit


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40))
def test_who_waits_as_told_gets_through(steps: list[int]) -> None:
    throttle, moment = Throttle(Policy(Limits(list=2, window=20))), START
    for step in steps:
        moment += timedelta(seconds=step)
        try:
            throttle.take("list", WHO, moment)
        except GraphError as error:
            moment += timedelta(seconds=int(error.headers["Retry-After"]))
            throttle.take("list", WHO, moment)


def test_applications_and_buckets_have_limits_of_their_own() -> None:
    throttle = Throttle(Policy(Limits(list=1, write=1)))
    throttle.take("list", WHO, START)
    throttle.take("list", ("tenant", "another"), START)
    throttle.take("write", WHO, START)
    with pytest.raises(GraphError):
        throttle.take("write", WHO, START)


@pytest.mark.parametrize("values", [{"list": 0}, {"write": 1.5}, {"get": True}, {"window": "long"}, {"lists": 1}])
def test_limits_are_checked(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"must be|unknown"):
        Limits.read(values)


def test_patience_is_counted_from_the_first_unanswered_request() -> None:
    clock, told = VirtualClock(START), list[Violation]()
    authorisations = Authorisations(clock, Policy(patience=HOUR), told.append)
    authorisations.ask("id")
    clock.advance(HOUR / 2)
    authorisations.ask("id")
    assert not authorisations.is_suspended("id")
    clock.advance(HOUR / 2)
    assert authorisations.is_suspended("id")
    authorisations.renew("id", "reauthorize")
    assert not authorisations.is_suspended("id")
    authorisations.renew("id", "patch")
    assert [(each.subscription_id, each.at) for each in told] == [("id", clock.now())]
    authorisations.suspend("id")
    assert authorisations.is_suspended("id")
    authorisations.forget("id")
    assert not authorisations.is_suspended("id")


def test_history_tells_every_hour_without_a_subscription() -> None:
    clock = VirtualClock(START)
    store = Subscriptions(clock)
    first, second = chat(1), chat(1, START + 3 * HOUR)
    store.add(first)
    clock.advance(3 * HOUR)
    store.add(second)
    store.replace(replace(second, expires=clock.now() + 2 * HOUR))
    clock.advance(HOUR)
    store.remove(second.id)
    fates = [(each.fate, each.subscription_id, (each.at - START) / HOUR) for each in store.history]
    assert fates == [
        ("created", first.id, 0),
        ("expired", first.id, 1),
        ("created", second.id, 3),
        ("changed", second.id, 3),
        ("deleted", second.id, 4),
    ]
    assert store.find(first.id) is None
    last = store.last_seen(first.id)
    assert last is not None
    assert last.expires == START + HOUR
    with pytest.raises(GraphError):
        store.replace(first)


@given(st.lists(st.integers(0, 50), max_size=8))
def test_a_store_ages_by_what_its_clock_was_advanced(minutes: list[int]) -> None:
    clock = Clock(lambda: START)
    store = Subscriptions(clock)
    store.add(made := chat(1))
    for each in minutes:
        clock.advance(timedelta(minutes=each))
        store.living()
    left = made.expires - timedelta(minutes=sum(minutes))
    found = store.find(made.id)
    assert (found.expires if found else None) == (left if left > START else None)
