"""Settings -> adapters, built on first use and kept: what the flows are wired from.

Nothing is built at import: an exception there makes the whole app vanish on Azure without a reason in its logs. Each
part imports what it needs when it is built, so that a cold start for a webhook loads neither Key Vault nor identity
(benchmarks/receive.py prints the times).
"""
# ruff: noqa: PLC0415 - see above

import logging
import os
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar, cast

from shared.settings import Settings, read_settings

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

    from shared.adapters.blob_container import BlobContainer
    from shared.adapters.graph_client import GraphClient
    from shared.adapters.key_vault import KeyVaultKeyRing
    from shared.adapters.storage_queue import StorageQueue
    from shared.ports import Telemetry

T = TypeVar("T")

_lock = threading.RLock()
_built: dict[str, object] = {}


def reset() -> None:
    """Forget all that is built, for tests that change the environment."""
    with _lock:
        _built.clear()


def settings() -> Settings:
    """The settings. Raises SettingsError, again at each use until they are mended."""
    return once("settings", lambda: read_settings(os.environ))


def utc_now() -> datetime:
    """The only clock of the app; everything below it is given the time."""
    return datetime.now(UTC)


def quiet_sdk_logs() -> None:
    """Keep libraries from logging each request: below WARNING they write URLs, a SAS among them, and headers."""
    for name in ("azure", "msal", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)


def telemetry() -> "Telemetry":
    """OpenTelemetry where somebody listens, else silence.

    Whoever listens has set up an SDK, and so loaded the package before us. Where nobody has, loading it would make a
    webhook's cold start a third longer for nothing.
    """

    def build() -> "Telemetry":
        if "opentelemetry" in sys.modules:
            from shared.adapters.telemetry import OpenTelemetry

            return OpenTelemetry()
        from shared.ports import SILENCE

        return SILENCE

    return once("telemetry", build)


def graph() -> "GraphClient":
    """Microsoft Graph, called as the app registration."""

    def build() -> "GraphClient":
        from urllib.parse import urlsplit

        from shared.adapters.graph_client import GraphClient
        from shared.adapters.identity import federated_credential
        from shared.core.clouds import CLOUDS, GLOBAL

        own = settings()
        cloud = CLOUDS.get(urlsplit(own.authority_host).hostname or "", GLOBAL)
        credential = secret_credential() or federated_credential(
            tenant_id=own.tenant_id,
            client_id=own.client_id,
            managed_identity_client_id=own.archive_storage.client_id,
            exchange_audience=cloud.exchange_audience,
            authority_host=own.authority_host,
            instance_discovery=own.instance_discovery,
        )
        return GraphClient(own.graph_endpoint, own.graph_api_version, credential, utc_now, telemetry())

    return once("graph", build)


def secret_credential() -> "TokenCredential | None":
    """The app registration by its secret, None where there is no secret: then there is a managed identity."""

    def build() -> "TokenCredential | None":
        from shared.adapters.identity import secret_credential

        own = settings()
        if own.client_secret is None:
            return None
        return secret_credential(
            tenant_id=own.tenant_id,
            client_id=own.client_id,
            client_secret=own.client_secret,
            authority_host=own.authority_host,
            instance_discovery=own.instance_discovery,
        )

    return once("secret credential", build)


def key_ring() -> "KeyVaultKeyRing":
    """The decryption keys."""

    def build() -> "KeyVaultKeyRing":
        from shared.adapters.identity import managed_identity
        from shared.adapters.key_vault import open_key_ring

        own = settings()
        return open_key_ring(
            own.key_vault_url,
            own.encryption_certificate,
            credential=secret_credential() or managed_identity(own.archive_storage.client_id),
            verify_challenge_resource=own.verify_challenge_resource,
            clock=utc_now,
            telemetry=telemetry(),
        )

    return once("key_ring", build)


def container(name: str) -> "BlobContainer":
    """One container of the archive's storage account."""

    def build() -> "BlobContainer":
        from shared.adapters.blob_container import open_container
        from shared.adapters.identity import managed_identity

        quiet_sdk_logs()
        storage = settings().archive_storage
        return open_container(
            name,
            connection_string=storage.connection_string,
            service_uri=storage.blob_service_uri,
            credential=None if storage.connection_string else managed_identity(storage.client_id),
            telemetry=telemetry(),
        )

    return once(f"container {name}", build)


def queue(name: str) -> "StorageQueue":
    """One queue of the host's storage account."""

    def build() -> "StorageQueue":
        from shared.adapters.identity import managed_identity
        from shared.adapters.storage_queue import open_queue

        storage = settings().queue_storage
        return open_queue(
            name,
            connection_string=storage.connection_string,
            service_uri=storage.queue_service_uri,
            credential=None if storage.connection_string else managed_identity(storage.client_id),
            telemetry=telemetry(),
        )

    return once(f"queue {name}", build)


def once(name: str, build: Callable[[], T]) -> T:
    """Build a part the first time that it is asked for, also when two threads ask at once."""
    with _lock:
        if name not in _built:
            _built[name] = build()
        return cast("T", _built[name])
