"""What a flood of garbage does to genuine posts, against the same flood of a handler that does nothing.

Run ``.venv/bin/python -m benchmarks.flood``: what one look at garbage costs; what looks do to genuine posts, by the
app's own clock (``benchmarks.flood_alone``); then the same on the wall, where host, storage, the forger and whoever
sends genuine posts have a process each. Quiet and floods alternate in one run; a ratio is one round's own.
"""

import asyncio
import gc
import logging
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from azure.core.exceptions import ResourceExistsError
from azure.storage.queue import QueueClient

from benchmarks import flood_alone
from benchmarks.flood_alone import Stream, meet
from benchmarks.flood_sender import REPOSITORY, Flooded, cpu_seconds, flooding, garbage, genuine_posts
from benchmarks.receivers import MAX_BODY_BYTES, app_settings
from benchmarks.report import Report, print_machine, read_options
from benchmarks.rounds import Spread, percentile, spread
from benchmarks.storage import container, emulator
from benchmarks.tenant import CLIENT_STATE, Tenant
from local.functions_host.process import HostProcess
from shared.core.errors import RequestRefused
from shared.core.inbox_name import NOTIFICATIONS
from shared.core.webhook import WebhookRequest, check_crowd, check_items, check_size

ROUNDS = 7
# Forged posts a second; each time round, the kinds come to 21 MB.
RATES = (10, 30)
# Genuine posts of a phase, which takes twelve seconds; their items, by turns: 6 to 300 KB.
POSTS, QUICK_POSTS = 240, 120
SIZES = (1, 1, 1, 10, 1, 10, 1, 50)
ALONE_SECONDS, ALONE_RATE = 10.0, 20.0
QUIET, BARE, FLOODED = "quiet", "a flood of the bare handler", "a flood of the app"
AT_ONCE = "the same, no turns taken"
APP = "from benchmarks.flood_app import app\n\n__all__ = ['app']\n"


@dataclass(frozen=True)
class Phase:
    """What one phase showed: how long genuine posts took, and the cores that host and forger took meanwhile."""

    latencies: Sequence[float]
    host: float
    forger: float = 0.0
    forged: int = 0


def measure_bodies(report: Report) -> None:
    """What looking at each kind of garbage costs the app, which keeps the garbage collector still meanwhile."""
    rows = []
    gc.disable()
    for kind, body in garbage(CLIENT_STATE).items():
        taken = []
        for _ in range(7):
            begun = time.process_time()
            status = _check(body)
            taken.append((time.process_time() - begun) * 1000)
        rows.append((kind, f"{len(body) / 1000:.0f}", status, spread(taken)))
    gc.enable()
    report.table("One look", ["", "KB", "answer", "CPU ms"], rows)


def measure_alone(report: Report, bodies: Sequence[bytes], *, rate: float, quick: bool) -> None:
    """By the app's own clock: all of it is the posts' doing."""
    forged = list(garbage(CLIENT_STATE).values())
    found: dict[str, list[Phase]] = {QUIET: [], BARE: [], FLOODED: [], AT_ONCE: []}
    for _ in range(1 if quick else ROUNDS):
        for name, phases in found.items():
            take = flood_alone.app(turns=name != AT_ONCE)
            flood = None if name == QUIET else Stream(flood_alone.bare if name == BARE else take, forged, rate)
            phases.append(Phase(*meet(Stream(take, bodies, ALONE_RATE), flood, ALONE_SECONDS)))
    report_phases(report, f"On the app's own clock, {rate:g} forged posts a second", found)


def measure_wall(report: Report, bodies: Sequence[bytes], *, rate: float, quick: bool) -> None:
    """On the wall."""
    rounds, posts = (2, QUICK_POSTS) if quick else (ROUNDS, POSTS)
    sent = list(islice(cycle(bodies), posts))
    found: dict[str, list[Phase]] = {QUIET: [], BARE: [], FLOODED: []}
    with running() as host:
        phase(host, QUIET, rate, bodies)
        for number in range(rounds):
            for name in found if number % 2 == 0 else reversed(found):
                found[name].append(phase(host, name, rate, sent))
    report_phases(report, f"On the wall, {rate:g} forged posts a second", found)


@contextmanager
def running() -> Iterator[HostProcess]:
    """The host with the app's webhook and the bare handler, on a storage of its own."""
    with emulator() as azurite, tempfile.TemporaryDirectory(prefix="flood-") as folder:
        container(azurite, "inbox")
        queue = QueueClient.from_connection_string(azurite.connection_string, NOTIFICATIONS)
        with queue, suppress(ResourceExistsError):
            queue.create_queue()
        Path(folder, "function_app.py").write_text(APP)
        shutil.copy(REPOSITORY / "host.json", folder)
        settings = app_settings(azurite.connection_string) | {"FUNCTIONS_WORKER_RUNTIME": "python"}
        with HostProcess(settings, app=Path(folder)) as host:
            yield host


def phase(host: HostProcess, name: str, rate: float, bodies: Sequence[bytes]) -> Phase:
    """One phase."""
    path = {BARE: "/api/bare", FLOODED: "/api/notifications"}.get(name)
    flow = flooding(f"{host.url}{path}", rate, CLIENT_STATE) if path else nullcontext(Flooded())
    with flow as flooded:
        cpu, begun = cpu_seconds(host.pid), time.monotonic()
        latencies = asyncio.run(genuine_posts(f"{host.url}/api/notifications", bodies))
        cores = (cpu_seconds(host.pid) - cpu) / (time.monotonic() - begun)
    return Phase(latencies, cores, flooded.cores, flooded.statuses.total())


def report_phases(report: Report, title: str, found: Mapping[str, Sequence[Phase]]) -> None:
    """The table."""
    columns = ["", "p50 ms", "p99 ms", "longest ms", "p99, of quiet", "p99, of the bare flood"]
    rows = [
        (
            name,
            *(spread([percentile(each.latencies, percent) * 1000 for each in phases]) for percent in (50, 99, 100)),
            _ratio(phases, found[QUIET]),
            _ratio(phases, found[BARE]),
            spread([each.host for each in phases]),
            spread([each.forger for each in phases]),
            sum(each.forged for each in phases),
        )
        for name, phases in found.items()
    ]
    report.table(title, [*columns, "host, cores", "forger, cores", "forged posts"], rows)


def _ratio(phases: Sequence[Phase], base: Sequence[Phase]) -> Spread:
    pairs = zip(phases, base, strict=True)
    return spread([percentile(one.latencies, 99) / percentile(other.latencies, 99) for one, other in pairs])


def _check(body: bytes) -> int:
    try:
        check_size(WebhookRequest(None, None, body), max_body_bytes=MAX_BODY_BYTES)
        check_crowd(body)
        check_items(body, client_states=(CLIENT_STATE,))
    except RequestRefused as refused:
        return refused.status
    return 202


def main() -> int:
    """Measure and print."""
    options = read_options(__doc__ or "")
    report, tenant = Report(), Tenant(2048)
    bodies = [tenant.post(items) for items in SIZES]
    print_machine()
    # A line for each refusal, in a process where nobody reads them.
    logging.getLogger("shared").setLevel(logging.CRITICAL)
    measure_bodies(report)
    for measure in (measure_alone, measure_wall):
        for rate in RATES:
            measure(report, bodies, rate=rate, quick=options.quick)
    return report.finish(options)


if __name__ == "__main__":
    raise SystemExit(main())
