"""What the simulator did, line by line, written before it is done: the yardstick for an archive.

`ledger.jsonl` has one JSON object per line. `line` says which: "subscription", "content" (one change of the tenant,
or the content of a forgery), "attempt" (about to be sent), "answer" (what came back, `status` null for none) and
"ended" (the fate of a post that will not be tried again). "withheld" takes a content back from a subscription that was
gone or paused when its post was to leave, "dropped" from one that Graph forgot to tell; "shown" names the contents that
an export has answered with for the first time, "account" what became of a user; "lifecycle", "fate" and "violation"
tell of subscriptions. A line is on the disk before the post that it announces leaves (`ledger_writer`). Contents are
named by digests: the ledger holds no text of anybody.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from sys import intern
from typing import Any, Literal, Self

from local.graph.ledger_entries import FILE, Attempt, Content, Outcome, Post

__all__ = ["Attempt", "Content", "Ledger", "Notified", "Outcome", "Post"]

Notified = Literal["sent", "withheld", "dropped", "silent", "forged"]


@dataclass(frozen=True)
class Ledger:
    """A ledger read back.

    `events` are the lines about subscriptions and accounts, `withheld` and `dropped` pairs of ref and subscription,
    `shown` the refs that an export answered with.
    """

    contents: tuple[Content, ...]
    posts: tuple[Post, ...]
    subscriptions: tuple[str, ...]
    withheld: frozenset[tuple[str, str]] = frozenset()
    events: tuple[dict[str, Any], ...] = ()
    dropped: frozenset[tuple[str, str]] = frozenset()
    shown: frozenset[str] = frozenset()

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the ledger of `folder`; a last line that is not complete is left out.

        Raises:
            OSError: there is no ledger.
            ValueError: a line is not a ledger's.
        """
        read = _Reading()
        for values in _lines(folder / FILE):
            read.take(str(values.pop("line", None)), values)
        return cls(
            tuple(read.contents),
            tuple(read.posts.values()),
            tuple(read.subscriptions),
            frozenset(read.untold["withheld"]),
            tuple(read.events),
            frozenset(read.untold["dropped"]),
            frozenset(read.shown),
        )

    def genuine(self) -> tuple[Content, ...]:
        """Return the contents that Graph owes: covered by a subscription that lived, and not a forgery's."""
        return tuple(each for each in self.contents if each.forged is None and self._owed(each))

    def notified(self, content: Content) -> Notified:
        """Return what became of the notifications of a content.

        "sent": at least one was, or will be. "withheld", "dropped": none was, since the subscriptions were gone or
        paused, or Graph forgot. "silent": no subscription covered it.
        """
        if content.forged is not None:
            return "forged"
        if self._owed(content):
            return "sent"
        if not content.subscriptions:
            return "silent"
        forgotten = any((content.ref, each) in self.dropped for each in content.subscriptions)
        return "dropped" if forgotten else "withheld"

    def exportable(self, users: Collection[str] | None = None) -> tuple[Content, ...]:
        """Return what an export shows in the end: of every interaction that is not deleted the latest version.

        With `users`, only what one of them owns.
        """
        latest: dict[tuple[str, str | None, str | None, str], Content] = {}
        for each in self.contents:
            if each.forged is None and each.kind == "aiInteraction":
                latest[each.identity] = _later(latest.get(each.identity), each)
        there = (each for each in latest.values() if each.change_type != "deleted")
        return tuple(each for each in there if users is None or not frozenset(users).isdisjoint(each.user_ids))

    def _owed(self, content: Content) -> bool:
        sent = any((content.ref, each) not in self._untold for each in content.subscriptions)
        return sent or content.ref in self._sent

    def forged(self) -> tuple[Content, ...]:
        """Return the contents that must not be archived."""
        return tuple(each for each in self.contents if each.forged is not None)

    @cached_property
    def _untold(self) -> frozenset[tuple[str, str]]:
        return self.withheld | self.dropped

    @cached_property
    def _sent(self) -> frozenset[str]:
        return frozenset(ref for post in self.posts if post.attempts for ref in post.items)

    def acknowledged(self) -> frozenset[str]:
        """Return the refs of genuine contents in posts that the endpoint answered with 2xx."""
        genuine = {each.ref for each in self.genuine()}
        return frozenset(ref for post in self.posts if post.acknowledged for ref in post.items if ref in genuine)

    def summary(self) -> dict[str, int]:
        """Return the counts that a report needs; `duplicates` are acknowledged deliveries beyond the first."""
        genuine = {each.ref for each in self.genuine()}
        taken = Counter(ref for post in self.posts if post.acknowledged for ref in post.items if ref in genuine)
        attempts = [attempt for post in self.posts for attempt in post.attempts]
        notified = Counter(map(self.notified, self.contents))
        return {
            "contents": len(genuine),
            "acknowledged": len(taken),
            "unacknowledged": len(genuine) - len(taken),
            "duplicates": taken.total() - len(taken),
            "posts": len(self.posts),
            "attempts": len(attempts),
            "unanswered": sum(attempt.status is None for attempt in attempts),
            "forged_posts": sum(post.forged is not None for post in self.posts),
            "forged_contents": len(self.forged()),
            "dropped_contents": notified["dropped"],
            "withheld_contents": notified["withheld"],
            "silent_contents": notified["silent"],
            "shown_contents": len(self.shown),
            "dropped_posts": sum(post.outcome == "dropped" for post in self.posts),
            "abandoned_posts": sum(post.outcome == "gave-up" for post in self.posts),
        }


class _Reading:
    """Takes the lines of a ledger."""

    def __init__(self) -> None:
        self.contents: list[Content] = []
        self.posts: dict[str, Post] = {}
        self.subscriptions: list[str] = []
        self.untold: dict[str, set[tuple[str, str]]] = {"withheld": set(), "dropped": set()}
        self.events: list[dict[str, Any]] = []
        self.shown: set[str] = set()

    def take(self, line: str, values: dict[str, Any]) -> None:
        """Take one line.

        Raises:
            ValueError: it is not a ledger's.
        """
        if line == "subscription":
            self.subscriptions.append(values["id"])
        elif line == "content":
            self.contents.append(_content(values))
        elif line in {"attempt", "answer", "ended"}:
            _note(self.posts, line, values)
        elif line in self.untold:
            self.untold[line].add((values["ref"], values["subscription"]))
        elif line == "shown":
            self.shown.update(values["refs"])
        elif line in {"lifecycle", "fate", "violation", "account"}:
            self.events.append({"line": line, **values})
        else:
            raise ValueError(f"not a line of a ledger: {line!r}")


def _later(one: Content | None, other: Content) -> Content:
    # Lines are in the order of what happened, except that a played day's are all written in the beginning.
    if one is None or "deleted" in {one.change_type, other.change_type}:
        return one if one is not None and one.change_type == "deleted" else other
    return one if _version(one) > _version(other) else other


def _version(content: Content) -> int:
    return int(content.etag) if content.etag.isascii() and content.etag.isdigit() else 0


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from (json.loads(line) for line in file if line.endswith("\n"))


def _content(values: dict[str, Any]) -> Content:
    # A long run has a million of them, of few tenants, users and subscriptions; and posts name them again.
    for name in ("user_ids", "subscriptions"):
        values[name] = tuple(map(intern, values[name]))
    for name in ("ref", "kind", "change_type", "tenant_id"):
        values[name] = intern(values[name])
    return Content(**values)


def _note(posts: dict[str, Post], line: str, values: dict[str, Any]) -> None:
    name = values["id"]
    if line != "answer" and name not in posts:
        items = tuple(map(intern, values["items"]))
        described = (name, intern(values["url"]), items, values["forged"], values["size"])
        posts[name] = Post(*described, by_graph=values["by_graph"])
    post = posts[name]
    if line == "attempt":
        post.attempts.append(Attempt(values["number"], values["at"]))
    elif line == "answer":
        del values["id"]
        post.attempts[-1] = Attempt(**values)
    else:
        post.outcome = values["outcome"]
