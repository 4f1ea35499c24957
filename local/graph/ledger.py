"""What the simulator did, line by line, written before it is done: the yardstick for an archive.

`ledger.jsonl` has one JSON object per line. `line` says which: "subscription", "content" (one change of the tenant,
or the content of a forgery), "attempt" (about to be sent), "answer" (what came back, `status` null for none) and
"ended" (the fate of a post that will not be tried again). "withheld" takes a content back from a subscription that was
gone or paused when its post was to leave, "dropped" from one that Graph forgot to tell; "shown" names the contents that
an export has answered with for the first time, "account" what became of a user; "lifecycle", "fate" and "violation"
tell of subscriptions. A line is with the operating system before the post that it announces leaves. Contents are named
by digests: the ledger holds no text of anybody.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

from local.graph.authorisation import Violation
from local.graph.history import Event
from local.graph.times import ticks_z

FILE = "ledger.jsonl"
Outcome = Literal["answered", "gave-up", "dropped", "refused", "withheld"]
Notified = Literal["sent", "withheld", "dropped", "silent", "forged"]


@dataclass(frozen=True)
class Content:
    """One change that was, or would be, notified of.

    `id` to `created` are texts exactly as in the plaintext; `etag` is the version (for a chat its
    lastUpdatedDateTime). `sha256` is over the exact plaintext bytes, None for a deletion without content; `canonical`
    is the same for the export's form of it (see `content.canonical`). `user_ids` own it: the export of each shows it.
    `subscriptions` are those that cover the change. `forged` names the forgery that carries it: such content must
    never be archived.
    """

    ref: str
    kind: str
    change_type: str
    tenant_id: str
    id: str
    etag: str
    created: str
    session_id: str | None
    request_id: str | None
    user_ids: tuple[str, ...]
    sha256: str | None
    size: int
    subscriptions: tuple[str, ...] = ()
    forged: str | None = None
    canonical: str | None = None

    @property
    def identity(self) -> tuple[str, str | None, str | None, str]:
        """What its versions have in common."""
        return self.tenant_id, self.session_id, self.request_id, self.id


@dataclass(frozen=True)
class Attempt:
    """One try of a post: what came back (None: nothing in time) and after how many real milliseconds."""

    number: int
    at: str
    status: int | None = None
    milliseconds: float | None = None
    error: str | None = None


@dataclass
class Post:
    """One post and all its tries; `items` are refs of contents.

    `forged` names the forgery in it. `by_graph` posts were retried; an attacker's were sent once. `outcome` is None
    while a post is under way, "refused" for an attacker's that was not answered 2xx.
    """

    id: str
    url: str
    items: tuple[str, ...]
    forged: str | None
    size: int
    by_graph: bool = True
    attempts: list[Attempt] = field(default_factory=list)
    outcome: Outcome | None = None

    @property
    def acknowledged(self) -> bool:
        """Whether the endpoint took responsibility: any 2xx."""
        return any(attempt.status is not None and 200 <= attempt.status < 300 for attempt in self.attempts)


class LedgerWriter:
    """Appends to the ledger of a folder; a new simulator begins a new ledger."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / FILE).open("w", encoding="utf-8")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def withheld(self, ref: str, subscription_id: str) -> None:
        """Note that a subscription will not be told of a content after all."""
        self._write("withheld", {"ref": ref, "subscription": subscription_id})

    def dropped(self, ref: str, subscription_id: str) -> None:
        """Note that a subscription will never be told of a content, for no reason."""
        self._write("dropped", {"ref": ref, "subscription": subscription_id})

    def shown(self, user_id: str, refs: Sequence[str]) -> None:
        """Note what an export is about to answer with for the first time; no user: an export of the tenant."""
        self._write("shown", {"user": user_id, "refs": list(refs)})

    def account(self, user_id: str, state: str, at: datetime) -> None:
        """Note what became of a user."""
        self._write("account", {"user": user_id, "state": state, "at": ticks_z(at)})

    def lifecycle(self, event: str, subscription_id: str) -> None:
        """Note that a lifecycle notification is about to be sent."""
        self._write("lifecycle", {"event": event, "subscription": subscription_id})

    def fate(self, event: Event) -> None:
        """Note what became of a subscription."""
        times = {"at": ticks_z(event.at), "expires": ticks_z(event.expires)}
        self._write("fate", {"fate": event.fate, "subscription": event.subscription_id, **times})

    def violation(self, violation: Violation) -> None:
        """Note that an app broke a rule that Graph does not enforce."""
        about = {"subscription": violation.subscription_id, "user": violation.user_id}
        self._write("violation", {"rule": violation.rule, **about, "at": ticks_z(violation.at)})

    def subscription(self, subscription_id: str, resource: str, url: str) -> None:
        """Note a new subscription."""
        self._write("subscription", {"id": subscription_id, "resource": resource, "url": url})

    def content(self, content: Content) -> None:
        """Note a content before anything of it is sent."""
        self._write("content", vars(content))

    def attempt(self, post: Post, number: int, at: str) -> None:
        """Note that a post is about to be sent."""
        self._write("attempt", {**_description(post), "number": number, "at": at})

    def answer(self, post_id: str, attempt: Attempt) -> None:
        """Note what came back."""
        self._write("answer", {"id": post_id, **asdict(attempt)})

    def ended(self, post: Post, outcome: Outcome) -> None:
        """Note that a post will not be sent again, or (dropped) was never sent at all."""
        self._write("ended", {**_description(post), "outcome": outcome})

    def _write(self, line: str, values: dict[str, Any]) -> None:
        self._file.write(json.dumps({"line": line, **values}) + "\n")
        self._file.flush()


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


def _description(post: Post) -> dict[str, Any]:
    return {name: getattr(post, name) for name in ("id", "url", "items", "forged", "size", "by_graph")}


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    complete, _, _ = text.rpartition("\n")
    for line in complete.splitlines():
        yield json.loads(line)


def _content(values: dict[str, Any]) -> Content:
    for name in ("user_ids", "subscriptions"):
        values[name] = tuple(values[name])
    return Content(**values)


def _note(posts: dict[str, Post], line: str, values: dict[str, Any]) -> None:
    name = values["id"]
    if line != "answer" and name not in posts:
        described = (name, values["url"], tuple(values["items"]), values["forged"], values["size"])
        posts[name] = Post(*described, by_graph=values["by_graph"])
    post = posts[name]
    if line == "attempt":
        post.attempts.append(Attempt(values["number"], values["at"]))
    elif line == "answer":
        del values["id"]
        post.attempts[-1] = Attempt(**values)
    else:
        post.outcome = values["outcome"]
