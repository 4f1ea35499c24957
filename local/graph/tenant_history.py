"""What happened in the tenant, whoever was told of it: the source of the export, and of single resources.

A change happens at a moment of Graph's stopwatch, and the export shows it some time later. Looking brings the history
up to date first.
"""

import heapq
import itertools
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

from local.graph.clock import Clock
from local.graph.content.change import Change
from local.graph.export_items import rendered
from local.graph.mailbox import Mailbox, Row
from local.graph.policy import Policy
from local.graph.randomness import stream

Identity = tuple[str | None, str | None, str]
What = Literal["happens", "shows"]


class TenantHistory:
    """Everything that happened: by owner for the export, by id for single resources."""

    def __init__(self, clock: Clock, policy: Policy, *, seed: int) -> None:
        self._clock = clock
        self._policy = policy
        self._seed = seed
        self._due: list[tuple[datetime, int, What, Change]] = []
        self._numbers = itertools.count()
        self._rows: dict[Identity, Row] = {}
        self._by_id: dict[str, list[Row]] = {}
        self._chats: dict[str, Change] = {}
        self._mailboxes: dict[str, Mailbox] = {}
        self._whole = Mailbox()

    def add(self, change: Change, *, after: float = 0.0) -> None:
        """Let a change happen, in so many seconds."""
        self._plan("happens", change, self._clock.passed() + timedelta(seconds=after))
        if after <= 0:
            self._settle()

    def mailbox(self, user_id: str) -> Mailbox | None:
        """Return what the export shows of a user; None where nothing ever happened."""
        self._settle()
        return self._mailboxes.get(user_id.lower())

    def whole(self) -> Mailbox:
        """Return what an export of the whole tenant shows."""
        self._settle()
        return self._whole

    def item(self, row: Row) -> bytes:
        """Return a row that is shown as JSON, made once for each version."""
        if row.shown is None:
            raise ValueError("a row that nobody is shown")
        if row.content is None:
            row.content = rendered(row.shown, self._seed, self._policy.export.variants)
        return row.content

    def interaction(self, interaction_id: str, user_id: str | None = None) -> Change | None:
        """Return an interaction as it is now, of all that share the id the latest."""
        self._settle()
        rows = self._by_id.get(interaction_id, ())
        there = [row.current for row in rows if row.current is not None and not row.deleted]
        owned = [each for each in there if user_id is None or user_id.lower() in each.user_ids]
        return max(owned, key=lambda change: change.at, default=None)

    def chat(self, chat_id: str) -> Change | None:
        """Return a chat as it is now."""
        self._settle()
        return self._chats.get(chat_id)

    def _plan(self, what: What, change: Change, at: datetime) -> None:
        # The number keeps what is due together in its order, and changes from being compared.
        heapq.heappush(self._due, (at, next(self._numbers), what, change))

    def _settle(self) -> None:
        now = self._clock.passed()
        while self._due and self._due[0][0] <= now:
            at, _, what, change = heapq.heappop(self._due)
            if what == "happens":
                self._happens(change, at)
            else:
                self._shows(change)

    def _happens(self, change: Change, at: datetime) -> None:
        if change.kind == "chat":
            self._chats[change.id] = _whole_chat(self._chats.get(change.id), change)
            return
        row = self._row(change)
        if change.change_type == "deleted":
            row.delete()
            return
        row.current = _newer(row.current, change)
        if delay := self._delay(change):
            self._plan("shows", change, at + delay)
        else:
            self._shows(change)

    def _shows(self, change: Change) -> None:
        row = self._row(change)
        if row.deleted or _newer(row.shown, change) is not change:
            return
        fresh = row.shown is None
        row.show(change)
        if fresh:
            for owner in change.user_ids:
                self._mailboxes.setdefault(owner.lower(), Mailbox()).put(row)
            self._whole.put(row)

    def _row(self, change: Change) -> Row:
        identity = change.session_id, change.request_id, change.id
        if identity not in self._rows:
            self._rows[identity] = row = Row()
            self._by_id.setdefault(change.id, []).append(row)
        return self._rows[identity]

    def _delay(self, change: Change) -> timedelta:
        policy = self._policy.export
        if policy.mean_delay == 0:
            return timedelta(0)
        drawn = stream(self._seed, "visible", change.ref).expovariate(1 / policy.mean_delay)
        return timedelta(seconds=min(drawn, policy.longest_delay))


def _whole_chat(known: Change | None, change: Change) -> Change:
    # Updates are notified of with a part of the properties: the chat has all of them.
    newer = _newer(known, change)
    return newer if known is None else replace(newer, properties={**known.properties, **newer.properties})


def _newer(one: Change | None, other: Change) -> Change:
    return other if one is None or other.at >= one.at else one
