"""The requests that Graph allows in a second, as one ledger that all instances write.

30 requests a second for an app in a tenant: https://learn.microsoft.com/graph/throttling-limits. We plan to use 83 % of
them, sustained. Whoever wants to ask reserves a slot; slots are as far apart as the rate says, so that whatever number
of instances the platform starts, the tenant sees one even stream.
"""

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.core.instants import format_known, parse_instant

VERSION = 1
# Where it is kept in the container ``state``.
LEDGER = "request-budget.json"
REQUESTS_PER_SECOND = 25
SPACING = timedelta(seconds=1) / REQUESTS_PER_SECOND
# No honest ledger reaches further ahead. One that does was written by a wrong clock, and must not stop the others.
LONGEST_QUEUE = timedelta(minutes=2)
LONGEST_HOLD = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class RequestBudget:
    """``next_slot``: the first instant that nobody has reserved. ``not_before``: Graph asked to be left alone."""

    next_slot: datetime | None = None
    not_before: datetime | None = None

    def reserved(self, count: int, now: datetime) -> "tuple[RequestBudget, datetime]":
        """As this, with so many slots taken; and the first of them. The others follow by ``SPACING``."""
        queue = self.next_slot if self.next_slot and self.next_slot <= now + LONGEST_QUEUE + LONGEST_HOLD else now
        hold = self.not_before if self.not_before and self.not_before <= now + LONGEST_HOLD else now
        first = max(now, queue, hold)
        return replace(self, next_slot=first + count * SPACING), first

    def held(self, until: datetime) -> "RequestBudget":
        """As this, with nobody asking until then. What is longer already stays, unless a wrong clock wrote it."""
        before = self.not_before
        stays = before is not None and until < before <= until + LONGEST_HOLD
        return self if stays else replace(self, not_before=until)


def to_json(budget: RequestBudget) -> bytes:
    """The ledger's content, UTF-8 JSON."""
    document = {
        "version": VERSION,
        "nextSlot": format_known(budget.next_slot),
        "notBefore": format_known(budget.not_before),
    }
    return json.dumps(document).encode()


def from_json(content: bytes) -> RequestBudget:
    """The budget as saved. Whatever can't be read is an empty one: it bounds a rate, and remembers nothing else."""
    try:
        document = json.loads(content)
        return RequestBudget(parse_instant(document["nextSlot"]), parse_instant(document["notBefore"]))
    except (KeyError, TypeError, ValueError, RecursionError):
        return RequestBudget()
