"""What the planner remembers from one plan to the next, and what it tells: two blobs in the container ``state``."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from shared.core.instants import format_instant, format_known, parse_instant

VERSION = 1
PLAN = "exports/plan.json"
# Small, because status reads it; the plan itself names everybody who is on the queue.
SUMMARY = "exports/summary.json"


@dataclass(frozen=True, slots=True)
class ExportState:
    """``queued``: when a user's window was put on the queue. ``left``: since when a user is not to be exported any
    more. ``rung`` is False from before the first window of a plan is put there until after the last.
    """

    planned_at: datetime | None = None
    queued: Mapping[str, datetime] = field(default_factory=dict)
    left: Mapping[str, datetime] = field(default_factory=dict)
    rung: bool = True

    def without_doubt(self) -> "ExportState":
        """As this, without the windows of a plan that was perhaps never put on the queue: its planner was killed."""
        if self.rung:
            return self
        return replace(self, queued={user: at for user, at in self.queued.items() if at != self.planned_at})


def to_json(state: ExportState) -> bytes:
    """The plan's blob, UTF-8 JSON."""
    document = {
        "version": VERSION,
        "plannedAt": format_known(state.planned_at),
        "rung": state.rung,
        "queued": {user: format_instant(at) for user, at in state.queued.items()},
        "left": {user: format_instant(at) for user, at in state.left.items()},
    }
    return json.dumps(document).encode()


def from_json(content: bytes) -> ExportState:
    """The state as saved. One that can't be read is forgotten: all of it can be found out again, at some cost."""
    try:
        document = json.loads(content)
        return ExportState(
            planned_at=parse_instant(document["plannedAt"]),
            rung=bool(document["rung"]),
            queued=_instants(document["queued"]),
            left=_instants(document["left"]),
        )
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        return ExportState()


def _instants(texts: Mapping[str, object]) -> dict[str, datetime]:
    read = {user: parse_instant(text) for user, text in texts.items()}
    return {user: instant for user, instant in read.items() if instant is not None}
