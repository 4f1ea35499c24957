"""The same creation of a blob by ever less of a client: what there is to gain.

Azurite's own time is not measured, being another process; the CPU seconds are those of our process.
"""

import http.client
import uuid
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import requests
from azure.storage.blob import ContainerSasPermissions, generate_container_sas

from benchmarks.limit import LIMIT, limit
from benchmarks.report import Report
from benchmarks.rounds import Sample, Variant, interleave, once
from benchmarks.storage import container
from benchmarks.tenant import Tenant
from local.azurite import ACCOUNT, ACCOUNT_KEY, Azurite
from local.free_ports import LOOPBACK
from shared.parts import utc_now

UPLOADS = 24
SDK = "create by the app's container"
REQUESTS = "create by requests with a signed URL"
BARE = "create by http.client with a signed URL"

CONTAINER = "uploads"
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
HEADERS = {
    "x-ms-blob-type": "BlockBlob",
    "If-None-Match": "*",
    "Content-Type": "application/json",
    **{f"x-ms-meta-{name}": value for name, value in METADATA.items()},
}


def measure_uploads(report: Report, tenant: Tenant, azurite: Azurite, rounds: int) -> None:
    """One table: each way to create a blob."""
    measured = interleave([limit(tenant), *_ways(tenant, azurite)], rounds)
    report.table(
        f"Creating one blob, {tenant.bits} bit",
        ["", "per CPU second", "CPU in RSA operations", "times the app's"],
        [
            (name, measured.per_cpu_second(name), measured.cpu_ratio(LIMIT, name), measured.cpu_ratio(name, SDK))
            for name in (SDK, REQUESTS, BARE)
        ],
    )


def _ways(tenant: Tenant, azurite: Azurite) -> list[Variant]:
    contents = [tenant.interaction()[1] for _ in range(100)]
    opened = container(azurite, CONTAINER)
    query = _signature()
    session = requests.Session()
    connection = http.client.HTTPConnection(LOOPBACK, azurite.blob_port)

    def by_sdk(name: str, content: bytes) -> None:
        assert opened.create(name, content, METADATA)

    def by_requests(name: str, content: bytes) -> None:
        url = f"{azurite.blob_url}/{CONTAINER}/{name}?{query}"
        assert session.put(url, data=content, headers=HEADERS, timeout=10).status_code == CREATED

    def by_http_client(name: str, content: bytes) -> None:
        connection.request("PUT", f"/{ACCOUNT}/{CONTAINER}/{name}?{query}", content, HEADERS)
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


def _signature() -> str:
    return generate_container_sas(
        ACCOUNT,
        CONTAINER,
        account_key=ACCOUNT_KEY,
        permission=ContainerSasPermissions(create=True, write=True),
        expiry=utc_now() + timedelta(days=1),
    )
