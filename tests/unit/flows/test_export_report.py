"""What status tells of the exports: as it is now in most tenants, as the last plan found it in a large one."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from shared.core.checkpoint import Checkpoint, ExportProblem, Look
from shared.core.checkpoint_json import checkpoint_name, to_json, to_metadata
from shared.core.export_state import SUMMARY
from shared.core.export_window import ExportWindow, to_message
from shared.flows import export_report
from tests.fakes import NOW
from tests.graph_posts import ANOTHER_TENANT, TENANT
from tests.unit.flows.exporting import ALICE, BOB, CAROL, START, Exports, ago, prompt

HOUR = timedelta(hours=1)


@pytest.fixture
def setup() -> Exports:
    return Exports()


def summary(setup: Exports, **told: object) -> None:
    setup.state.blobs.pop(SUMMARY, None)
    setup.state.create(SUMMARY, json.dumps(told).encode(), {})


def checkpoint(setup: Exports, user: str, *, behind: timedelta = HOUR, reason: str | None = None) -> None:
    problem = None if reason is None else ExportProblem(reason, f"why {user}", ago(hours=2), NOW + HOUR)
    made = Checkpoint(user, START, NOW - behind, (Look(START, NOW),), problem=problem)
    name = checkpoint_name(TENANT, user)
    setup.state.blobs.pop(name, None)
    setup.state.create(name, to_json(made), to_metadata(made))


def users(number: int) -> list[str]:
    return [f"{each:08x}-0000-4000-8000-000000000000" for each in range(number)]


def pick(told: Mapping[str, Any], *names: str) -> list[Any]:
    return [told[name] for name in names]


class TestNothingYet:
    def test_before_the_first_plan_nothing_is_known(self, setup: Exports) -> None:
        assert setup.summary() == {
            "scope": None,
            "plannedAt": None,
            "problem": None,
            "users": 0,
            "queued": 0,
            "requestsPerSecond": 25,
            "plannedRequests": 0,
            "complete": 0,
            "behind": 0,
            "flagged": {"total": 0, "byReason": {}, "users": []},
            "leaving": 0,
            "oldestCompleteUntil": None,
            "lagSeconds": None,
            "servedAt": None,
        }

    @pytest.mark.parametrize(
        "content", [b"", b"\xff", b"[1]", b"null", b"[" * 100_000, b'{"users": "many"'], ids=range(6)
    )
    def test_a_summary_that_can_not_be_read_is_as_none(self, setup: Exports, content: bytes) -> None:
        setup.state.create(SUMMARY, content, {})
        checkpoint(setup, ALICE)

        assert pick(setup.summary(), "plannedAt", "users", "complete") == [None, 0, 1]

    def test_a_number_that_is_none_is_told_as_it_was(self, setup: Exports) -> None:
        summary(setup, users="many", complete=4)

        assert pick(setup.summary(), "users", "complete") == ["many", 4]


class TestAsItIsNow:
    def test_a_window_that_ran_since_the_plan_counts_at_once(self, setup: Exports) -> None:
        setup.plan()
        assert pick(setup.summary(), "complete", "behind") == [0, 2]
        setup.exporting.run(to_message(ExportWindow(ALICE, START, NOW)))

        assert pick(setup.summary(), "complete", "behind", "lagSeconds") == [1, 1, 3600]

    def test_time_passes_between_plans(self, setup: Exports) -> None:
        setup.plan()
        setup.work()
        setup.world.pass_time(hours=2)

        assert setup.summary()["lagSeconds"] == 3 * 3600

    def test_what_the_plan_alone_knows_is_told_as_it_was(self, setup: Exports) -> None:
        setup.plan()
        before = setup.summary()
        setup.work()
        told = setup.summary()

        for name in (
            "scope",
            "plannedAt",
            "problem",
            "users",
            "queued",
            "requestsPerSecond",
            "plannedRequests",
            "days",
        ):
            assert told[name] == before[name], name
        assert pick(told, "scope", "plannedAt", "queued") == ["users", "2026-01-05T09:30:10.000000Z", 2]

    def test_only_this_tenants_checkpoints_and_only_those_of_users(self, setup: Exports) -> None:
        checkpoint(setup, ALICE)
        for name in (
            checkpoint_name(ANOTHER_TENANT, BOB),
            checkpoint_name(TENANT, None),
            f"checkpoints/{TENANT}/notes.txt",
            f"checkpoints/{TENANT}/{BOB}.json.bak",
        ):
            setup.state.create(name, b"{}", {})

        assert [user for user, _ in setup.reporting.progress(whole_tenant=False)] == [ALICE]

    def test_of_the_whole_tenant_the_tenant_alone(self) -> None:
        setup = Exports(whole_tenant=True)
        setup.exports.put(ALICE, prompt(ago(hours=3)))
        setup.plan()
        setup.work()
        checkpoint(setup, ALICE, behind=timedelta(days=9))

        assert pick(setup.summary(), "scope", "users", "complete", "behind") == ["tenant", 1, 1, 0]

    def test_the_whole_tenant_is_flagged_by_its_name(self) -> None:
        setup = Exports(whole_tenant=True)
        setup.exports.refuse("exports.first_page", 403)
        setup.plan()
        setup.work()

        assert setup.summary()["flagged"]["byReason"] == {"forbidden": 1}
        assert [each["userId"] for each in setup.summary()["flagged"]["users"]] == ["tenant"]


class TestWhoHasLeft:
    def leave(self, setup: Exports, hours: int) -> None:
        setup.plan()
        setup.work()
        setup.graph.users = [ALICE]
        for _ in range(hours):
            setup.world.pass_time(hours=1)
            setup.plan()
            setup.work()

    def test_as_long_as_he_is_looked_at_he_is_leaving(self, setup: Exports) -> None:
        self.leave(setup, 5)

        assert pick(setup.summary(), "users", "complete", "behind", "leaving") == [1, 1, 0, 1]

    def test_whoever_has_left_for_good_is_not_behind(self, setup: Exports) -> None:
        self.leave(setup, 80)
        setup.world.pass_time(minutes=30)

        assert pick(setup.summary(), "users", "complete", "behind", "leaving", "lagSeconds") == [1, 1, 0, 0, 5400]

    def test_his_problem_is_told_while_he_is_looked_at_and_not_for_ever(self, setup: Exports) -> None:
        setup.exports.refuse(f"exports.first_page {BOB}", 404, times=1000)
        self.leave(setup, 5)
        assert setup.summary()["flagged"]["byReason"] == {"not-found": 1}
        self.leave(setup, 60)

        assert setup.summary()["flagged"] == {"total": 0, "byReason": {}, "users": []}

    def test_what_the_plan_told_says_the_same(self, setup: Exports, monkeypatch: pytest.MonkeyPatch) -> None:
        setup.exports.refuse(f"exports.first_page {BOB}", 404, times=1000)
        self.leave(setup, 80)
        monkeypatch.setattr(export_report, "MAX_LIVE", 0)

        assert pick(setup.summary(), "users", "complete", "behind", "leaving") == [1, 1, 0, 0]
        assert setup.summary()["flagged"]["total"] == 0

    def test_where_the_plan_can_not_be_read_nobody_has(self, setup: Exports) -> None:
        self.leave(setup, 80)
        del setup.state.blobs["exports/plan.json"]

        assert pick(setup.summary(), "complete", "behind", "leaving") == [1, 1, 0]


class TestALargeTenant:
    def test_up_to_a_thousand_users_it_is_as_it_is_now(self, setup: Exports) -> None:
        checkpoint(setup, ALICE)
        summary(setup, users=export_report.MAX_LIVE, complete=7, scope="users")

        assert setup.summary()["complete"] == 1
        assert setup.summary()["behind"] == export_report.MAX_LIVE - 1

    def test_beyond_it_is_as_the_plan_found_it_for_one_read(self, setup: Exports) -> None:
        checkpoint(setup, ALICE)
        summary(setup, users=export_report.MAX_LIVE + 1, complete=7, scope="users")
        setup.world.calls.clear()

        assert setup.summary()["complete"] == 7
        assert setup.world.calls == [f"state.read {SUMMARY}"]

    def test_fifty_flagged_users_are_named_and_all_are_counted(self, setup: Exports) -> None:
        for number, user in enumerate(users(60)):
            checkpoint(setup, user, reason="forbidden" if number % 3 else "unavailable")
        summary(setup, users=60, scope="users")
        flagged = setup.summary()["flagged"]

        assert flagged["total"] == 60
        assert flagged["byReason"] == {"forbidden": 40, "unavailable": 20}
        assert len(flagged["users"]) == export_report.MAX_LISTED
        assert flagged["users"][0] == {
            "userId": users(1)[0],
            "reason": "unavailable",
            "sentence": f"why {users(1)[0]}",
            "since": "2026-01-05T07:30:10.000000Z",
            "retryAt": "2026-01-05T10:30:10.000000Z",
        }


def test_a_user_who_is_forgiven_between_two_looks_is_not_named(setup: Exports) -> None:
    checkpoint(setup, CAROL, reason="forbidden")
    setup.world.meanwhile["state.read checkpoints/"] = lambda: checkpoint(setup, CAROL)

    assert setup.summary()["flagged"] == {"total": 1, "byReason": {"forbidden": 1}, "users": []}
