"""An Azure Storage queue as the doorbell that the sweeper rings, and as the way of export windows to their worker.

https://learn.microsoft.com/python/api/overview/azure/storage-queue-readme
"""

import math
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.storage.queue import LinearRetry, QueueClient, TextBase64EncodePolicy

from shared.adapters.request_ids import note_request_ids
from shared.core.errors import StorageUnavailable
from shared.core.metrics import DEPENDENCY_FAILURES
from shared.ports import SILENCE, Telemetry

# The inbox keeps a post for days if need be; a message that is not read by then would be swept again anyway.
NEVER_EXPIRES = -1
# https://learn.microsoft.com/rest/api/storageservices/put-message has no longer visibility timeout.
LONGEST_HIDDEN = timedelta(days=7)
# A ring takes milliseconds of waiting and few of work. The SDK keeps ten connections, so that more would gain nothing.
RINGERS = 8

T = TypeVar("T")


def open_queue(
    name: str,
    *,
    connection_string: str | None,
    service_uri: str | None,
    credential: TokenCredential | None,
    telemetry: Telemetry = SILENCE,
) -> "StorageQueue":
    """A queue by connection string, or by endpoint and identity. Nothing is asked of storage yet."""
    options: dict[str, Any] = {
        "connection_timeout": 3,
        "read_timeout": 10,
        "retry_policy": LinearRetry(backoff=1, retry_total=2, random_jitter_range=1),
        # As host.json's messageEncoding says; the host reads what we write.
        "message_encode_policy": TextBase64EncodePolicy(),
        "raw_response_hook": partial(note_request_ids, telemetry),
    }
    if connection_string is not None:
        client = QueueClient.from_connection_string(connection_string, name, **options)
    else:
        client = QueueClient(service_uri or "", name, credential=credential, **options)
    return StorageQueue(client, telemetry)


class StorageQueue:
    """The Doorbell port on one QueueClient."""

    def __init__(self, client: QueueClient, telemetry: Telemetry = SILENCE) -> None:
        self._client = client
        self._telemetry = telemetry

    def ring(self, name: str, after: timedelta = timedelta(0)) -> None:
        """See the port. Nothing is hidden for longer than seven days."""
        hidden = math.ceil(min(max(after, timedelta(0)), LONGEST_HIDDEN).total_seconds())
        self._told(
            "ring",
            lambda: self._client.send_message(name, visibility_timeout=hidden, time_to_live=NEVER_EXPIRES),
        )

    def ring_all(self, names: Iterable[str]) -> None:
        """See the port. After a failure nobody starts another one, and those under way are let finish."""
        waiting = iter(names)
        taking = threading.Lock()
        failed = threading.Event()

        def work() -> None:
            try:
                while not failed.is_set():
                    with taking:
                        name = next(waiting, None)
                    if name is None:
                        return
                    self.ring(name)
            except BaseException:
                failed.set()
                raise

        with ThreadPoolExecutor(RINGERS, thread_name_prefix="doorbell") as pool:
            ringers = [pool.submit(copy_context().run, work) for _ in range(RINGERS)]
        for ringer in ringers:
            ringer.result()

    def depth(self) -> int:
        """See the port."""
        return self._told("depth", lambda: self._client.get_queue_properties().approximate_message_count or 0)

    def _told(self, verb: str, call: Callable[[], T]) -> T:
        try:
            with self._telemetry.span(f"queue {verb}", dependency="storage", queue=self._client.queue_name):
                return self._in_a_queue(call)
        except AzureError as error:
            self._telemetry.measure(DEPENDENCY_FAILURES, 1, dependency="storage")
            raise StorageUnavailable(
                f"queue {self._client.queue_name} did not answer ({type(error).__name__}); the next sweep tries again"
            ) from error

    def _in_a_queue(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except ResourceNotFoundError:
            with suppress(ResourceExistsError):
                self._client.create_queue()
            return call()
