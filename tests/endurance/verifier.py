"""Holds what was sent against what storage has, without a line of the app's code.

The yardstick is the sender's ledger, written before each send. The names, containers and metadata read here are those
of the contract (docs/architecture.md), spelled out again on purpose.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobServiceClient

from local.graph.content.canonical import canonical_sha256
from local.graph.ledger import Content, Ledger

ARCHIVE = ("interactions", "chats", "resources")


@dataclass(frozen=True)
class Stored:
    """A blob."""

    container: str
    name: str
    content: bytes
    metadata: Mapping[str, str]

    @cached_property
    def sha256(self) -> str:
        """Of the bytes, in hex."""
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def identity(self) -> str:
        """By what it is known: a notification's is there byte for byte, an export's in the form that the export has."""
        exported = self.metadata.get("source") == "export"
        return f"says {self.says}" if exported else self.sha256

    @cached_property
    def says(self) -> str | None:
        """A digest of what it says, in whatever form; None for what is no JSON."""
        return canonical_sha256(self.content)

    @property
    def is_tombstone(self) -> bool:
        """Whether it tells of a deletion."""
        return "/deleted/" in self.name

    def __str__(self) -> str:
        return f"{self.container}/{self.name}"


@dataclass
class Figure:
    """What became of it all. Lists name what should not be; all of them must be empty.

    ``dead`` and ``waiting`` are those of acknowledged deliveries; ``dead_letters`` and ``in_inbox`` are all there are.
    A post whose answer was lost on the way to its sender is stored too, and he sends it again.
    """

    sent: int = 0
    acknowledged: int = 0
    deliveries: int = 0
    archived: Counter[str] = field(default_factory=Counter)
    tombstones: int = 0
    dead: int = 0
    waiting: int = 0
    dead_letters: Counter[str] = field(default_factory=Counter)
    in_inbox: int = 0
    duplicates: int = 0
    lost: list[str] = field(default_factory=list)
    kept_twice: list[str] = field(default_factory=list)
    corrupted: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    forged_archived: list[str] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    unaccounted_forgeries: int = 0

    @property
    def harm(self) -> dict[str, object]:
        """Whatever breaks the promise; empty where it was kept."""
        found = {
            "lost": self.lost,
            "kept twice": self.kept_twice,
            "corrupted": self.corrupted,
            "unexpected": self.unexpected,
            "forged and archived": self.forged_archived,
            "genuine, yet a dead letter": self.given_up,
            "acknowledged items of forgers that nobody was told of": self.unaccounted_forgeries,
        }
        return {what: which for what, which in found.items() if which}

    @property
    def sum(self) -> str:
        """The conservation of acknowledged items, in words; ``!=`` where it does not add up."""
        parts = {
            "archived": self.archived.total(),
            "duplicates": self.duplicates,
            "tombstones": self.tombstones,
            "dead letters": self.dead,
            "in the inbox": self.waiting,
        }
        equal = "=" if sum(parts.values()) == self.deliveries else "!="
        return f"{self.deliveries} {equal} " + " + ".join(f"{count} {what}" for what, count in parts.items())


def judge(ledger: Ledger, connection_string: str) -> Figure:
    """The figure of one storage account."""
    with BlobServiceClient.from_connection_string(connection_string) as storage:
        return figure(ledger, list(read(storage)))


def read(storage: BlobServiceClient) -> Iterator[Stored]:
    """Every blob of the app's containers."""
    for container in storage.list_containers():
        client = storage.get_container_client(container.name)
        for blob in client.list_blobs(include=["metadata"]):
            try:
                content = client.download_blob(blob.name).readall()
            except ResourceNotFoundError:
                continue  # looked at while the app works: a post has just left the inbox
            metadata = {name.lower(): value for name, value in (blob.metadata or {}).items()}
            yield Stored(container.name, blob.name, content, metadata)


def figure(ledger: Ledger, blobs: Iterable[Stored]) -> Figure:
    """As ``judge``, with the blobs at hand."""
    by_container: dict[str, list[Stored]] = {}
    for blob in blobs:
        by_container.setdefault(blob.container, []).append(blob)
    archive = [blob for name in ARCHIVE for blob in by_container.get(name, [])]
    graves = [blob for blob in archive if blob.is_tombstone]
    dead = by_container.get("dead-letters", [])
    inbox = by_container.get("inbox", [])
    found = Figure(sent=sum(each.forged is None for each in ledger.contents))
    accounts = _Accounts(
        archived={blob.identity: blob for blob in archive if not blob.is_tombstone},
        graves=Counter(_identifier(json.loads(blob.content)) for blob in graves),
        dead=Counter(_identifier(json.loads(blob.content)["item"]) for blob in dead),
        waiting=Counter(_identifier(item) for blob in inbox for item in json.loads(blob.content)["value"]),
    )
    found.dead_letters = Counter(blob.name.partition("/")[0] for blob in dead)
    found.in_inbox = accounts.waiting.total()
    _judge_blobs(found, ledger, [blob for blob in archive if not blob.is_tombstone])
    _judge_contents(found, ledger, accounts)
    return found


@dataclass
class _Accounts:
    """Where things are: contents by digest; by id, where the id is all that can be read."""

    archived: Mapping[str, Stored]
    graves: Counter[str]
    dead: Counter[str]
    waiting: Counter[str]


def _judge_blobs(found: Figure, ledger: Ledger, blobs: list[Stored]) -> None:
    genuine = {identity for each in ledger.contents if each.forged is None for identity in _identities(each)}
    forged = {identity for each in ledger.contents if each.forged is not None for identity in _identities(each)}
    by_content: dict[str, list[Stored]] = {}
    for blob in blobs:
        by_content.setdefault(blob.says or blob.sha256, []).append(blob)
    for same in by_content.values():
        names = [str(blob) for blob in same]
        if any(blob.identity in forged - genuine for blob in same):
            found.forged_archived += names
        elif any(blob.identity not in genuine for blob in same):
            found.unexpected += names
        elif len(same) > 1:
            found.kept_twice += names
    found.corrupted = [str(blob) for blob in blobs if blob.metadata.get("sha256") != blob.sha256]


def _judge_contents(found: Figure, ledger: Ledger, accounts: _Accounts) -> None:
    taken = Counter(ref for post in ledger.posts if post.acknowledged for ref in post.items)
    contents = {each.ref: each for each in ledger.contents}
    found.deliveries = taken.total()
    graves, dead, waiting = accounts.graves.copy(), accounts.dead.copy(), accounts.waiting.copy()
    # Forgeries first: ids are times in milliseconds, which a forger's item and a genuine one can share.
    for ref, deliveries in sorted(taken.items(), key=lambda each: contents[each[0]].forged is None):
        content = contents[ref]
        if content.forged is not None:
            _judge_forgery(found, content, deliveries, dead, waiting)
            continue
        found.acknowledged += 1
        _judge_genuine(found, content, deliveries, accounts.archived, (graves, dead, waiting))
    found.kept_twice += [f"the tombstone of {identifier}" for identifier in (+graves).elements()]


def _judge_genuine(
    found: Figure,
    content: Content,
    deliveries: int,
    archived: Mapping[str, Stored],
    elsewhere: tuple[Counter[str], Counter[str], Counter[str]],
) -> None:
    graves, dead, waiting = elsewhere
    at_rest = _at_rest(found, content, archived, graves)
    given_up = _take(dead, content.id, deliveries - at_rest)
    still = _take(waiting, content.id, deliveries - at_rest - given_up)
    found.dead += given_up
    found.waiting += still
    if given_up:
        found.given_up.append(_named(content))
    if at_rest:
        found.duplicates += deliveries - at_rest - given_up - still
    elif not given_up + still:
        found.lost.append(_named(content))


def _at_rest(found: Figure, content: Content, archived: Mapping[str, Stored], graves: Counter[str]) -> bool:
    if content.change_type == "deleted":
        buried = bool(_take(graves, content.id, 1))
        found.tombstones += buried
        return buried
    blob = next((archived[each] for each in _identities(content) if each in archived), None)
    if blob is not None:
        found.archived[blob.metadata.get("source", "nobody knows what")] += 1
    return blob is not None


def _judge_forgery(found: Figure, content: Content, deliveries: int, dead: Counter[str], waiting: Counter[str]) -> None:
    told = _take(dead, content.id, deliveries)
    still = _take(waiting, content.id, deliveries - told)
    found.dead += told
    found.waiting += still
    found.unaccounted_forgeries += deliveries - told - still


def _identities(content: Content) -> list[str]:
    exact = [content.sha256] if content.sha256 else []
    return [*exact, f"says {content.canonical}"] if content.canonical else exact


def _take(there: Counter[str], identifier: str, count: int) -> int:
    taken = min(there[identifier], count)
    there[identifier] -= taken
    return taken


def _named(content: Content) -> str:
    return f"{content.ref} ({content.change_type} {content.kind} {content.id}, version {content.etag})"


def _identifier(item: object) -> str:
    data = _lower(item).get("resourcedata")
    return str(_lower(data).get("id"))


def _lower(document: object) -> dict[str, Any]:
    return {name.lower(): value for name, value in document.items()} if isinstance(document, dict) else {}
