"""Everything that a case needs, started once: storage, the cloud, the proxy before both, a worker to kill.

Each case has a storage account of its own, so no case sees what another has left.
"""

import base64
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from local.azurite import Azurite
from local.graph.content.day import TenantContent
from local.graph.export_policy import ExportPolicy
from local.graph.faults import Faults
from local.graph.policy import Limits
from local.graph.simulator import Simulator
from local.graph.subscription import Subscription
from local.graph.threaded import ThreadedSimulator, run_in_thread
from local.graph.tls import TlsFiles
from local.graph.vault import PEM
from tests.endurance.account import Account
from tests.endurance.hands import Worker
from tests.endurance.posts import Press
from tests.endurance.proxy import Gate, Proxy
from tests.serving import open_door

if TYPE_CHECKING:
    from tests.endurance.scenario import Scenario

# Short names and a short key: all of them must fit into one variable of Azurite's environment, of 128 KiB at most.
ACCOUNTS = 10_000
CONTAINERS = ("inbox", "interactions", "dead-letters", "state")
KEY = base64.b64encode(b"k").decode()
INTERACTIONS = "copilot/interactionHistory/getAllEnterpriseInteractions"


@dataclass(eq=False)
class Stage:
    """What runs. ``account`` gives a fresh storage account by its connection string."""

    folder: Path
    azurite: Azurite
    cloud: ThreadedSimulator
    proxy: Proxy
    worker: Worker
    press: Press
    door: str
    scenarios: dict[str, "Scenario"] = field(default_factory=dict)
    # By scenario: an account that is as it was filled.
    spare: dict[str, Account] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)
    _folders: Iterator[int] = field(default_factory=count)

    @property
    def graph(self) -> Simulator:
        """The simulated cloud."""
        return self.cloud.graph

    @property
    def detour(self) -> dict[int, int]:
        """From the real ports to the proxy's."""
        return {port: self.proxy.ports[name] for name, port in self.real_ports.items()}

    @property
    def real_ports(self) -> dict[str, int]:
        """Where the dependencies listen."""
        cloud = urlsplit(self.graph.graph_endpoint).port or 0
        return {"blob": self.azurite.blob_port, "queue": self.azurite.queue_port, "cloud": cloud}

    def account(self) -> Account:
        """An account that nobody has used."""
        number = next(self._numbers)
        assert number < ACCOUNTS, "more cases than accounts"
        return Account(f"c{number:04}", KEY, self.azurite.blob_port, self.azurite.queue_port)

    def new_folder(self) -> Path:
        """A folder that is not there yet."""
        return self.folder / f"case-{next(self._folders)}"

    def environment(self, account: Account, **more: str) -> dict[str, str]:
        """The app's settings, on that account."""
        return {
            **self.graph.settings(),
            "AzureWebJobsStorage": account.connection_string,
            "ARCHIVE_STORAGE": account.connection_string,
            "FUNCTIONS_WORKER_RUNTIME": "python",
            "PUBLIC_BASE_URL": self.door,
            "SUBSCRIPTIONS": json.dumps([{"resource": INTERACTIONS}]),
            "RENEW_SCHEDULE": "0 */5 * * * *",
            "SWEEP_SCHEDULE": "0 */5 * * * *",
            "EXPORT_SCHEDULE": "0 7 * * * *",
            "PATH": os.environ["PATH"],
            # Else requests looks through all of the environment for proxies, twice for each call.
            "NO_PROXY": "127.0.0.1,localhost",
            **more,
        }

    def populate(self, name: str) -> None:
        """Let other people have other conversations from now on: the same for a name, whatever was before."""
        content = TenantContent(zlib.crc32(name.encode()), self.graph.tenant_id)
        self.graph.cloud = replace(self.graph.cloud, content=content)

    def calm(self) -> None:
        """Graph at its friendliest, whatever a scenario has made of it."""
        self.behave()

    def behave(self, *, strict_patch: bool = False, **export: Any) -> None:  # noqa: ANN401 - of the type of the field
        """Graph at its friendliest, but for what is named: of the policy and of the export's."""
        self.graph.policy.strict_patch = strict_patch
        self.graph.policy.export = ExportPolicy.friendly(tenant_export=True, **export)

    def subscribe(self, *subscriptions: Subscription) -> None:
        """Let these subscriptions live, as they are, and no others."""

        def exchange(graph: Simulator) -> None:
            for each in graph.subscriptions.living():
                graph.subscriptions.remove(each.id, "removed")
                graph.authorisations.forget(each.id)
            for each in subscriptions:
                graph.subscriptions.add(each)

        self.cloud.call(exchange)

    def unsubscribe(self) -> None:
        """End every subscription."""
        self.subscribe()


@contextmanager
def standing_stage(folder: Path, *, seed: int = 7) -> Iterator[Stage]:
    """Start everything, and stop it. Stages of one seed have the same scenarios, call by call."""
    (folder / "graph").mkdir(parents=True)
    with ExitStack() as stack:
        # A case takes less than a second; Graph's rates are for apps that ask every five minutes.
        limits = Limits(write=100_000, get=100_000, list=100_000)
        cloud = stack.enter_context(
            run_in_thread(
                folder=folder / "graph",
                seed=seed,
                faults=Faults.friendly(),
                export=ExportPolicy.friendly(),
                limits=limits,
            )
        )
        azurite = stack.enter_context(many_accounts())
        worker = stack.enter_context(Worker(folder / "worker.log"))
        door = stack.enter_context(open_door())
        proxy = stack.enter_context(Proxy(gates(folder, azurite, cloud)))
        # PEM costs the worker a tenth of a second less than PKCS #12; each case starts without keys.
        cloud.call(lambda graph: graph.rotate_certificate(content_type=PEM))
        cloud.run(lambda graph: graph.subscribe(f"{door}/api/notifications", f"{door}/api/lifecycle"))
        (subscription,) = cloud.graph.subscriptions.living()
        press = Press(cloud.graph, subscription)
        stage = Stage(folder, azurite, cloud, proxy, worker, press, door)
        stage.unsubscribe()
        worker.warm(stage.environment(stage.account()))
        stage.unsubscribe()
        yield stage


@contextmanager
def many_accounts() -> Iterator[Azurite]:
    """Azurite with accounts to throw away."""
    azurite = Azurite()
    os.environ["AZURITE_ACCOUNTS"] = ";".join(f"c{number:04}:{KEY}" for number in range(ACCOUNTS))
    try:
        azurite.start()
    finally:
        del os.environ["AZURITE_ACCOUNTS"]
    with azurite:
        yield azurite


def gates(folder: Path, azurite: Azurite, cloud: ThreadedSimulator) -> dict[str, Gate]:
    """A gate for each dependency. The cloud's shows the certificate that the app trusts already."""
    files = TlsFiles(*(folder / "graph" / name for name in ("ca.pem", "server.pem", "server-key.pem")))
    port = urlsplit(cloud.graph.graph_endpoint).port or 0
    return {
        "blob": Gate(azurite.blob_port),
        "queue": Gate(azurite.queue_port),
        "cloud": Gate(port, files.server_context(), files.client_context()),
    }
