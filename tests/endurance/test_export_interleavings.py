"""Several instances plan and export at once, notifications come first or last, and no checkpoint claims what is not so.

After every single call, whoever made it: what a checkpoint says is complete, or looked at, is at rest; nothing goes
back; nothing is there twice. And in the end, in good weather: all that the export shows, of everybody.
"""

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from shared.core.gap import Gap
from shared.flows.gaps import ask_for_export
from tests.endurance.careless_export import EXPORT_BUGS
from tests.endurance.export_runs import Runs
from tests.endurance.exporting_instances import Exporters, Interaction
from tests.endurance.interleaving import Fate, Instance, find
from tests.fakes import NOW
from tests.unit.flows.exporting import ALICE, BOB, CAROL

T = TypeVar("T")
EVERYBODY = (ALICE, BOB, CAROL)
USERS = st.sampled_from(EVERYBODY)
TENANT_WIDE = "copilot/interactionHistory/getAllEnterpriseInteractions"
ALICES = f"copilot/users/{ALICE}/interactionHistory/getAllEnterpriseInteractions"
RESOURCES = st.sampled_from([TENANT_WIDE, TENANT_WIDE, ALICES, "chats"])
# In requests an hour: what three users take, who have next to nothing.
SMALL = 3
# Weather bad enough for runs to break, and good enough for them to come far and meet each other.
FATES = st.sampled_from([*[Fate.DONE, Fate.REFUSED, Fate.LOST] * 2, Fate.DONE, Fate.CRASHED_BEFORE, Fate.CRASHED_AFTER])
# So many calls go well before the one whose fate is drawn; or all, up to the first of that kind, or to the end.
END = "its end"
BEFORE: st.SearchStrategy[int | str] = st.sampled_from(
    [0, 1, 2, 3, 4, 6, 9, "interactions.", "interactions.", "exports.", "state.replace", END]
)
# How late the export shows something, and how long nothing happens.
LATE = st.sampled_from([0, 0, 0, 5, 50, 200, 1200]).map(lambda minutes: timedelta(minutes=minutes))
PAUSES = st.sampled_from([0, 0, 1, 10, 25, 70, 70, 300, 1560]).map(lambda minutes: timedelta(minutes=minutes))
# Changes of what is older than a month nobody promises to find.
LONGEST = timedelta(days=12)
KINDS = st.sampled_from(["alone", "alone", "alone", "together", "nameless"])
# With which status Graph refuses somebody's history, if it does.
STATUSES = st.sampled_from([None, None, 403, 404, 429, 503])
# What is out of reach for everybody, for a while.
AWAY = st.sampled_from(["interactions.create", "exports.", "state.replace"])
EVENTS = [
    *[
        "happens",
        "happens",
        "changes",
        "joins_or_leaves",
        "is_served",
        "time_passes",
        "goes_away",
        "is_back",
        "is_back",
    ],
    *["plan", "export", "export", "export", "store", "store", "note_a_gap", "go_on", "go_on", "go_on", "go_on"],
    *["run_at_once", "run_at_once"],
]


class ExportInstances(RuleBasedStateMachine):
    """Things happen, and are notified of or not; planners, exporters and workers run side by side."""

    @initialize(
        budget=st.sampled_from([1000, 1000, SMALL]),
        takes_filter=st.sampled_from([True, True, True, False]),
        ahead=st.sampled_from([0, 0, 0, 0.5, 15, -15]),
    )
    def begin(self, budget: int, takes_filter: bool, ahead: float) -> None:
        self.tenant = Exporters()
        self.tenant.budget = budget
        self.tenant.exports.takes_filter = takes_filter
        self.tenant.exports.ahead = timedelta(minutes=ahead)
        self.runs = Runs(self.tenant, EVERYBODY)

    @rule(data=st.data(), what=st.sampled_from(EVENTS))
    def next(self, data: st.DataObject, what: str) -> None:
        """One rule: hypothesis leaves out half of them in each run, and without all of these nothing is found."""
        getattr(self, what)(data)

    # ---- what happens in the tenant

    def happens(self, data: st.DataObject) -> None:
        kind, user, users = data.draw(KINDS), data.draw(USERS), self.tenant.graph.users
        for late in data.draw(st.lists(LATE, min_size=1, max_size=3)) if user in users else ():
            self.tenant.happens(users if kind == "together" else [user], late, nameless=kind == "nameless")

    def changes(self, data: st.DataObject) -> None:
        users = set(self.tenant.graph.users)
        if held := [each for each in self.named if each.owners & users]:
            self.tenant.changes(_drawn(data, held), renamed=data.draw(st.booleans()))

    def joins_or_leaves(self, data: st.DataObject) -> None:
        user, users = data.draw(USERS), self.tenant.graph.users
        if user not in users:
            users.append(user)
        elif len(users) > 1:
            self.runs.leaves(user)

    def is_served(self, data: st.DataObject) -> None:
        user, status = data.draw(USERS), data.draw(STATUSES)
        self.tenant.mailboxes.refused.pop(user, None)
        self.tenant.mailboxes.refused.update({} if status is None else {user: status})

    def goes_away(self, data: st.DataObject) -> None:
        self.tenant.world.fail(data.draw(AWAY))

    def is_back(self, _: st.DataObject) -> None:
        self.tenant.world.recover()

    def time_passes(self, data: st.DataObject) -> None:
        if self.tenant.world.now - NOW < LONGEST:
            self.tenant.world.now += data.draw(PAUSES)

    # ---- what the app does

    def plan(self, data: st.DataObject) -> None:
        self.comes_far(self.runs.plan(), data)

    def export(self, data: st.DataObject) -> None:
        """Whatever is on the queue, in whatever order, and perhaps once more later."""
        if not self.runs.queue:
            self.tenant.world.pass_time(hours=1)
            self.runs.plan_at_once()
        if self.runs.queue:
            message = _drawn(data, self.runs.queue)
            if data.draw(st.booleans()):
                self.runs.queue.remove(message)
            self.comes_far(self.runs.start(lambda tenant: tenant.exporting.run(message)), data)

    def store(self, data: st.DataObject) -> None:
        """A post about one of the latest, in one of its versions."""
        if self.named:
            version = _drawn(data, _drawn(data, self.named[-4:]).versions)
            self.runs.judge.notified.add(version.mark)
            name = self.tenant.notified(version)
            self.comes_far(self.runs.start(lambda tenant: tenant.storing.store(name)), data)

    def note_a_gap(self, data: st.DataObject) -> None:
        begin = self.tenant.world.now - timedelta(hours=data.draw(st.sampled_from([1, 3, 30])))
        gap = Gap(data.draw(RESOURCES), begin, self.tenant.world.now, "gone")
        self.comes_far(self.runs.start(lambda tenant: ask_for_export(tenant.state, gap)), data)

    def go_on(self, data: st.DataObject) -> None:
        if running := self.runs.running:
            self.comes_far(_drawn(data, running), data)

    def run_at_once(self, data: st.DataObject) -> None:
        """A plan that nothing comes between, and its windows perhaps; whoever is stalled is stalled meanwhile."""
        self.time_passes(data)
        self.runs.plan_at_once()
        if data.draw(st.booleans()):
            self.runs.export_at_once(stays=data.draw(st.booleans()))

    def comes_far(self, instance: Instance | None, data: st.DataObject) -> None:
        if instance is not None:
            self.runs.step(instance, data.draw(BEFORE))
            self.runs.step(instance, 1, data.draw(FATES))

    # ---- in the end

    def teardown(self) -> None:
        if not hasattr(self, "runs"):
            return
        self.tenant.world.recover()
        for instance in self.runs.running:
            instance.finish()
        if self.runs.judge.wrong:
            return
        self.tenant.mailboxes.refused.clear()
        for name in sorted(self.tenant.capture.inbox.blobs):
            self.tenant.storing.store(name)
        # A small budget is spent on one user in an hour, perhaps.
        for hours in (4, 1, 49, 24 * 7, 1, *[1] * (4 if self.tenant.budget == SMALL else 0)):
            self.runs.good_weather(hours, times=4)
        self.all_is_well()

    def all_is_well(self) -> None:
        judge, users = self.runs.judge, set(self.tenant.graph.users)
        let_go = {user for user in set(EVERYBODY) - users if judge.is_let_go(user)}
        for each in self.tenant.mailboxes.held:
            latest = each.versions[-1].mark
            assert judge.kept[latest] == 1 or not each.owners - let_go, f"{each.versions} was never archived"
        for user in users:
            checkpoint = judge.checkpoint(user)
            assert checkpoint is not None
            assert checkpoint.complete_until is not None
            assert checkpoint.complete_until >= self.tenant.world.now - timedelta(hours=26)
        assert not [name for name in self.tenant.state.blobs if name.startswith("gaps/")]
        told = self.tenant.summary()
        assert (told["users"], told["complete"], told["behind"]) == (len(users), len(users), 0)

    @property
    def named(self) -> list[Interaction]:
        return [each for each in self.tenant.mailboxes.held if each.versions[0].item["id"] is not None]


def _drawn(data: st.DataObject, among: Sequence[T]) -> T:
    # By its number, which is all that a counterexample needs to tell.
    return among[data.draw(st.integers(0, len(among) - 1))]


# A long run takes thousands.
EXAMPLES = int(os.environ.get("EXPORT_INTERLEAVINGS", "60"))
TestExportInstances = pytest.mark.timeout(max(600, 2 * EXAMPLES))(ExportInstances.TestCase)
TestExportInstances.settings = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("bug", EXPORT_BUGS)
def test_export_interleavings_find_a_planted_bug(bug: str) -> None:
    find(ExportInstances, bug, EXPORT_BUGS, examples=300, steps=40)
