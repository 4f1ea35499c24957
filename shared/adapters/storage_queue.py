"""An Azure Storage queue as the doorbell that the sweeper rings.

https://learn.microsoft.com/python/api/overview/azure/storage-queue-readme
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.storage.queue import LinearRetry, QueueClient, TextBase64EncodePolicy

from shared.core.errors import StorageUnavailable

# The inbox keeps a post for days if need be; a message that is not read by then would be swept again anyway.
NEVER_EXPIRES = -1

T = TypeVar("T")


def open_queue(
    name: str, *, connection_string: str | None, service_uri: str | None, credential: TokenCredential | None
) -> "StorageQueue":
    """A queue by connection string, or by endpoint and identity. Nothing is asked of storage yet."""
    options: dict[str, Any] = {
        "connection_timeout": 3,
        "read_timeout": 10,
        "retry_policy": LinearRetry(backoff=1, retry_total=2, random_jitter_range=1),
        # As host.json's messageEncoding says; the host reads what we write.
        "message_encode_policy": TextBase64EncodePolicy(),
    }
    if connection_string is not None:
        return StorageQueue(QueueClient.from_connection_string(connection_string, name, **options))
    return StorageQueue(QueueClient(service_uri or "", name, credential=credential, **options))


class StorageQueue:
    """The Doorbell port on one QueueClient."""

    def __init__(self, client: QueueClient) -> None:
        self._client = client

    def ring(self, name: str) -> None:
        """See the port."""
        self._told(lambda: self._client.send_message(name, time_to_live=NEVER_EXPIRES))

    def depth(self) -> int:
        """See the port."""
        return self._told(lambda: self._client.get_queue_properties().approximate_message_count or 0)

    def _told(self, call: Callable[[], T]) -> T:
        try:
            try:
                return call()
            except ResourceNotFoundError:
                with suppress(ResourceExistsError):
                    self._client.create_queue()
                return call()
        except AzureError as error:
            raise StorageUnavailable(
                f"queue {self._client.queue_name} did not answer ({type(error).__name__}); the next sweep tries again"
            ) from error
