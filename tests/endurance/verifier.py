"""Holds what was sent and shown against what storage has, without a line of the app's code.

The yardstick is the sender's ledger, written and synced before each send. The names, containers and metadata read here
are those of the contract (docs/architecture.md), spelled out again on purpose.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from azure.storage.blob import BlobServiceClient

from local.graph.ledger import Content, Ledger
from tests.endurance.holdings import ARCHIVE, PATIENT, Held, Holdings, Stored, read

__all__ = ["Figure", "Stored", "figure", "judge", "missing", "read"]

JUDGED = (*ARCHIVE, "inbox", "dead-letters")


@dataclass
class Figure:
    """What became of it all. Lists name what should not be; all of them must be empty.

    ``dead`` and ``waiting`` are those of acknowledged deliveries; ``dead_letters`` and ``in_inbox`` are all there are.
    A post whose answer was lost on the way to its sender is stored too, and he sends it again.

    ``exposed`` is what the export shows in the end, each once; ``at_rest`` by which source that is in the archive, and
    ``corroborated`` what a notification brought and the export has shown as well.
    """

    sent: int = 0
    acknowledged: int = 0
    deliveries: int = 0
    archived: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    tombstones: int = 0
    dead: int = 0
    waiting: int = 0
    dead_letters: Counter[str] = field(default_factory=Counter)
    in_inbox: int = 0
    duplicates: int = 0
    exposed: int = 0
    at_rest: Counter[str] = field(default_factory=Counter)
    corroborated: int = 0
    lost: list[str] = field(default_factory=list)
    not_exported: list[str] = field(default_factory=list)
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
            "exposed and not archived": self.not_exported,
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
        return _sum(
            self.deliveries,
            {
                "archived": self.archived.total(),
                "duplicates": self.duplicates,
                "tombstones": self.tombstones,
                "dead letters": self.dead,
                "in the inbox": self.waiting,
            },
        )

    @property
    def exports(self) -> str:
        """The conservation of what the export shows, in words; ``!=`` where it does not add up."""
        return _sum(self.exposed, {f"archived by {source}": count for source, count in self.at_rest.most_common()})

    @property
    def counts(self) -> dict[str, Any]:
        """All of it as numbers, for a report."""
        values = {name: len(each) if isinstance(each, list) else each for name, each in vars(self).items()}
        return {**values, "sum": self.sum, "exports": self.exports}


def judge(ledger: Ledger, connection_string: str, *, exported: bool = False) -> Figure:
    """The figure of one storage account; ``exported``: what the export shows is owed as well."""
    with BlobServiceClient.from_connection_string(connection_string, **PATIENT) as storage:
        return figure(ledger, read(storage, JUDGED), exported=exported)


def figure(ledger: Ledger, blobs: Iterable[Stored], *, exported: bool = False) -> Figure:
    """As ``judge``, with the blobs at hand."""
    holdings = Holdings().take(blobs)
    found = Figure(sent=sum(each.forged is None for each in ledger.contents))
    found.dead_letters = holdings.reasons
    found.in_inbox = holdings.waiting.total()
    archived = {held.identity: held for held in holdings.archive.values()}
    _judge_blobs(found, ledger, holdings.archive.values())
    _judge_contents(found, ledger, archived, holdings)
    if exported:
        _judge_exports(found, ledger, archived)
    return found


def missing(ledger: Ledger, archive: Mapping[str, Held]) -> list[Content]:
    """What the export shows and the archive does not hold."""
    identities = {held.identity for held in archive.values()}
    return [each for each in ledger.exportable() if identities.isdisjoint(_identities(each))]


def _judge_blobs(found: Figure, ledger: Ledger, blobs: Iterable[Held]) -> None:
    genuine = {identity for each in ledger.contents if each.forged is None for identity in _identities(each)}
    forged = {identity for each in ledger.contents if each.forged is not None for identity in _identities(each)}
    by_content: dict[str, list[Held]] = {}
    for blob in blobs:
        by_content.setdefault(blob.says, []).append(blob)
        if not blob.sound:
            found.corrupted.append(blob.where)
    for same in by_content.values():
        names = [blob.where for blob in same]
        if any(blob.identity in forged and blob.identity not in genuine for blob in same):
            found.forged_archived += names
        elif any(blob.identity not in genuine for blob in same):
            found.unexpected += names
        elif len(same) > 1:
            found.kept_twice += names


def _judge_contents(found: Figure, ledger: Ledger, archived: Mapping[str, Held], holdings: Holdings) -> None:
    taken = Counter(ref for post in ledger.posts if post.acknowledged for ref in post.items)
    contents = {each.ref: each for each in ledger.contents}
    found.deliveries = taken.total()
    graves, dead, waiting = holdings.graves.copy(), holdings.dead.copy(), holdings.waiting.copy()
    # Forgeries first: ids are times in milliseconds, which a forger's item and a genuine one can share.
    for ref, deliveries in sorted(taken.items(), key=lambda each: contents[each[0]].forged is None):
        content = contents[ref]
        if content.forged is not None:
            _judge_forgery(found, content, deliveries, dead, waiting)
            continue
        found.acknowledged += 1
        _judge_genuine(found, content, deliveries, archived, (graves, dead, waiting))
    found.kept_twice += [f"the tombstone of {identifier}" for identifier in (+graves).elements()]


def _judge_genuine(
    found: Figure,
    content: Content,
    deliveries: int,
    archived: Mapping[str, Held],
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


def _at_rest(found: Figure, content: Content, archived: Mapping[str, Held], graves: Counter[str]) -> bool:
    if content.change_type == "deleted":
        buried = bool(_take(graves, content.id, 1))
        found.tombstones += buried
        return buried
    held = _held(content, archived)
    if held is not None:
        found.archived[held.source] += 1
        found.kinds[content.kind] += 1
    return held is not None


def _judge_forgery(found: Figure, content: Content, deliveries: int, dead: Counter[str], waiting: Counter[str]) -> None:
    told = _take(dead, content.id, deliveries)
    still = _take(waiting, content.id, deliveries - told)
    found.dead += told
    found.waiting += still
    found.unaccounted_forgeries += deliveries - told - still


def _judge_exports(found: Figure, ledger: Ledger, archived: Mapping[str, Held]) -> None:
    for content in ledger.exportable():
        found.exposed += 1
        held = _held(content, archived)
        if held is None:
            found.not_exported.append(_named(content))
            continue
        found.at_rest[held.source] += 1
        found.corroborated += held.source == "notification" and content.ref in ledger.shown


def _held(content: Content, archived: Mapping[str, Held]) -> Held | None:
    return next((archived[each] for each in _identities(content) if each in archived), None)


def _identities(content: Content) -> list[str]:
    exact = [content.sha256] if content.sha256 else []
    return [*exact, f"says {content.canonical}"] if content.canonical else exact


def _take(there: Counter[str], identifier: str, count: int) -> int:
    taken = min(there[identifier], count)
    there[identifier] -= taken
    return taken


def _named(content: Content) -> str:
    return f"{content.ref} ({content.change_type} {content.kind} {content.id}, version {content.etag})"


def _sum(whole: int, parts: Mapping[str, int]) -> str:
    equal = "=" if sum(parts.values()) == whole else "!="
    return f"{whole} {equal} " + (" + ".join(f"{count} {what}" for what, count in parts.items()) or "nothing")
