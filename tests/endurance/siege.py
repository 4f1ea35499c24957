"""The long form: the real host under a day's traffic while everything around it, and it itself, fails by seed.

What fails is drawn; when, too: each call to a dependency may be spoilt, each answer of a webhook may be lost, and every
few seconds the process is killed, paused, or deployed anew. In the end the weather is good, and everything is counted.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import requests
from azure.storage.blob import ContainerClient

from local.azurite import Azurite
from local.free_ports import free_ports
from local.functions_host.process import HostProcess, HostProcessError
from local.graph.content.change import Change
from local.graph.faults import Timing
from local.graph.ledger import Post
from local.graph.simulator import Simulator
from local.graph.threaded import ThreadedSimulator, run_in_thread
from tests.endurance.proxy import Call, Effect, Fault, Gate, Plan, Proxy
from tests.endurance.stage import INTERACTIONS, gates
from tests.endurance.verifier import Figure, judge

REPOSITORY = Path(__file__).resolve().parents[2]
KEY = "an-operators-key"
# One call in so many is spoilt; a post takes about ten.
ONE_IN = 25
EFFECTS = (
    *[Fault(Effect.REFUSE), Fault(Effect.LOSE), Fault(Effect.CUT)] * 3,
    *[Fault(Effect.STATUS, status) for status in (503, 429, 507, 500)],
    Fault(Effect.DELAY, seconds=2.0),
    Fault(Effect.HANG),
)
# Answers of the app to Graph: a cut one is a lost one to whoever waits for its end.
FRONT = (Fault(Effect.LOSE), Fault(Effect.REFUSE), Fault(Effect.CUT), Fault(Effect.DELAY, seconds=4.0))
BETWEEN_EVENTS = 4.0
CHANGES_A_SECOND = 12
SETTLE_SECONDS = 600.0
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
    fired: Counter[str] = field(default_factory=Counter)

    def plan(self, rng: random.Random) -> Plan:
        """Spoil calls as the dice fall."""

        def plan(call: Call) -> Fault | None:
            if rng.randrange(ONE_IN):
                return None
            return rng.choice(FRONT if call.gate == "front" else EFFECTS)

        return plan

    def run(self, *, faults: int, interactions: int, tell: Tell) -> None:
        """Play days until so many faults have fired, then wait for good weather's work to be done."""
        rng = random.Random(self.seed)
        self.renew()
        day = datetime.now(UTC).date() - timedelta(days=1)
        sent = 0
        while sent < interactions or self.total() < faults:
            changes = self.cloud.graph.day(day, interactions=min(interactions, 400), users=25, chats=0)
            sent += sum(change.change_type == "created" for change in changes)
            playing = self.cloud.start(partial(_play, changes))
            self.proxy.begin(self.plan(rng))
            while not playing.done():
                time.sleep(rng.uniform(0.5, 1.5) * BETWEEN_EVENTS)
                self.misfortune(rng)
                tell(f"seed {self.seed}: {sent} interactions, {self.total()} faults")
            self.fired += self.proxy.fired
            self.proxy.begin()
            day -= timedelta(days=1)
        self.settle(tell)

    def total(self) -> int:
        """How many faults have fired."""
        return self.fired.total() + self.proxy.fired.total()

    def misfortune(self, rng: random.Random) -> None:
        """Something happens to the process."""
        match rng.choice(("kill", "kill", "pause", "deploy")):
            case "kill":
                self.host.kill()
                self.fired["process killed (SIGKILL)"] += 1
                self.start()
            case "pause":
                os.kill(self.host.pid, signal.SIGSTOP)
                time.sleep(rng.uniform(0.5, 4.0))
                os.kill(self.host.pid, signal.SIGCONT)
                self.fired["process paused (SIGSTOP)"] += 1
            case "deploy":
                # Another instance of the app: stopped in order, started with other settings.
                self.host.stop()
                self.set_up(MAX_BODY_BYTES=str(rng.choice((4_194_304, 2_097_152))))
                self.fired["deployed with a changed setting"] += 1
                self.start()

    def start(self) -> None:
        """Start the host, in whatever weather."""
        while True:
            try:
                self.host.start()
            except HostProcessError:
                self.host.kill()
            else:
                return

    def set_up(self, **changed: str) -> None:
        """Write the settings file that the host reads at its start."""
        path = self.folder / "local.settings.json"
        values: dict[str, str] = json.loads(path.read_text())["Values"] if path.exists() else {}
        document = {"IsEncrypted": False, "Values": values | changed, "Host": {"FunctionKey": KEY}}
        path.write_text(json.dumps(document))

    def renew(self) -> None:
        """Subscribe, in good weather."""
        for _ in range(30):
            self.host.run_function("renew_subscriptions")
            time.sleep(1)
            if self.cloud.graph.subscriptions.living():
                return
        raise AssertionError(self.host.log_text[-4000:])

    def wait_for_rest(self, tell: Tell = lambda _: None) -> None:
        """Sweep until the inbox is empty, or for ten minutes."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while (waiting := self.in_inbox()) and time.monotonic() < deadline:
            tell(f"seed {self.seed}: {waiting} posts in the inbox")
            self.host.run_function("sweep_inbox")
            time.sleep(2)

    def in_inbox(self) -> int:
        """How many posts wait."""
        with ContainerClient.from_connection_string(self.azurite.connection_string, "inbox") as inbox:
            return sum(1 for _ in inbox.list_blob_names()) if inbox.exists() else 0

    def settle(self, tell: Tell) -> None:
        """Good weather: wait for rest, and try dead letters again."""
        self.wait_for_rest(tell)
        key = {"x-functions-key": KEY}
        requests.post(f"{self.host.url}/api/dead-letters/replay", headers=key, timeout=200).raise_for_status()

    def figure(self) -> Figure:
        """The verdict as things are now."""
        return judge(self.cloud.graph.ledger(), self.azurite.connection_string)


async def _play(changes: list[Change], graph: Simulator) -> list[Post]:
    return await graph.play(changes, seconds=len(changes) / CHANGES_A_SECOND)


@contextmanager
def besieged(folder: Path, seed: int, **settings: str) -> Iterator[Siege]:
    """The app with everything around it, behind the proxy; ``settings`` come on top of what it needs."""
    (folder / "graph").mkdir(parents=True)
    (port,) = free_ports(1)
    with ExitStack() as stack:
        timing = Timing(time_scale=240.0, give_up=40 * 3600.0)
        cloud = stack.enter_context(run_in_thread(folder=folder / "graph", seed=seed, timing=timing))
        azurite = stack.enter_context(Azurite(location=folder / "azurite"))
        doors = {**gates(folder, azurite, cloud), "front": Gate(port)}
        proxy = stack.enter_context(Proxy(doors))
        real = {name: gate.port for name, gate in doors.items() if name != "front"}
        os.environ["ENDURANCE_DETOUR"] = json.dumps({real[name]: proxy.ports[name] for name in real})
        host = HostProcess(
            folder / "local.settings.json",
            port=port,
            engine="sdk",
            log=folder / "host.log",
            python=_python(folder),
        )
        siege = Siege(seed, folder, cloud, azurite, proxy, host)
        siege.set_up(
            **cloud.graph.settings(),
            AzureWebJobsStorage=azurite.connection_string,
            ARCHIVE_STORAGE=azurite.connection_string,
            FUNCTIONS_WORKER_RUNTIME="python",
            PUBLIC_BASE_URL=f"http://127.0.0.1:{proxy.ports['front']}",
            SUBSCRIPTIONS=json.dumps([{"resource": INTERACTIONS}]),
            **{"RENEW_SCHEDULE": "0 */5 * * * *", "SWEEP_SCHEDULE": "*/20 * * * * *"} | settings,
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
