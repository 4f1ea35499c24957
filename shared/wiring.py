"""Settings and adapters -> the flows, built on first use and kept.

Nothing is built at import: an exception there makes the whole app vanish on Azure without a reason in its logs. Each
part imports what it needs when it is built, so that a cold start for a webhook loads neither Key Vault nor identity nor
the worker's rules (benchmarks/receive.py prints the times).
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
    from shared.adapters.own_threads import OwnThreads
    from shared.adapters.storage_queue import StorageQueue
    from shared.flows.account import Account
    from shared.flows.archive import Archiving
    from shared.flows.dead_letters import Replaying
    from shared.flows.export import Exporting
    from shared.flows.export_planning import Planning
    from shared.flows.export_report import ExportReporting
    from shared.flows.lifecycle import Heeding
    from shared.flows.receive import Receiving
    from shared.flows.report import Reporting
    from shared.flows.rest import Resting
    from shared.flows.store import Storing
    from shared.flows.subscriptions import Reconciling
    from shared.flows.tend import Tending
    from shared.ports import Telemetry

T = TypeVar("T")

# The queue of the export windows; those of the posts are named in core/inbox_name.py.
EXPORTS = "exports"
# As many as keep one core busy while the others wait for Graph.
EXPORTERS = 8

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
            telemetry=_telemetry(),
        )
        return Receiving(
            inbox=inbox,
            client_states=own.client_states,
            max_body_bytes=own.max_body_bytes,
            clock=utc_now,
            telemetry=_telemetry(),
        )

    return _once("receiving", build)


def storing() -> "Storing":
    """The worker behind the queue ``notifications``."""

    def build() -> "Storing":
        from shared.flows.store import Storing

        return Storing(
            inbox=_container("inbox"),
            dead_letters=_container("dead-letters"),
            archiving=_archiving(),
            telemetry=_telemetry(),
        )

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
            telemetry=_telemetry(),
        )

    return _once("heeding", build)


def exporting() -> "Exporting":
    """The worker behind the queue ``exports``."""

    def build() -> "Exporting":
        from shared.adapters.graph_exports import GraphExports
        from shared.adapters.shared_pace import SharedPace
        from shared.flows.export import Exporting

        own = settings()
        return Exporting(
            exports=GraphExports(_graph().http),
            pace=SharedPace(_container("state"), utc_now),
            resting=_resting(),
            state=_container("state"),
            dead_letters=_container("dead-letters"),
            doorbell=_queue(EXPORTS),
            tenant_id=own.tenant_id,
            app_classes=own.export_app_classes,
            clock=utc_now,
            account=_account(),
            telemetry=_telemetry(),
        )

    return _once("exporting", build)


def exporters() -> "OwnThreads":
    """The threads that export."""

    def build() -> "OwnThreads":
        from shared.adapters.own_threads import OwnThreads

        return OwnThreads(EXPORTERS)

    return _once("exporters", build)


def planning() -> "Planning":
    """The planner of exports."""

    def build() -> "Planning":
        from shared.flows.export_planning import Planning
        from shared.flows.export_tenant import Gathering

        own, state = settings(), _container("state")
        gathering = Gathering(
            graph=_graph(),
            state=state,
            reporting=_export_reporting(),
            users=own.export_users,
            whole_tenant=own.export_whole_tenant,
            start=own.export_start,
        )
        return Planning(
            gathering=None if own.export_users.nobody else gathering,
            state=state,
            interactions=_container("interactions"),
            doorbell=_queue(EXPORTS),
            clock=utc_now,
        )

    return _once("planning", build)


def tending() -> "Tending":
    """What is looked after every few minutes."""

    def build() -> "Tending":
        from shared.core.inbox_name import QUEUES
        from shared.flows.hours import Hours
        from shared.flows.measure import Measuring
        from shared.flows.sweep import Sweeping
        from shared.flows.tend import Tending

        desired = settings().subscriptions
        sweeps = [Sweeping(_container("inbox"), _queue(queue), queue).sweep for queue in QUEUES]
        hours = Hours(_container("state"), utc_now)
        wanted = None if desired is None else len(desired)
        gauges = Measuring(status=reporting().status, wanted=wanted, telemetry=_telemetry())
        return Tending([*sweeps, hours.put_together, gauges.measure])

    return _once("tending", build)


def replaying() -> "Replaying":
    """The replay of dead letters."""

    def build() -> "Replaying":
        from shared.flows.dead_letters import Replaying

        return Replaying(
            dead_letters=_container("dead-letters"), archiving=_archiving(), clock=utc_now, telemetry=_telemetry()
        )

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
            exports=_export_reporting(),
            clock=utc_now,
            desired=settings().subscriptions,
        )

    return _once("reporting", build)


def utc_now() -> datetime:
    """The only clock of the app; everything below it is given the time."""
    return datetime.now(UTC)


def quiet_sdk_logs() -> None:
    """Keep libraries from logging each request: below WARNING they write URLs, a SAS among them, and headers."""
    for name in ("azure", "msal", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _telemetry() -> "Telemetry":
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

    return _once("telemetry", build)


def _account() -> "Account":
    def build() -> "Account":
        from shared.flows.account import Account

        return Account(_container("state"), utc_now, _telemetry())

    return _once("account", build)


def _resting() -> "Resting":
    def build() -> "Resting":
        from shared.core.resources import CONTAINERS
        from shared.flows.rest import Resting

        return Resting({name: _container(name) for name in CONTAINERS}, _container("state"))

    return _once("resting", build)


def _export_reporting() -> "ExportReporting":
    def build() -> "ExportReporting":
        from shared.flows.export_report import ExportReporting

        return ExportReporting(_container("state"), settings().tenant_id, utc_now)

    return _once("export reporting", build)


def _archiving() -> "Archiving":
    def build() -> "Archiving":
        from shared.adapters.signing_keys import EntraSigningKeys
        from shared.core.validation_token import TokenRules
        from shared.flows.archive import Archiving
        from shared.flows.fetch import Fetching
        from shared.flows.genuine import Genuineness

        own = settings()
        signing_keys = EntraSigningKeys(own.authority_host, own.tenant_id, utc_now, _telemetry())
        return Archiving(
            resting=_resting(),
            genuineness=Genuineness(signing_keys, TokenRules(audience=own.client_id, tenant_id=own.tenant_id)),
            key_ring=_key_ring(),
            tenant_id=own.tenant_id,
            client_states=own.client_states,
            allow_unsigned=own.allow_unsigned_content,
            account=_account(),
            fetching=Fetching(_graph(), _container("state"), exporting=not own.export_users.nobody),
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
        return GraphClient(own.graph_endpoint, own.graph_api_version, credential, utc_now, _telemetry())

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
            telemetry=_telemetry(),
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
            telemetry=_telemetry(),
        )

    return _once(f"container {name}", build)


def _queue(name: str) -> "StorageQueue":
    def build() -> "StorageQueue":
        from shared.adapters.identity import managed_identity
        from shared.adapters.storage_queue import open_queue

        storage = settings().queue_storage
        return open_queue(
            name,
            connection_string=storage.connection_string,
            service_uri=storage.queue_service_uri,
            credential=None if storage.connection_string else managed_identity(storage.client_id),
            telemetry=_telemetry(),
        )

    return _once(f"queue {name}", build)


def _once(name: str, build: Callable[[], T]) -> T:
    """Build a part the first time that it is asked for, also when two threads ask at once."""
    with _lock:
        if name not in _built:
            _built[name] = build()
        return cast("T", _built[name])
