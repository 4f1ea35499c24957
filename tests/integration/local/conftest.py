"""Hosts under test: real processes on a real Azurite, once for each engine that this Python allows."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue import (
    QueueClient,
    QueueServiceClient,
    TextBase64DecodePolicy,
    TextBase64EncodePolicy,
)

from local.azurite import Azurite
from local.functions_host.process import HostProcess

APPS = Path(__file__).parent / "apps"
ENGINES = ["sdk", "runtime"] if sys.version_info >= (3, 13) else ["sdk"]
FUNCTION_KEY = "a function key"
Seen = dict[str, object]


@dataclass
class World:
    """One host with queues of its own."""

    host: HostProcess
    service: QueueServiceClient
    work_name: str
    seen_name: str

    @property
    def work(self) -> QueueClient:
        return self.queue(self.work_name)

    def queue(self, name: str) -> QueueClient:
        return self.service.get_queue_client(
            name, message_encode_policy=TextBase64EncodePolicy(), message_decode_policy=TextBase64DecodePolicy()
        )

    def seen(self, *, until: Callable[[list[Seen]], bool], seconds: float = 20) -> list[Seen]:
        """What functions put on the queue of things seen, once `until` holds for it."""
        found: list[Seen] = []
        deadline = time.monotonic() + seconds
        while not until(found):
            assert time.monotonic() < deadline, f"saw only {found}\n{self.host.log_text}"
            found += self._take()
        return found

    def saw(self, text: str, seconds: float = 20) -> Seen:
        """The first thing seen with this text."""
        return next(
            s
            for s in self.seen(until=lambda all_: any(s["text"] == text for s in all_), seconds=seconds)
            if s["text"] == text
        )

    def depth(self, queue: str) -> int:
        """Messages in a queue, visible or not."""
        try:
            return self.queue(queue).get_queue_properties().approximate_message_count or 0
        except ResourceNotFoundError:
            return 0

    def wait_for_depth(self, queue: str, depth: int, seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while self.depth(queue) != depth:
            assert time.monotonic() < deadline, f"{queue} holds {self.depth(queue)}\n{self.host.log_text}"
            time.sleep(0.1)

    def wait_for_log(self, text: str, seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.host.log_text:
            assert time.monotonic() < deadline, f"{text!r} is not in the log\n{self.host.log_text}"
            time.sleep(0.05)

    def _take(self) -> list[Seen]:
        queue = self.queue(self.seen_name)
        try:
            messages = list(queue.receive_messages(messages_per_page=32, max_messages=32, visibility_timeout=60))
        except ResourceNotFoundError:
            messages = []
        for message in messages:
            queue.delete_message(message)
        if not messages:
            time.sleep(0.05)
        return [json.loads(message.content) for message in messages]


MakeWorld = Callable[..., World]


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def service(azurite: Azurite) -> Iterator[QueueServiceClient]:
    with QueueServiceClient.from_connection_string(azurite.connection_string) as client:
        yield client


@pytest.fixture(scope="module")
def make_world(engine: str, azurite: Azurite, service: QueueServiceClient) -> MakeWorld:
    """Makes a host that is not started yet; keyword arguments go to `HostProcess`, `values` are settings."""

    def make(*, values: dict[str, str] | None = None, app: str = "conformance", **options: object) -> World:
        unique = uuid4().hex[:8]
        settings = {
            "AzureWebJobsStorage": azurite.connection_string,
            "HANGING_STORAGE": azurite.connection_string,
            "WORK": f"work-{unique}",
            "SEEN": f"seen-{unique}",
            "TICK": "0 0 0 1 1 *",
            **(values or {}),
        }
        host = HostProcess(settings, app=APPS / app, engine=engine, **options)  # type: ignore[arg-type] # HostProcess's own
        return World(host, service, settings["WORK"], settings["SEEN"])

    return make


@pytest.fixture(scope="module")
def world(make_world: MakeWorld) -> Iterator[World]:
    """A host that the tests of one file share: function keys on, timers off."""
    world = make_world(function_key=FUNCTION_KEY, timers=False)
    with world.host:
        yield world
