"""What ``status`` tells about subscriptions: what lives, what is wrong, what is still to be exported."""

import pytest

from shared.core.errors import GraphUnavailable
from shared.core.instants import format_instant
from shared.flows import report
from shared.flows.export_report import ExportReporting
from shared.flows.report import Reporting
from tests.fakes import MemoryContainer
from tests.unit.flows.subscribing import KEY, MESSAGES, PER_USER, TENANT_WIDE, Subscribing, certificate, wanted


def told(setup: Subscribing, *entries: object) -> dict[str, object]:
    reporting = Reporting(
        inbox=MemoryContainer("inbox", setup.world),
        dead_letters=MemoryContainer("dead-letters", setup.world),
        state=setup.state,
        key_ring=setup.key_ring,
        exports=ExportReporting(setup.state, "tenant", setup.world.clock),
        clock=setup.world.clock,
        desired=wanted(*entries) if entries else None,
    )
    subscriptions = reporting.status()["subscriptions"]
    assert isinstance(subscriptions, dict)
    return subscriptions


def one(setup: Subscribing, *entries: object) -> dict[str, object]:
    resources = told(setup, *entries)["resources"]
    assert isinstance(resources, list)
    (resource,) = resources
    assert isinstance(resource, dict)
    return resource


def test_where_nothing_is_managed_that_is_said() -> None:
    assert told(Subscribing()) == {
        "managed": False,
        "reconciledAt": None,
        "live": 0,
        "gapsToExport": 0,
        "gapsLost": 0,
        "resources": [],
    }


def test_what_lives_is_told_with_its_certificate_and_how_long_it_has() -> None:
    setup = Subscribing()
    setup.reconciling.reconcile()
    setup.world.pass_time(minutes=100)
    resource = one(setup, TENANT_WIDE)

    assert resource == {
        "resource": TENANT_WIDE,
        "id": setup.only.id,
        "live": True,
        "expirationDateTime": format_instant(setup.only.expires_at),
        "secondsToExpiry": 4200 * 60,
        "encryptionCertificateId": "v1",
        "problem": None,
        "problemSince": None,
        "retryAt": None,
    }


def test_after_a_rotation_the_new_version_is_told() -> None:
    setup = Subscribing()
    setup.run()
    setup.key_ring.newest = certificate("v2")
    setup.run()

    assert one(setup, TENANT_WIDE)["encryptionCertificateId"] == "v2"


def test_what_was_never_made_is_told_with_the_reason_and_when_it_is_tried_again() -> None:
    setup = Subscribing()
    setup.graph.refuse("graph.POST", 403, "Forbidden")
    setup.reconciling.reconcile()
    resource = one(setup, TENANT_WIDE)

    assert (resource["resource"], resource["id"], resource["live"]) == (KEY, None, False)
    assert "403 Forbidden" in str(resource["problem"])
    assert resource["problemSince"] == format_instant(setup.world.now)
    assert resource["retryAt"] == format_instant(setup.problem.retry_at)


def test_wanted_and_not_yet_looked_at_is_not_live() -> None:
    assert one(Subscribing(), TENANT_WIDE)["live"] is False


def test_expired_while_nobody_looked_it_is_not_called_live() -> None:
    setup = Subscribing()
    setup.run()
    setup.world.fail("graph.", GraphUnavailable("away"))
    setup.world.pass_time(days=4)
    subscriptions = told(setup, TENANT_WIDE)

    assert subscriptions["live"] == 0
    assert one(setup, TENANT_WIDE)["live"] is False


def test_an_app_that_graph_refuses_is_told_as_a_problem_of_everything() -> None:
    setup = Subscribing()
    setup.graph.list_needs_consent = True
    setup.graph.revoke()
    setup.reconciling.reconcile()
    resources = told(setup, TENANT_WIDE)["resources"]

    assert isinstance(resources, list)
    assert "403" in next(str(each["problem"]) for each in resources if each["resource"] == "*")


def test_gaps_and_the_last_look_are_told() -> None:
    setup = Subscribing(TENANT_WIDE, MESSAGES)
    setup.run()
    for life in setup.graph.living():
        setup.graph.remove(life.id)
    setup.world.pass_time(minutes=1)
    setup.reconciling.reconcile()
    subscriptions = told(setup, TENANT_WIDE, MESSAGES)

    assert (subscriptions["gapsToExport"], subscriptions["live"]) == (2, 2)
    assert subscriptions["reconciledAt"] == format_instant(setup.world.now)


def test_of_very_many_only_some_are_listed_and_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MAX_LISTED", 5)
    entry = {"resource": PER_USER, "users": [f"user-{number}" for number in range(8)]}
    setup = Subscribing(entry)
    setup.run()
    subscriptions = told(setup, entry)
    resources = subscriptions["resources"]

    assert subscriptions["live"] == 8
    assert isinstance(resources, list)
    assert len(resources) == 5


def test_to_tell_nothing_is_asked_of_graph() -> None:
    setup = Subscribing()
    setup.run()
    setup.forget_calls()
    told(setup, TENANT_WIDE)

    assert setup.world.called("graph.") == 0
