"""Posts for scenarios: made as the simulated Graph makes them, once, and entered in a ledger whenever they are sent."""

import copy
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local.graph import envelope
from local.graph.content.change import Change
from local.graph.envelope import Notice
from local.graph.ledger_entries import Attempt, Content, Post
from local.graph.ledger_writer import LedgerWriter
from local.graph.simulator import Simulator
from local.graph.subscription import Subscription
from local.graph.times import ticks_z, utc_now
from local.graph.traffic import ledger_content

MORNING = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """One item and what the ledger says of it."""

    item: Item
    content: Content


@dataclass(frozen=True, slots=True)
class Parcel:
    """A post: its bytes, and what it carries."""

    name: str
    body: bytes
    entries: tuple[Entry, ...]


class Press:
    """Makes items and posts for one subscription."""

    def __init__(self, graph: Simulator, subscription: Subscription) -> None:
        self._graph = graph
        self._subscription = subscription
        self._rng = random.Random(20_261_120)
        self._made = 0

    def changes(self, count: int) -> list[Change]:
        """So many new interactions."""
        found: list[Change] = []
        while len(found) < count:
            found += self._graph.cloud.content.conversation(MORNING)
        return found[:count]

    def genuine(self, change: Change) -> Entry:
        """An item as Graph sends it."""
        return Entry(self._item(change), self._content(change))

    def stranger(self, change: Change) -> Entry:
        """An item with somebody else's clientState."""
        return Entry(
            {**self._item(change), "clientState": "somebody-else"}, self._content(change, "wrong-client-state")
        )

    def forged(self, change: Change, kind: str) -> Entry:
        """A flawless item for a post that is forged as a whole."""
        return Entry(self._item(change), self._content(change, kind))

    def broken(self, change: Change) -> Entry:
        """An item whose signature is not that of its content."""
        item = copy.deepcopy(self._item(change))
        item["encryptedContent"]["dataSignature"] = "A" * 43 + "="
        return Entry(item, self._content(change, "broken-signature"))

    def deletion(self, change: Change) -> Entry:
        """The news that an interaction was deleted."""
        return self.genuine(replace(change, ref=f"{change.ref}-deleted", change_type="deleted", plaintext=None))

    def rewritten(self, change: Change) -> Entry:
        """Other content under the same identity and version, which Graph should never send."""
        said = {**json.loads(change.plaintext or b"{}"), "body": {"contentType": "text", "content": "Not what it was."}}
        return self.genuine(replace(change, ref=f"{change.ref}-rewritten", plaintext=json.dumps(said).encode()))

    def parcel(self, *entries: Entry, tokens: Sequence[str] | None = None) -> Parcel:
        """A post of these items, with a genuine token unless told otherwise."""
        self._made += 1
        notices = [Notice(change, self._subscription) for change in self._graph.cloud.content.conversation(MORNING)[:1]]
        genuine = envelope.tokens(notices, self._graph.cloud.entra, self._rng)
        body = envelope.body([entry.item for entry in entries], genuine if tokens is None else tokens)
        return Parcel(f"post-{self._made}", body, entries)

    def hint(self, event: str, subscription_id: str) -> Parcel:
        """A lifecycle notification."""
        item = {
            "subscriptionId": subscription_id,
            "lifecycleEvent": event,
            "clientState": self._graph.client_state,
            "tenantId": self._graph.tenant_id,
            "subscriptionExpirationDateTime": ticks_z(utc_now()),
            "resource": "copilot/interactionHistory/getAllEnterpriseInteractions",
        }
        return Parcel(event, json.dumps({"value": [item]}).encode(), ())

    def _item(self, change: Change) -> Item:
        return envelope.item(Notice(change, self._subscription), self._rng, 0.0)

    def _content(self, change: Change, forged: str | None = None) -> Content:
        return ledger_content(change, self._graph.tenant_id, (self._subscription.id,), forged)


class Sender:
    """Enters what is sent in a ledger of its own, each line with the system before anything leaves."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self._ledger = LedgerWriter(folder)
        self._known: set[str] = set()
        self._tries: dict[str, int] = {}

    def close(self) -> None:
        """Close the ledger."""
        self._ledger.close()

    def sending(self, parcel: Parcel) -> None:
        """Note a try."""
        for entry in parcel.entries:
            if entry.content.ref not in self._known:
                self._known.add(entry.content.ref)
                self._ledger.content(entry.content)
        number = self._tries[parcel.name] = self._tries.get(parcel.name, 0) + 1
        self._ledger.attempt(_post(parcel), number, ticks_z(utc_now()))

    def answered(self, parcel: Parcel, status: int | None) -> None:
        """Note what came back, None for nothing."""
        self._ledger.answer(parcel.name, Attempt(self._tries[parcel.name], ticks_z(utc_now()), status, 0.0))


def _post(parcel: Parcel) -> Post:
    items = tuple(entry.content.ref for entry in parcel.entries)
    return Post(parcel.name, "", items, None, len(parcel.body))
