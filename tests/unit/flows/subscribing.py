"""The care for subscriptions on a world in memory, with what a test wants to know about it."""

import json
from collections.abc import Iterable
from datetime import timedelta

from shared.core.gap import GAPS
from shared.core.instants import parse_instant
from shared.core.notification import LifecycleNotification
from shared.core.subscription_rules import DesiredSubscription, parse_desired
from shared.core.subscription_watch import WATCH, Problem, Tracked, Watch
from shared.core.watch_json import from_json
from shared.flows.subscriptions import Reconciling
from shared.ports import CertificateVersion
from tests.fake_graph import LONGEST, FakeGraph, Life, Span, merged, without
from tests.fakes import NOW, MemoryContainer, MemoryKeyRing, World

TENANT_WIDE = "copilot/interactionHistory/getAllEnterpriseInteractions"
KEY = TENANT_WIDE.lower()
PER_USER = "copilot/users/{user-id}/interactionHistory/getAllEnterpriseInteractions"
MESSAGES = "chats/getAllMessages"
BASE = "https://archive.example"
SECRET = "the-secret-clientState"
FIVE = timedelta(minutes=5)


def wanted(*entries: object) -> tuple[DesiredSubscription, ...]:
    """``SUBSCRIPTIONS`` as parsed; a text is a resource with all defaults."""
    desired, problems = parse_desired([{"resource": each} if isinstance(each, str) else each for each in entries])
    assert not problems, problems
    return tuple(desired)


def certificate(version: str) -> CertificateVersion:
    """A version of the encryption certificate."""
    return CertificateVersion(version, "ab" * 20, NOW + timedelta(days=365), f"der of {version}".encode())


class Subscribing:
    """One app, its storage and its Graph."""

    def __init__(self, *entries: object, graph: FakeGraph | None = None, world: World | None = None) -> None:
        self.world = world or World()
        self.graph = graph or FakeGraph(self.world)
        self.state = MemoryContainer("state", self.world, page_size=1000)
        self.key_ring = MemoryKeyRing(self.world, {})
        self.key_ring.newest = certificate("v1")
        self.reconciling = self.app(*(entries or (TENANT_WIDE,)))

    def app(self, *entries: object, base: str = BASE, lifecycle: str | None = None) -> Reconciling:
        """An instance of the app with these ``SUBSCRIPTIONS``, at this address."""
        return Reconciling(
            graph=self.graph,
            key_ring=self.key_ring,
            state=self.state,
            desired=wanted(*entries),
            notification_url=f"{base}/api/notifications",
            lifecycle_url=lifecycle or f"{base}/api/lifecycle",
            client_state=SECRET,
            clock=self.world.clock,
        )

    def unmanaged(self) -> Reconciling:
        """An instance of an app without ``SUBSCRIPTIONS``."""
        return Reconciling(
            graph=self.graph,
            key_ring=self.key_ring,
            state=self.state,
            desired=None,
            notification_url="",
            lifecycle_url="",
            client_state=SECRET,
            clock=self.world.clock,
        )

    def run(self, times: int = 1, every: timedelta = FIVE) -> None:
        """So many good runs, each followed by the time to the next one."""
        for _ in range(times):
            self.reconciling.reconcile()
            self.world.now += every

    def hint(self, event: str, subscription_id: str | None = None) -> None:
        """A lifecycle notification about a subscription, by default the one that lives."""
        self.reconciling.heed([LifecycleNotification(subscription_id or self.only.id, event)])

    def slow_handshakes(self, seconds: float) -> None:
        """From now on each URL takes so long to answer Graph's question."""

        def slow(_: str) -> bool:
            self.world.pass_time(seconds=seconds)
            return True

        self.graph.handshake = slow

    @property
    def only(self) -> Life:
        """The one subscription that lives."""
        (life,) = self.graph.living()
        return life

    @property
    def watch(self) -> Watch:
        """What is remembered."""
        blob = self.state.blobs.get(WATCH)
        return Watch() if blob is None else from_json(blob.content)

    @property
    def tracked(self) -> Tracked:
        """What is remembered about the tenant-wide subscription."""
        return self.watch.tracked[KEY]

    @property
    def problem(self) -> Problem:
        """What is wrong with the tenant-wide subscription."""
        return self.watch.problems[KEY]

    @property
    def gaps(self) -> list[Span]:
        """The hours that were asked to be exported, merged."""
        return merged(self.gaps_of())

    def gaps_of(self, resource: str | None = None) -> list[Span]:
        """The gaps as they were asked for, of all resources or of one."""
        spans: list[Span] = []
        for name, blob in self.state.blobs.items():
            if name.startswith(GAPS):
                note = json.loads(blob.content)
                begin, end = parse_instant(note["from"]), parse_instant(note["to"])
                assert begin is not None
                assert end is not None
                if resource in (None, note["resource"]):
                    spans.append((begin, end))
        return sorted(spans)

    def uncovered(self, *silent: Span, resource: str | None = None) -> list[Span]:
        """What nobody delivered and nobody was asked to export."""
        return without(silent, self.gaps_of(resource))

    def sent(self, method: str) -> int:
        """How many changes of a kind were asked of Graph."""
        return self.world.called(f"graph.{method} ")

    def changes(self) -> dict[str, int]:
        """How many changes were asked of Graph."""
        return {method: self.sent(method) for method in ("POST", "PATCH", "DELETE") if self.sent(method)}

    def forget_calls(self) -> None:
        """Count from here."""
        self.world.calls.clear()
        self.graph.bodies.clear()


def running(
    *entries: object, runs: int = 1, strict_patch: bool = False, life_limit: timedelta = LONGEST
) -> Subscribing:
    """An app whose subscriptions live; what made them is not counted."""
    world = World()
    graph = FakeGraph(world, strict_patch=strict_patch, life_limit=life_limit)
    setup = Subscribing(*entries, graph=graph, world=world)
    setup.run(runs)
    assert setup.graph.living()
    setup.forget_calls()
    return setup


def ids(lives: Iterable[Life]) -> list[str]:
    """Their ids, sorted."""
    return sorted(life.id for life in lives)
