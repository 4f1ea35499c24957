"""The walk through a mailbox, page by page: short and empty ones, rows that come twice, and at last the end."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local.graph.export_filter import ExportFilter
from local.graph.export_policy import ExportPolicy
from local.graph.export_tokens import Position
from local.graph.mailbox import FOLDERS, Mailbox, Row
from local.graph.randomness import chance

_MOST_REPEATED = 3


@dataclass(frozen=True)
class Page:
    """Rows, and where the walk goes on: None at its end."""

    rows: Sequence[Row]
    following: Position | None


def turn(
    mailbox: Mailbox, wanted: ExportFilter, at: Position, size: int, policy: ExportPolicy, rng: random.Random
) -> Page:
    """Return the page at a position. No page crosses from one folder to the next."""
    view = mailbox.view(at.folder, wanted)
    count = _count(size, policy, rng)
    place = at.place
    if count == size > 1 and chance(rng, policy.repeated):
        place = max(0, place - rng.randint(1, min(_MOST_REPEATED, size - 1)))
    rows, behind = view.take(place, count)
    if behind < len(view):
        return Page(rows, Position(at.folder, behind, at.skip + size))
    for folder in range(at.folder + 1, len(FOLDERS)):
        # A Graph of sunshine passes over folders in which nothing is; the other shows that they are empty.
        if policy.empty or len(mailbox.view(folder, wanted)):
            return Page(rows, Position(folder))
    if rows and chance(rng, policy.empty):
        return Page(rows, Position(at.folder, behind, at.skip + size))
    return Page(rows, None)


def _count(size: int, policy: ExportPolicy, rng: random.Random) -> int:
    if chance(rng, policy.empty):
        return 0
    return rng.randint(1, size) if chance(rng, policy.short) else size


def body(annotations: Mapping[str, Any], rows: Sequence[Row], item: Callable[[Row], bytes], *, counted: bool) -> bytes:
    """Return the JSON of a page; its items are JSON already."""
    head = {**annotations, "@odata.count": len(rows)} if counted else annotations
    members = json.dumps(head, separators=(",", ":"))[1:-1].encode()
    return b"{" + members + b',"value":[' + b",".join(map(item, rows)) + b"]}"
