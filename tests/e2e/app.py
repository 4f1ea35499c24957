"""A handle on the app as it runs: what a caller, an operator and Graph can do to it, and what is in storage."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from azure.storage.blob import BlobServiceClient

from local.azurite import Azurite, Tls
from local.free_ports import free_ports
from local.functions_host.process import HostProcess
from local.graph.content.change import Change
from local.graph.export_policy import ExportPolicy
from local.graph.faults import Faults
from local.graph.ledger import Ledger, Post
from local.graph.threaded import ThreadedSimulator, run_in_thread
from local.play.verdict import Verdict, judge

FUNCTION_KEY = "an-operators-key"
# A minute's patience on a loaded machine; what is waited for takes a second or two.
WAIT_SECONDS = 60.0


@dataclass
class App:
    """The app on its stage, with its own storage account and cloud."""

    folder: Path
    azurite: Azurite
    cloud: ThreadedSimulator
    host: HostProcess

    def post(self, body: bytes, *, route: str = "notifications", **headers: str) -> requests.Response:
        """Post a body as anybody on the internet can."""
        return requests.post(f"{self.host.url}/api/{route}", data=body, headers=headers, timeout=30)

    def call(self, method: str, route: str) -> requests.Response:
        """Call a route as an operator."""
        key = {"x-functions-key": FUNCTION_KEY}
        return requests.request(method, f"{self.host.url}/api/{route}", headers=key, timeout=60)

    def subscribe(self, resource: str | None = None) -> str:
        """Subscribe the webhooks, handshake included; returns the subscription's id."""
        urls = f"{self.host.url}/api/notifications", f"{self.host.url}/api/lifecycle"
        if resource is None:
            return str(self.cloud.run(lambda graph: graph.subscribe(*urls))["id"])
        changes = {"resource": resource, "change_type": "created,updated"}
        return str(self.cloud.run(lambda graph: graph.subscribe(*urls, **changes))["id"])  # type: ignore[arg-type] # two texts

    def send(self, changes: list[Change]) -> list[Post]:
        """Have Graph notify of changes, and wait until each post was answered or given up."""
        return self.cloud.run(lambda graph: graph.send(changes), WAIT_SECONDS)

    def names(self, container: str) -> list[str]:
        """Blob names in a container; none where it is not there."""
        with BlobServiceClient.from_connection_string(self.azurite.connection_string) as storage:
            client = storage.get_container_client(container)
            return list(client.list_blob_names()) if client.exists() else []

    def until(self, holds: Callable[[], bool], what: str, *, seconds: float = WAIT_SECONDS) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}\n{self.host.log_text[-6000:]}"
            time.sleep(0.1)

    def at_rest(self) -> None:
        """Wait until nothing is in the inbox."""
        self.until(lambda: not self.names("inbox"), "the inbox is empty")

    def renew(self) -> None:
        """Run ``renew_subscriptions`` now, and wait for its end."""
        self.run("renew_subscriptions")

    def plan(self) -> None:
        """Run ``plan_exports`` now, and wait for its end."""
        self.run("plan_exports")

    def run(self, function: str) -> None:
        """Run a timer's function now, and wait for its end."""
        ended = f"{function} ok", f"{function} failed"
        before = sum(self.host.log_text.count(text) for text in ended)
        assert self.host.run_function(function) == 202
        self.until(lambda: sum(self.host.log_text.count(text) for text in ended) > before, f"{function} has ended")

    def archived(self) -> dict[str, dict[str, str]]:
        """The names of the archived interactions, tombstones left out, with their metadata."""
        with BlobServiceClient.from_connection_string(self.azurite.connection_string) as storage:
            client = storage.get_container_client("interactions")
            blobs = list(client.list_blobs(include=["metadata"])) if client.exists() else []
        return {blob.name: dict(blob.metadata or {}) for blob in blobs if "/deleted/" not in blob.name}

    def subscriptions(self) -> dict[str, dict[str, object]]:
        """What ``status`` tells of each wanted resource."""
        status = self.call("GET", "status").json()
        return {each["resource"]: each for each in status["subscriptions"]["resources"]}

    def gaps(self) -> list[dict[str, str]]:
        """The gaps that an export was asked for."""
        names = [name for name in self.names("state") if name.startswith("gaps/")]
        with BlobServiceClient.from_connection_string(self.azurite.connection_string) as storage:
            blobs = [storage.get_blob_client("state", name).download_blob().readall() for name in names]
        return [json.loads(blob) for blob in blobs]

    def verdict(self) -> Verdict:
        """The simulator's ledger against the blobs."""
        return judge(Ledger.read(self.folder / "graph"), self.azurite.connection_string)


@contextmanager
def running_app(
    folder: Path,
    *,
    engine: str,
    resources: Sequence[str] | None = None,
    by_identity: bool = False,
    previous_client_state: str | None = None,
    host_arguments: Sequence[str] = (),
    export: ExportPolicy | None = None,
    **more_settings: str,
) -> Iterator[App]:
    """The app with everything around it. ``resources`` is what SUBSCRIPTIONS wants; None leaves it unset.

    ``export`` is how Graph's export behaves, friendly where nothing is said.

    ``by_identity``: as on Azure, no secret anywhere. Storage is reached over TLS by the managed identity, which also
    vouches for the app registration.
    """
    (folder / "graph").mkdir()
    (port,) = free_ports(1)
    shows, sends = export or ExportPolicy.friendly(), Faults.friendly()
    with (
        run_in_thread(folder=folder / "graph", seed=7, faults=sends, export=shows) as cloud,
        ExitStack() as stack,
    ):
        certificate = Tls(folder / "graph" / "server.pem", folder / "graph" / "server-key.pem")
        azurite = stack.enter_context(Azurite(location=folder / "azurite", tls=certificate if by_identity else None))
        settings = {
            **cloud.graph.settings(),
            **(_identity(cloud, azurite) if by_identity else _secrets(azurite)),
            "FUNCTIONS_WORKER_RUNTIME": "python",
            "PUBLIC_BASE_URL": f"http://127.0.0.1:{port}",
            "RENEW_SCHEDULE": "0 */5 * * * *",
            "SWEEP_SCHEDULE": "0 */5 * * * *",
            "EXPORT_SCHEDULE": "0 7 * * * *",
            **more_settings,
        }
        if by_identity:
            del settings["GRAPH_CLIENT_SECRET"]
        if resources is not None:
            settings["SUBSCRIPTIONS"] = json.dumps([{"resource": resource} for resource in resources])
        if previous_client_state is not None:
            settings["CLIENT_STATE"] += f",{previous_client_state}"
        with HostProcess(
            settings,
            function_key=FUNCTION_KEY,
            port=port,
            timers=False,
            engine=engine,
            log=folder / "host.log",
            extra_arguments=host_arguments,
        ) as host:
            yield App(folder, azurite, cloud, host)


def _secrets(azurite: Azurite) -> dict[str, str]:
    return {"AzureWebJobsStorage": azurite.connection_string, "ARCHIVE_STORAGE": azurite.connection_string}


def _identity(cloud: ThreadedSimulator, azurite: Azurite) -> dict[str, str]:
    return {
        **cloud.graph.identity_environment(),
        "AzureWebJobsStorage__blobServiceUri": azurite.blob_url,
        "AzureWebJobsStorage__queueServiceUri": azurite.queue_url,
        "AzureWebJobsStorage__credential": "managedidentity",
        "ARCHIVE_STORAGE__blobServiceUri": azurite.blob_url,
        "ARCHIVE_STORAGE__credential": "managedidentity",
    }
