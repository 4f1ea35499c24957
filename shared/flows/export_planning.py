"""Due export windows are put on the queue, once an hour, by one instance; and what is known by then is told.

The plan is written before it is put on the queue, so that of two planners one finds out in time. Killed in between, it
is made anew by the next run: a window that is on the queue twice is exported once.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.core.checkpoint_json import DAYS_TOLD, TENANT
from shared.core.errors import Busy
from shared.core.export_plan import Plan, is_waiting, plan
from shared.core.export_state import PLAN, SUMMARY, ExportState, from_json, to_json
from shared.core.export_summary import (
    Coverage,
    coverage,
    day_document,
    is_due_for_count,
    joined,
)
from shared.core.export_window import to_message
from shared.core.instants import format_instant
from shared.core.request_budget import REQUESTS_PER_SECOND
from shared.flows.corroboration import archived_of, came_after_all
from shared.flows.export_report import read_object
from shared.flows.export_tenant import Gathered, Gathering
from shared.flows.guarded import GuardedBlob
from shared.ports import Clock, Container, Doorbell

logger = logging.getLogger(__name__)

# What an hour at the sustained rate holds. The next plan, an hour later, knows better where it is needed.
BUDGET = REQUESTS_PER_SECOND * 3600


@dataclass(frozen=True, slots=True)
class Planning:
    """Plans. ``gathering`` is None where EXPORT_USERS is ``none``: then there is nothing to export."""

    gathering: Gathering | None
    state: Container
    interactions: Container
    doorbell: Doorbell
    clock: Clock
    budget: int = BUDGET

    def plan_exports(self) -> None:
        """One run. Raises StorageUnavailable; where another instance is at it, nothing is done."""
        if self.gathering is None:
            logger.info("EXPORT_USERS is none: nothing is exported")
            return
        try:
            self._plan(self.gathering)
        except Busy as error:
            logger.warning("%s", error)

    def _plan(self, gathering: Gathering) -> None:
        kept, now = GuardedBlob(self.state, PLAN), self.clock()
        before = kept.read()
        last = ExportState() if before is None else from_json(before.content)
        gathered = gathering.gather(last, now)
        tenant = gathered.tenant
        made = plan(tenant, start=gathering.start, budget=self.budget, now=now)
        waiting = {user: at for user, at in tenant.queued.items() if is_waiting(tenant.progress.get(user), at, now)}
        queued = {**waiting, **{line.user: now for line in made.windows}}
        written = ExportState(now, queued, gathered.left, rung=False)
        _save(kept, written)
        self.doorbell.ring_all(to_message(line.window(now)) for line in made.windows)
        _save(kept, replace(written, rung=True))
        gathering.close_gaps(gathered, now)
        self._tell(gathering, gathered, made, len(queued))
        logger.info("%d export windows put on the queue, about %d requests", len(made.windows), made.cost)

    def _tell(self, gathering: Gathering, gathered: Gathered, made: Plan, queued: int) -> None:
        before = self.state.read(SUMMARY)
        now, tenant = self.clock(), gathered.tenant
        days_before = _list(read_object(before.content).get("days")) if before else []
        days = self._days(gathering, coverage(tenant, now, DAYS_TOLD), days_before, now)
        told = {
            "scope": TENANT if gathering.whole_tenant else "users",
            "plannedAt": format_instant(now),
            "problem": gathered.trouble,
            "users": len(tenant.users),
            **gathering.reporting.so_far(tenant),
            "queued": queued,
            "requestsPerSecond": REQUESTS_PER_SECOND,
            "plannedRequests": made.cost,
            "days": joined(days, days_before),
        }
        content = json.dumps(told).encode()
        if before is None:
            self.state.create(SUMMARY, content, {})
        else:
            # Somebody else's newer one stays: it was made from what it knows.
            self.state.replace(SUMMARY, content, before.etag)

    def _days(
        self, gathering: Gathering, days: Sequence[Coverage], before: Sequence[dict[str, object]], now: datetime
    ) -> list[dict[str, object]]:
        counted = {each.get("day"): each.get("notShownByExport") for each in before}
        documents = []
        for day in days:
            not_shown = counted.get(day.day)
            # Of a tenant in one checkpoint not every interaction is remembered: there is nothing to count against.
            if not_shown is None and not gathering.whole_tenant and is_due_for_count(day, now):
                not_shown = max(archived_of(self.interactions, gathering.reporting.tenant_id, day.day) - day.shown, 0)
            late = came_after_all(self.state, day.day)
            documents.append(day_document(day, late, not_shown if isinstance(not_shown, int) else None))
        return documents


def _save(kept: GuardedBlob, made: ExportState) -> None:
    if not kept.write(to_json(made)):
        raise Busy("another instance has planned the exports meanwhile; this one stops")


def _list(value: object) -> list[dict[str, object]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
