"""The export's flows on a world in memory: planner, queue and worker, with what a test wants to know about them."""

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.core.checkpoint import Checkpoint
from shared.core.checkpoint_json import checkpoint_name, from_json
from shared.core.export_users import ExportedUsers, parse_users
from shared.core.export_window import ExportWindow, to_message
from shared.flows.account import Account
from shared.flows.export import Exporting
from shared.flows.export_planning import Planning
from shared.flows.export_report import ExportReporting
from shared.flows.export_tenant import Gathering
from shared.flows.rest import Resting
from tests.fake_exports import MemoryExports, MemoryPace
from tests.fake_graph import FakeGraph
from tests.fakes import NOW, MemoryContainer, MemoryDoorbell, World
from tests.graph_posts import TENANT, interaction

START = datetime(2025, 12, 1, tzinfo=UTC)
ALICE = "0a1a7a9f-63c8-4d0f-8d2b-2b7f2b8f8a10"
BOB = "0b1a7a9f-63c8-4d0f-8d2b-2b7f2b8f8a10"
CAROL = "0c1a7a9f-63c8-4d0f-8d2b-2b7f2b8f8a10"


def prompt(at: datetime, **changes: object) -> dict[str, Any]:
    """A prompt of that instant."""
    identifier = str(round(at.timestamp() * 1000))
    return interaction(
        id=identifier,
        etag=identifier,
        createdDateTime=at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        **{"requestId": str(uuid.uuid5(uuid.NAMESPACE_OID, identifier)), **changes},
    )


class Exports:
    """Planner and worker on one storage account. ``restart`` gives new flows: a new process."""

    def __init__(self, users: str = "licensed", *, whole_tenant: bool = False) -> None:
        self.world = World()
        self.state = MemoryContainer("state", self.world)
        self.interactions = MemoryContainer("interactions", self.world)
        self.dead_letters = MemoryContainer("dead-letters", self.world)
        self.doorbell = MemoryDoorbell(self.world)
        self.graph = FakeGraph(self.world)
        self.graph.users = [ALICE, BOB]
        self.exports = MemoryExports(self.world)
        self.exports.know(ALICE, BOB)
        self.pace = MemoryPace(self.world)
        self.users = parse_users(users) or ExportedUsers()
        self.whole_tenant = whole_tenant
        self.app_classes: tuple[str, ...] = ()
        self.budget = 1000
        self.restart()

    def restart(self) -> None:
        """A new process: nothing remembered but what is stored."""
        self.account = Account(self.state, self.world.clock, later=lambda _, act: act())
        self.exporting = self.worker()
        self.reporting = ExportReporting(self.state, TENANT, self.world.clock)
        gathering = Gathering(
            graph=self.graph,
            state=self.state,
            reporting=self.reporting,
            users=self.users,
            whole_tenant=self.whole_tenant,
            start=START,
        )
        self.planning = Planning(
            gathering=None if self.users.nobody else gathering,
            state=self.state,
            interactions=self.interactions,
            doorbell=self.doorbell,
            clock=self.world.clock,
            budget=self.budget,
        )

    def worker(self) -> Exporting:
        """One more worker, as on another instance."""
        return Exporting(
            exports=self.exports,
            pace=self.pace,
            resting=Resting({"interactions": self.interactions}, self.state),
            state=self.state,
            dead_letters=self.dead_letters,
            doorbell=self.doorbell,
            tenant_id=TENANT,
            clock=self.world.clock,
            app_classes=self.app_classes,
            account=self.account,
            sleep=self.world.sleep,
        )

    def plan(self) -> list[Mapping[str, Any]]:
        """Plan, and return what was put on the queue."""
        before = len(self.doorbell.rings)
        self.planning.plan_exports()
        return [json.loads(message) for message in self.doorbell.rung[before:]]

    def work(self) -> int:
        """Run what is seen on the queue now, until nothing is; returns how many windows."""
        count = 0
        while messages := self.doorbell.take():
            for message in messages:
                self.exporting.run(message)
                count += 1
        return count

    def export(self, user: str | None = ALICE, *, begin: datetime = START) -> None:
        """Run one window of a user that is planned now."""
        self.exporting.run(to_message(ExportWindow(user, begin, self.world.now)))

    def checkpoint(self, user: str | None = ALICE) -> Checkpoint:
        """A user's checkpoint as stored."""
        return from_json(self.state.blobs[checkpoint_name(TENANT, user)].content)

    def summary(self) -> dict[str, Any]:
        """What status would tell of the exports."""
        return dict(self.reporting.document())

    @property
    def archived(self) -> list[str]:
        """Ids of the archived interactions, in the order of names."""
        return [json.loads(blob.content)["id"] for _, blob in sorted(self.interactions.blobs.items())]


def ago(**span: float) -> datetime:
    """So long before the world's beginning."""
    return NOW - timedelta(**span)
