import json
from datetime import timedelta

import pytest

from shared.core.activity import Hour, hour_of, hour_prefix, to_json
from shared.core.errors import CertificateDisabled, KeyVaultUnavailable, StorageUnavailable, UnknownCertificate
from shared.core.export_state import SUMMARY
from shared.flows import report
from shared.flows.export_report import ExportReporting
from shared.flows.hours import CAPTURED, HOURS_KEPT, Hours
from shared.flows.report import Reporting
from shared.ports import CertificateVersion
from tests.fakes import NOW, MemoryContainer, MemoryKeyRing, World

TENANT = "5b0b63a4-6a0f-4b7e-9b32-8c2c7d0d4f11"
FIRST = "notifications/2026/01/05/09/5b0b63a4-6a0f-4b7e-9b32-8c2c7d0d4f11.json"
SECOND = "notifications/2026/01/05/09/1b0b63a4-6a0f-4b7e-9b32-8c2c7d0d4f11.json"
LATER = "notifications/2026/01/05/10/0b0b63a4-6a0f-4b7e-9b32-8c2c7d0d4f11.json"


class Setup:
    """What a status looks at."""

    def __init__(self) -> None:
        self.world = World()
        self.inbox = MemoryContainer("inbox", self.world)
        self.dead_letters = MemoryContainer("dead-letters", self.world)
        self.state = MemoryContainer("state", self.world)
        self.key_ring = MemoryKeyRing(self.world, {})
        self.key_ring.newest = CertificateVersion("v1", "ab" * 20, NOW + timedelta(days=30))
        self.reporting = Reporting(
            inbox=self.inbox,
            dead_letters=self.dead_letters,
            state=self.state,
            key_ring=self.key_ring,
            exports=ExportReporting(self.state, TENANT, self.world.clock),
            clock=self.world.clock,
        )


def test_all_is_well() -> None:
    status = Setup().reporting.status()
    for story_of_its_own in ("subscriptions", "exports", "coverage", "captured"):
        status.pop(story_of_its_own)

    assert status == {
        "version": 1,
        "time": "2026-01-05T09:30:10.000000Z",
        "inbox": {
            "notifications": {"posts": 0, "oldestReceivedAt": None, "oldestAgeSeconds": None},
            "lifecycle": {"posts": 0, "oldestReceivedAt": None, "oldestAgeSeconds": None},
        },
        "deadLetters": {"total": 0, "byReason": {}},
        "conflicts": 0,
        "certificate": {
            "id": "v1",
            "thumbprint": "ab" * 20,
            "expiresAt": "2026-02-04T09:30:10.000000Z",
            "secondsToExpiry": 30 * 24 * 3600,
        },
    }


def test_the_oldest_post_tells_how_long_the_worker_is_behind() -> None:
    setup = Setup()
    for name in (FIRST, SECOND, LATER):
        setup.inbox.create(name, b"{}", {})
        setup.world.pass_time(minutes=10)

    status = setup.reporting.status()

    assert status["inbox"] == {
        "notifications": {"posts": 3, "oldestReceivedAt": "2026-01-05T09:30:10.000000Z", "oldestAgeSeconds": 1800},
        "lifecycle": {"posts": 0, "oldestReceivedAt": None, "oldestAgeSeconds": None},
    }


def test_each_queue_is_told_for_itself() -> None:
    setup = Setup()
    setup.inbox.create(FIRST.replace("notifications", "lifecycle"), b"{}", {})

    inbox = setup.reporting.status()["inbox"]

    assert isinstance(inbox, dict)
    assert (inbox["notifications"]["posts"], inbox["lifecycle"]["posts"]) == (0, 1)


def test_a_clock_that_lags_behind_storages_makes_no_negative_age() -> None:
    setup = Setup()
    setup.inbox.create(FIRST, b"{}", {})
    setup.world.pass_time(seconds=-30)

    assert '"oldestAgeSeconds": 0' in json.dumps(setup.reporting.status())


def test_dead_letters_are_counted_by_reason_and_conflicts_by_themselves() -> None:
    setup = Setup()
    for name in (
        "not-genuine/2026/01/05/a.json",
        "not-genuine/2026/01/06/b.json",
        "malformed-content/2026/01/05/c.json",
    ):
        setup.dead_letters.create(name, b"{}", {})
    for name in ("conflicts/a.json", "checkpoints/x/y.json"):
        setup.state.create(name, b"{}", {})

    status = setup.reporting.status()

    assert status["deadLetters"] == {"total": 3, "byReason": {"malformed-content": 1, "not-genuine": 2}}
    assert status["conflicts"] == 1


def test_counting_stops_where_it_gets_expensive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MAX_COUNTED", 4)
    setup = Setup()
    for number in range(30):
        setup.dead_letters.create(f"not-genuine/{number:02}.json", b"{}", {})

    assert setup.reporting.status()["deadLetters"] == {"total": 4, "byReason": {"not-genuine": 4}}
    assert setup.world.called("dead-letters.names") <= 2


@pytest.mark.parametrize(
    "trouble",
    [
        KeyVaultUnavailable("Key Vault: away"),
        UnknownCertificate("no such certificate"),
        CertificateDisabled("disabled"),
    ],
)
def test_a_certificate_in_trouble_is_part_of_the_answer(trouble: Exception) -> None:
    setup = Setup()
    setup.key_ring.newest = trouble

    assert setup.reporting.status()["certificate"] == {"error": str(trouble)}


@pytest.mark.parametrize("call", ["inbox.names", "dead-letters.folders", "state.names"])
def test_storage_out_of_reach_is_told_as_such(call: str) -> None:
    setup = Setup()
    setup.world.fail(call)
    with pytest.raises(StorageUnavailable):
        setup.reporting.status()


def test_days_and_hours_stand_beside_the_exports() -> None:
    setup = Setup()
    days = [{"day": "2026-01-04", "complete": True}]
    setup.state.create(SUMMARY, json.dumps({"users": 5000, "scope": "users", "days": days}).encode(), {})
    setup.state.create(f"{hour_prefix(hour_of(NOW))}one.json", to_json(Hour({"notification": 3})), {})
    Hours(setup.state, setup.world.clock).put_together()
    status = setup.reporting.status()

    assert status["coverage"] == days
    assert isinstance(status["exports"], dict)
    assert "days" not in status["exports"]
    assert status["exports"]["users"] == 5000
    assert isinstance(status["captured"], list)
    assert len(status["captured"]) == HOURS_KEPT
    assert status["captured"][0] == {
        "hour": "2026-01-05T09:00:00.000000Z",
        "bySource": {"notification": 3},
        "latencySeconds": {},
    }


def test_before_the_first_plan_and_the_first_sweep_both_are_empty() -> None:
    status = Setup().reporting.status()

    assert (status["coverage"], status["captured"]) == ([], [])


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b'{"days": "x"}', b'{"users": null}'], ids=range(5))
def test_what_somebody_wrote_over_stands_in_nothings_way(content: bytes) -> None:
    setup = Setup()
    setup.state.create(SUMMARY, content, {})
    setup.state.create(CAPTURED, content, {})
    status = setup.reporting.status()

    assert status["captured"] == []
    assert status["conflicts"] == 0


def test_gaps_are_counted_by_what_became_of_them() -> None:
    setup = Setup()
    for name in ("gaps/a.json", "gaps/b.json", "gaps-lost/c.json", "gaps-exported/d.json"):
        setup.state.create(name, b"{}", {})
    subscriptions = setup.reporting.status()["subscriptions"]

    assert isinstance(subscriptions, dict)
    assert (subscriptions["gapsToExport"], subscriptions["gapsLost"]) == (2, 1)


def test_no_post_and_no_dead_letter_is_read() -> None:
    setup = Setup()
    setup.inbox.create(FIRST, b"{}", {})
    setup.dead_letters.create("not-genuine/a.json", b"{}", {})
    setup.reporting.status()

    assert not [call for call in setup.world.calls if call.startswith(("inbox.read", "dead-letters.read"))]
