"""The inbox as the webhooks write it: on the event loop, and within a second and a half or not at all.

One slow call to storage holds up nobody else's post (benchmarks/receive.py compares this with threads). The SDK's own
retries, which take more than a minute, are for workers.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from functools import partial
from typing import Any

import aiohttp
from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.core.pipeline.transport import AioHttpTransport
from azure.storage.blob import ContentSettings
from azure.storage.blob.aio import ContainerClient, LinearRetry

from shared.adapters.request_ids import note_request_ids
from shared.adapters.storage_conflict import is_there_already
from shared.core.errors import StorageUnavailable
from shared.core.instants import format_instant
from shared.core.metrics import DEPENDENCY_FAILURES
from shared.ports import SILENCE, Telemetry

# Graph waits three seconds and the contract promises an answer within two; the rest is for everything but storage.
PATIENCE_SECONDS = 1.5
INBOX = "inbox"
_JSON = ContentSettings(content_type="application/json")


def open_inbox(
    *,
    connection_string: str | None,
    service_uri: str | None,
    client_id: str | None,
    ca_bundle: str | None,
    telemetry: Telemetry = SILENCE,
) -> "BlobInbox":
    """The inbox by connection string, or by endpoint and the managed identity ``client_id``.

    ``ca_bundle`` is REQUESTS_CA_BUNDLE, which aiohttp does not read by itself.
    """
    options: dict[str, Any] = {
        "connection_timeout": PATIENCE_SECONDS,
        "read_timeout": PATIENCE_SECONDS,
        "retry_policy": LinearRetry(backoff=0, retry_total=1, random_jitter_range=0),
        # The SDK would look for a proxy in the environment before each call, which takes a third of the call's time.
        "use_env_settings": False,
        "raw_response_hook": partial(note_request_ids, telemetry),
    }

    def make_client() -> ContainerClient:
        if ca_bundle is not None:
            options["transport"] = _trusting(ca_bundle)
        if connection_string is not None:
            return ContainerClient.from_connection_string(connection_string, INBOX, **options)
        from azure.identity.aio import ManagedIdentityCredential  # noqa: PLC0415 - slow, and needed for this form only

        return ContainerClient(
            service_uri or "", INBOX, credential=ManagedIdentityCredential(client_id=client_id), **options
        )

    return BlobInbox(make_client, telemetry)


def _trusting(ca_bundle: str) -> AioHttpTransport:
    """A transport that reads the bundle once; given its path, the SDK would read it again for each call."""
    trust = ssl.create_default_context(cafile=ca_bundle)
    # As the transport opens a session by itself, which it can't with a context of ours.
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust), auto_decompress=False)
    return AioHttpTransport(session=session)


class BlobInbox:
    """The InboxWriter port on the aio ContainerClient, which is made on first use: it belongs to its event loop."""

    def __init__(self, make_client: Callable[[], ContainerClient], telemetry: Telemetry = SILENCE) -> None:
        self._make_client = make_client
        self._telemetry = telemetry
        self._client: ContainerClient | None = None

    async def keep(self, name: str, body: bytes, received_at: datetime) -> None:
        """See the port."""
        metadata = {"receivedat": format_instant(received_at)}
        traceparent = self._telemetry.traceparent()
        if traceparent is not None:
            metadata["traceparent"] = traceparent
        async with self._in_time("keep"):
            try:
                await self._upload(name, body, metadata)
            except ResourceNotFoundError:
                await self._create_container()
                await self._upload(name, body, metadata)

    async def check(self) -> None:
        """See the port."""
        async with self._in_time("check"):
            try:
                await self._container().get_container_properties()
            except ResourceNotFoundError:
                await self._create_container()

    async def close(self) -> None:
        """Close the connections; the next use opens new ones."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    def _container(self) -> ContainerClient:
        if self._client is None:
            self._client = self._make_client()
        return self._client

    async def _upload(self, name: str, body: bytes, metadata: dict[str, str]) -> None:
        client = self._container().get_blob_client(name)
        try:
            await client.upload_blob(body, overwrite=False, metadata=metadata, content_settings=_JSON)
        except ResourceExistsError as error:
            # The name is a fresh UUID: if it exists, an earlier try of this very call wrote it and its answer was lost.
            if not is_there_already(error):
                raise

    async def _create_container(self) -> None:
        with suppress(ResourceExistsError):
            await self._container().create_container()

    @asynccontextmanager
    async def _in_time(self, what: str) -> AsyncIterator[None]:
        try:
            with self._telemetry.span(f"blob {what}", dependency="storage", container=INBOX):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    yield
        except (AzureError, TimeoutError) as error:
            self._telemetry.measure(DEPENDENCY_FAILURES, 1, dependency="storage")
            reason = type(error).__name__
            raise StorageUnavailable(
                f"the inbox could not be reached within {PATIENCE_SECONDS} s ({reason}); Graph sends again"
            ) from error
