"""The verdict: the simulator's ledger against the blobs, told without a line of the app's code."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from azure.storage.blob import BlobServiceClient

from local.graph.content.canonical import canonical_sha256
from local.graph.ledger import Content, Ledger

ARCHIVE = ("interactions", "chats", "resources")
_DELETED = "/deleted/"


@dataclass
class Verdict:
    """Counts of a run. Lost, forged and unexpected must be zero; each names its contents or blobs.

    ``sent``: changes that a notification was sent for. ``export_alone``: interactions of which none was, and which the
    export shows. ``unseen``: changes that neither tells of, such as a version that was replaced before anybody looked.
    """

    sent: int
    export_alone: int = 0
    unseen: int = 0
    by_notification: int = 0
    by_export: int = 0
    tombstones: int = 0
    duplicates_dropped: int = 0
    forged_posts: int = 0
    forged_refused: int = 0
    gaps: int = 0
    gaps_filled: int = 0
    still_in_inbox: int = 0
    dead_letters: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    kept_twice: list[str] = field(default_factory=list)
    forged_archived: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)

    @property
    def archived(self) -> int:
        """How many of those that are owed are at rest once, by either source."""
        return self.by_notification + self.by_export

    @property
    def good(self) -> bool:
        """Whether everything owed is at rest once, and nothing else is."""
        return not (self.lost or self.kept_twice or self.forged_archived or self.unexpected or self.still_in_inbox)


@dataclass(frozen=True)
class Blob:
    """A blob of the archive, and what brought it."""

    container: str
    name: str
    content: bytes
    source: str = "notification"

    @property
    def sha256(self) -> str:
        """Of the bytes, in hex."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def says(self) -> str | None:
        """A digest of what it says, in whatever form. None for what is no JSON."""
        return canonical_sha256(self.content)

    @property
    def is_tombstone(self) -> bool:
        """Whether it records a deletion."""
        return _DELETED in self.name


def judge(ledger: Ledger, connection_string: str) -> Verdict:
    """Compare what the simulator sent and shows with what rests in storage."""
    with BlobServiceClient.from_connection_string(connection_string) as storage:
        blobs = list(_archive(storage))
        inbox = _names(storage, "inbox")
        dead = Counter(name.partition("/")[0] for name in _names(storage, "dead-letters"))
        state = Counter(name.partition("/")[0] for name in _names(storage, "state"))
    found = verdict(ledger, blobs, still_in_inbox=len(inbox), dead_letters=dead)
    found.gaps, found.gaps_filled = state["gaps"], state["gaps-exported"]
    return found


def verdict(ledger: Ledger, blobs: list[Blob], *, still_in_inbox: int, dead_letters: Counter[str]) -> Verdict:
    """As ``judge``, with the blobs at hand."""
    sent = ledger.genuine()
    refs = {each.ref for each in sent}
    alone = tuple(each for each in ledger.exportable() if each.ref not in refs)
    found = Verdict(sent=len(sent), still_in_inbox=still_in_inbox, dead_letters=dead_letters)
    found.export_alone = len(alone)
    found.unseen = sum(each.forged is None for each in ledger.contents) - len(sent) - len(alone)
    found.duplicates_dropped = ledger.summary()["duplicates"]
    _judge_contents(found, ledger, (*sent, *alone), [blob for blob in blobs if not blob.is_tombstone])
    _judge_deletions(found, sent, [blob for blob in blobs if blob.is_tombstone])
    _judge_forgeries(found, ledger, blobs)
    return found


def _judge_contents(found: Verdict, ledger: Ledger, owed: tuple[Content, ...], blobs: list[Blob]) -> None:
    there: dict[str | None, list[Blob]] = defaultdict(list)
    for blob in blobs:
        there[blob.says].append(blob)
    wanted = {each.canonical: each for each in owed if each.change_type != "deleted" and each.canonical}
    for says, content in wanted.items():
        at_rest = there[says]
        if not at_rest:
            found.lost.append(f"{content.ref} ({content.kind} {content.id}, version {content.etag})")
        elif len(at_rest) > 1:
            found.kept_twice.append(content.ref)
        elif at_rest[0].source == "export":
            found.by_export += 1
        else:
            found.by_notification += 1
    # A notification's is there byte for byte, an export's in the form that the export has.
    genuine = {each.canonical for each in ledger.contents if each.forged is None}
    exact = {each.sha256 for each in ledger.contents if each.forged is None}
    for blob in blobs:
        if blob.says not in genuine or (blob.source != "export" and blob.sha256 not in exact):
            found.unexpected.append(f"{blob.container}/{blob.name}")


def _judge_deletions(found: Verdict, genuine: tuple[Content, ...], blobs: list[Blob]) -> None:
    owed = Counter(each.id for each in genuine if each.change_type == "deleted")
    there = Counter(str(json.loads(blob.content)["resourceData"]["id"]) for blob in blobs)
    for resource_id, count in owed.items():
        found.tombstones += min(count, there[resource_id])
        found.lost += [f"deletion of {resource_id}"] * max(0, count - there[resource_id])
    found.unexpected += [f"tombstone of {resource_id}" for resource_id in there if resource_id not in owed]


def _judge_forgeries(found: Verdict, ledger: Ledger, blobs: list[Blob]) -> None:
    forged = {each.sha256 for each in ledger.forged()}
    posts = [post for post in ledger.posts if post.forged is not None]
    found.forged_posts = len(posts)
    found.forged_refused = sum(not post.acknowledged for post in posts)
    found.forged_archived = [f"{blob.container}/{blob.name}" for blob in blobs if blob.sha256 in forged]


def _archive(storage: BlobServiceClient) -> Iterator[Blob]:
    for container in ARCHIVE:
        for name in _names(storage, container):
            download = storage.get_blob_client(container, name).download_blob()
            source = (download.properties.metadata or {}).get("source", "")
            yield Blob(container, name, download.readall(), source)


def _names(storage: BlobServiceClient, container: str) -> list[str]:
    client = storage.get_container_client(container)
    return list(client.list_blob_names()) if client.exists() else []
