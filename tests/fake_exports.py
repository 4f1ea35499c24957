"""Graph's export as ``shared/ports.py`` promises it, in memory: pages of any shape, rows that shift, faults on cue.

What a mailbox holds and what a request is shown of it differ in the ways that Microsoft's do: bounds that exclude, a
page without a row that has a next one, a row that comes twice, an interaction that is visible late.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count

from shared.core.errors import CaptureError, GraphUnavailable
from shared.core.graph_fault import fault
from shared.core.instants import parse_instant
from shared.ports import ExportPage
from tests.fakes import World

Item = Mapping[str, object]
ORIGIN = "https://graph.example/v1.0/copilot"
LONGEST_WAIT = timedelta(seconds=60)
_BOUNDS = re.compile(
    r"createdDateTime gt (?P<after>\S+Z) and createdDateTime lt (?P<before>\S+Z)(?: and \((?P<classes>[^()]*)\))?"
)
_CLASS = re.compile(r"appClass eq '((?:[^']|'')*)'")


@dataclass(frozen=True)
class _Row:
    item: Item
    visible_at: datetime


@dataclass
class _Refusal:
    call: str
    status: int
    code: str
    retry_after: str | None
    times: int


class MemoryExports:
    """The Exports port. Whoever has no mailbox is not found; ``put`` and ``know`` make one.

    ``shapes`` are the sizes of the pages of each walk, the last of them for all that follow; 0 is an empty page with a
    next one. With ``repeats``, so many rows of a page come again on the next one. ``world`` counts calls under the
    labels ``exports.first_page {user}`` and ``exports.next_page {user}``, and breaks them on cue.
    """

    def __init__(self, world: World, shapes: Sequence[int] = (100,), *, repeats: int = 0) -> None:
        self.shapes = shapes
        self.repeats = repeats
        self.takes_filter = True
        # By how much Graph's clock is ahead of ours.
        self.ahead = timedelta(0)
        self.queries: list[tuple[str | None, str | None]] = []
        self._world = world
        self._mailboxes: dict[str, list[_Row]] = {}
        self._links: dict[str, tuple[str | None, list[Item], int]] = {}
        self._refusals: list[_Refusal] = []
        self._numbers = count(1)

    # ---- the port

    def first_page(self, user_id: str | None, query: str | None) -> ExportPage:
        """See the port."""
        with self._world.graph_call(f"exports.first_page {user_id}"):
            self._answer(f"exports.first_page {user_id}")
            self.queries.append((user_id, query))
            rows = self._rows(user_id)
            if query is not None and not self.takes_filter:
                raise self._fault(400, "BadRequest")
            wanted = self._understood(query)
            shown = [row.item for row in rows if row.visible_at <= self._world.now and wanted(row.item)]
            return self._page(user_id, shown, 0)

    def next_page(self, link: str) -> ExportPage:
        """See the port. A link serves as often as it is asked for, and only until ``expire_links``."""
        user_id = self._links[link][0] if link in self._links else None
        with self._world.graph_call(f"exports.next_page {user_id}"):
            self._answer(f"exports.next_page {user_id}")
            if not link.startswith(f"{ORIGIN}/"):
                raise GraphUnavailable("the next page is elsewhere; it is not followed")
            if link not in self._links:
                raise self._fault(400, "BadRequest")
            return self._page(*self._links[link])

    # ---- what a test has Graph do

    def know(self, *users: str) -> None:
        """Users who have a mailbox, if an empty one."""
        for user in users:
            self._mailboxes.setdefault(user, [])

    def put(self, user: str, *items: Item, visible_at: datetime | None = None) -> None:
        """Interactions of a user, which are shown from then on, now where nothing is said."""
        self._mailboxes.setdefault(user, []).extend(_Row(item, visible_at or self._world.now) for item in items)

    def forget(self, user: str) -> None:
        """The account is gone, with everything in it."""
        del self._mailboxes[user]

    def refuse(self, call: str, status: int, code: str = "", *, times: int = 1, retry_after: str | None = None) -> None:
        """Answer the next calls whose label begins with ``call`` with an error, as Graph words them."""
        self._refusals.append(_Refusal(call, status, code, retry_after, times))

    def recover(self) -> None:
        """Nothing is refused any more."""
        self._refusals.clear()

    def expire_links(self) -> None:
        """No page token that was given leads anywhere any more."""
        self._links.clear()

    # ---- inside

    def _answer(self, label: str) -> None:
        refusal = next((each for each in self._refusals if each.times and label.startswith(each.call)), None)
        if refusal is not None:
            refusal.times -= 1
            raise self._fault(refusal.status, refusal.code, refusal.retry_after)

    def _fault(self, status: int, code: str, retry_after: str | None = None) -> CaptureError:
        headers = {} if retry_after is None else {"Retry-After": retry_after}
        return fault(status, {"error": {"code": code}}, headers, "export interactions", self._world.now)

    def _rows(self, user_id: str | None) -> list[_Row]:
        if user_id is None:
            return [row for rows in self._mailboxes.values() for row in rows]
        if user_id not in self._mailboxes:
            raise self._fault(404, "ResourceNotFound")
        return self._mailboxes[user_id]

    def _understood(self, query: str | None) -> Callable[[Item], bool]:
        if query is None:
            return lambda _: True
        read = _BOUNDS.fullmatch(query)
        if read is None:
            # One bound alone is an internal server error of Microsoft's; anything else it calls a bad request.
            raise self._fault(500, "InternalServerError") if " and " not in query else self._fault(400, "BadRequest")
        after, before = parse_instant(read["after"]), parse_instant(read["before"])
        assert after is not None, query
        assert before is not None, query
        classes = {name.replace("''", "'").lower() for name in _CLASS.findall(read["classes"] or "")}

        def wanted(item: Item) -> bool:
            created = parse_instant(item.get("createdDateTime"))
            in_time = created is not None and after < created < before
            return in_time and (not classes or str(item.get("appClass")).lower() in classes)

        return wanted

    def _page(self, user_id: str | None, left: list[Item], number: int) -> ExportPage:
        size = self.shapes[min(number, len(self.shapes) - 1)]
        assert size > 0 or number < len(self.shapes) - 1, "the last shape is that of all pages that follow"
        following = left[max(size - self.repeats, min(size, 1)) :] if len(left) > size else []
        link = None
        if following:
            link = f"{ORIGIN}/{user_id or 'tenant'}?$skiptoken={next(self._numbers)}"
            self._links[link] = (user_id, following, number + 1)
        return ExportPage(left[:size], link, self._world.now + self.ahead)


class MemoryPace:
    """The Pace port. A short hold is waited for by letting time pass; ``spacing`` passes with each request."""

    def __init__(self, world: World, spacing: timedelta = timedelta(0)) -> None:
        self.held_until: datetime | None = None
        self.asked_at: list[datetime] = []
        self._spacing = spacing
        self._world = world

    def wait(self) -> None:
        """See the port."""
        with self._world.call("pace.wait"):
            held = max((self.held_until or self._world.now) - self._world.now, timedelta(0))
            if held > LONGEST_WAIT:
                raise GraphUnavailable("Graph asked to be left alone; it is tried again", held, throttled=True)
            self._world.now += held + self._spacing
            self.asked_at.append(self._world.now)

    def hold(self, wait: timedelta) -> None:
        """See the port."""
        with self._world.call("pace.hold"):
            until = self._world.now + wait
            self.held_until = max(self.held_until or until, until)
