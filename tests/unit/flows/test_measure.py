import json
from collections.abc import Mapping

import pytest

from shared.core import metrics
from shared.core.errors import CannotArchive, StorageUnavailable
from shared.core.metrics import METRICS, Instrument
from shared.flows.export_report import ExportReporting
from shared.flows.measure import Measuring
from shared.flows.report import Reporting
from shared.ports import SILENCE, Telemetry
from tests.fake_telemetry import MemoryTelemetry
from tests.fakes import MemoryContainer, MemoryKeyRing, World

STATUS: dict[str, object] = {
    "version": 1,
    "inbox": {
        "notifications": {"posts": 12, "oldestReceivedAt": "2026-01-05T09:00:00.000000Z", "oldestAgeSeconds": 610},
        "lifecycle": {"posts": 0, "oldestReceivedAt": None, "oldestAgeSeconds": None},
    },
    "deadLetters": {"total": 6, "byReason": {"not-genuine": 4, "a-folder-by-hand": 1, "another": 1}},
    "conflicts": 0,
    "subscriptions": {
        "managed": True,
        "live": 1,
        "gapsToExport": 3,
        "gapsLost": 1,
        "resources": [
            {"live": True, "secondsToExpiry": 7200},
            {"live": False, "secondsToExpiry": -60},
            {"live": False, "secondsToExpiry": None},
        ],
    },
    "certificate": {"secondsToExpiry": 129_600},
    "exports": {
        "scope": "licensed",
        "users": 10,
        "complete": 6,
        "behind": 3,
        "leaving": 1,
        "lagSeconds": 5400,
        "queued": 2,
        "requestsPerSecond": 25,
        "plannedRequests": 22_500,
        "flagged": {"total": 2, "byReason": {}, "users": []},
    },
    "coverage": [
        {"day": "2026-01-03", "resource": "aiInteraction", "missedByNotifications": 9, "notShownByExport": 2,
         "complete": True},
        {"day": "2026-01-05", "resource": "aiInteraction", "missedByNotifications": 1, "notShownByExport": None,
         "complete": False},
        {"day": "2026-01-04", "resource": "aiInteraction", "missedByNotifications": 5, "notShownByExport": None,
         "complete": True},
    ],
}  # fmt: skip


@pytest.fixture
def telemetry() -> MemoryTelemetry:
    return MemoryTelemetry()


def measure(telemetry: Telemetry, status: Mapping[str, object]) -> None:
    # As JSON brings it, so that no type of the report's own slips through.
    document = json.loads(json.dumps(status))
    Measuring(lambda: document, 2, telemetry).measure()


def test_every_gauge_gets_its_value(telemetry: MemoryTelemetry) -> None:
    measure(telemetry, STATUS)

    assert telemetry.last(metrics.INBOX_POSTS) == {("notifications",): 12, ("lifecycle",): 0}
    assert telemetry.last(metrics.INBOX_AGE) == {("notifications",): 610, ("lifecycle",): 0}
    assert telemetry.last(metrics.SUBSCRIPTIONS_WANTED) == {(): 2}
    assert telemetry.last(metrics.SUBSCRIPTIONS_LIVE) == {(): 1}
    assert telemetry.last(metrics.SUBSCRIPTION_TIME_LEFT) == {(): -60}
    assert telemetry.last(metrics.CERTIFICATE_DAYS_LEFT) == {(): 1.5}
    assert telemetry.last(metrics.GAPS) == {(): 3}
    assert telemetry.last(metrics.LOST_GAPS) == {(): 1}
    assert telemetry.last(metrics.EXPORT_LAG) == {(): 5400}
    assert telemetry.last(metrics.EXPORT_USERS) == {("complete",): 6, ("behind",): 3, ("leaving",): 1, ("flagged",): 2}
    assert telemetry.last(metrics.EXPORT_BUDGET_USED) == {(): 0.25}
    gauges = {metric for metric in METRICS if metric.instrument is Instrument.GAUGE}
    assert {metric for metric, _, _ in telemetry.measured} == gauges


def test_dead_letters_are_told_for_every_reason_so_that_none_goes_on(telemetry: MemoryTelemetry) -> None:
    measure(telemetry, STATUS)
    held = telemetry.last(metrics.DEAD_LETTERS_HELD)

    assert {(each.reason,) for each in CannotArchive.__subclasses__()} | {("other",)} == set(held)
    assert held[("not-genuine",)] == 4
    assert held[("other",)] == 2
    assert held[("decryption-failed",)] == 0


def test_coverage_is_that_of_the_newest_day_that_tells(telemetry: MemoryTelemetry) -> None:
    measure(telemetry, STATUS)

    assert telemetry.last(metrics.MISSED_BY_NOTIFICATIONS) == {("aiInteraction",): 5}
    assert telemetry.last(metrics.NOT_SHOWN_BY_EXPORT) == {("aiInteraction",): 2}


@pytest.mark.parametrize("part", [name for name in STATUS if name not in ("version", "conflicts")])
def test_a_part_that_is_missing_is_skipped_and_the_rest_is_told(telemetry: MemoryTelemetry, part: str) -> None:
    measure(telemetry, STATUS)
    all_of_them = len(telemetry.measured)
    telemetry.measured.clear()
    measure(telemetry, {name: value for name, value in STATUS.items() if name != part})

    assert 0 < len(telemetry.measured) < all_of_them


@pytest.mark.parametrize("odd", [None, [], "x", 5, {"error": "Key Vault is away"}])
def test_an_odd_part_stops_nothing(telemetry: MemoryTelemetry, odd: object) -> None:
    measure(telemetry, dict.fromkeys(STATUS, odd))

    assert telemetry.measured == []


def test_subscriptions_that_are_left_alone_have_no_gauges(telemetry: MemoryTelemetry) -> None:
    measure(telemetry, {"subscriptions": {"managed": False, "live": 0, "gapsToExport": 0, "resources": []}})

    assert [metric for metric, _, _ in telemetry.measured] == [metrics.GAPS]


def test_no_lag_is_not_a_lag_of_zero(telemetry: MemoryTelemetry) -> None:
    measure(telemetry, {"exports": {"lagSeconds": None, "requestsPerSecond": 0, "plannedRequests": 5}})

    assert telemetry.measured == []


def test_storage_that_is_away_is_no_failure_of_the_timer(telemetry: MemoryTelemetry) -> None:
    def away() -> Mapping[str, object]:
        raise StorageUnavailable("container inbox could not list")

    Measuring(away, 2, telemetry).measure()

    assert telemetry.measured == []


def test_where_nobody_listens_storage_is_not_asked() -> None:
    Measuring(lambda: pytest.fail("asked"), 2, SILENCE).measure()


def test_it_understands_the_status_as_it_is_reported(telemetry: MemoryTelemetry) -> None:
    world = World()
    inbox, dead_letters, state = (MemoryContainer(name, world) for name in ("inbox", "dead-letters", "state"))
    dead_letters.create("not-genuine/2026/01/05/x.json", b"{}", {})
    reporting = Reporting(
        inbox=inbox,
        dead_letters=dead_letters,
        state=state,
        key_ring=MemoryKeyRing(world, {}),
        exports=ExportReporting(state, "tenant", world.clock),
        clock=world.clock,
    )
    Measuring(reporting.status, None, telemetry).measure()

    assert telemetry.last(metrics.INBOX_POSTS) == {("notifications",): 0, ("lifecycle",): 0}
    assert telemetry.last(metrics.DEAD_LETTERS_HELD)[("not-genuine",)] == 1
    assert telemetry.last(metrics.GAPS) == {(): 0}


def test_gauges_are_told_at_once_because_the_instance_may_be_gone_in_a_minute(telemetry: MemoryTelemetry) -> None:
    measure(telemetry, {"subscriptions": {"gapsLost": 1}})

    assert telemetry.last(metrics.LOST_GAPS) == {(): 1}
    assert telemetry.flushed == len(telemetry.measured) > 0
