"""Who is put on the queue, what becomes of gaps, and what is told."""

import json
from datetime import datetime, timedelta

import pytest

from shared.core.activity import hour_of
from shared.core.checkpoint_json import DAYS_TOLD
from shared.core.errors import StorageUnavailable
from shared.core.export_plan import SECOND_LOOK
from shared.core.gap import WITHOUT_CONTENT, Gap
from shared.core.instants import format_instant
from shared.core.subscription_watch import WATCH, Watch
from shared.core.watch_json import to_json
from shared.flows.corroboration import note_corroborated
from shared.flows.export_report import ExportReporting
from shared.flows.gaps import ask_for_export
from tests.fakes import NOW, Crash
from tests.graph_posts import TENANT
from tests.unit.flows.exporting import ALICE, BOB, CAROL, START, Exports, ago, prompt

TENANT_WIDE = "copilot/interactionHistory/getAllEnterpriseInteractions"

GAP = Gap(TENANT_WIDE, ago(days=3), NOW + timedelta(minutes=30), "the subscription was gone")


@pytest.fixture
def setup() -> Exports:
    return Exports()


def users(messages: object) -> list[str]:
    assert isinstance(messages, list)
    return sorted(each["userId"] for each in messages)


class TestWhom:
    def test_everybody_with_a_licence_from_the_start_on(self, setup: Exports) -> None:
        messages = setup.plan()

        assert users(messages) == [ALICE, BOB]
        assert {each["from"] for each in messages} == {"2025-12-01T00:00:00.000000Z"}

    def test_those_who_are_named(self) -> None:
        assert users(Exports(f"{CAROL.upper()}, {BOB}").plan()) == [BOB, CAROL]

    def test_the_members_of_a_group(self) -> None:
        setup = Exports(f"group:{ALICE}")
        setup.graph.groups = {ALICE: [CAROL]}

        assert users(setup.plan()) == [CAROL]

    def test_nobody(self) -> None:
        setup = Exports("none")

        assert setup.plan() == []
        assert setup.state.blobs == {}

    def test_the_tenant_as_one(self) -> None:
        (message,) = Exports(whole_tenant=True).plan()

        assert message["userId"] is None

    def test_nobody_twice_while_his_window_waits(self, setup: Exports) -> None:
        setup.budget = 4
        setup.restart()
        setup.plan()
        setup.world.pass_time(hours=1)

        assert setup.plan() == []

    def test_where_there_is_room_a_window_that_a_killed_exporter_held_is_put_there_again(self, setup: Exports) -> None:
        setup.plan()
        setup.world.pass_time(minutes=1)

        assert users(setup.plan()) == [ALICE, BOB]

    def test_again_once_his_window_is_done(self, setup: Exports) -> None:
        setup.plan()
        setup.world.pass_time(minutes=3)
        setup.work()
        setup.world.pass_time(hours=1)

        assert users(setup.plan()) == [ALICE, BOB]

    def test_again_where_the_message_was_lost(self, setup: Exports) -> None:
        setup.plan()
        setup.doorbell.rings.clear()
        setup.world.pass_time(hours=4)

        assert users(setup.plan()) == [ALICE, BOB]

    def test_where_there_is_no_room_what_waits_is_left_alone_until_it_is_forgotten(self, setup: Exports) -> None:
        setup.budget = 3
        setup.restart()
        planned = []
        for _ in range(4):
            planned.append(users(setup.plan()))
            setup.world.pass_time(hours=1)

        assert planned == [[ALICE, BOB], [], [], [ALICE, BOB]]

    def test_whoever_lost_his_licence_stays_until_his_history_is_complete(self, setup: Exports) -> None:
        setup.plan()
        setup.work()
        setup.graph.users = [BOB]
        setup.exports.put(ALICE, prompt(ago(hours=-1)))
        planned = []
        for _ in range(80):
            setup.world.pass_time(hours=1)
            planned.append(ALICE in users(setup.plan()))
            setup.work()

        assert planned.index(False) in range(49, 52)
        assert not any(planned[52:])
        assert len(setup.archived) == 1

    def test_where_graph_does_not_tell_the_users_those_of_the_last_time_go_on(self, setup: Exports) -> None:
        setup.plan()
        setup.work()
        setup.world.pass_time(hours=1)
        setup.graph.refuse("graph.licensed_users", 403, "Authorization_RequestDenied")

        assert users(setup.plan()) == [ALICE, BOB]
        assert "403" in str(setup.summary()["problem"])
        setup.world.pass_time(hours=1)
        setup.work()
        assert setup.plan()
        assert setup.summary()["problem"] is None

    def test_whose_prompts_arrived_come_first(self, setup: Exports) -> None:
        setup.graph.users = [ALICE, BOB, CAROL]
        setup.exports.know(CAROL)
        setup.plan()
        setup.work()
        setup.world.pass_time(hours=3)
        note_activity(setup, CAROL)
        setup.budget = 2
        setup.restart()

        assert users(setup.plan())[0] == CAROL


class TestGaps:
    def test_a_gap_of_the_tenant_is_closed_once_everybody_has_been_looked_at(self, setup: Exports) -> None:
        setup.plan()
        setup.work()
        ask_for_export(setup.state, GAP)
        setup.world.pass_time(hours=1)
        messages = setup.plan()
        assert {each["from"] for each in messages} == {"2026-01-02T09:15:10.000000Z"}
        assert setup.summary()["users"] == 2
        assert [name for name in setup.state.blobs if name.startswith("gaps/")]
        setup.world.pass_time(minutes=1)
        setup.work()
        setup.world.pass_time(hours=1)
        setup.plan()

        assert not [name for name in setup.state.blobs if name.startswith("gaps/")]
        assert len([name for name in setup.state.blobs if name.startswith("gaps-exported/")]) == 1

    def test_one_that_is_filled_is_not_opened_again(self, setup: Exports) -> None:
        self.test_a_gap_of_the_tenant_is_closed_once_everybody_has_been_looked_at(setup)
        ask_for_export(setup.state, GAP)

        assert not [name for name in setup.state.blobs if name.startswith("gaps/")]

    def test_a_users_gap_is_his_alone_licensed_or_not(self, setup: Exports) -> None:
        setup.exports.know(CAROL)
        resource = f"copilot/users/{CAROL}/interactionHistory/getAllEnterpriseInteractions"
        ask_for_export(setup.state, Gap(resource, ago(hours=5), ago(hours=2), "a new authorisation came late"))

        assert users(setup.plan()) == [ALICE, BOB, CAROL]
        setup.world.pass_time(minutes=1)
        setup.work()
        setup.plan()
        assert not [name for name in setup.state.blobs if name.startswith("gaps/")]

    def test_a_user_who_is_flagged_does_not_keep_it_open(self, setup: Exports) -> None:
        ask_for_export(setup.state, Gap(TENANT_WIDE, ago(days=3), NOW, "the subscription was gone"))
        setup.exports.refuse(f"exports.first_page {BOB}", 403, times=100)
        for _ in range(3):  # until it shows that others are served, he is tried by each plan
            setup.plan()
            setup.world.pass_time(minutes=1)
            setup.work()
            setup.world.pass_time(minutes=59)
        setup.plan()

        assert not [name for name in setup.state.blobs if name.startswith("gaps/")]

    def test_where_nobody_is_known_it_stays_open(self, setup: Exports) -> None:
        setup.graph.users = []
        ask_for_export(setup.state, Gap(TENANT_WIDE, ago(days=3), NOW, "the subscription was gone"))
        setup.plan()

        assert [name for name in setup.state.blobs if name.startswith("gaps/")]

    def test_what_nothing_exports_is_told_as_lost(self, setup: Exports) -> None:
        ask_for_export(setup.state, Gap("chats", ago(days=3), NOW, "the subscription was gone"))
        setup.plan()

        assert [name.partition("/")[0] for name in setup.state.blobs if name.startswith("gaps")] == ["gaps-lost"]

    def test_notifications_without_content_are_about_those_who_are_active(self, setup: Exports) -> None:
        setup.exports.put(ALICE, prompt(ago(hours=3)))
        setup.plan()
        setup.world.pass_time(minutes=1)
        setup.work()
        setup.world.pass_time(hours=2)
        ask_for_export(setup.state, Gap(TENANT_WIDE, ago(hours=-1), ago(hours=-2), WITHOUT_CONTENT))
        setup.budget = 1
        setup.restart()

        assert users(setup.plan()) == [ALICE]


class TestWhatIsTold:
    def test_users_by_state_and_how_far_the_last_one_is(self, setup: Exports) -> None:
        setup.exports.refuse(f"exports.first_page {BOB}", 404, times=100)
        setup.plan()
        assert setup.summary()["behind"] == 2
        setup.world.pass_time(minutes=1)
        setup.work()
        told = setup.summary()

        assert (told["users"], told["complete"], told["behind"]) == (2, 1, 0)
        assert told["oldestCompleteUntil"] == "2026-01-05T08:31:10.000000Z"
        assert told["lagSeconds"] == 3600
        assert told["servedAt"] == "2026-01-05T09:31:10.000000Z"
        assert told["flagged"]["byReason"] == {"not-found": 1}
        assert [each["userId"] for each in told["flagged"]["users"]] == [BOB]

    def test_what_notifications_missed_and_what_came_after_all(self, setup: Exports) -> None:
        notified_since(setup, ago(days=10))
        items = [prompt(ago(days=1, hours=hour)) for hour in (1, 2, 3)]
        setup.exports.put(ALICE, *items)
        setup.plan()
        setup.world.pass_time(minutes=1)
        setup.work()
        late = next(iter(setup.interactions.blobs))
        note_corroborated(setup.state, late)
        note_corroborated(setup.state, late)
        setup.world.pass_time(hours=1)
        setup.plan()
        day = next(each for each in setup.summary()["days"] if each["day"] == "2026-01-04")

        assert (day["byNotification"], day["missedByNotifications"]) == (1, 2)
        assert day["complete"] is True
        assert day["notShownByExport"] is None

    def test_what_was_there_before_the_first_subscription_was_not_missed(self, setup: Exports) -> None:
        notified_since(setup, ago(hours=2))
        setup.exports.put(ALICE, prompt(ago(days=1)), prompt(ago(hours=1)))
        setup.plan()
        setup.world.pass_time(minutes=1)
        setup.work()
        setup.plan()
        days = {each["day"]: each["missedByNotifications"] for each in setup.summary()["days"]}

        assert (days["2026-01-04"], days["2026-01-05"]) == (0, 1)

    def test_what_the_export_has_not_shown_is_counted_after_two_days(self, setup: Exports) -> None:
        shown, hidden = prompt(ago(hours=2)), prompt(ago(hours=3))
        for item in (shown, hidden):
            name = f"{TENANT}/2026/01/05/s/{item['requestId']}/{item['id']}.{item['id']}.json"
            setup.interactions.create(name, json.dumps(item).encode(), {"source": "notification"})
        another_version = next(iter(setup.interactions.blobs)).replace(".1", ".2")
        setup.interactions.create(another_version, b"{}", {"source": "notification"})
        setup.exports.put(ALICE, {**shown, "sessionId": "s"})
        for _ in range(80):
            setup.plan()
            setup.world.pass_time(minutes=1)
            setup.work()
            setup.world.pass_time(minutes=59)
        day = next(each for each in setup.summary()["days"] if each["day"] == "2026-01-05")

        assert day["notShownByExport"] == 1
        assert day["complete"] is True
        setup.world.calls.clear()
        setup.plan()
        assert setup.world.called("interactions") == 0  # counted once

    def test_days_are_kept_longer_than_checkpoints_tell_of_them(self, setup: Exports) -> None:
        for _ in range(8):
            setup.plan()
            setup.world.pass_time(minutes=1)
            setup.work()
            setup.world.pass_time(days=1)
        setup.plan()
        days = [each["day"] for each in setup.summary()["days"]]

        assert len(days) > DAYS_TOLD
        assert days == sorted(days, reverse=True)
        assert days[0] == setup.world.now.date().isoformat()


class TestTwoPlanners:
    def test_the_second_stops_before_it_rings(self, setup: Exports) -> None:
        def somebody_else() -> None:
            setup.planning.plan_exports()

        setup.world.meanwhile["graph.licensed_users"] = somebody_else
        setup.plan()

        assert len(setup.doorbell.rings) == 2

    def test_killed_before_it_rang_its_windows_do_not_count_as_waiting(self, setup: Exports) -> None:
        setup.budget = 3
        setup.restart()
        setup.world.fail("doorbell.ring", Crash())
        with pytest.raises(Crash):
            setup.plan()
        setup.world.recover()
        setup.world.pass_time(seconds=30)
        setup.restart()

        assert users(setup.plan()) == [ALICE, BOB]

    @pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
    @pytest.mark.parametrize("error", [Crash(), StorageUnavailable("no answer")], ids=["killed", "unanswered"])
    def test_wherever_one_ends_the_next_run_makes_up_for_it(self, error: BaseException, *, after: bool) -> None:
        for number in range(200):
            setup = Exports()
            ask_for_export(setup.state, Gap(TENANT_WIDE, ago(days=3), NOW, "the subscription was gone"))
            setup.exports.put(ALICE, prompt(ago(hours=3)))
            begun = len(setup.world.calls)
            setup.world.fail_call(begun + number, error, after=after)
            try:
                setup.planning.plan_exports()
                ended = len(setup.world.calls) <= begun + number
            except (Crash, StorageUnavailable):
                ended = False
            if ended:
                return
            setup.restart()
            setup.world.pass_time(minutes=1)
            setup.planning.plan_exports()
            setup.world.pass_time(minutes=1)
            setup.work()

            assert len(setup.archived) == 1, number
            assert {setup.checkpoint(user).since for user in (ALICE, BOB)} == {START}, number
        raise AssertionError("it never ends")


def note_activity(setup: Exports, user: str) -> None:
    """A notification has brought a prompt of the user just now."""
    account = {"version": 1, "bySource": {"notification": 1}, "latencies": {}, "users": [user]}
    name = f"activity/{hour_of(setup.world.now):%Y/%m/%d/%H}/of-an-instance.json"
    setup.state.create(name, json.dumps(account).encode(), {})


def notified_since(setup: Exports, since: datetime) -> None:
    """The tenant's subscription has lived since then."""
    setup.state.create(WATCH, to_json(Watch(notified={TENANT_WIDE.lower(): since})), {})


def test_an_hour_later_the_looks_reach_back_two_days(setup: Exports) -> None:
    setup.plan()
    setup.work()
    setup.world.pass_time(hours=1)

    assert all(each["from"] <= format_instant(setup.world.now - SECOND_LOOK) for each in setup.plan())


def test_where_there_is_no_export_that_is_told(setup: Exports) -> None:
    setup.plan()
    off = ExportReporting(setup.state, TENANT, setup.world.clock, exporting=False).document()

    assert off["scope"] == "none"
    assert off["days"] == setup.summary()["days"] != []


def test_whoever_leaves_before_his_first_look_is_still_looked_at(setup: Exports) -> None:
    setup.plan()
    setup.doorbell.rings.clear()
    setup.graph.users = [BOB]
    setup.world.pass_time(hours=1)

    assert users(setup.plan()) == [ALICE, BOB]
