"""The whole worker: from the inbox to the archive on Azurite, and what each call of the storage SDK costs.

Azurite's own time is not measured, being another process; the CPU seconds are those of our process. A cost of 4 means
that a call takes as long as four RSA private-key operations of the same key.
"""

import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar, cast

from benchmarks.export_storage import MemoryContainer
from benchmarks.limit import LIMIT, limit
from benchmarks.report import Report
from benchmarks.rounds import Rounds, Sample, Variant, interleave, once, spread
from benchmarks.storage import container, emulator
from benchmarks.tenant import CLIENT_STATE, Tenant
from benchmarks.uploads import measure_uploads
from local.azurite import Azurite
from shared.core.inbox_name import NOTIFICATIONS, inbox_name
from shared.core.instants import format_instant
from shared.core.resources import CONTAINERS
from shared.flows.archive import Archiving
from shared.flows.genuine import Genuineness
from shared.flows.rest import Resting
from shared.flows.store import Storing
from shared.parts import quiet_sdk_logs, utc_now
from shared.ports import Blob, Container

# Posts per turn, by items per post.
TURNS = {1: 24, 10: 4, 100: 1}
THREADS = 6
MEMORY = "storage in memory"
AZURITE = "storage on Azurite"
AZURITE_THREADS = f"storage on Azurite, {THREADS} threads"

T = TypeVar("T")


@dataclass(slots=True)
class Meter:
    """A Container around another one that notes the CPU time of each call, by kind."""

    inner: Container
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def create(self, name: str, content: bytes, metadata: Mapping[str, str]) -> bool:
        """See the port."""
        return self._noted("create", lambda: self.inner.create(name, content, metadata))

    def metadata(self, name: str) -> Mapping[str, str] | None:
        """See the port."""
        return self._noted("metadata", lambda: self.inner.metadata(name))

    def read(self, name: str) -> Blob | None:
        """See the port."""
        return self._noted("read", lambda: self.inner.read(name))

    def delete(self, name: str, etag: str | None = None) -> bool:
        """See the port."""
        return self._noted("delete", lambda: self.inner.delete(name, etag))

    def _noted(self, what: str, call: Callable[[], T]) -> T:
        start = time.process_time()
        try:
            return call()
        finally:
            self.seconds[what].append(time.process_time() - start)


class Worker:
    """The app's Storing on containers of the given kind, and its inbox."""

    def __init__(self, tenant: Tenant, open_one: Callable[[str], object]) -> None:
        self._tenant = tenant
        containers = {
            name: cast("Container", open_one(name)) for name in ("inbox", "dead-letters", "state", *CONTAINERS)
        }
        self.inbox = containers["inbox"]
        self._storing = Storing(
            inbox=self.inbox,
            dead_letters=containers["dead-letters"],
            archiving=Archiving(
                resting=Resting(containers, containers["state"]),
                genuineness=Genuineness(tenant.signing_keys(), tenant.rules),
                key_ring=tenant.key_ring(),
                tenant_id=tenant.tenant_id,
                client_states=(CLIENT_STATE,),
                allow_unsigned=False,
            ),
        )

    def keep(self, items: int) -> list[str]:
        """A turn's worth of fresh posts in the inbox; their names."""
        names = [inbox_name(NOTIFICATIONS, utc_now(), uuid.uuid4()) for _ in range(TURNS[items])]
        for name in names:
            self.inbox.create(name, self._tenant.post(items), {"receivedat": format_instant(utc_now())})
        return names

    def turn(self, items: int) -> Sample:
        """Store fresh posts one after the other; only the storing is measured."""
        names = self.keep(items)
        return once(lambda: self.store(names) * items)

    def turn_in_threads(self, items: int, pool: ThreadPoolExecutor) -> Sample:
        """The same by several threads, as the host calls the function."""
        names = self.keep(items)
        return once(lambda: len(list(pool.map(self._storing.store, names))) * items)

    def store(self, names: list[str]) -> int:
        """Store posts that are in the inbox; tells how many."""
        for name in names:
            self._storing.store(name)
        return len(names)


def measure_worker(report: Report, tenant: Tenant, *, quick: bool) -> None:
    """Whole posts, then single calls, then what a smaller client would make of one of them."""
    quiet_sdk_logs()
    rounds = 3 if quick else 9
    with emulator() as azurite, ThreadPoolExecutor(THREADS) as pool:
        in_memory = Worker(tenant, lambda _: MemoryContainer())
        stored = Worker(tenant, lambda name: container(azurite, name))
        for items in TURNS:
            variants = [
                limit(tenant),
                Variant(MEMORY, partial(in_memory.turn, items)),
                Variant(AZURITE, partial(stored.turn, items)),
                Variant(AZURITE_THREADS, partial(stored.turn_in_threads, items, pool)),
            ]
            _report_posts(report, tenant, items, interleave(variants, rounds))
            _report_calls(report, tenant, azurite, items, rounds)
        measure_uploads(report, tenant, azurite, rounds)


def _report_posts(report: Report, tenant: Tenant, items: int, measured: Rounds) -> None:
    report.table(
        f"The whole worker, {tenant.bits} bit, {items} per post",
        ["", "items per CPU second", "part of the limit", "items per second"],
        [
            (name, measured.per_cpu_second(name), measured.cpu_ratio(name, LIMIT), measured.per_second(name))
            for name in measured.samples
        ],
    )


def _report_calls(report: Report, tenant: Tenant, azurite: Azurite, items: int, rounds: int) -> None:
    meters: list[Meter] = []

    def metered(name: str) -> Meter:
        meters.append(Meter(container(azurite, name)))
        return meters[-1]

    worker, operations = Worker(tenant, metered), limit(tenant)
    worker.turn(items)  # connections
    costs: dict[str, list[float]] = defaultdict(list)
    counts: dict[str, int] = {}
    for _ in range(rounds):
        operation = operations.run()
        names = worker.keep(items)
        for meter in meters:
            meter.seconds.clear()
        worker.store(names)
        for what, seconds in _by_call(meters).items():
            counts[what] = len(seconds)
            costs[what].append(sum(seconds) / len(seconds) / (operation.cpu / operation.done))
    report.table(
        f"Calls of the storage SDK, {tenant.bits} bit, {items} per post",
        ["", "calls per post", "CPU of a call in RSA operations"],
        [(what, round(counts[what] / TURNS[items], 2), spread(costs[what])) for what in counts],
    )


def _by_call(meters: list[Meter]) -> dict[str, list[float]]:
    calls: dict[str, list[float]] = defaultdict(list)
    for meter in meters:
        for what, seconds in meter.seconds.items():
            calls[what] += seconds
    return calls
