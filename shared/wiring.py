"""Settings and adapters -> the flows, built on first use and kept.

Nothing is built at import: an exception there makes the whole app vanish on Azure without a reason in its logs. Each
part imports what it needs when it is built, so that a cold start for a webhook loads neither Key Vault nor identity nor
the worker's rules (benchmarks/receive.py prints the times).
"""
# ruff: noqa: PLC0415 - see above

import logging
import os
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
    from shared.flows.archive import Archiving
    from shared.flows.dead_letters import Replaying
    from shared.flows.lifecycle import Heeding
    from shared.flows.receive import Receiving
    from shared.flows.report import Reporting
    from shared.flows.store import Storing
    from shared.flows.subscriptions import Reconciling
    from shared.flows.sweep import Sweeping

T = TypeVar("T")

_lock = threading.RLock()
_built: dict[str, object] = {}


def reset() -> None:
    """Forget all that is built, for tests that change the environment."""
    with _lock:
        _built.clear()


def settings() -> Settings:
    """The settings. Raises SettingsError, again at each use until they are mended."""
    return _once("settings", lambda: read_settings(os.environ))


def receiving() -> "Receiving":
    """What the webhooks need, and no more."""

    def build() -> "Receiving":
        from shared.adapters.blob_inbox import open_inbox
        from shared.flows.receive import Receiving

        quiet_sdk_logs()
        own = settings()
        inbox = open_inbox(
            connection_string=own.archive_storage.connection_string,
            service_uri=own.archive_storage.blob_service_uri,
            client_id=own.archive_storage.client_id,
            ca_bundle=own.ca_bundle,
        )
        return Receiving(inbox=inbox, client_states=own.client_states, max_body_bytes=own.max_body_bytes, clock=utc_now)

    return _once("receiving", build)


def storing() -> "Storing":
    """The worker behind the queue ``notifications``."""

    def build() -> "Storing":
        from shared.flows.store import Storing

        return Storing(inbox=_container("inbox"), dead_letters=_container("dead-letters"), archiving=_archiving())

    return _once("storing", build)


def reconciling() -> "Reconciling":
    """The care for subscriptions."""

    def build() -> "Reconciling":
        from shared.flows.subscriptions import Reconciling

        own = settings()
        return Reconciling(
            graph=_graph(),
            key_ring=_key_ring(),
            state=_container("state"),
            desired=own.subscriptions,
            notification_url=f"{own.public_base_url}/api/notifications",
            lifecycle_url=f"{own.public_base_url}/api/lifecycle",
            client_state=own.client_states[0],
            clock=utc_now,
        )

    return _once("reconciling", build)


def heeding() -> "Heeding":
    """The worker behind the queue ``lifecycle``."""

    def build() -> "Heeding":
        from shared.flows.lifecycle import Heeding

        return Heeding(
            inbox=_container("inbox"),
            dead_letters=_container("dead-letters"),
            reconciling=reconciling(),
            client_states=settings().client_states,
        )

    return _once("heeding", build)


def sweeping() -> "tuple[Sweeping, ...]":
    """The sweepers of the inbox, one for each queue."""

    def build() -> "tuple[Sweeping, ...]":
        from shared.adapters.identity import managed_identity
        from shared.adapters.storage_queue import open_queue
        from shared.core.inbox_name import QUEUES
        from shared.flows.sweep import Sweeping

        storage = settings().queue_storage
        credential = None if storage.connection_string else managed_identity(storage.client_id)
        doorbells = {
            queue: open_queue(
                queue,
                connection_string=storage.connection_string,
                service_uri=storage.queue_service_uri,
                credential=credential,
            )
            for queue in QUEUES
        }
        return tuple(Sweeping(_container("inbox"), doorbell, queue) for queue, doorbell in doorbells.items())

    return _once("sweeping", build)


def replaying() -> "Replaying":
    """The replay of dead letters."""

    def build() -> "Replaying":
        from shared.flows.dead_letters import Replaying

        return Replaying(dead_letters=_container("dead-letters"), archiving=_archiving(), clock=utc_now)

    return _once("replaying", build)


def reporting() -> "Reporting":
    """The status."""

    def build() -> "Reporting":
        from shared.flows.report import Reporting

        return Reporting(
            inbox=_container("inbox"),
            dead_letters=_container("dead-letters"),
            state=_container("state"),
            key_ring=_key_ring(),
            clock=utc_now,
            desired=settings().subscriptions,
        )

    return _once("reporting", build)


def utc_now() -> datetime:
    """The only clock of the app; everything below it is given the time."""
    return datetime.now(UTC)


def quiet_sdk_logs() -> None:
    """Keep the SDKs from logging each request: at INFO they write URLs and headers."""
    logging.getLogger("azure").setLevel(logging.WARNING)


def _archiving() -> "Archiving":
    def build() -> "Archiving":
        from shared.adapters.signing_keys import EntraSigningKeys
        from shared.core.resources import CONTAINERS
        from shared.core.validation_token import TokenRules
        from shared.flows.archive import Archiving
        from shared.flows.genuine import Genuineness

        own = settings()
        signing_keys = EntraSigningKeys(own.authority_host, own.tenant_id, utc_now)
        return Archiving(
            containers={name: _container(name) for name in CONTAINERS},
            state=_container("state"),
            genuineness=Genuineness(signing_keys, TokenRules(audience=own.client_id, tenant_id=own.tenant_id)),
            key_ring=_key_ring(),
            tenant_id=own.tenant_id,
            client_states=own.client_states,
            allow_unsigned=own.allow_unsigned_content,
        )

    return _once("archiving", build)


def _graph() -> "GraphClient":
    def build() -> "GraphClient":
        from urllib.parse import urlsplit

        from shared.adapters.graph_client import GraphClient
        from shared.adapters.identity import federated_credential
        from shared.core.clouds import CLOUDS, GLOBAL

        own = settings()
        cloud = CLOUDS.get(urlsplit(own.authority_host).hostname or "", GLOBAL)
        credential = _secret_credential() or federated_credential(
            tenant_id=own.tenant_id,
            client_id=own.client_id,
            managed_identity_client_id=own.archive_storage.client_id,
            exchange_audience=cloud.exchange_audience,
            authority_host=own.authority_host,
            instance_discovery=own.instance_discovery,
        )
        return GraphClient(own.graph_endpoint, own.graph_api_version, credential, utc_now)

    return _once("graph", build)


def _secret_credential() -> "TokenCredential | None":
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

    return _once("secret credential", build)


def _key_ring() -> "KeyVaultKeyRing":
    def build() -> "KeyVaultKeyRing":
        from shared.adapters.identity import managed_identity
        from shared.adapters.key_vault import open_key_ring

        own = settings()
        return open_key_ring(
            own.key_vault_url,
            own.encryption_certificate,
            credential=_secret_credential() or managed_identity(own.archive_storage.client_id),
            verify_challenge_resource=own.verify_challenge_resource,
            clock=utc_now,
        )

    return _once("key_ring", build)


def _container(name: str) -> "BlobContainer":
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
        )

    return _once(f"container {name}", build)


def _once(name: str, build: Callable[[], T]) -> T:
    """Build a part the first time that it is asked for, also when two threads ask at once."""
    with _lock:
        if name not in _built:
            _built[name] = build()
        return cast("T", _built[name])
