"""What a plan is made from is gathered: who is to be exported, how far each is, who was active, what is missing."""

import logging
from collections import ChainMap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.core.activity import from_json, hour_of, hour_prefix
from shared.core.checkpoint_json import TENANT, Progress
from shared.core.errors import GraphFault, GraphUnavailable
from shared.core.export_plan import OpenGap, Tenant
from shared.core.export_state import ExportState
from shared.core.export_users import ExportedUsers
from shared.core.export_window import is_user_id
from shared.core.gap import EXPORTED_GAPS, LOST_GAPS, WITHOUT_CONTENT, Gap
from shared.core.subscription_rules import EVERYONE, whose_interactions
from shared.flows.export_report import ExportReporting
from shared.flows.gaps import close, open_gaps
from shared.ports import Container, Graph

logger = logging.getLogger(__name__)

# A checkpoint stays an hour behind, and is a day behind at most where all is well.
ACTIVITY_REACH = timedelta(hours=26)
_AN_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Gathered:
    """The tenant as the planner sees it.

    ``notes``: its gaps, by the names of their notes. ``trouble`` says why its users are those of the last time, if they
    are.
    """

    tenant: Tenant
    left: Mapping[str, datetime]
    notes: Mapping[str, OpenGap]
    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class Gathering:
    """Gathers from the container ``state`` and from Graph."""

    graph: Graph
    state: Container
    reporting: ExportReporting
    users: ExportedUsers
    whole_tenant: bool
    start: datetime

    def gather(self, before: ExportState, now: datetime) -> Gathered:
        """All of it. Raises StorageUnavailable; where Graph does not tell the users, those known go on."""
        known = dict(self.reporting.progress(whole_tenant=self.whole_tenant))
        # Once on a plan, nobody is let go before his last look: his checkpoint may be missing because he had none.
        seen = frozenset(user for user in (*known, *before.queued, *before.left) if self._is_of_this_scope(user))
        users, trouble = self._users(seen - before.left.keys())
        activity = self._activity(now)
        notes = dict(self._gaps(users, known, activity))
        # Whoever has a subscription of his own with a gap is exported for it, licensed or not.
        users |= frozenset[str]().union(*(gap.users or () for gap in notes.values()))
        gone = seen - users if trouble is None else seen & before.left.keys()
        left = {user: before.left.get(user, now) for user in gone}
        queued = before.without_doubt().queued
        tenant = Tenant(users, known, activity, left, list(notes.values()), queued)
        return Gathered(tenant, left, notes, trouble)

    def close_gaps(self, gathered: Gathered, now: datetime) -> None:
        """Gaps of which everybody has been looked at leave the list. Who is flagged is told of by himself.

        None does where Graph does not tell who everybody is.
        """
        for name, gap in gathered.notes.items() if gathered.trouble is None else ():
            concerned = list(_concerned(gap, gathered.tenant, now))
            if not concerned or not all(map(gap.is_closed, concerned)):
                continue
            close(self.state, name, LOST_GAPS if gap.in_part else EXPORTED_GAPS)
            if gap.in_part:
                sentence = "gap from %s to %s is exported for those in EXPORT_USERS and lost for everybody else: %s"
                logger.error(sentence, gap.begin, gap.end, name)
            else:
                logger.info("gap from %s to %s is exported: %s", gap.begin, gap.end, name)

    def _is_of_this_scope(self, user: str) -> bool:
        # The plan before may have been of the other one: EXPORT_SCOPE can be set anew.
        return (user == TENANT) == self.whole_tenant

    def _users(self, known: frozenset[str]) -> tuple[frozenset[str], str | None]:
        if self.whole_tenant:
            return frozenset({TENANT}), None
        try:
            if self.users.licensed:
                return frozenset(self.graph.licensed_users()), None
            if self.users.group_id is not None:
                return frozenset(self.graph.members(self.users.group_id)), None
        except (GraphUnavailable, GraphFault) as error:
            logger.error("whom to export is not known now, those of the last time go on: %s", error)  # noqa: TRY400 - the sentence is all there is to know
            return known, str(error)
        return self.users.named, None

    def _activity(self, now: datetime) -> Mapping[str, datetime]:
        hours: list[dict[str, datetime]] = []
        hour = hour_of(now)
        while hour >= now - ACTIVITY_REACH:
            users = (from_json(blob.content).users for blob in map(self.state.read, self._accounts(hour)) if blob)
            hours.append(dict.fromkeys((user for each in users for user in each), hour))
            hour -= _AN_HOUR
        # The latest hour comes first and wins.
        by_user = dict(ChainMap(*hours))
        return {TENANT: max(by_user.values())} if self.whole_tenant and by_user else by_user

    def _accounts(self, hour: datetime) -> Iterator[str]:
        return self.state.names(hour_prefix(hour))

    def _gaps(
        self, users: frozenset[str], known: Mapping[str, Progress], activity: Mapping[str, datetime]
    ) -> Iterator[tuple[str, OpenGap]]:
        for name, gap in open_gaps(self.state):
            found = self._open_gap(gap, users, known, activity)
            if found is not None:
                yield name, found
                continue
            close(self.state, name, LOST_GAPS)
            logger.error(
                "gap in %s from %s to %s can't be filled: nothing exports it, or EXPORT_START is later",
                gap.resource,
                gap.begin,
                gap.end,
            )

    def _open_gap(
        self,
        gap: Gap,
        users: frozenset[str],
        known: Mapping[str, Progress],
        activity: Mapping[str, datetime],
    ) -> OpenGap | None:
        whose = whose_interactions(gap.resource)
        if whose is None or gap.end <= self.start:
            return None
        begin = max(gap.begin, self.start)
        if self.whole_tenant:
            return OpenGap(begin, gap.end)
        if whose == EVERYONE:
            concerned = None
            if gap.reason == WITHOUT_CONTENT:
                # Somebody's notification came without content. Whoever was never active is looked at within the day,
                # and whoever is not to be exported is not for being active.
                concerned = users.intersection(_active(gap, known, activity)) or None
            return OpenGap(begin, gap.end, concerned, in_part=not self.users.licensed)
        # Subscriptions take principal names, too; the export takes ids alone.
        return OpenGap(begin, gap.end, frozenset({whose})) if is_user_id(whose) else None


def _active(gap: Gap, known: Mapping[str, Progress], activity: Mapping[str, datetime]) -> Iterator[str]:
    yield from (user for user, hour in activity.items() if gap.begin - _AN_HOUR <= hour <= gap.end + _AN_HOUR)
    yield from (user for user, each in known.items() if each.per_day > 0)


def _concerned(gap: OpenGap, tenant: Tenant, now: datetime) -> Iterator[Progress]:
    for user in tenant.users if gap.users is None else gap.users:
        each = tenant.progress.get(user, Progress())
        if each.retry_at is None or each.retry_at <= now:
            yield each
