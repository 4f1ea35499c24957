"""How fast posts are acknowledged, against a function that does nothing but the blob write.

Run ``.venv/bin/python -m benchmarks.receive``. Everything writes to the same Azurite, 50 posts at a time; then a
storage that is slow with a few posts shows whom they hold up; then cold starts.
"""

import asyncio
import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import Any

import aiohttp
import azure.functions as func
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob.aio import ContainerClient
from azure.storage.queue import QueueSasPermissions, generate_queue_sas
from azure.storage.queue.aio import QueueClient
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from benchmarks import receivers
from benchmarks.import_times import measure_imports
from benchmarks.receivers import Receiver
from benchmarks.report import Report, print_machine, read_options
from benchmarks.rounds import Rounds, Sample, Spread, Variant, interleave
from benchmarks.serving import await_answer
from benchmarks.slow_storage import SLOW_MARK, SLOW_SECONDS
from benchmarks.storage import container, emulator
from benchmarks.tenant import CLIENT_STATE, Tenant
from local.azurite import ACCOUNT, ACCOUNT_KEY, Azurite
from local.free_ports import LOOPBACK, free_ports
from shared.adapters.blob_inbox import open_inbox
from shared.core.inbox_name import NOTIFICATIONS
from shared.parts import quiet_sdk_logs, utc_now

# Posts of a turn, by items per post.
TURNS = {1: 150, 10: 150, 100: 75}
ROUNDS = 7
CONCURRENT = 50
LEAST = 0.8
ACCEPTED = 202
SLOW_POSTS, QUICK_POSTS, QUICK_EVERY_SECONDS = 8, 100, 0.01

WRITE = "nothing but the blob write"
KEEP = "nothing but the app's own blob write"
SHIPPED = "the app: doorbell by output binding"
BARE_RING = "the app, doorbell as one bare HTTP call"
SDK_RING = "the app, doorbell as second SDK call"


def request(body: bytes) -> func.HttpRequest:
    """A post as the host hands it to the function."""
    headers = {"content-type": "application/json"}
    return func.HttpRequest("POST", "https://app.example/api/notifications", headers=headers, params={}, body=body)


async def acknowledge(receive: Receiver, body: bytes) -> tuple[bool, float]:
    """Whether a post was acknowledged, and the seconds until it was answered."""
    start = time.perf_counter()
    answer = await receive(request(body))
    return answer.status_code == ACCEPTED, time.perf_counter() - start


async def post_all(receive: Receiver, bodies: list[bytes], count: int, concurrent: int = CONCURRENT) -> Sample:
    """So many posts, always so many of them in work; only those that are acknowledged count as done."""
    waiting = iter(range(count))
    answers: list[tuple[bool, float]] = []

    async def sender() -> None:
        for number in waiting:
            answer = await acknowledge(receive, bodies[number % len(bodies)])
            answers.append(answer)

    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(sender() for _ in range(concurrent)))
    done = sum(acknowledged for acknowledged, _ in answers)
    latencies = tuple(seconds for _, seconds in answers)
    return Sample(done, time.process_time() - cpu, time.perf_counter() - wall, latencies)


async def ways(azurite: Azurite, stack: AsyncExitStack) -> dict[str, Receiver]:
    """The receivers that are compared, all on the same storage."""
    receivers.use_storage(azurite.connection_string)
    stack.push_async_callback(receivers.leave_storage)
    inbox = ContainerClient.from_connection_string(azurite.connection_string, "inbox")
    queue = QueueClient.from_connection_string(azurite.connection_string, NOTIFICATIONS)
    for client in (inbox, queue):
        await stack.enter_async_context(client)
    container(azurite, "inbox")
    with suppress(ResourceExistsError):
        await queue.create_queue()
    # Node closes connections that have been idle for five seconds.
    connector = aiohttp.TCPConnector(keepalive_timeout=2)
    session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
    pools = {threads: stack.enter_context(ThreadPoolExecutor(threads)) for threads in (6, 32)}
    return {
        WRITE: receivers.write_only(inbox),
        KEEP: receivers.keep_only(),
        SHIPPED: receivers.shipped(),
        BARE_RING: receivers.ringing(receivers.ring_bare(session, _queue_url(azurite))),
        SDK_RING: receivers.ringing(receivers.ring_by_sdk(queue)),
        **{
            f"synchronous SDK on {threads} threads": receivers.in_threads(azurite.connection_string, pool)
            for threads, pool in pools.items()
        },
    }


def measure_receiving(report: Report, runner: asyncio.Runner, *, quick: bool) -> None:
    """One table for each size of post, each on an Azurite of its own."""
    tenant = Tenant(2048)
    for items, count in TURNS.items():
        bodies = [tenant.post(items) for _ in range(20)]
        with emulator() as azurite:
            stack = AsyncExitStack()
            compared = runner.run(ways(azurite, stack))
            variants = [
                Variant(name, partial(_run, runner, partial(post_all, receive, bodies, count)))
                for name, receive in compared.items()
            ]
            measured = interleave(variants, 3 if quick else ROUNDS)
            runner.run(stack.aclose())
        report_receiving(report, items, round(sum(map(len, bodies)) / len(bodies)), measured)


def report_receiving(report: Report, items: int, size: int, measured: Rounds) -> None:
    """The table of one size of post, and its target."""
    report.table(
        f"Acknowledging posts of {items} ({size} bytes on average), {CONCURRENT} at a time",
        ["", "posts per second", "of the write", "CPU, of the write", "p50 ms", "p99 ms", "refused"],
        [
            (
                name,
                measured.per_second(name),
                measured.wall_ratio(name, WRITE),
                measured.cpu_ratio(name, WRITE),
                _ms(measured.latency(name, 50)),
                _ms(measured.latency(name, 99)),
                sum(len(sample.latencies) - sample.done for sample in measured.samples[name]),
            )
            for name in measured.samples
        ],
    )
    report.target(f"{items} per post, posts per second, of the write", measured.wall_ratio(SHIPPED, WRITE), LEAST)


async def meet_slow_posts(receive: Receiver) -> Sample:
    """What quick posts take, one arriving every 10 ms, while storage is slow with eight others."""
    quick_body = json.dumps({"value": [{"clientState": CLIENT_STATE}]}).encode()
    slow = [asyncio.create_task(acknowledge(receive, SLOW_MARK + quick_body)) for _ in range(SLOW_POSTS)]
    quick = []
    for _ in range(QUICK_POSTS):
        await asyncio.sleep(QUICK_EVERY_SECONDS)
        quick.append(asyncio.create_task(acknowledge(receive, quick_body)))
    answers = await asyncio.gather(*quick)
    await asyncio.gather(*slow)
    return Sample(QUICK_POSTS, 0.0, 0.0, tuple(seconds for _, seconds in answers))


def measure_slow_storage(report: Report, runner: asyncio.Runner, *, quick: bool) -> None:
    """Whom a slow call holds up: the app on its event loop, against threads."""
    with slow_storage() as connection_string, ThreadPoolExecutor(6) as six, ThreadPoolExecutor(32) as many:
        receivers.use_storage(connection_string)
        compared = {
            "the app": receivers.shipped(),
            "synchronous SDK on 6 threads": receivers.in_threads(connection_string, six),
            "synchronous SDK on 32 threads": receivers.in_threads(connection_string, many),
        }
        variants = [
            Variant(name, partial(_run, runner, partial(meet_slow_posts, receive)))
            for name, receive in compared.items()
        ]
        measured = interleave(variants, 3 if quick else ROUNDS)
        runner.run(receivers.leave_storage())
    report.table(
        f"Quick posts while storage takes {SLOW_SECONDS} s for {SLOW_POSTS} others",
        ["", "p50 ms", "p99 ms", "longest ms"],
        [(name, *(_ms(measured.latency(name, percent)) for percent in (50, 99, 100))) for name in measured.samples],
    )


def measure_ca_bundle(report: Report, runner: asyncio.Runner, *, quick: bool) -> None:
    """What it costs that certificates are trusted through REQUESTS_CA_BUNDLE, as behind a proxy or on one machine."""
    body = json.dumps({"value": [{"clientState": CLIENT_STATE}]}).encode()
    with emulator() as azurite:
        container(azurite, "inbox")
        inboxes = {
            bundle: open_inbox(
                connection_string=azurite.connection_string, service_uri=None, client_id=None, ca_bundle=bundle
            )
            for bundle in (None, DEFAULT_CA_BUNDLE_PATH)
        }
        variants = [
            Variant(
                "REQUESTS_CA_BUNDLE set" if bundle else "REQUESTS_CA_BUNDLE not set",
                partial(_run, runner, partial(post_all, receivers.trusting(inbox), [body], 20, 5)),
            )
            for bundle, inbox in inboxes.items()
        ]
        measured = interleave(variants, 3 if quick else ROUNDS)
        for inbox in inboxes.values():
            runner.run(inbox.close())
    report.table(
        "Acknowledging small posts, 5 at a time, by where trust comes from",
        ["", "posts per CPU second", "p50 ms", "p99 ms"],
        [
            (name, measured.per_cpu_second(name), *(_ms(measured.latency(name, percent)) for percent in (50, 99)))
            for name in measured.samples
        ],
    )


@contextmanager
def slow_storage() -> Iterator[str]:
    """The slow storage in a process of its own; gives its connection string."""
    port = free_ports(1)[0]
    server = subprocess.Popen([sys.executable, "-m", "benchmarks.slow_storage", str(port)])
    endpoint = f"http://{LOOPBACK}:{port}/{ACCOUNT}"
    try:
        await_answer(f"{endpoint}/")
        yield f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};BlobEndpoint={endpoint};"
    finally:
        server.terminate()
        server.wait()


def _run(runner: asyncio.Runner, work: Callable[[], Coroutine[Any, Any, Sample]]) -> Sample:
    return runner.run(work())


def _queue_url(azurite: Azurite) -> str:
    expiry = utc_now() + timedelta(days=1)
    permission = QueueSasPermissions(add=True)
    query = generate_queue_sas(ACCOUNT, NOTIFICATIONS, ACCOUNT_KEY, permission=permission, expiry=expiry)
    return f"{azurite.queue_url}/{NOTIFICATIONS}/messages?{query}"


def _ms(seconds: Spread) -> Spread:
    return Spread(seconds.median * 1000, seconds.low * 1000, seconds.high * 1000)


def main() -> int:
    """Measure, print, and say whether the targets are met."""
    options = read_options(__doc__ or "")
    report = Report()
    print_machine()
    quiet_sdk_logs()
    logging.getLogger("shared").setLevel(logging.CRITICAL)  # what is refused is counted
    with asyncio.Runner() as runner:
        measure_receiving(report, runner, quick=options.quick)
        measure_slow_storage(report, runner, quick=options.quick)
        measure_ca_bundle(report, runner, quick=options.quick)
    with emulator() as azurite:
        container(azurite, "inbox")
        measure_imports(report, azurite.connection_string, quick=options.quick)
    return report.finish(options)


if __name__ == "__main__":
    sys.exit(main())
