import contextlib
import itertools
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.core.errors import (
    Busy,
    CertificateDisabled,
    GraphUnavailable,
    KeyVaultUnavailable,
    StorageUnavailable,
    UnknownCertificate,
)
from shared.core.instants import format_instant
from shared.core.notification import REMOVED
from shared.core.subscription import RENEW_BELOW
from shared.core.subscription_rules import MAX_LIFE
from shared.core.subscription_watch import WATCH
from shared.flows import subscription_run
from shared.flows.subscription_changes import MAX_CHANGES
from tests.fake_graph import CONFIDENTIAL, FakeGraph, length
from tests.fakes import Crash, World
from tests.unit.flows.subscribing import (
    BASE,
    FIVE,
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
NO_TIME = timedelta(0)


# ---- the quiet life


def test_what_is_wanted_is_created_with_all_that_graph_needs() -> None:
    setup = Subscribing()
    start = setup.world.now
    setup.run()

    assert setup.only.document | {"id": "", "encryptionCertificate": ""} == {
        "id": "",
        "encryptionCertificate": "",
        "resource": f"/{TENANT_WIDE}",
        "changeType": "created,updated,deleted",
        "notificationUrl": f"{BASE}/api/notifications",
        "lifecycleNotificationUrl": f"{BASE}/api/lifecycle",
        "expirationDateTime": setup.only.document["expirationDateTime"],
        "clientState": SECRET,
        "latestSupportedTlsVersion": "v1_2",
        "includeResourceData": True,
        "encryptionCertificateId": "v1",
    }
    assert setup.only.expires_at == start + MAX_LIFE
    assert (setup.tracked.id, setup.tracked.expires_at) == (setup.only.id, setup.only.expires_at)
    assert setup.gaps == []


def test_what_lives_is_left_alone() -> None:
    setup = running()
    setup.run(12)

    assert setup.changes() == {}
    assert setup.world.called("graph.list") == 12


def test_it_is_renewed_once_at_half_of_its_life_and_what_graph_answers_is_remembered() -> None:
    world = World()
    setup = Subscribing(graph=FakeGraph(world, life_limit=MAX_LIFE - HOUR), world=world)
    setup.run()
    first = setup.only.expires_at
    world.now = first - RENEW_BELOW + timedelta(seconds=1)
    setup.run()

    assert setup.changes() == {"POST": 1, "PATCH": 1}
    assert setup.only.expires_at == world.now - FIVE + MAX_LIFE - HOUR
    assert setup.tracked.expires_at == setup.only.expires_at
    setup.run()
    assert setup.sent("PATCH") == 1


def test_a_month_is_one_subscription_twenty_renewals_and_no_gap() -> None:
    setup = running()
    setup.run(30 * 24 * 4, every=timedelta(minutes=15))

    assert setup.changes().keys() == {"PATCH"}
    assert 19 <= setup.sent("PATCH") <= 22
    assert len(setup.graph.lives) == 1
    assert setup.gaps == []


def test_graph_is_listed_once_in_a_run_whatever_there_is_to_do() -> None:
    setup = Subscribing(TENANT_WIDE, MESSAGES, "chats")
    setup.run(3)

    assert setup.world.called("graph.list") == 3
    assert setup.world.called("graph.get") == 0


def test_without_the_setting_nothing_is_touched() -> None:
    setup = running()
    unmanaged = setup.unmanaged()
    unmanaged.reconcile()
    unmanaged.heed([])

    assert setup.world.calls == []


def test_an_empty_list_wants_nothing_and_what_was_ours_goes() -> None:
    setup = running()
    setup.reconciling = setup.app()
    setup.run()

    assert setup.graph.living() == []
    assert dict(setup.watch.tracked) == {}


# ---- what changes


def test_what_is_wanted_no_more_is_deleted_and_strangers_are_not() -> None:
    setup = running(TENANT_WIDE, MESSAGES)
    stranger = setup.graph.put(resource="/chats")
    setup.reconciling = setup.app(MESSAGES)
    setup.run(20)

    assert sorted(life.key for life in setup.graph.living()) == ["chats", MESSAGES.lower()]
    assert stranger.ended is None
    assert setup.changes() == {"DELETE": 1}


def test_a_changed_resource_is_another_subscription() -> None:
    setup = running()
    filtered = f"{TENANT_WIDE}?$filter=appClass eq 'IPM.SkypeTeams.Message.Copilot.Word'"
    setup.reconciling = setup.app(filtered)
    setup.run()

    assert setup.only.document["resource"] == f"/{filtered}"
    assert setup.changes() == {"DELETE": 1, "POST": 1}


def test_a_new_address_is_patched_and_nothing_lost() -> None:
    setup = running()
    setup.reconciling = setup.app(TENANT_WIDE, base="https://moved.example", lifecycle=f"{BASE}/api/lifecycle")
    setup.run(3)

    assert setup.only.document["notificationUrl"] == "https://moved.example/api/notifications"
    assert setup.changes() == {"PATCH": 1}
    assert setup.gaps == []


@pytest.mark.parametrize(
    ("entry", "lifecycle"),
    [
        (TENANT_WIDE, f"{BASE}/another/lifecycle"),
        ({"resource": TENANT_WIDE, "changeType": "created"}, None),
        ({"resource": TENANT_WIDE, "includeResourceData": False}, None),
    ],
)
def test_what_graph_does_not_change_in_place_is_made_again_and_the_moment_between_exported(
    entry: object, lifecycle: str | None
) -> None:
    setup = running()
    before = setup.only
    setup.reconciling = setup.app(entry, lifecycle=lifecycle)
    setup.slow_handshakes(4)
    setup.run()
    setup.run()

    assert setup.changes() == {"DELETE": 1, "POST": 1}
    assert before.ended is not None
    silent = setup.graph.silent(TENANT_WIDE, before.born, setup.world.now)
    assert length(silent) == timedelta(seconds=8)
    assert setup.uncovered(*silent) == []


# ---- certificates


def test_a_new_certificate_is_patched_in() -> None:
    setup = running()
    setup.key_ring.newest = certificate("v2")
    setup.run(3)

    assert setup.changes() == {"PATCH": 1}
    assert setup.only.document["encryptionCertificateId"] == "v2"
    assert setup.tracked.certificate_id == "v2"
    assert setup.gaps == []


def test_where_graph_takes_no_certificate_in_a_patch_it_is_made_again_and_the_gap_exported() -> None:
    setup = running(strict_patch=True)
    before = setup.only
    setup.slow_handshakes(4)
    setup.key_ring.newest = certificate("v2")
    setup.run(3)

    # To patch twice is good too: without the certificate it shows that this was what Graph did not take.
    assert setup.changes() | {"PATCH": 1} == {"PATCH": 1, "DELETE": 1, "POST": 1}
    assert setup.sent("PATCH") <= 2
    assert setup.only.document["encryptionCertificateId"] == "v2"
    assert setup.uncovered(*setup.graph.silent(TENANT_WIDE, before.born, setup.world.now)) == []
    assert NO_TIME < length(setup.gaps) < MINUTE


@pytest.mark.parametrize(
    "trouble", [KeyVaultUnavailable("away"), UnknownCertificate("none"), CertificateDisabled("disabled")]
)
def test_while_key_vault_is_away_what_lives_is_renewed_with_what_it_has(trouble: Exception) -> None:
    setup = running()
    setup.key_ring.newest = trouble
    setup.run(4 * 24 * 4, every=timedelta(minutes=15))

    assert setup.changes().keys() == {"PATCH"}
    assert setup.only.document["encryptionCertificateId"] == "v1"
    assert setup.gaps == []


def test_while_key_vault_is_away_what_needs_a_certificate_waits_and_says_so() -> None:
    setup = Subscribing(TENANT_WIDE, {"resource": "chats", "includeResourceData": False})
    setup.key_ring.newest = KeyVaultUnavailable("away")
    setup.run(12)

    assert setup.only.key == "chats"
    assert "Key Vault" in setup.problem.sentence
    assert setup.changes() == {"POST": 1}

    setup.key_ring.newest = certificate("v1")
    setup.run(24)
    assert len(setup.graph.living()) == 2
    assert dict(setup.watch.problems) == {}


def test_without_resource_data_key_vault_is_not_asked() -> None:
    setup = Subscribing({"resource": "chats", "includeResourceData": False})
    setup.run(3)

    assert setup.only.key == "chats"
    assert setup.world.called("key-ring") == 0


# ---- Graph's refusals


def test_gone_at_its_renewal_it_is_made_again_and_the_gap_exported() -> None:
    setup = running()
    setup.world.now = setup.only.expires_at - RENEW_BELOW + MINUTE
    first = setup.only
    setup.world.meanwhile["graph.PATCH"] = lambda: setup.graph.remove(first.id)
    setup.run()

    assert setup.only.id != first.id
    assert setup.changes() == {"PATCH": 1, "POST": 1}
    assert len(setup.gaps_of(TENANT_WIDE)) == 1


def test_removed_without_a_word_it_is_back_at_the_next_run_and_the_gap_exported() -> None:
    setup = running()
    setup.world.pass_time(minutes=-3)
    setup.graph.remove(setup.only.id)
    setup.world.pass_time(minutes=3)
    removed = setup.world.now - 3 * MINUTE
    setup.run()

    assert setup.uncovered(*setup.graph.silent(TENANT_WIDE, removed - HOUR, setup.world.now)) == [
        (removed - HOUR, setup.graph.lives[0].born)
    ]
    assert length(setup.gaps) <= FIVE


def test_our_own_that_is_in_the_way_is_adopted() -> None:
    setup = Subscribing()
    setup.graph.put(notificationUrl=f"{BASE}/api/notifications", lifecycleNotificationUrl=f"{BASE}/api/lifecycle")
    hidden = setup.graph.lives.pop()
    setup.world.meanwhile["graph.POST"] = lambda: setup.graph.lives.append(hidden)
    setup.run(2)

    assert setup.only is hidden
    assert setup.tracked.id == hidden.id
    assert setup.changes() == {"POST": 1}
    assert dict(setup.watch.problems) == {}


def test_our_own_that_is_in_the_way_and_not_as_it_should_be_is_replaced() -> None:
    setup = Subscribing()
    setup.graph.put(notificationUrl=f"{BASE}/api/notifications", lifecycleNotificationUrl=None)
    hidden = setup.graph.lives.pop()
    setup.world.meanwhile["graph.POST"] = lambda: setup.graph.lives.append(hidden)
    setup.run()

    assert setup.only is not hidden
    assert setup.tracked.id == setup.only.id
    assert setup.changes() == {"POST": 2, "DELETE": 1}


def test_somebody_elses_in_the_way_is_named_and_not_touched() -> None:
    setup = Subscribing()
    stranger = setup.graph.put()
    setup.run(12)

    assert setup.only is stranger
    assert stranger.id in setup.problem.sentence
    assert "this app touches none that is not its own" in setup.problem.sentence
    assert "DELETE" not in setup.changes()
    assert "PATCH" not in setup.changes()

    setup.graph.remove(stranger.id)
    setup.run(12)
    assert setup.only.document["notificationUrl"] == f"{BASE}/api/notifications"
    assert dict(setup.watch.problems) == {}


def test_a_conflict_that_names_nobody_is_a_problem_too() -> None:
    setup = Subscribing()
    setup.graph.refuse("graph.POST", 409, "ObjectIdentifierInUse")
    setup.run()

    assert "of unknown id" in setup.problem.sentence


@pytest.mark.parametrize(("status", "code"), [(403, "Forbidden"), (402, "PaymentRequired"), (400, "ValidationError")])
def test_a_quota_or_a_licence_is_told_in_a_sentence_without_graphs_own_words(
    status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    setup = Subscribing()
    setup.graph.refuse("graph.POST", status, code)
    with caplog.at_level(logging.DEBUG):
        setup.run()

    assert f"{status} {code}: Graph" in setup.problem.sentence
    assert setup.problem.sentence in caplog.text
    assert CONFIDENTIAL not in caplog.text + setup.problem.sentence
    assert SECRET not in caplog.text


def test_what_graph_refuses_is_tried_slowly_for_as_long_as_it_takes() -> None:
    setup = Subscribing()
    setup.graph.organisation_quota = 0
    setup.run(288)
    day, setup.world.calls = setup.sent("POST"), []
    setup.run(288)

    assert 24 <= day <= 34
    assert 22 <= setup.sent("POST") <= 26
    assert setup.problem.retry_at > setup.world.now - FIVE

    setup.graph.organisation_quota = 10_000
    setup.run(12)
    assert len(setup.graph.living()) == 1
    assert dict(setup.watch.problems) == {}


def test_a_handshake_that_failed_once_is_asked_for_again_by_the_next_run() -> None:
    setup = Subscribing()
    setup.graph.refuse("graph.POST", 400, "ValidationError")
    setup.run(2)

    assert setup.sent("POST") == 2
    assert setup.only.key == KEY


def test_a_changed_client_state_reaches_graph_and_the_seconds_in_between_are_exported() -> None:
    setup = Subscribing()
    setup.run(3)
    old = setup.only
    setup.reconciling = replace(setup.reconciling, client_state="another-secret")
    setup.run(3)

    assert setup.only.id != old.id
    assert setup.only.document["clientState"] == "another-secret"
    assert (setup.sent("DELETE"), setup.sent("POST")) == (1, 2)
    assert len(setup.gaps_of()) == 1
    assert "secret" not in setup.state.blobs[WATCH].content.decode()


def test_one_whose_creation_was_not_answered_is_taken_to_carry_the_secret_of_now() -> None:
    setup = Subscribing()
    setup.world.fail("graph.POST", GraphUnavailable("lost"), after=True, times=1)
    with pytest.raises(GraphUnavailable):
        setup.run()
    setup.world.now += FIVE
    setup.run(3)
    assert setup.sent("POST") == 1

    setup.reconciling = replace(setup.reconciling, client_state="another-secret")
    setup.run()
    assert setup.only.document["clientState"] == "another-secret"


def test_a_life_that_somebody_cut_short_is_made_longer() -> None:
    setup = Subscribing()
    setup.run()
    setup.only.document["expirationDateTime"] = format_instant(setup.world.now + timedelta(hours=20))
    setup.run()

    assert setup.sent("PATCH") == 1
    assert setup.only.expires_at > setup.world.now + timedelta(days=2)


def test_what_is_gone_and_can_not_be_made_again_is_told_as_such() -> None:
    setup = Subscribing()
    setup.run()
    setup.graph.remove(setup.only.id)
    setup.graph.refuse("graph.POST", 403, "Forbidden")
    setup.run()
    assert not setup.tracked.is_live(setup.world.now)

    setup.run()
    assert setup.tracked.is_live(setup.world.now)


def test_one_resource_that_is_refused_is_in_no_others_way() -> None:
    setup = Subscribing(MESSAGES, TENANT_WIDE)
    setup.graph.refuse("graph.POST", 403, "Forbidden")
    setup.run()

    assert setup.only.key == KEY
    assert set(setup.watch.problems) == {MESSAGES.lower()}


def test_a_missing_permission_is_named_before_graph_is_asked() -> None:
    setup = Subscribing(TENANT_WIDE, MESSAGES)
    setup.graph.granted = frozenset({"Chat.Read.All"})
    setup.run(12)

    assert setup.only.key == MESSAGES.lower()
    assert setup.problem.sentence == (
        "the app registration lacks AiEnterpriseInteraction.Read.All for Copilot interactions of the tenant: "
        "grant it as an application permission"
    )
    assert setup.changes() == {"POST": 1}


def test_any_permission_that_suffices_will_do() -> None:
    setup = Subscribing("chats")
    setup.graph.granted = frozenset({"Chat.ReadWrite.All"})
    setup.run()

    assert setup.only.key == "chats"


# ---- Graph out of reach


@pytest.mark.parametrize(
    ("status", "seconds", "waits"), [(429, "120", 120), (503, "400", 400), (503, "86400", 600), (504, "1", 1)]
)
def test_graph_is_left_alone_for_as_long_as_it_asks(status: int, seconds: str, waits: int) -> None:
    setup = Subscribing()
    setup.graph.refuse("graph.list", status, "TooManyRequests", retry_after=seconds)
    with pytest.raises(GraphUnavailable):
        setup.reconciling.reconcile()
    setup.forget_calls()

    setup.world.pass_time(seconds=waits - 0.5)
    with pytest.raises(GraphUnavailable, match="left alone until"):
        setup.reconciling.reconcile()
    assert setup.world.called("graph.") == 0

    setup.world.pass_time(seconds=0.5)
    setup.run()
    assert len(setup.graph.living()) == 1


@pytest.mark.parametrize("call", ["graph.POST", "graph.PATCH", "graph.DELETE"])
def test_a_throttled_change_is_tried_again_when_graph_said_so_and_is_no_problem(call: str) -> None:
    setup = running(TENANT_WIDE, MESSAGES)
    setup.graph.remove(next(life.id for life in setup.graph.living() if life.key == KEY))
    setup.key_ring.newest = certificate("v2")
    setup.graph.put(notificationUrl=f"{BASE}/api/notifications", resource="/chats")
    setup.graph.refuse(call, 429, "TooManyRequests", retry_after="400")
    with pytest.raises(GraphUnavailable):
        setup.reconciling.reconcile()

    assert setup.watch.not_before == setup.world.now + timedelta(seconds=400)
    setup.world.pass_time(seconds=400)
    setup.run()
    setup.run()
    lives = {life.key: life.document["encryptionCertificateId"] for life in setup.graph.living()}
    assert lives == {KEY: "v2", MESSAGES.lower(): "v2"}
    assert dict(setup.watch.problems) == {}


def test_what_was_done_before_graph_went_away_is_remembered() -> None:
    setup = Subscribing(TENANT_WIDE, MESSAGES)

    def goes_away(_: str) -> bool:
        setup.world.fail("graph.", GraphUnavailable("away"))
        return True

    setup.graph.handshake = goes_away
    with pytest.raises(GraphUnavailable):
        setup.reconciling.reconcile()

    assert set(setup.watch.tracked) == {KEY}


def test_the_whole_app_refused_is_told_and_what_follows_is_exported() -> None:
    setup = running()
    good = setup.world.now - FIVE
    setup.graph.list_needs_consent = True
    setup.graph.revoke()
    setup.run(24)

    assert "403" in setup.watch.problems["*"].sentence
    assert setup.tracked.refused_since == good
    assert setup.changes() == {}

    setup.graph.restore()
    setup.run(2)
    assert setup.changes() == {"PATCH": 1}
    assert setup.gaps == [(good, setup.world.now - 2 * FIVE)]
    assert dict(setup.watch.problems) == {}


def test_graph_away_for_days_longer_than_a_subscription_lives() -> None:
    setup = running()
    first = setup.only
    setup.world.fail("graph.", GraphUnavailable("away"))
    for _ in range(4 * 24):
        with pytest.raises(GraphUnavailable):
            setup.reconciling.reconcile()
        setup.world.pass_time(hours=1)
    setup.world.recover()
    setup.run()

    assert setup.only.id != first.id
    assert setup.uncovered(*setup.graph.silent(TENANT_WIDE, first.born, setup.world.now)) == []


# ---- lost answers


@pytest.mark.parametrize("conflicts", [True, False])
def test_a_creation_whose_answer_was_lost_never_makes_two(conflicts: bool) -> None:
    world = World()
    setup = Subscribing(graph=FakeGraph(world, conflicts=conflicts), world=world)
    world.fail("graph.POST", GraphUnavailable("lost"), after=True, times=1)
    with pytest.raises(GraphUnavailable):
        setup.reconciling.reconcile()
    setup.world.pass_time(minutes=5)
    setup.run(3)

    assert setup.graph.most_at_once == {KEY: 1}
    assert setup.tracked.id == setup.only.id
    assert setup.sent("POST") == 1


def test_a_renewal_whose_answer_was_lost_is_seen_in_the_list() -> None:
    setup = running()
    setup.run(18, every=2 * HOUR)
    setup.world.fail("graph.PATCH", GraphUnavailable("lost"), after=True, times=1)
    with pytest.raises(GraphUnavailable):
        setup.reconciling.reconcile()
    setup.world.pass_time(minutes=5)
    setup.run(3)

    assert setup.sent("PATCH") == 1
    assert setup.tracked.expires_at == setup.only.expires_at
    assert setup.gaps == []


def test_a_deletion_whose_answer_was_lost_is_not_repeated() -> None:
    setup = running(TENANT_WIDE, MESSAGES)
    setup.reconciling = setup.app(MESSAGES)
    setup.world.fail("graph.DELETE", GraphUnavailable("lost"), after=True, times=1)
    with pytest.raises(GraphUnavailable):
        setup.reconciling.reconcile()
    setup.world.pass_time(minutes=5)
    setup.run(3)

    assert setup.changes() == {"DELETE": 1}
    assert setup.only.key == MESSAGES.lower()


def test_made_again_with_the_answer_lost_the_gap_is_still_asked_for() -> None:
    setup = running(strict_patch=True)
    before = setup.only
    setup.key_ring.newest = certificate("v2")
    setup.slow_handshakes(4)
    setup.world.fail("graph.POST", GraphUnavailable("lost"), after=True, times=1)
    with pytest.raises(GraphUnavailable):
        setup.reconciling.reconcile()
    setup.world.pass_time(minutes=5)
    setup.run()

    assert setup.sent("POST") == 1
    assert setup.uncovered(*setup.graph.silent(TENANT_WIDE, before.born, setup.world.now)) == []


# ---- one for each user


def test_each_named_user_gets_a_subscription() -> None:
    setup = Subscribing({"resource": PER_USER, "users": ["adele", "alex"]})
    setup.run(2)

    assert [life.document["resource"] for life in setup.graph.living()] == [
        f"/copilot/users/{user}/interactionHistory/getAllEnterpriseInteractions" for user in ("adele", "alex")
    ]
    assert setup.world.called("graph.licensed_users") == 0


def test_licensed_users_come_and_go() -> None:
    setup = Subscribing({"resource": PER_USER, "users": "licensed"})
    setup.graph.users = ["adele", "alex"]
    setup.run()
    setup.graph.users = ["alex", "diego"]
    setup.run()

    users = sorted(str(life.document["resource"]).split("/")[3] for life in setup.graph.living())
    assert users == ["alex", "diego"]
    assert len(setup.watch.tracked) == 2


def test_while_the_users_are_not_known_nothing_is_deleted() -> None:
    setup = running({"resource": PER_USER, "users": ["adele"]})
    setup.reconciling = setup.app({"resource": PER_USER, "users": "licensed"})
    setup.graph.refuse("graph.licensed_users", 503)
    with pytest.raises(GraphUnavailable):
        setup.reconciling.reconcile()

    assert len(setup.graph.living()) == 1
    assert setup.changes() == {}


def test_more_users_than_an_organisation_may_have_are_left_out_and_said_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(subscription_run, "ORGANISATION_QUOTA", 50)
    setup = Subscribing({"resource": PER_USER, "users": "licensed"})
    setup.graph.users = [f"user-{number:03}" for number in range(60)]
    setup.run(2)

    assert len(setup.graph.living()) == 50
    assert "60 subscriptions are wanted and Graph gives an organisation 50" in caplog.text


def test_ten_thousand_users_are_reached_in_as_many_runs_as_graphs_limits_take() -> None:
    setup = Subscribing({"resource": PER_USER, "users": "licensed"})
    setup.graph.users = [f"user-{number:04}" for number in range(1000)]
    made = []
    for _ in range(4):
        setup.run()
        made.append(setup.sent("POST"))

    assert made == [MAX_CHANGES, 2 * MAX_CHANGES, 1000, 1000]
    assert len(setup.watch.tracked) == len(setup.graph.living()) == 1000
    # Who had to wait for a later run is exported from when he was wanted.
    assert length(setup.gaps) <= 2 * FIVE


# ---- who does it


def test_while_one_instance_is_at_it_another_stops() -> None:
    setup = Subscribing()
    other = setup.app(TENANT_WIDE)

    def meanwhile() -> None:
        with pytest.raises(Busy):
            other.reconcile()

    setup.world.meanwhile["graph.POST"] = meanwhile
    setup.run()

    assert setup.graph.most_at_once == {KEY: 1}
    assert setup.sent("POST") == 1


def test_one_that_was_stalled_finds_its_work_done_and_stops() -> None:
    world = World()
    setup = Subscribing(graph=FakeGraph(world, conflicts=False), world=world)
    other = setup.app(TENANT_WIDE)

    def stalled() -> None:
        setup.world.pass_time(minutes=10)
        other.reconcile()

    setup.world.meanwhile["graph.roles"] = stalled
    with pytest.raises(Busy):
        setup.reconciling.reconcile()

    assert setup.graph.most_at_once == {KEY: 1}
    assert setup.sent("POST") == 1
    assert setup.tracked.id == setup.only.id


def test_one_that_was_stalled_with_a_call_on_its_way_harms_nobody() -> None:
    setup = Subscribing()
    other = setup.app(TENANT_WIDE)

    def stalled() -> None:
        setup.world.pass_time(minutes=10)
        other.reconcile()

    setup.world.meanwhile["graph.POST"] = stalled
    with pytest.raises(Busy):
        setup.reconciling.reconcile()
    setup.run(2)

    assert setup.graph.most_at_once == {KEY: 1}
    assert setup.tracked.id == setup.only.id
    assert dict(setup.watch.problems) == {}


# ---- crashes


def _living(setup: Subscribing) -> None:
    setup.run()


def _removed(setup: Subscribing) -> None:
    setup.run()
    setup.world.pass_time(minutes=-2)
    setup.graph.remove(setup.only.id)
    setup.world.pass_time(minutes=2)


def _rotated(setup: Subscribing) -> None:
    setup.run()
    setup.graph.strict_patch = True
    setup.key_ring.newest = certificate("v2")


def _moved(setup: Subscribing) -> None:
    setup.run()
    setup.reconciling = setup.app(TENANT_WIDE, base="https://moved.example")


def _challenged(setup: Subscribing) -> None:
    setup.run()
    setup.graph.challenge(setup.only.id)
    with pytest.raises(GraphUnavailable):
        _hinted_while_graph_is_away(setup)
    setup.world.pass_time(hours=3)


def _hinted_while_graph_is_away(setup: Subscribing) -> None:
    setup.world.fail("graph.", GraphUnavailable("away"))
    try:
        setup.hint("reauthorizationrequired")
    finally:
        setup.world.recover()


def _nothing(_: Subscribing) -> None:
    pass


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("error", [Crash(), StorageUnavailable("lost"), GraphUnavailable("lost")], ids=repr)
@pytest.mark.parametrize("scene", [_nothing, _living, _removed, _rotated, _moved, _challenged])
def test_wherever_a_run_ends_later_ones_finish_its_work(
    scene: Callable[[Subscribing], None],
    error: BaseException,
    after: bool,
) -> None:
    for number in itertools.count():
        world = World()
        setup = Subscribing(graph=FakeGraph(world, conflicts=False), world=world)
        scene(setup)
        setup.forget_calls()
        world.fail_call(number, error, after=after)
        with contextlib.suppress(Crash, StorageUnavailable, GraphUnavailable, Busy):
            setup.reconciling.reconcile()
        calls = len(world.calls)
        world.recover()
        world.pass_time(minutes=5)
        setup.run(3)

        _check_it_all_came_right(setup)
        if calls <= number:
            break


def _check_it_all_came_right(setup: Subscribing) -> None:
    assert setup.graph.most_at_once == {KEY: 1}
    assert setup.tracked.id == setup.only.id
    assert setup.watch.claimed_by is None
    assert dict(setup.watch.problems) == {}
    assert not setup.tracked.doubted
    silent = setup.graph.silent(TENANT_WIDE, setup.graph.lives[0].born, setup.world.now)
    assert setup.uncovered(*silent) == []
    setup.forget_calls()
    setup.run()
    assert setup.changes() == {}


def test_a_state_that_somebody_else_wrote_is_not_overwritten() -> None:
    setup = Subscribing()
    setup.state.create(WATCH, b"{}", {})
    with pytest.raises(ValueError, match="none of ours"):
        setup.reconciling.reconcile()

    assert setup.state.blobs[WATCH].content == b"{}"
    assert setup.graph.lives == []


def test_removed_twice_in_a_minute_it_is_looked_at_by_the_next_run() -> None:
    setup = running()
    setup.graph.remove(setup.only.id)
    setup.hint(REMOVED, setup.tracked.id)
    assert len(setup.graph.living()) == 1
    setup.graph.remove(setup.only.id)
    setup.hint(REMOVED, setup.tracked.id)
    setup.world.pass_time(minutes=5)
    setup.run()

    assert len(setup.graph.living()) == 1
    assert setup.uncovered(*setup.graph.silent(TENANT_WIDE, setup.graph.lives[0].born, setup.world.now)) == []


def test_a_token_that_nobody_can_read_leaves_the_decision_to_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = Subscribing()
    monkeypatch.setattr(setup.graph, "roles", lambda: None)
    setup.run()

    assert setup.only.key == KEY
    assert setup.watch.problems == {}
