"""Parts -> the flows, built on first use and kept.

Each flow imports what it needs when it is built, so that a cold start for a webhook loads none of the worker's rules
(benchmarks/receive.py prints the times).
"""
# ruff: noqa: PLC0415 - see above

from typing import TYPE_CHECKING

from shared import parts

if TYPE_CHECKING:
    from shared.adapters.own_threads import OwnThreads
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

# The queue of the export windows; those of the posts are named in core/inbox_name.py.
EXPORTS = "exports"
# As many as keep one core busy while the others wait for Graph.
EXPORTERS = 8


def receiving() -> "Receiving":
    """What the webhooks need, and no more."""

    def build() -> "Receiving":
        from shared.adapters.blob_inbox import open_inbox
        from shared.flows.receive import Receiving

        parts.quiet_sdk_logs()
        own = parts.settings()
        inbox = open_inbox(
            connection_string=own.archive_storage.connection_string,
            service_uri=own.archive_storage.blob_service_uri,
            client_id=own.archive_storage.client_id,
            ca_bundle=own.ca_bundle,
            telemetry=parts.telemetry(),
        )
        return Receiving(
            inbox=inbox,
            client_states=own.client_states,
            max_body_bytes=own.max_body_bytes,
            clock=parts.utc_now,
            telemetry=parts.telemetry(),
        )

    return parts.once("receiving", build)


def storing() -> "Storing":
    """The worker behind the queue ``notifications``."""

    def build() -> "Storing":
        from shared.flows.store import Storing

        return Storing(
            inbox=parts.container("inbox"),
            dead_letters=parts.container("dead-letters"),
            archiving=_archiving(),
            telemetry=parts.telemetry(),
        )

    return parts.once("storing", build)


def reconciling() -> "Reconciling":
    """The care for subscriptions."""

    def build() -> "Reconciling":
        from shared.flows.subscriptions import Reconciling

        own = parts.settings()
        return Reconciling(
            graph=parts.graph(),
            key_ring=parts.key_ring(),
            state=parts.container("state"),
            desired=own.subscriptions,
            notification_url=f"{own.public_base_url}/api/notifications",
            lifecycle_url=f"{own.public_base_url}/api/lifecycle",
            client_state=own.client_states[0],
            clock=parts.utc_now,
        )

    return parts.once("reconciling", build)


def heeding() -> "Heeding":
    """The worker behind the queue ``lifecycle``."""

    def build() -> "Heeding":
        from shared.flows.lifecycle import Heeding

        return Heeding(
            inbox=parts.container("inbox"),
            dead_letters=parts.container("dead-letters"),
            reconciling=reconciling(),
            client_states=parts.settings().client_states,
            telemetry=parts.telemetry(),
        )

    return parts.once("heeding", build)


def exporting() -> "Exporting":
    """The worker behind the queue ``exports``."""

    def build() -> "Exporting":
        from shared.adapters.graph_exports import GraphExports
        from shared.adapters.shared_pace import SharedPace
        from shared.flows.export import Exporting

        own = parts.settings()
        return Exporting(
            exports=GraphExports(parts.graph().http),
            pace=SharedPace(parts.container("state"), parts.utc_now),
            resting=_resting(),
            state=parts.container("state"),
            dead_letters=parts.container("dead-letters"),
            doorbell=parts.queue(EXPORTS),
            tenant_id=own.tenant_id,
            app_classes=own.export_app_classes,
            clock=parts.utc_now,
            account=_account(),
            telemetry=parts.telemetry(),
        )

    return parts.once("exporting", build)


def exporters() -> "OwnThreads":
    """The threads that export."""

    def build() -> "OwnThreads":
        from shared.adapters.own_threads import OwnThreads

        return OwnThreads(EXPORTERS)

    return parts.once("exporters", build)


def planning() -> "Planning":
    """The planner of exports."""

    def build() -> "Planning":
        from shared.flows.export_planning import Planning
        from shared.flows.export_tenant import Gathering

        own, state = parts.settings(), parts.container("state")
        gathering = Gathering(
            graph=parts.graph(),
            state=state,
            reporting=_export_reporting(),
            users=own.export_users,
            whole_tenant=own.export_whole_tenant,
            start=own.export_start,
        )
        return Planning(
            gathering=None if own.export_users.nobody else gathering,
            state=state,
            interactions=parts.container("interactions"),
            doorbell=parts.queue(EXPORTS),
            clock=parts.utc_now,
        )

    return parts.once("planning", build)


def tending() -> "Tending":
    """What is looked after every few minutes."""

    def build() -> "Tending":
        from shared.core.inbox_name import QUEUES
        from shared.flows.hours import Hours
        from shared.flows.measure import Measuring
        from shared.flows.sweep import Sweeping
        from shared.flows.tend import Tending

        desired = parts.settings().subscriptions
        sweeps = [Sweeping(parts.container("inbox"), parts.queue(queue), queue).sweep for queue in QUEUES]
        hours = Hours(parts.container("state"), parts.utc_now)
        wanted = None if desired is None else len(desired)
        gauges = Measuring(status=reporting().status, wanted=wanted, telemetry=parts.telemetry())
        return Tending([*sweeps, hours.put_together, gauges.measure])

    return parts.once("tending", build)


def replaying() -> "Replaying":
    """The replay of dead letters."""

    def build() -> "Replaying":
        from shared.flows.dead_letters import Replaying

        return Replaying(
            dead_letters=parts.container("dead-letters"),
            archiving=_archiving(),
            clock=parts.utc_now,
            telemetry=parts.telemetry(),
        )

    return parts.once("replaying", build)


def reporting() -> "Reporting":
    """The status."""

    def build() -> "Reporting":
        from shared.flows.report import Reporting

        return Reporting(
            inbox=parts.container("inbox"),
            dead_letters=parts.container("dead-letters"),
            state=parts.container("state"),
            key_ring=parts.key_ring(),
            exports=_export_reporting(),
            clock=parts.utc_now,
            desired=parts.settings().subscriptions,
        )

    return parts.once("reporting", build)


def _account() -> "Account":
    def build() -> "Account":
        from shared.flows.account import Account

        return Account(parts.container("state"), parts.utc_now, parts.telemetry())

    return parts.once("account", build)


def _resting() -> "Resting":
    def build() -> "Resting":
        from shared.core.resources import CONTAINERS
        from shared.flows.rest import Resting

        return Resting({name: parts.container(name) for name in CONTAINERS}, parts.container("state"))

    return parts.once("resting", build)


def _export_reporting() -> "ExportReporting":
    def build() -> "ExportReporting":
        from shared.flows.export_report import ExportReporting

        own = parts.settings()
        exporting = not own.export_users.nobody
        return ExportReporting(parts.container("state"), own.tenant_id, parts.utc_now, exporting)

    return parts.once("export reporting", build)


def _archiving() -> "Archiving":
    def build() -> "Archiving":
        from shared.adapters.signing_keys import EntraSigningKeys
        from shared.core.validation_token import TokenRules
        from shared.flows.archive import Archiving
        from shared.flows.fetch import Fetching
        from shared.flows.genuine import Genuineness

        own = parts.settings()
        signing_keys = EntraSigningKeys(own.authority_host, own.tenant_id, parts.utc_now, parts.telemetry())
        return Archiving(
            resting=_resting(),
            genuineness=Genuineness(signing_keys, TokenRules(audience=own.client_id, tenant_id=own.tenant_id)),
            key_ring=parts.key_ring(),
            tenant_id=own.tenant_id,
            client_states=own.client_states,
            allow_unsigned=own.allow_unsigned_content,
            account=_account(),
            fetching=Fetching(parts.graph(), parts.container("state"), exporting=not own.export_users.nobody),
        )

    return parts.once("archiving", build)
