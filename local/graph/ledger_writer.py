"""Writes the ledger: a post's line is on the disk before the post leaves, and what it carries is in the lines above it.

One fsync for each try of a post: it covers all lines before it. Lines that announce nothing to anybody, such as an
answer, wait for the next one; a simulator that dies in between has lost what nobody was told.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from local.graph.authorisation import Violation
from local.graph.history import Event
from local.graph.ledger_entries import FILE, Attempt, Content, Outcome, Post
from local.graph.times import ticks_z


class LedgerWriter:
    """Appends to the ledger of a folder; a new simulator begins a new ledger."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / FILE).open("w", encoding="utf-8")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def attempt(self, post: Post, number: int, at: str) -> None:
        """Note that a post is about to be sent; on the disk when this returns."""
        self._write("attempt", {**_description(post), "number": number, "at": at})
        self._sync()

    def shown(self, user_id: str, refs: Sequence[str]) -> None:
        """Note what an export is about to answer with for the first time; no user: an export of the tenant."""
        self._write("shown", {"user": user_id, "refs": list(refs)})
        self._sync()

    def content(self, content: Content) -> None:
        """Note a content before anything of it is sent."""
        self._write("content", asdict(content))

    def answer(self, post_id: str, attempt: Attempt) -> None:
        """Note what came back."""
        self._write("answer", {"id": post_id, **asdict(attempt)})

    def ended(self, post: Post, outcome: Outcome) -> None:
        """Note that a post will not be sent again, or (dropped) was never sent at all."""
        self._write("ended", {**_description(post), "outcome": outcome})

    def withheld(self, ref: str, subscription_id: str) -> None:
        """Note that a subscription will not be told of a content after all."""
        self._write("withheld", {"ref": ref, "subscription": subscription_id})

    def dropped(self, ref: str, subscription_id: str) -> None:
        """Note that a subscription will never be told of a content, for no reason."""
        self._write("dropped", {"ref": ref, "subscription": subscription_id})

    def account(self, user_id: str, state: str, at: datetime) -> None:
        """Note what became of a user."""
        self._write("account", {"user": user_id, "state": state, "at": ticks_z(at)})

    def subscription(self, subscription_id: str, resource: str, url: str) -> None:
        """Note a new subscription."""
        self._write("subscription", {"id": subscription_id, "resource": resource, "url": url})

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

    def _write(self, line: str, values: dict[str, Any]) -> None:
        self._file.write(json.dumps({"line": line, **values}) + "\n")
        # With the operating system at once: whoever reads along sees it.
        self._file.flush()

    def _sync(self) -> None:
        os.fsync(self._file.fileno())


def _description(post: Post) -> dict[str, Any]:
    return {name: getattr(post, name) for name in ("id", "url", "items", "forged", "size", "by_graph")}
