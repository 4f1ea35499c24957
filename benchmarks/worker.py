"""The whole worker: from the inbox to the archive on Azurite, and what each call of the storage SDK costs.

Azurite's own time is not measured, being another process; the CPU seconds are those of our process. A cost of 4 means
that a call takes as long as four RSA private-key operations of the same key.
"""

import http.client
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import cycle
from typing import TypeVar, cast

import requests
from azure.storage.blob import ContainerSasPermissions, generate_container_sas

from benchmarks.report import Report
from benchmarks.rounds import Rounds, Sample, Variant, interleave, once, spend, spread
from benchmarks.storage import container, emulator
from benchmarks.tenant import CLIENT_STATE, OAEP, Tenant
from local.azurite import ACCOUNT, ACCOUNT_KEY, Azurite
from local.free_ports import LOOPBACK
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
UPLOADS = 24
THREADS = 6
LIMIT = "limit: the RSA operation alone"
MEMORY = "storage in memory"
AZURITE = "storage on Azurite"
AZURITE_THREADS = f"storage on Azurite, {THREADS} threads"
SDK = "create by the app's container"
REQUESTS = "create by requests with a signed URL"
BARE = "create by http.client with a signed URL"

CREATED = 201
# As many and as long as the app's own.
METADATA = {
    "source": "notification",
    "changetype": "created",
    "subscriptionid": "0" * 36,
    "tenantid": "0" * 36,
    "userid": "0" * 36,
    "receivedat": "2026-01-31T08:30:00.123456Z",
    "sha256": "0" * 64,
    "canonicalsha256": "0" * 64,
}
METADATA_HEADERS = {f"x-ms-meta-{name}": value for name, value in METADATA.items()}

T = TypeVar("T")


class MemoryContainer:
    """A Container that costs next to nothing: what the flow takes without storage."""

    def __init__(self) -> None:
        self.blobs: dict[str, Blob] = {}

    def create(self, name: str, content: bytes, metadata: Mapping[str, str]) -> bool:
        """See the port."""
        if name in self.blobs:
            return False
        self.blobs[name] = Blob(content, metadata, "", datetime.now(UTC))
        return True

    def read(self, name: str) -> Blob | None:
        """See the port."""
        return self.blobs.get(name)

    def delete(self, name: str, etag: str | None = None) -> bool:  # noqa: ARG002 - the port's
        """See the port."""
        return self.blobs.pop(name, None) is not None


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
    """Whole posts, then single calls."""
    quiet_sdk_logs()
    rounds = 3 if quick else 9
    with emulator() as azurite, ThreadPoolExecutor(THREADS) as pool:
        in_memory = Worker(tenant, lambda _: MemoryContainer())
        stored = Worker(tenant, lambda name: container(azurite, name))
        for items in TURNS:
            variants = [
                _limit(tenant),
                Variant(MEMORY, partial(in_memory.turn, items)),
                Variant(AZURITE, partial(stored.turn, items)),
                Variant(AZURITE_THREADS, partial(stored.turn_in_threads, items, pool)),
            ]
            _report_posts(report, tenant, items, interleave(variants, rounds))
            _report_calls(report, tenant, azurite, items, rounds)
        uploads = interleave([_limit(tenant), *_uploads(tenant, azurite)], rounds)
        _report_uploads(report, tenant, uploads)


def _limit(tenant: Tenant) -> Variant:
    wrapped = cycle([tenant.wrapped_key() for _ in range(100)])

    def step() -> int:
        tenant.private_key.decrypt(next(wrapped), OAEP)
        return 1

    return Variant(LIMIT, lambda: spend(step, 0.1))


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

    worker, limit = Worker(tenant, metered), _limit(tenant)
    worker.turn(items)  # connections
    costs: dict[str, list[float]] = defaultdict(list)
    counts: dict[str, int] = {}
    for _ in range(rounds):
        operation = limit.run()
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


def _uploads(tenant: Tenant, azurite: Azurite) -> list[Variant]:
    """The same creation of a blob by ever less of a client: what there is to gain."""
    contents = [tenant.interaction()[1] for _ in range(100)]
    opened = container(azurite, "uploads")
    query = _signature("uploads")
    path = f"/{ACCOUNT}/uploads"
    session = requests.Session()
    connection = http.client.HTTPConnection(LOOPBACK, azurite.blob_port)
    headers = {"x-ms-blob-type": "BlockBlob", "If-None-Match": "*", "Content-Type": "application/json"}

    def by_sdk(name: str, content: bytes) -> None:
        assert opened.create(name, content, METADATA)

    def by_requests(name: str, content: bytes) -> None:
        url = f"{azurite.blob_url}/uploads/{name}?{query}"
        assert session.put(url, data=content, headers=headers | METADATA_HEADERS, timeout=10).status_code == CREATED

    def by_http_client(name: str, content: bytes) -> None:
        connection.request("PUT", f"{path}/{name}?{query}", content, headers | METADATA_HEADERS)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == CREATED

    def turn(upload: Callable[[str, bytes], None]) -> Sample:
        connection.close()  # an idle one may be gone; the first upload opens another

        def work() -> int:
            for number in range(UPLOADS):
                upload(f"{uuid.uuid4()}.json", contents[number % len(contents)])
            return UPLOADS

        return once(work)

    ways = {SDK: by_sdk, REQUESTS: by_requests, BARE: by_http_client}
    return [Variant(name, partial(turn, upload)) for name, upload in ways.items()]


def _signature(name: str) -> str:
    return generate_container_sas(
        ACCOUNT,
        name,
        account_key=ACCOUNT_KEY,
        permission=ContainerSasPermissions(create=True, write=True),
        expiry=utc_now() + timedelta(days=1),
    )


def _report_uploads(report: Report, tenant: Tenant, measured: Rounds) -> None:
    report.table(
        f"Creating one blob, {tenant.bits} bit",
        ["", "per CPU second", "CPU in RSA operations", "times the app's"],
        [
            (
                name,
                measured.per_cpu_second(name),
                measured.cpu_ratio(LIMIT, name),
                measured.cpu_ratio(name, SDK),
            )
            for name in (SDK, REQUESTS, BARE)
        ],
    )
