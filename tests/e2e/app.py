"""A handle on the app as it runs: what a caller, an operator and Graph can do to it, and what is in storage."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import requests
from azure.storage.blob import BlobServiceClient

from local.azurite import Azurite
from local.functions_host.process import HostProcess
from local.graph.content.change import Change
from local.graph.ledger import Ledger, Post
from local.graph.threaded import ThreadedSimulator
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

    def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not holds():
            assert time.monotonic() < deadline, f"not within {WAIT_SECONDS} s: {what}\n{self.host.log_text[-6000:]}"
            time.sleep(0.1)

    def at_rest(self) -> None:
        """Wait until nothing is in the inbox."""
        self.until(lambda: not self.names("inbox"), "the inbox is empty")

    def verdict(self) -> Verdict:
        """The simulator's ledger against the blobs."""
        return judge(Ledger.read(self.folder / "graph"), self.azurite.connection_string)
