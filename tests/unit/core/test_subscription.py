import itertools
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.core.subscription import (
    RENEW_BELOW,
    Action,
    ActualSubscription,
    Create,
    Delete,
    Here,
    Keep,
    Recreate,
    Renew,
    client_state_tag,
    decide,
    is_ours,
)
from shared.core.subscription_rules import MAX_LIFE, DesiredSubscription
from shared.core.subscription_watch import Tracked, Watch
from tests.fakes import NOW

HERE = Here("https://archive.example/api/notifications", "https://archive.example/api/lifecycle", "v2", "secret")
ELSEWHERE = "https://elsewhere.example/api/notifications"
WANTED = DesiredSubscription("chats/getAllMessages", frozenset({"created", "updated"}), include_resource_data=True)
LIVING = ActualSubscription(
    id="s1",
    resource="chats/getAllMessages",
    changes=WANTED.changes,
    notification_url=HERE.notification_url,
    lifecycle_url=HERE.lifecycle_url,
    expires_at=NOW + MAX_LIFE,
    include_resource_data=True,
    certificate_id="v2",
)
NOTHING = Watch()
TINY = timedelta(microseconds=1)


def tracking(actual: ActualSubscription, **known: datetime | str) -> Watch:
    tracked = Tracked(actual.id, actual.resource, actual.expires_at, actual.certificate_id, NOW)
    return Watch(tracked={actual.key: replace(tracked, **known)})  # type: ignore[arg-type] # fields of those types


def only(actual: Sequence[ActualSubscription], watch: Watch = NOTHING, here: Here = HERE) -> Action:
    (action,) = decide([WANTED], actual, here, watch, NOW)
    return action


def test_what_is_as_it_should_be_is_kept() -> None:
    assert only([LIVING]) == Keep(WANTED, LIVING, "it is as it should be")


def test_what_is_not_there_is_created() -> None:
    assert only([]) == Create(WANTED, "there is none")


def test_nothing_wanted_and_nothing_there_is_nothing_to_do() -> None:
    assert decide([], [], HERE, NOTHING, NOW) == []


@pytest.mark.parametrize(
    ("left", "kind"), [(RENEW_BELOW - TINY, Renew), (RENEW_BELOW, Keep), (TINY, Renew), (MAX_LIFE, Keep)]
)
def test_it_is_renewed_with_less_than_half_of_its_life_left(left: timedelta, kind: type[Action]) -> None:
    action = only([replace(LIVING, expires_at=NOW + left)])

    assert isinstance(action, kind)
    assert action.reason == ("it is as it should be" if kind is Keep else "less than half of its life is left")


@pytest.mark.parametrize(("left", "kind"), [(timedelta(minutes=29), Renew), (timedelta(minutes=30), Keep)])
def test_of_the_less_that_graph_granted_it_is_half(left: timedelta, kind: type[Action]) -> None:
    there = replace(LIVING, expires_at=NOW + left)
    made = there.expires_at - timedelta(hours=1)

    assert isinstance(only([there], tracking(there, authorised_at=made, granted_until=there.expires_at)), kind)


def test_what_ends_sooner_than_it_was_granted_is_renewed() -> None:
    there = replace(LIVING, expires_at=NOW + timedelta(hours=20))
    watch = tracking(there, authorised_at=NOW, granted_until=NOW + MAX_LIFE)

    assert isinstance(only([there], watch), Renew)


def test_another_client_state_takes_another_subscription() -> None:
    watch = tracking(LIVING, client_state_tag=client_state_tag("secret", LIVING.id))

    assert isinstance(only([LIVING], watch), Keep)
    changed = only([LIVING], watch, replace(HERE, client_state="another"))
    assert changed == Recreate(WANTED, LIVING, "CLIENT_STATE begins with another secret")


def test_no_secret_shows() -> None:
    assert "secret" not in repr(HERE)
    tags = {client_state_tag(secret, each) for secret in ("secret", "another") for each in ("s1", "s2")}
    assert len(tags) == 4
    assert not [tag for tag in tags if "secret" in tag]


@pytest.mark.parametrize("ago", [timedelta(0), timedelta(days=9)])
def test_what_has_expired_is_there_no_more(ago: timedelta) -> None:
    assert only([replace(LIVING, expires_at=NOW - ago)]) == Create(WANTED, "there is none")


@pytest.mark.parametrize(
    ("differing", "reason"),
    [
        ({"changes": frozenset({"created"})}, "changeType differs"),
        ({"include_resource_data": False}, "includeResourceData differs"),
        ({"lifecycle_url": "https://archive.example/other"}, "lifecycleNotificationUrl differs"),
        ({"lifecycle_url": None}, "lifecycleNotificationUrl differs"),
    ],
)
def test_what_graph_does_not_change_in_place_is_made_again(differing: dict[str, object], reason: str) -> None:
    there = replace(LIVING, **differing)  # type: ignore[arg-type] # fields, see above

    assert only([there]) == Recreate(WANTED, there, reason)


def test_another_notification_url_is_patched_where_the_id_is_known() -> None:
    there = replace(LIVING, notification_url=ELSEWHERE)

    assert only([there], tracking(there)) == Renew(WANTED, there, "notificationUrl differs", new_url=True)


def test_a_new_certificate_version_is_patched() -> None:
    there = replace(LIVING, certificate_id="v1")

    assert only([there]) == Renew(WANTED, there, "the certificate has a new version", new_certificate=True)


def test_while_key_vault_is_away_the_version_that_it_has_is_good_enough() -> None:
    here = replace(HERE, certificate_id=None)

    assert isinstance(only([replace(LIVING, certificate_id="v1")], here=here), Keep)


def test_without_resource_data_no_certificate_matters() -> None:
    basic = replace(WANTED, include_resource_data=False)
    there = replace(LIVING, include_resource_data=False, certificate_id=None)

    assert decide([basic], [there], HERE, NOTHING, NOW) == [Keep(basic, there, "it is as it should be")]


@pytest.mark.parametrize("doubt", ["challenged_at", "refused_since"])
def test_a_challenge_and_a_refusal_are_answered_by_a_renewal(doubt: str) -> None:
    action = only([LIVING], tracking(LIVING, **{doubt: NOW}))

    assert action == Renew(WANTED, LIVING, "Graph has asked for a new authorisation, or has refused us")


def test_all_reasons_for_a_renewal_are_told() -> None:
    there = replace(LIVING, notification_url=ELSEWHERE, certificate_id="v1", expires_at=NOW + timedelta(hours=1))
    action = only([there], tracking(there, challenged_at=NOW))

    assert action.reason == (
        "notificationUrl differs; the certificate has a new version; "
        "Graph has asked for a new authorisation, or has refused us; less than half of its life is left"
    )


def test_ours_that_is_wanted_no_more_is_deleted() -> None:
    assert decide([], [LIVING], HERE, NOTHING, NOW) == [Delete(LIVING, "it is wanted no more")]


def test_of_two_for_one_resource_the_one_that_lives_longer_stays() -> None:
    shorter = replace(LIVING, id="s2", expires_at=LIVING.expires_at - TINY)

    assert decide([WANTED], [shorter, LIVING], HERE, NOTHING, NOW) == [
        Delete(shorter, "another one of ours is for the same resource"),
        Keep(WANTED, LIVING, "it is as it should be"),
    ]


def test_a_changed_resource_is_made_after_the_old_one_is_gone() -> None:
    filtered = replace(WANTED, resource="chats")
    actions = decide([filtered], [LIVING], HERE, NOTHING, NOW)

    assert actions == [Delete(LIVING, "it is wanted no more"), Create(filtered, "there is none")]


@pytest.mark.parametrize(
    ("notification_url", "known", "ours"),
    [
        (HERE.notification_url, frozenset(), True),
        (ELSEWHERE, frozenset({"s1"}), True),
        (ELSEWHERE, frozenset({"s2"}), False),
        (ELSEWHERE, frozenset(), False),
        (f"{HERE.notification_url}/", frozenset(), False),
        (f"{HERE.notification_url}?code=1", frozenset(), False),
    ],
)
def test_ours_is_what_we_remember_or_what_posts_to_us(notification_url: str, known: frozenset[str], ours: bool) -> None:
    assert is_ours(replace(LIVING, notification_url=notification_url), HERE, known) is ours


# ---- properties

CHANGES = [frozenset({"created"}), frozenset({"created", "updated"})]
RESOURCES = ["chats", "chats/getAllMessages", "chats/getAllMembers", "chats/19:x"]
DESIRED = st.lists(
    st.builds(
        DesiredSubscription,
        resource=st.sampled_from(RESOURCES),
        changes=st.sampled_from(CHANGES),
        include_resource_data=st.booleans(),
        users=st.none(),
    ),
    max_size=4,
    unique_by=lambda each: each.key,
)
ACTUAL = st.lists(
    st.builds(
        ActualSubscription,
        id=st.sampled_from([f"s{number}" for number in range(8)]),
        resource=st.sampled_from([*RESOURCES, "/Chats", "CHATS/getAllMessages"]),
        changes=st.sampled_from(CHANGES),
        notification_url=st.sampled_from([HERE.notification_url, ELSEWHERE]),
        lifecycle_url=st.sampled_from([HERE.lifecycle_url, None]),
        expires_at=st.timedeltas(timedelta(-1), timedelta(3)).map(lambda left: NOW + left),
        include_resource_data=st.booleans(),
        certificate_id=st.sampled_from(["v1", "v2", None]),
    ),
    max_size=8,
    unique_by=lambda each: each.id,
)
HERES = st.sampled_from([HERE, replace(HERE, certificate_id=None)])


@st.composite
def watches(draw: st.DrawFn) -> Watch:
    tracked = {}
    for resource in draw(st.lists(st.sampled_from(RESOURCES), unique=True)):
        number = draw(st.integers(0, 7))
        challenged_at = draw(st.none() | st.just(NOW))
        tracked[resource.lower()] = Tracked(f"s{number}", resource, NOW, "v1", NOW, challenged_at)
    return Watch(tracked=tracked)


def performed(
    actions: Sequence[Action], actual: Sequence[ActualSubscription], here: Here, watch: Watch
) -> tuple[list[ActualSubscription], Watch]:
    """What Graph lists, and what we remember, once all is done."""
    listed, numbers = {each.id: each for each in actual}, itertools.count()
    tracked = dict(watch.tracked)
    for action in actions:
        if isinstance(action, Delete | Recreate):
            del listed[action.actual.id]
        if isinstance(action, Renew):
            there = replace(action.actual, expires_at=NOW + MAX_LIFE, notification_url=here.notification_url)
            live = replace(there, certificate_id=here.certificate_id) if action.new_certificate else there
        elif isinstance(action, Create | Recreate):
            live = replace(LIVING, id=f"new{next(numbers)}", resource=action.desired.resource)
            live = replace(live, changes=action.desired.changes, certificate_id=here.certificate_id)
            live = replace(live, include_resource_data=action.desired.include_resource_data)
        elif isinstance(action, Keep):
            live = action.actual
        else:
            continue
        listed[live.id] = live
        tracked[live.key] = Tracked(live.id, live.resource, live.expires_at, live.certificate_id, NOW)
    return list(listed.values()), Watch(tracked=tracked)


@given(desired=DESIRED, actual=ACTUAL, here=HERES, watch=watches())
def test_once_all_is_done_there_is_nothing_more_to_do(
    desired: list[DesiredSubscription], actual: list[ActualSubscription], here: Here, watch: Watch
) -> None:
    actions = decide(desired, actual, here, watch, NOW)
    listed, remembered = performed(actions, actual, here, watch)
    again = decide(desired, listed, here, remembered, NOW)

    assert [type(action) for action in again] == [Keep] * len(desired)


@given(desired=DESIRED, actual=ACTUAL, here=HERES, watch=watches())
def test_what_is_not_ours_is_part_of_no_action(
    desired: list[DesiredSubscription], actual: list[ActualSubscription], here: Here, watch: Watch
) -> None:
    known = {tracked.id for tracked in watch.tracked.values()}
    touched = [each.actual for each in decide(desired, actual, here, watch, NOW) if not isinstance(each, Create)]

    assert all(each.notification_url == here.notification_url or each.id in known for each in touched)


@given(desired=DESIRED, actual=ACTUAL, here=HERES, watch=watches())
def test_everything_wanted_has_one_action_and_everything_of_ours_one_at_most(
    desired: list[DesiredSubscription], actual: list[ActualSubscription], here: Here, watch: Watch
) -> None:
    actions = decide(desired, actual, here, watch, NOW)
    about = [each.desired.key for each in actions if not isinstance(each, Delete)]
    touched = [each.actual.id for each in actions if not isinstance(each, Create)]
    living = [each for each in actual if each.expires_at > NOW]
    ours = {each.id for each in living if is_ours(each, here, frozenset(t.id for t in watch.tracked.values()))}

    assert about == [each.key for each in desired]
    assert sorted(touched) == sorted(ours)
    assert all(action.reason for action in actions)


@given(desired=DESIRED, actual=ACTUAL, here=HERES, watch=watches())
def test_deletions_come_first(
    desired: list[DesiredSubscription], actual: list[ActualSubscription], here: Here, watch: Watch
) -> None:
    deletions = [isinstance(action, Delete) for action in decide(desired, actual, here, watch, NOW)]

    assert deletions == sorted(deletions, reverse=True)


@given(desired=DESIRED, actual=ACTUAL, here=HERES, watch=watches(), order=st.randoms())
def test_the_order_of_graphs_list_decides_nothing(
    desired: list[DesiredSubscription],
    actual: list[ActualSubscription],
    here: Here,
    watch: Watch,
    order: random.Random,
) -> None:
    # Of two that live equally long either may go.
    assume(len({each.expires_at for each in actual}) == len(actual))
    shuffled = sorted(actual, key=lambda _: order.random())
    one_way, other_way = (decide(desired, each, here, watch, NOW) for each in (actual, shuffled))

    assert {repr(action) for action in one_way} == {repr(action) for action in other_way}
