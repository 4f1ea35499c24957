"""What a plan is made from: users, activity and gaps, and which gaps are closed or lost."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.core.activity import Hour, hour_of, hour_prefix, to_json
from shared.core.checkpoint import Checkpoint, ExportProblem, Look, Origin
from shared.core.checkpoint_json import TENANT as WHOLE_TENANT
from shared.core.checkpoint_json import checkpoint_name, to_metadata
from shared.core.checkpoint_json import to_json as checkpoint_to_json
from shared.core.errors import StorageUnavailable
from shared.core.export_plan import OpenGap
from shared.core.export_state import ExportState
from shared.core.export_users import ExportedUsers, parse_users
from shared.core.gap import EXPORTED_GAPS, GAPS, LOST_GAPS, WITHOUT_CONTENT, Gap
from shared.flows.export_report import ExportReporting
from shared.flows.export_tenant import ACTIVITY_REACH, Gathered, Gathering
from shared.flows.gaps import ask_for_export
from tests.fake_graph import FakeGraph
from tests.fakes import NOW, MemoryContainer, World
from tests.graph_posts import TENANT
from tests.unit.flows.exporting import ALICE, BOB, CAROL, START, Exports, ago

TENANT_WIDE = "copilot/interactionHistory/getAllEnterpriseInteractions"
GROUP = "0d1a7a9f-63c8-4d0f-8d2b-2b7f2b8f8a10"
HOUR = timedelta(hours=1)
BEFORE = ExportState()


def of(user: str) -> str:
    return f"copilot/users/{user}/interactionHistory/getAllEnterpriseInteractions"


class Setup:
    """A state, a Graph, and who gathers from both."""

    def __init__(self, users: str = "licensed", *, whole_tenant: bool = False) -> None:
        self.world = World()
        self.state = MemoryContainer("state", self.world)
        self.graph = FakeGraph(self.world)
        self.graph.users = [ALICE, BOB]
        self.gathering = Gathering(
            graph=self.graph,
            state=self.state,
            reporting=ExportReporting(self.state, TENANT, self.world.clock),
            users=parse_users(users) or ExportedUsers(),
            whole_tenant=whole_tenant,
            start=START,
        )

    def gather(self, before: ExportState = BEFORE) -> Gathered:
        """Gather now."""
        return self.gathering.gather(before, self.world.now)

    def looked(
        self, user: str | None, at: datetime = NOW, *, per_day: int = 0, retry_at: datetime | None = None
    ) -> None:
        """A user was looked at from the start on, and has so much a day."""
        entries = frozenset(bytes([number]) * 12 for number in range(per_day))
        problem = None if retry_at is None else ExportProblem("forbidden", "403", NOW, retry_at)
        shown = {NOW.date().isoformat(): {Origin.EXPORT: entries}} if per_day else {}
        made = Checkpoint(user, START, at - HOUR, (Look(START, at),), shown, problem=problem)
        name = checkpoint_name(TENANT, user)
        self.state.blobs.pop(name, None)
        self.state.create(name, checkpoint_to_json(made), to_metadata(made))

    def active(self, user: str, at: datetime = NOW, instance: str = "one") -> None:
        """A notification has brought a prompt of the user's then."""
        account = Hour({"notification": 1}, {}, {user})
        self.state.create(f"{hour_prefix(hour_of(at))}{instance}.json", to_json(account), {})

    def gap(
        self, resource: str = TENANT_WIDE, begin: datetime = NOW - 3 * HOUR, end: datetime = NOW, reason: str = "gone"
    ) -> None:
        """Hours without notifications."""
        ask_for_export(self.state, Gap(resource, begin, end, reason))

    def folders(self) -> list[str]:
        """In which folder each gap is."""
        return [f"{name.partition('/')[0]}/" for name in sorted(self.state.blobs) if name.startswith("gaps")]


@pytest.fixture
def setup() -> Setup:
    return Setup()


class TestUsers:
    @pytest.mark.parametrize(
        ("users", "expected"),
        [("licensed", {ALICE, BOB}), (f"group:{GROUP}", {CAROL}), (f"{BOB},{CAROL}", {BOB, CAROL})],
    )
    def test_they_are_who_the_settings_say(self, users: str, expected: set[str]) -> None:
        setup = Setup(users)
        setup.graph.groups = {GROUP: [CAROL, CAROL]}

        assert setup.gather().tenant.users == expected

    def test_the_tenant_is_one_and_nobody_is_asked(self) -> None:
        setup = Setup(whole_tenant=True)
        setup.looked(None)
        setup.looked(ALICE)
        gathered = setup.gather()

        assert gathered.tenant.users == {WHOLE_TENANT}
        assert set(gathered.tenant.progress) == {WHOLE_TENANT}
        assert gathered.left == {}
        assert setup.world.called("graph") == 0

    @pytest.mark.parametrize("status", [401, 403, 404, 409, 429, 500])
    @pytest.mark.parametrize(("users", "call"), [("licensed", "graph.licensed"), (f"group:{GROUP}", "graph.members")])
    def test_where_graph_does_not_tell_them_those_known_go_on(self, users: str, call: str, status: int) -> None:
        setup = Setup(users)
        setup.looked(ALICE)
        setup.looked(CAROL)
        setup.graph.refuse(call, status)
        gathered = setup.gather(ExportState(left={CAROL: NOW - HOUR}))

        assert gathered.tenant.users == {ALICE}
        assert gathered.left == {CAROL: NOW - HOUR}
        assert str(status) in str(gathered.trouble)

    def test_whoever_is_gone_leaves_and_whoever_is_back_does_not(self, setup: Setup) -> None:
        for user in (ALICE, BOB, CAROL):
            setup.looked(user)
        setup.graph.users = [BOB]
        gathered = setup.gather(ExportState(left={BOB: NOW - 9 * HOUR, CAROL: NOW - 5 * HOUR}))

        assert gathered.tenant.users == {BOB}
        assert gathered.left == gathered.tenant.leaving == {ALICE: NOW, CAROL: NOW - 5 * HOUR}
        assert gathered.trouble is None

    def test_whoever_leaves_before_anybody_looked_is_not_forgotten_though_his_window_is(self, setup: Setup) -> None:
        setup.graph.users = [BOB]
        gathered = setup.gather(ExportState(queued={ALICE: NOW - HOUR}))
        assert gathered.left == {ALICE: NOW}
        setup.world.pass_time(hours=9)

        assert setup.gather(ExportState(left=gathered.left)).left == {ALICE: NOW}

    def test_nor_where_the_plan_may_never_have_been_put_on_the_queue(self, setup: Setup) -> None:
        setup.graph.users = [BOB]
        gathered = setup.gather(ExportState(NOW - HOUR, queued={ALICE: NOW - HOUR}, rung=False))

        assert gathered.left == {ALICE: NOW}
        assert gathered.tenant.queued == {}

    def test_nor_where_graph_does_not_tell_the_users_just_then(self, setup: Setup) -> None:
        setup.graph.refuse("graph.licensed", 503)

        assert setup.gather(ExportState(queued={ALICE: NOW - HOUR})).tenant.users == {ALICE}

    @pytest.mark.parametrize("whole_tenant", [False, True])
    def test_what_another_scope_has_left_is_nobody_of_this_one(self, *, whole_tenant: bool) -> None:
        setup = Setup(whole_tenant=whole_tenant)
        other = ALICE if whole_tenant else WHOLE_TENANT
        setup.graph.users = [BOB]
        gathered = setup.gather(ExportState(queued={other: NOW}, left={other: NOW - HOUR}))

        assert gathered.left == {}

    def test_what_waits_on_the_queue_is_told_as_it_was(self, setup: Setup) -> None:
        assert setup.gather(ExportState(queued={ALICE: NOW})).tenant.queued == {ALICE: NOW}

    def test_storage_out_of_reach_is_raised(self, setup: Setup) -> None:
        setup.world.fail("state.described")
        with pytest.raises(StorageUnavailable):
            setup.gather()


class TestActivity:
    def test_it_is_the_latest_hour_of_any_instance(self, setup: Setup) -> None:
        setup.active(ALICE, ago(hours=5))
        setup.active(ALICE, ago(hours=2), "two")
        setup.active(ALICE, ago(hours=9), "three")
        setup.active(BOB, ago(hours=9), "four")

        assert setup.gather().tenant.activity == {ALICE: hour_of(ago(hours=2)), BOB: hour_of(ago(hours=9))}

    def test_it_reaches_back_over_a_day(self, setup: Setup) -> None:
        setup.active(ALICE, NOW - ACTIVITY_REACH)
        assert setup.gather().tenant.activity == {}
        setup.active(ALICE, NOW - ACTIVITY_REACH + HOUR)

        assert setup.gather().tenant.activity == {ALICE: hour_of(NOW - ACTIVITY_REACH + HOUR)}

    def test_of_the_whole_tenant_it_is_the_latest_of_anybody(self) -> None:
        setup = Setup(whole_tenant=True)
        assert setup.gather().tenant.activity == {}
        setup.active(ALICE, ago(hours=5))
        setup.active(BOB, ago(hours=3), "two")

        assert setup.gather().tenant.activity == {WHOLE_TENANT: hour_of(ago(hours=3))}

    def test_an_account_that_can_not_be_read_tells_nobody(self, setup: Setup) -> None:
        setup.state.create(f"{hour_prefix(hour_of(NOW))}one.json", b"\xff", {})
        setup.active(ALICE, instance="two")

        assert set(setup.gather().tenant.activity) == {ALICE}


class TestGapsToFill:
    def test_the_tenants_is_everybodys(self, setup: Setup) -> None:
        setup.gap()

        assert setup.gather().tenant.gaps == [OpenGap(NOW - 3 * HOUR, NOW)]

    def test_a_users_is_his_and_he_is_exported_for_it(self, setup: Setup) -> None:
        setup.gap(of(CAROL.upper()))
        tenant = setup.gather().tenant

        assert tenant.gaps == [OpenGap(NOW - 3 * HOUR, NOW, frozenset({CAROL}))]
        assert tenant.users == {ALICE, BOB, CAROL}

    def test_of_the_whole_tenant_all_are_the_tenants(self) -> None:
        setup = Setup(whole_tenant=True)
        setup.gap(of(CAROL))
        setup.gap(reason=WITHOUT_CONTENT)

        assert setup.gather().tenant.gaps == [OpenGap(NOW - 3 * HOUR, NOW)] * 2
        assert setup.gather().tenant.users == {WHOLE_TENANT}

    def test_one_that_begins_before_the_start_begins_with_it(self, setup: Setup) -> None:
        setup.gap(begin=START - HOUR)

        assert setup.gather().tenant.gaps == [OpenGap(START, NOW)]

    @pytest.mark.parametrize("resource", ["chats", "chats/getAllMessages", f"users/{ALICE}/chats", "copilot/other", ""])
    def test_what_nothing_exports_is_lost(self, setup: Setup, resource: str, caplog: pytest.LogCaptureFixture) -> None:
        setup.gap(resource)

        assert setup.gather().tenant.gaps == []
        assert setup.folders() == [LOST_GAPS]
        assert "can't be filled" in caplog.text

    @pytest.mark.parametrize(("end", "lost"), [(START, True), (START + timedelta(microseconds=1), False)])
    def test_what_is_older_than_the_start_is_lost(self, setup: Setup, end: datetime, *, lost: bool) -> None:
        setup.gap(begin=START - 9 * HOUR, end=end)
        setup.gather()

        assert setup.folders() == [LOST_GAPS if lost else GAPS]

    @pytest.mark.parametrize("name", ["adele.vance@contoso.example", "8b081ef6", "../../x", "{user-id}"])
    def test_one_of_a_user_who_is_named_by_no_id_is_lost_and_nobody_is_asked_for_by_it(
        self, setup: Setup, name: str
    ) -> None:
        setup.gap(of(name))
        gathered = setup.gather()

        assert gathered.tenant.users == {ALICE, BOB}
        assert gathered.tenant.gaps == []
        assert setup.folders() == [LOST_GAPS]


class TestNotificationsWithoutContent:
    def fill(self, setup: Setup) -> tuple[OpenGap, ...]:
        setup.gap(begin=NOW - 2 * HOUR, end=NOW - HOUR, reason=WITHOUT_CONTENT)
        return tuple(setup.gather().tenant.gaps)

    def users(self, setup: Setup) -> set[str] | None:
        (gap,) = self.fill(setup)
        return None if gap.users is None else set(gap.users)

    def test_they_are_about_whoever_was_active_about_then(self, setup: Setup) -> None:
        setup.graph.users = [ALICE, BOB, CAROL]
        setup.active(ALICE, NOW - HOUR)
        setup.active(BOB, NOW - 5 * HOUR, "two")

        assert self.users(setup) == {ALICE}

    @pytest.mark.parametrize(
        ("at", "counts"),
        [
            (NOW - 3 * HOUR, False),
            (hour_of(NOW) - 2 * HOUR, True),
            (hour_of(NOW), True),
            (hour_of(NOW) + HOUR, False),
        ],
        ids=str,
    )
    def test_about_then_is_an_hour_more_or_less(self, setup: Setup, at: datetime, *, counts: bool) -> None:
        setup.world.now = NOW + 3 * HOUR
        setup.active(ALICE, at)
        setup.active(BOB, NOW - HOUR, "two")

        assert self.users(setup) == ({ALICE, BOB} if counts else {BOB})

    def test_or_about_whoever_has_something_every_day(self, setup: Setup) -> None:
        setup.looked(ALICE, per_day=1)
        setup.looked(BOB)

        assert self.users(setup) == {ALICE}

    def test_where_nobody_is_known_to_be_active_about_everybody(self, setup: Setup) -> None:
        assert self.users(setup) is None

    def test_a_users_own_subscription_leaves_no_doubt(self, setup: Setup) -> None:
        setup.active(ALICE)
        setup.gap(of(BOB), reason=WITHOUT_CONTENT)

        assert [gap.users for gap in setup.gather().tenant.gaps] == [frozenset({BOB})]

    @pytest.mark.parametrize("user", [CAROL, "no id at all", "../../subscriptions"])
    def test_whoever_is_not_to_be_exported_is_not_for_being_active(self, setup: Setup, user: str) -> None:
        setup.active(user)
        setup.active(ALICE, instance="two")
        self.fill(setup)
        tenant = setup.gather().tenant

        assert tenant.users == {ALICE, BOB}
        assert [gap.users for gap in tenant.gaps] == [frozenset({ALICE})]

    def test_nor_for_having_been_exported_once(self, setup: Setup) -> None:
        setup.looked(CAROL, per_day=3)
        setup.active(ALICE)
        self.fill(setup)
        gathered = setup.gather()

        assert gathered.tenant.users == {ALICE, BOB}
        assert set(gathered.left) == {CAROL}


class TestClosing:
    def close(self, setup: Setup, users: Mapping[str, datetime | None] | None = None) -> list[str]:
        for user, at in (users or {}).items():
            if at is not None:
                setup.looked(user, at)
        setup.gathering.close_gaps(setup.gather(), setup.world.now)
        return setup.folders()

    def test_once_everybody_has_been_looked_at_since_its_end(self, setup: Setup) -> None:
        setup.gap()

        assert self.close(setup, {ALICE: NOW}) == [GAPS]
        assert self.close(setup, {BOB: NOW - timedelta(seconds=1)}) == [GAPS]
        assert self.close(setup, {BOB: NOW}) == [EXPORTED_GAPS]

    @pytest.mark.parametrize("reason", ["the subscription was gone", WITHOUT_CONTENT])
    def test_where_only_some_are_exported_it_is_lost_for_the_others(
        self, reason: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        setup = Setup(users=ALICE)
        setup.gap(reason=reason)
        assert self.close(setup, {ALICE: NOW - HOUR}) == [GAPS]
        assert self.close(setup, {ALICE: NOW}) == [LOST_GAPS]
        assert "lost for everybody else" in caplog.text

    def test_a_users_own_is_not_though_only_some_are_exported(self) -> None:
        setup = Setup(users=ALICE)
        setup.gap(of(BOB))

        assert self.close(setup, {ALICE: NOW, BOB: NOW}) == [EXPORTED_GAPS]

    def test_whoever_is_flagged_is_told_of_by_himself(self, setup: Setup) -> None:
        setup.gap()
        setup.looked(ALICE)
        setup.looked(BOB, NOW - HOUR, retry_at=NOW + HOUR)

        assert self.close(setup) == [EXPORTED_GAPS]

    def test_whoever_may_be_tried_again_is_waited_for(self, setup: Setup) -> None:
        setup.gap()
        setup.looked(ALICE)
        setup.looked(BOB, NOW - HOUR, retry_at=NOW)

        assert self.close(setup) == [GAPS]

    def test_where_all_are_flagged_nothing_is_closed(self, setup: Setup) -> None:
        setup.gap()
        for user in (ALICE, BOB):
            setup.looked(user, retry_at=NOW + HOUR)

        assert self.close(setup) == [GAPS]

    def test_a_users_gap_waits_for_him_alone(self, setup: Setup) -> None:
        setup.gap(of(CAROL))

        assert self.close(setup, {CAROL: NOW}) == [EXPORTED_GAPS]

    def test_one_that_begins_before_the_start_is_closed_by_a_look_from_there(self, setup: Setup) -> None:
        setup.gap(begin=START - HOUR)

        assert self.close(setup, {ALICE: NOW, BOB: NOW}) == [EXPORTED_GAPS]

    def test_the_tenant_as_one_is_looked_at_once(self) -> None:
        setup = Setup(whole_tenant=True)
        setup.gap(of(CAROL))
        assert self.close(setup) == [GAPS]
        setup.looked(None)

        assert self.close(setup) == [EXPORTED_GAPS]

    def test_one_that_came_since_the_plan_was_made_waits_for_the_next(self, setup: Setup) -> None:
        setup.looked(ALICE)
        setup.looked(BOB)
        gathered = setup.gather()
        setup.gap()
        setup.gathering.close_gaps(gathered, NOW)

        assert setup.folders() == [GAPS]

    def test_one_that_somebody_else_has_closed_since_then_is_closed_once(self, setup: Setup) -> None:
        setup.gap()
        setup.looked(ALICE)
        setup.looked(BOB)
        gathered = setup.gather()
        for _ in range(2):
            setup.gathering.close_gaps(gathered, NOW)

        assert setup.folders() == [EXPORTED_GAPS]

    def test_where_graph_does_not_tell_the_users_nobody_knows_who_everybody_is(self, setup: Setup) -> None:
        setup.gap()
        setup.looked(ALICE)
        setup.graph.refuse("graph.licensed", 403)

        assert self.close(setup) == [GAPS]
        assert self.close(setup, {BOB: NOW}) == [EXPORTED_GAPS]

    def test_a_note_is_read_once_to_be_judged_and_once_to_be_moved(self, setup: Setup) -> None:
        setup.gap()
        self.close(setup, {ALICE: NOW})
        assert setup.world.called(f"state.read {GAPS}") == 1
        self.close(setup, {BOB: NOW})

        assert setup.world.called(f"state.read {GAPS}") == 3


def test_every_window_of_a_plan_is_one_that_the_worker_takes() -> None:
    """Whatever notifications and subscriptions say about users."""
    exports = Exports()
    for number, user in enumerate(["no id", "../../x", ALICE, CAROL]):
        account = Hour({"notification": 1}, {}, {user})
        exports.state.create(f"{hour_prefix(hour_of(NOW))}{number}.json", to_json(account), {})
        ask_for_export(exports.state, Gap(of(user), ago(hours=3), NOW, "gone"))
    ask_for_export(exports.state, Gap(TENANT_WIDE, ago(hours=3), NOW, WITHOUT_CONTENT))
    messages: list[Mapping[str, Any]] = exports.plan()
    exports.exports.know(CAROL)
    exports.work()

    assert sorted(each["userId"] for each in messages) == [ALICE, BOB, CAROL]
    assert exports.doorbell.rings == []
    assert json.loads(exports.state.blobs["exports/plan.json"].content)["rung"] is True
