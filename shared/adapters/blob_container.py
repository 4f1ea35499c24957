"""A container of Azure Blob Storage, for workers: patient, and create-only.

https://learn.microsoft.com/python/api/overview/azure/storage-blob-readme
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from azure.core import MatchConditions
from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.core.paging import ItemPaged
from azure.storage.blob import BlobPrefix, ContainerClient, ContentSettings, LinearRetry

from shared.adapters.request_ids import note_request_ids
from shared.adapters.storage_conflict import is_there_already
from shared.core.errors import StorageUnavailable
from shared.core.metrics import DEPENDENCY_FAILURES
from shared.ports import SILENCE, Blob, Telemetry

_JSON = ContentSettings(content_type="application/json")
_PRECONDITION_FAILED = 412

T = TypeVar("T")


def open_container(
    name: str,
    *,
    connection_string: str | None,
    service_uri: str | None,
    credential: TokenCredential | None,
    telemetry: Telemetry = SILENCE,
) -> "BlobContainer":
    """A container by connection string, or by endpoint and identity. Nothing is asked of storage yet.

    A worker gives up after seconds: the platform retries, and holds nothing while it waits. SDK defaults take minutes.
    """
    patience: dict[str, Any] = {
        "connection_timeout": 3,
        "read_timeout": 10,
        "retry_policy": LinearRetry(backoff=1, retry_total=2, random_jitter_range=1),
        "raw_response_hook": partial(note_request_ids, telemetry),
    }
    if connection_string is not None:
        client = ContainerClient.from_connection_string(connection_string, name, **patience)
    else:
        client = ContainerClient(service_uri or "", name, credential=credential, **patience)
    return BlobContainer(client, telemetry)


class BlobContainer:
    """A Container port on one ContainerClient. A container that is missing is made at the first write."""

    def __init__(self, client: ContainerClient, telemetry: Telemetry = SILENCE) -> None:
        self._client = client
        self._telemetry = telemetry

    def create(self, name: str, content: bytes, metadata: Mapping[str, str]) -> bool:
        """Write with ``If-None-Match: *``; see the port."""
        return self._told("write", name, lambda: self._create(name, content, metadata))

    def metadata(self, name: str) -> Mapping[str, str] | None:
        """Look with HEAD; see the port."""

        def look() -> Mapping[str, str] | None:
            properties = self._client.get_blob_client(name).get_blob_properties()
            return _lower(properties.metadata)

        return self._told("look at", name, lambda: _none_if_missing(look))

    def read(self, name: str) -> Blob | None:
        """Download; see the port."""

        def download() -> Blob:
            stream = self._client.download_blob(name)
            properties = stream.properties
            return Blob(
                content=stream.readall(),
                metadata=_lower(properties.metadata),
                etag=properties.etag,
                last_modified=properties.last_modified or datetime.now(UTC),
            )

        return self._told("read", name, lambda: _none_if_missing(download))

    def replace(self, name: str, content: bytes, etag: str, metadata: Mapping[str, str] | None = None) -> bool:
        """Write with ``If-Match``; see the port. To keep the metadata takes a look at them first."""

        def replace() -> bool:
            client = self._client.get_blob_client(name)
            kept = client.get_blob_properties().metadata if metadata is None else dict(metadata)
            client.upload_blob(
                content,
                overwrite=True,
                metadata=kept,
                content_settings=_JSON,
                etag=etag,
                match_condition=MatchConditions.IfNotModified,
            )
            return True

        return self._told("replace", name, lambda: _false_if_changed(replace))

    def delete(self, name: str, etag: str | None = None) -> bool:
        """Delete, with ``If-Match`` where an ETag is given; see the port."""

        def delete() -> bool:
            condition: dict[str, Any] = (
                {} if etag is None else {"etag": etag, "match_condition": MatchConditions.IfNotModified}
            )
            self._client.get_blob_client(name).delete_blob(**condition)
            return True

        return self._told("delete", name, lambda: _false_if_changed(delete))

    def names(self, prefix: str = "") -> Iterator[str]:
        """See the port. https://learn.microsoft.com/rest/api/storageservices/list-blobs"""
        return self._listed(self._client.list_blob_names(name_starts_with=prefix))

    def described(self, prefix: str) -> Iterator[tuple[str, Mapping[str, str]]]:
        """See the port. A page holds 5,000 of them."""
        found = self._listed(self._client.list_blobs(prefix, include=["metadata"]))
        return ((blob.name, _lower(blob.metadata)) for blob in found)

    def ages(self, prefix: str) -> Iterator[datetime]:
        """See the port."""
        return (blob.last_modified for blob in self._listed(self._client.list_blobs(prefix)))

    def folders(self) -> Iterator[str]:
        """See the port."""
        found = self._listed(self._client.walk_blobs(delimiter="/"))
        return (entry.name.rstrip("/") for entry in found if isinstance(entry, BlobPrefix))

    def _create(self, name: str, content: bytes, metadata: Mapping[str, str]) -> bool:
        try:
            return self._upload(name, content, metadata)
        except ResourceNotFoundError:
            # Only a missing container answers 404 to a write: a fresh deployment's first one. Others make it, too, and
            # may have written this very blob before we come to it.
            with suppress(ResourceExistsError):
                self._client.create_container()
            return self._upload(name, content, metadata)

    def _upload(self, name: str, content: bytes, metadata: Mapping[str, str]) -> bool:
        client = self._client.get_blob_client(name)
        try:
            client.upload_blob(content, overwrite=False, metadata=dict(metadata), content_settings=_JSON)
        except ResourceExistsError as error:
            # A policy that keeps the blob as it is answers otherwise: then only a look tells.
            if not is_there_already(error) and not client.exists():
                raise
            return False
        return True

    def _listed(self, found: ItemPaged[T]) -> Iterator[T]:
        pages: Any = found.by_page()
        more = True
        while more:
            try:
                with self._span("list"):
                    page = list(next(pages))
            except ResourceNotFoundError:
                return  # a container that nobody has written to yet is empty
            except AzureError as error:
                raise self._unavailable("list", error) from error
            yield from page
            more = bool(pages.continuation_token)

    def _told(self, verb: str, name: str, call: Callable[[], T]) -> T:
        try:
            with self._span(verb, blob=name):
                return call()
        except AzureError as error:
            raise self._unavailable(f"{verb} {name}", error) from error

    def _span(self, verb: str, **attributes: str) -> AbstractContextManager[None]:
        container = self._client.container_name
        return self._telemetry.span(f"blob {verb}", dependency="storage", container=container, **attributes)

    def _unavailable(self, what: str, error: AzureError) -> StorageUnavailable:
        self._telemetry.measure(DEPENDENCY_FAILURES, 1, dependency="storage")
        container = self._client.container_name
        return StorageUnavailable(f"container {container} could not {what}: {_reason(error)}; it is tried again")


def _none_if_missing(look: Callable[[], T]) -> T | None:
    try:
        return look()
    except ResourceNotFoundError:
        return None


def _false_if_changed(act: Callable[[], bool]) -> bool:
    try:
        return act()
    except ResourceNotFoundError:
        return False
    except HttpResponseError as error:
        if error.status_code == _PRECONDITION_FAILED:
            return False
        raise


def _lower(metadata: Mapping[str, str] | None) -> dict[str, str]:
    # Metadata names are HTTP header names: their case is not kept everywhere.
    return {name.lower(): value for name, value in (metadata or {}).items()}


def _reason(error: AzureError) -> str:
    """What kind of trouble, without the response: a body may repeat what we sent."""
    if isinstance(error, HttpResponseError):
        return f"{error.status_code} {getattr(error, 'error_code', None) or ''}".strip()
    return type(error).__name__
