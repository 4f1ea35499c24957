"""Hours that nobody vouches for and calls that nobody needs: each test here found a fault in the rules or the flow."""

import json
from datetime import timedelta

import pytest

from shared.core.errors import Busy, GraphRefused, GraphUnavailable, KeyVaultUnavailable
from shared.core.notification import LATEST, MISSED, REAUTHORIZE
from shared.flows.lifecycle import Heeding
from tests.fakes import MemoryContainer
from tests.unit.flows.subscribing import (
    BASE,
    KEY,
    MESSAGES,
    PER_USER,
    SECRET,
    TENANT_WIDE,
    Subscribing,
    certificate,
    running,
)

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def unexported(setup: Subscribing) -> list[tuple[str, str]]:
    """What was neither delivered nor asked to be exported since there was a subscription, as times of day."""
    silent = setup.graph.silent(TENANT_WIDE, setup.graph.lives[0].born, setup.world.now)
    return [(f"{begin:%d %H:%M}", f"{end:%d %H:%M}") for begin, end in setup.uncovered(*silent)]


def test_a_challenge_that_came_while_the_app_was_away_is_answered_and_the_pause_exported() -> None:
    # Graph repeats a post for four hours; after a longer absence nobody tells that it wanted an authorisation.
    setup = running(runs=3)
    setup.world.pass_time(hours=1)
    setup.graph.challenge(setup.only.id)
    setup.world.pass_time(hours=8)
    setup.run(24)

    assert setup.only.asked_at is None, "deliveries are still paused"
    assert unexported(setup) == []


def test_where_only_the_renewal_is_refused_the_gap_begins_at_the_last_good_run() -> None:
    setup = running(runs=3)
    setup.world.pass_time(minutes=-3)
    setup.graph.revoke()
    setup.world.pass_time(minutes=3)
    setup.hint(REAUTHORIZE)
    setup.world.pass_time(hours=5)
    setup.graph.restore()
    setup.run(3)

    assert setup.only.asked_at is None
    assert unexported(setup) == []


def test_a_challenge_that_could_not_be_met_before_a_refusal_begins_the_gap() -> None:
    setup = running(runs=3)
    setup.graph.challenge(setup.only.id)
    setup.graph.refuse("graph.PATCH", 503, times=1)
    with pytest.raises(GraphUnavailable):
        setup.hint(REAUTHORIZE)
    setup.graph.refuse("graph.list", 503, times=10)
    for _ in range(10):
        setup.world.pass_time(minutes=20)
        with pytest.raises(GraphUnavailable):
            setup.reconciling.reconcile()
    setup.graph.refuse("graph.PATCH", 403, "Forbidden")
    setup.world.pass_time(minutes=20)
    setup.run(4)

    assert setup.only.asked_at is None
    assert unexported(setup) == []


def test_a_challenge_that_could_not_be_met_before_the_end_begins_the_gap() -> None:
    setup = running(runs=3)
    setup.graph.challenge(setup.only.id)
    setup.graph.refuse("graph.PATCH", 503, times=20)
    with pytest.raises(GraphUnavailable):
        setup.hint(REAUTHORIZE)
    for _ in range(19):
        setup.world.pass_time(minutes=10)
        with pytest.raises(GraphUnavailable):
            setup.reconciling.reconcile()
    setup.graph.remove(setup.only.id)
    setup.world.pass_time(minutes=10)
    setup.run()

    assert unexported(setup) == []


def test_a_renewal_that_is_forbidden_deletes_nothing() -> None:
    # 403 is about the app and not about the certificate: what lives may deliver again once consent is back.
    setup = running(runs=3)
    setup.graph.revoke()
    setup.key_ring.newest = certificate("v2")
    setup.run(3)

    assert len(setup.graph.living()) == 1
    assert "DELETE" not in setup.changes()


def test_a_renewal_whose_new_address_does_not_answer_deletes_nothing() -> None:
    setup = running(runs=3)
    setup.reconciling = setup.app(TENANT_WIDE, base="https://moved.example", lifecycle=f"{BASE}/api/lifecycle")
    setup.key_ring.newest = certificate("v2")
    setup.graph.handshake = lambda _: False
    setup.run()

    assert len(setup.graph.living()) == 1


def test_a_conflict_with_another_resource_of_ours_is_no_crash() -> None:
    # Graph may count a filtered and an unfiltered subscription as one, and name the other.
    setup = Subscribing(TENANT_WIDE)
    other = setup.graph.put(
        notificationUrl=f"{BASE}/api/notifications", resource=f"/{TENANT_WIDE}?$filter=appClass eq 'x'"
    )
    hidden = setup.graph.lives.pop()
    setup.world.meanwhile["graph.POST"] = lambda: setup.graph.lives.append(hidden)
    setup.graph.refuse("graph.POST", 409, "ObjectIdentifierInUse", in_the_way=other.id)
    setup.run(12)

    assert setup.only.key == KEY
    assert setup.tracked.id == setup.only.id


@pytest.mark.parametrize("users", ["licensed", ["8B081EF6", "8b081ef6"]])
def test_a_user_named_twice_has_one_subscription_and_it_is_made_once(users: object) -> None:
    setup = Subscribing({"resource": PER_USER, "users": users})
    # A user may be on two pages, where the list changed in between.
    setup.graph.users = ["8b081ef6", "8b081ef6"]
    setup.run(12)

    assert setup.changes() == {"POST": 1}


def test_what_is_gone_while_key_vault_is_away_is_not_asked_for_without_a_certificate() -> None:
    setup = running(runs=3)
    setup.world.now = setup.only.expires_at - HOUR
    setup.key_ring.newest = KeyVaultUnavailable("away")
    gone = setup.only.id
    setup.world.meanwhile["graph.PATCH"] = lambda: setup.graph.remove(gone)
    setup.run()

    assert not [body for method, body in setup.graph.bodies if method == "POST"]
    assert "Key Vault" in setup.problem.sentence


def test_users_who_may_not_be_listed_are_in_no_other_subscriptions_way() -> None:
    setup = running(TENANT_WIDE, runs=3)
    setup.reconciling = setup.app(TENANT_WIDE, {"resource": "users/{user-id}/chats", "users": "licensed"})
    setup.world.fail("graph.licensed_users", GraphRefused("403", code="Forbidden", status=403))
    setup.run(4 * 24 * 4, every=15 * MINUTE)

    assert [life.ended for life in setup.graph.lives] == [None], "it was left to expire"
    assert len(setup.graph.living()) == 1


def test_a_graph_that_grants_a_day_is_asked_twice_a_day_and_not_every_five_minutes() -> None:
    setup = running(runs=3, life_limit=timedelta(days=1))
    setup.run(288)

    assert setup.sent("PATCH") <= 4
    assert setup.gaps == []


def test_a_list_that_hides_the_certificate_makes_no_run_renew() -> None:
    setup = running(runs=3)
    setup.graph.list_hides_certificate_id = True
    setup.run(12)
    assert setup.changes() == {}

    setup.key_ring.newest = certificate("v2")
    setup.run(12)
    assert setup.changes() == {"PATCH": 1}


def test_a_long_row_of_changes_keeps_its_claim() -> None:
    # Four hundred renewals are twenty batches, and a batch may take half a minute.
    setup = Subscribing({"resource": PER_USER, "users": [f"user-{number:03}" for number in range(400)]})
    other = setup.app({"resource": PER_USER, "users": [f"user-{number:03}" for number in range(400)]})
    made = iter(range(1, 10_000))

    def late(_: str) -> bool:
        setup.world.pass_time(seconds=0.75)
        if next(made) == 790:
            with pytest.raises(Busy):
                other.reconcile()
        return True

    setup.graph.handshake = late
    setup.run()

    assert len(setup.graph.living()) == 400


def test_what_died_before_it_was_wanted_no_more_is_still_exported() -> None:
    setup = running(runs=3)
    setup.graph.organisation_quota = 0
    setup.graph.remove(setup.only.id)
    setup.run(36)
    until = setup.world.now
    setup.reconciling = setup.app("chats")
    setup.run(3)

    assert setup.uncovered(*setup.graph.silent(TENANT_WIDE, setup.graph.lives[0].born, until)) == []


def test_a_changed_resource_that_can_not_be_made_yet_is_exported_from_when_the_old_one_ended() -> None:
    setup = running(runs=3)
    first = setup.only
    filtered = f"{TENANT_WIDE}?$filter=appClass eq 'x'"
    setup.reconciling = setup.app(filtered)
    setup.graph.refuse("graph.POST", 403, "Forbidden", times=3)
    setup.run(60)

    assert setup.only.key != KEY
    assert first.ended is not None
    assert setup.uncovered((first.ended, setup.only.born), resource=filtered) == []


def test_key_vault_back_the_subscription_is_made_by_the_next_run() -> None:
    # To see that the certificate is there again costs Graph nothing.
    setup = Subscribing()
    setup.key_ring.newest = KeyVaultUnavailable("away")
    setup.run(12 * 7)
    setup.key_ring.newest = certificate("v1")
    setup.run(2)

    assert len(setup.graph.living()) == 1


def test_what_can_not_be_made_again_yet_is_kept_alive_as_it_is() -> None:
    setup = running(runs=3)
    setup.key_ring.newest = KeyVaultUnavailable("away")
    setup.reconciling = setup.app(TENANT_WIDE, lifecycle=f"{BASE}/another/lifecycle")
    first = setup.only
    setup.run(4 * 24 * 4, every=15 * MINUTE)

    assert first.ended is None


def test_a_challenge_counts_from_when_it_was_received_however_long_its_post_waits() -> None:
    setup = running(runs=3)
    inbox, letters = MemoryContainer("inbox", setup.world), MemoryContainer("dead-letters", setup.world)
    heeding = Heeding(inbox, letters, setup.reconciling, (SECRET,))
    item = {"subscriptionId": setup.only.id, "clientState": SECRET, "lifecycleEvent": "reauthorizationRequired"}
    name = "lifecycle/2026/01/05/09/5b0b63a4-6a0f-4b7e-9b32-8c2c7d0d4f11.json"
    setup.graph.challenge(setup.only.id)
    inbox.create(name, json.dumps({"value": [item]}).encode(), {"receivedat": f"{setup.world.now:%Y-%m-%dT%H:%M:%SZ}"})
    setup.run(24)
    heeding.handle(name)
    setup.run()

    assert setup.only.asked_at is None
    assert unexported(setup) == []


def test_missed_notifications_of_a_predecessor_are_exported_too() -> None:
    # The news may come after a run has found it gone and made another.
    setup = running(runs=3)
    before = setup.only.id
    setup.graph.remove(before)
    setup.run()
    setup.hint(MISSED, before)

    assert any(end - begin == LATEST for begin, end in setup.gaps_of())


@pytest.mark.parametrize("away", [timedelta(minutes=45), timedelta(minutes=100), timedelta(hours=3)])
def test_a_challenge_that_is_repeated_after_a_short_absence_tells_of_a_pause_that_began_in_it(away: timedelta) -> None:
    # Graph posts again after the absence; the deliveries have paused long before that.
    setup = running(runs=3)
    setup.graph.challenge(setup.only.id)
    setup.world.now += away
    setup.run(4)
    setup.hint(REAUTHORIZE)
    setup.run(2)

    assert setup.only.asked_at is None
    assert unexported(setup) == []


def test_what_paused_before_it_was_wanted_no_more_is_still_exported() -> None:
    setup = running(runs=3)
    setup.graph.challenge(setup.only.id)
    setup.graph.refuse("graph.PATCH", 503, times=40)
    with pytest.raises(GraphUnavailable):
        setup.hint(REAUTHORIZE)
    for _ in range(12):
        setup.world.pass_time(minutes=15)
        with pytest.raises(GraphUnavailable):
            setup.reconciling.reconcile()
    until = setup.world.now
    setup.graph.accept_again()
    setup.world.pass_time(minutes=15)
    setup.reconciling = setup.app("chats")
    setup.run()

    assert setup.uncovered(*setup.graph.silent(TENANT_WIDE, setup.graph.lives[0].born, until)) == []


def test_wanted_and_not_to_be_had_for_hours_is_exported_from_when_it_was_wanted() -> None:
    setup = Subscribing(MESSAGES)
    setup.run()
    setup.reconciling = setup.app(MESSAGES, TENANT_WIDE)
    since = setup.world.now
    setup.graph.refuse("graph.POST", 503, times=20)
    for _ in range(20):
        with pytest.raises(GraphUnavailable):
            setup.reconciling.reconcile()
        setup.world.pass_time(minutes=15)
    setup.run()

    assert setup.uncovered(*setup.graph.silent(TENANT_WIDE, since, setup.world.now), resource=TENANT_WIDE) == []
