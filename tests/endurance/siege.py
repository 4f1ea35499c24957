"""The long form: the real host under a tenant's traffic while everything around it, and it itself, fails by seed.

What fails is drawn; when, too: each call to a dependency may be spoilt, each answer of a webhook may be lost, and every
few seconds something happens to the process, its clock, or those it depends on (``misfortunes``). In the end the
weather is good, and everything is counted.
"""

import json
import math
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import requests
from azure.storage.blob import BlobServiceClient, ContainerClient

from local.azurite import Azurite
from local.free_ports import free_ports
from local.functions_host.process import HostProcess, HostProcessError
from local.graph.export_policy import ExportPolicy
from local.graph.faults import Timing
from local.graph.simulator import Simulator
from local.graph.threaded import ThreadedSimulator, run_in_thread
from tests.endurance.clocks import Dial
from tests.endurance.extent import Extent, spoil
from tests.endurance.feed import Feed
from tests.endurance.holdings import ARCHIVE, PATIENT, Holdings
from tests.endurance.misfortunes import Misfortunes
from tests.endurance.proxy import Gate, Proxy
from tests.endurance.stage import INTERACTIONS, gates
from tests.endurance.verifier import Figure, judge, missing, read

REPOSITORY = Path(__file__).resolve().parents[2]
KEY = "an-operators-key"
BETWEEN_EVENTS = 8.0
SETTLE_SECONDS = 600.0
REPLAYS = 5
# What was planned by a clock that was ahead has to come due by the right one.
EXPORT_SECONDS = 1800.0
POLL_SECONDS = 2.0
# A log is looked through at every start.
LOG_BYTES = 2_000_000
WANTED = (INTERACTIONS, "chats")
# What Azure does every five minutes, and every hour.
WHOLE = {
    "RENEW_SCHEDULE": "*/30 * * * * *",
    # A window that is still waiting is put on the queue again by each plan: oftener, they would only pile up.
    "EXPORT_SCHEDULE": "*/40 * * * * *",
    "EXPORT_USERS": "licensed",
    "SUBSCRIPTIONS": json.dumps([{"resource": resource} for resource in WANTED]),
}
# Page tokens end in the middle of a walk that was held up, and interactions show up to a minute late.
EXPORT = ExportPolicy(token_life=15.0, mean_delay=5.0, longest_delay=60.0)
Tell = Callable[[str], None]


@dataclass
class Siege:
    """One seed's run."""

    seed: int
    folder: Path
    cloud: ThreadedSimulator
    azurite: Azurite
    proxy: Proxy
    host: HostProcess
    dial: Dial
    fired: Counter[str] = field(default_factory=Counter)
    users: list[str] = field(default_factory=list)
    sent: int = 0
    settled: float = 0.0
    _begun: list[Future[None]] = field(default_factory=list)
    _logs: int = 0

    def run(self, extent: Extent, tell: Tell) -> None:
        """Play days until it is enough, then wait for good weather's work to be done."""
        feed = Feed(self.cloud, extent.rate, extent.users, self.in_inbox)
        self.users = [person.oid for person in self.cloud.graph.cloud.content.people(extent.users)]
        feed.begin()
        self.renew(len(WANTED))
        self._storm(feed, extent, tell)
        self._wait(lambda: 0 if feed.is_over else self.cloud.graph.delivery.pending, "posts under way", tell)
        self.sent = feed.sent
        for each in self._begun:
            each.result(SETTLE_SECONDS)
        self.settle(tell)

    def _storm(self, feed: Feed, extent: Extent, tell: Tell) -> None:
        plan = spoil(random.Random(f"{self.seed} calls"), extent.one_in)
        misfortunes = Misfortunes(self, random.Random(f"{self.seed} misfortunes"), back=extent.back)
        pauses, started = random.Random(f"{self.seed} pauses"), time.monotonic()
        self.proxy.begin(plan)
        left = math.inf
        while left > 0:
            if feed.go_on():
                self._count()
                self.proxy.begin(plan)
            time.sleep(pauses.uniform(0.5, 1.5) * BETWEEN_EVENTS)
            misfortunes.strike()
            passed = time.monotonic() - started
            left = extent.left(feed.sent, self.total(), passed)
            tell(
                f"seed {self.seed}: {feed.sent} interactions ({feed.sent / passed:.0f} a second), "
                f"{self.total()} faults, {self.cloud.graph.delivery.pending} posts under way, "
                f"{left / 60:.0f} minutes to go"
            )
        misfortunes.calm()
        self._count()
        self.proxy.begin()

    def _count(self) -> None:
        self.fired += self.proxy.fired

    def total(self) -> int:
        """How many faults have fired."""
        return self.fired.total() + self.proxy.fired.total()

    def begin(self, work: Callable[[Simulator], Awaitable[None]]) -> None:
        """Let Graph do something that takes its time."""
        self._begun = [each for each in self._begun if not each.done() or each.exception()]
        self._begun.append(self.cloud.start(work))

    def start(self) -> None:
        """Start the host, in whatever weather."""
        log = self.folder / "host.log"
        if log.exists() and log.stat().st_size > LOG_BYTES:
            self._logs += 1
            log.rename(self.folder / f"host-{self._logs}.log")
        while True:
            try:
                self.host.start()
            except HostProcessError:
                self.host.kill()
            else:
                return

    def stop(self) -> None:
        """Stop the host in order; what hangs is killed in the end, as the platform does."""
        with suppress(HostProcessError):
            self.host.stop()

    def set_up(self, **changed: str) -> None:
        """Write the settings file that the host reads at its start."""
        path = self.folder / "local.settings.json"
        values: dict[str, str] = json.loads(path.read_text())["Values"] if path.exists() else {}
        document = {"IsEncrypted": False, "Values": values | changed, "Host": {"FunctionKey": KEY}}
        path.write_text(json.dumps(document))

    def renew(self, count: int = 1) -> None:
        """Subscribe, in good weather."""
        for _ in range(30):
            self.host.run_function("renew_subscriptions")
            time.sleep(1)
            if len(self.cloud.graph.subscriptions.living()) >= count:
                return
        raise AssertionError(self.host.log_text[-4000:])

    def wait_for_rest(self, tell: Tell = lambda _: None) -> None:
        """Wait until the sweeper has emptied the inbox, or for ten minutes."""
        self._wait(self.in_inbox, "posts in the inbox", tell)

    def in_inbox(self) -> int:
        """How many posts wait."""
        with ContainerClient.from_connection_string(self.azurite.connection_string, "inbox", **PATIENT) as inbox:
            return sum(1 for _ in inbox.list_blob_names()) if inbox.exists() else 0

    def wait_for_exports(self, tell: Tell) -> None:
        """Wait until the archive holds all that the export shows, or for half an hour."""
        with BlobServiceClient.from_connection_string(self.azurite.connection_string, **PATIENT) as storage:
            holdings, ledger = Holdings(), self.cloud.graph.ledger()

            def waiting() -> int:
                self.proxy.begin()  # forgets the calls so far
                holdings.take(read(storage, ARCHIVE, known=holdings.archive))
                return len(missing(ledger, holdings.archive))

            self._wait(waiting, "interactions not exported yet", tell, EXPORT_SECONDS)

    def settle(self, tell: Tell) -> None:
        """Good weather: wait for rest, try dead letters again, and wait for the exports."""
        started = time.monotonic()
        self.wait_for_rest(tell)
        self.replay()
        self.wait_for_exports(tell)
        self.wait_for_rest(tell)
        self.settled = time.monotonic() - started

    def replay(self) -> None:
        """Try dead letters again, as an operator would who is answered an error now and then."""
        key = {"x-functions-key": KEY}
        for _ in range(REPLAYS):
            with suppress(requests.RequestException):
                url = f"{self.host.url}/api/dead-letters/replay"
                requests.post(url, headers=key, timeout=200).raise_for_status()
                return
        raise AssertionError(self.host.log_text[-4000:])

    def figure(self, *, exported: bool = False) -> Figure:
        """The verdict as things are now."""
        return judge(self.cloud.graph.ledger(), self.azurite.connection_string, exported=exported)

    def _wait(self, waiting: Callable[[], int], what: str, tell: Tell, seconds: float = SETTLE_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while (count := waiting()) and time.monotonic() < deadline:
            tell(f"seed {self.seed}: {count} {what}")
            time.sleep(POLL_SECONDS)


@contextmanager
def besieged(folder: Path, seed: int, **settings: str) -> Iterator[Siege]:
    """The app with everything around it, behind the proxy; ``settings`` come on top of what it needs."""
    (folder / "graph").mkdir(parents=True)
    (port,) = free_ports(1)
    with ExitStack() as stack:
        # Graph insists for ten minutes, from a third of a second on: sooner would be a flood of our own making.
        timing = Timing(time_scale=30.0, give_up=5 * 3600.0)
        cloud = stack.enter_context(run_in_thread(folder=folder / "graph", seed=seed, timing=timing, export=EXPORT))
        # In memory: on disk it writes all that it knows of every blob anew every five seconds.
        azurite = stack.enter_context(Azurite())
        doors = {**gates(folder, azurite, cloud), "front": Gate(port)}
        proxy = stack.enter_context(Proxy(doors))
        real = {name: gate.port for name, gate in doors.items() if name != "front"}
        os.environ["ENDURANCE_DETOUR"] = json.dumps({real[name]: proxy.ports[name] for name in real})
        os.environ["ENDURANCE_CLOCK"] = str(folder / "clock")
        host = HostProcess(
            folder / "local.settings.json",
            port=port,
            engine="sdk",
            log=folder / "host.log",
            python=_python(folder),
        )
        siege = Siege(seed, folder, cloud, azurite, proxy, host, Dial(folder / "clock"))
        siege.set_up(
            **cloud.graph.settings(),
            AzureWebJobsStorage=azurite.connection_string,
            ARCHIVE_STORAGE=azurite.connection_string,
            FUNCTIONS_WORKER_RUNTIME="python",
            PUBLIC_BASE_URL=f"http://127.0.0.1:{proxy.ports['front']}",
            **{
                "SUBSCRIPTIONS": json.dumps([{"resource": INTERACTIONS}]),
                "RENEW_SCHEDULE": "0 */5 * * * *",
                "SWEEP_SCHEDULE": "*/20 * * * * *",
            }
            | settings,
        )
        stack.enter_context(host)
        yield siege


def _python(folder: Path) -> Path:
    """An interpreter that leads connections through the proxy, for a host process that starts whatever it is given."""
    script = folder / "python"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tests.endurance.behind "$@"\n')
    script.chmod(0o755)
    return script


def commit() -> str:
    """The commit that was attacked, and whether files differ from it."""
    said = subprocess.run(
        ["git", "describe", "--always", "--dirty"],  # noqa: S607 - whatever git there is
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    return said.stdout.strip() or "unknown"
