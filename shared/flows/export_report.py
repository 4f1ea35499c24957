"""How far the export is, for people: as the last plan found it, or as it is now where that costs one request."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from shared.core.checkpoint_json import PREFIX, TENANT, Progress, checkpoint_name, from_json, progress, user_of_name
from shared.core.export_plan import Tenant
from shared.core.export_state import PLAN, SUMMARY
from shared.core.export_state import from_json as plan_from_json
from shared.core.export_summary import leaving, oldest, problem_document, served_at, states
from shared.core.instants import format_known, parse_instant
from shared.core.request_budget import REQUESTS_PER_SECOND
from shared.ports import Clock, Container

MAX_LISTED = 50
# Up to so many checkpoints are looked at again whenever somebody asks: a fifth of what one listing request gives.
MAX_LIVE = 1_000
# Before the first plan nothing is known.
NOTHING: Mapping[str, object] = {
    "scope": None,
    "plannedAt": None,
    "problem": None,
    "users": 0,
    "leaving": 0,
    "queued": 0,
    "requestsPerSecond": REQUESTS_PER_SECOND,
    "plannedRequests": 0,
}


@dataclass(frozen=True, slots=True)
class ExportReporting:
    """Tells about checkpoints of the tenant; ``exporting`` is whether there is an export at all."""

    state: Container
    tenant_id: str
    clock: Clock
    exporting: bool = True

    def document(self) -> dict[str, object]:
        """The parts ``exports`` and ``days`` of the status. Raises StorageUnavailable."""
        blob = self.state.read(SUMMARY)
        if not self.exporting:
            # What it was when there was an export is history; its days go on being worth a look.
            return {"scope": "none", "days": read_object(blob.content if blob else b"{}").get("days", [])}
        told = {**NOTHING, **read_object(blob.content if blob else b"{}")}
        users = told["users"]
        if isinstance(users, int) and users <= MAX_LIVE:
            told |= self._live(whole_tenant=told["scope"] == TENANT, users=users)
        return told

    def progress(self, *, whole_tenant: bool) -> Iterator[tuple[str, Progress]]:
        """Every user's essentials; of the tenant alone where it is exported as a whole."""
        for name, metadata in self.state.described(f"{PREFIX}{self.tenant_id}/"):
            user = user_of_name(name)
            if user is not None and (user == TENANT) == whole_tenant:
                yield user, progress(metadata)

    def so_far(self, tenant: Tenant) -> dict[str, object]:
        """Users by state, the one who is furthest behind, and who is flagged."""
        now = self.clock()
        until = oldest(tenant, now)
        # Of whoever has left for good nobody asks Graph again: his problem would be told for ever.
        looked_at = tenant.users | leaving(tenant, now)
        return {
            **states(tenant, now),
            "oldestCompleteUntil": format_known(until),
            "lagSeconds": None if until is None else round((now - until).total_seconds()),
            "servedAt": format_known(served_at(tenant)),
            "flagged": self._flagged({user: each for user, each in tenant.progress.items() if user in looked_at}),
        }

    def _live(self, *, whole_tenant: bool, users: int) -> dict[str, object]:
        known = dict(self.progress(whole_tenant=whole_tenant))
        plan = self.state.read(PLAN)
        left = plan_from_json(plan.content).left if plan else {}
        planned = frozenset(known) - frozenset(left)
        told = self.so_far(Tenant(planned, known, leaving=left))
        # Whoever is on the plan and has no checkpoint yet is behind, too.
        told["behind"] = max(users - len(planned), 0) + int(str(told["behind"]))
        return told

    def _flagged(self, known: Mapping[str, Progress]) -> dict[str, object]:
        reasons = Counter(each.reason for each in known.values() if each.reason is not None)
        return {"total": reasons.total(), "byReason": dict(reasons), "users": list(self._sentences(known))}

    def _sentences(self, known: Mapping[str, Progress]) -> Iterator[dict[str, object]]:
        flagged = (user for user, each in known.items() if each.reason is not None)
        for user in islice(flagged, MAX_LISTED):
            blob = self.state.read(checkpoint_name(self.tenant_id, None if user == TENANT else user))
            problem = from_json(blob.content).problem if blob else None
            if problem is not None:
                yield problem_document(user, problem.reason, problem.sentence, problem.since, problem.retry_at)


def last_served(state: Container) -> datetime | None:
    """When the last user to be looked at was, as far as the last plan knew. Raises StorageUnavailable."""
    blob = state.read(SUMMARY)
    return parse_instant(read_object(blob.content).get("servedAt")) if blob else None


def read_object(content: bytes) -> dict[str, object]:
    """A JSON object; an empty one where there is none to be read."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
