"""The verdict: the simulator's ledger against the blobs, told without a line of the app's code."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from azure.storage.blob import BlobServiceClient

from local.graph.ledger import Content, Ledger

ARCHIVE = ("interactions", "chats", "resources")
_DELETED = "/deleted/"


@dataclass
class Verdict:
    """Counts of a run. Lost, forged and unexpected must be zero; each names its contents or blobs."""

    sent: int
    archived: int = 0
    tombstones: int = 0
    duplicates_dropped: int = 0
    forged_posts: int = 0
    forged_refused: int = 0
    withheld: int = 0
    gaps: int = 0
    still_in_inbox: int = 0
    dead_letters: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    kept_twice: list[str] = field(default_factory=list)
    forged_archived: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether everything sent is at rest once, and nothing else is."""
        return not (self.lost or self.kept_twice or self.forged_archived or self.unexpected or self.still_in_inbox)


@dataclass(frozen=True)
class Blob:
    """A blob of the archive."""

    container: str
    name: str
    content: bytes

    @property
    def sha256(self) -> str:
        """Of the bytes, in hex."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def is_tombstone(self) -> bool:
        """Whether it records a deletion."""
        return _DELETED in self.name


def judge(ledger: Ledger, connection_string: str) -> Verdict:
    """Compare what the simulator sent with what rests in storage."""
    with BlobServiceClient.from_connection_string(connection_string) as storage:
        blobs = list(_archive(storage))
        inbox = _names(storage, "inbox")
        dead = Counter(name.partition("/")[0] for name in _names(storage, "dead-letters"))
        gaps = sum(name.startswith("gaps/") for name in _names(storage, "state"))
    found = verdict(ledger, blobs, still_in_inbox=len(inbox), dead_letters=dead)
    found.gaps = gaps
    if found.withheld and not gaps:
        found.lost.append(f"{found.withheld} that fell into a gap which nobody asked to export")
    return found


def verdict(ledger: Ledger, blobs: list[Blob], *, still_in_inbox: int, dead_letters: Counter[str]) -> Verdict:
    """As ``judge``, with the blobs at hand."""
    genuine = ledger.genuine()
    found = Verdict(sent=len(genuine), still_in_inbox=still_in_inbox, dead_letters=dead_letters)
    found.withheld = sum(each.forged is None for each in ledger.contents) - len(genuine)
    found.duplicates_dropped = ledger.summary()["duplicates"]
    _judge_contents(found, genuine, [blob for blob in blobs if not blob.is_tombstone])
    _judge_deletions(found, genuine, [blob for blob in blobs if blob.is_tombstone])
    _judge_forgeries(found, ledger, blobs)
    return found


def _judge_contents(found: Verdict, genuine: tuple[Content, ...], blobs: list[Blob]) -> None:
    there = Counter(blob.sha256 for blob in blobs)
    owed = {each.sha256: each for each in genuine if each.change_type != "deleted" and each.sha256}
    for sha256, content in owed.items():
        if not there[sha256]:
            found.lost.append(f"{content.ref} ({content.kind} {content.id}, version {content.etag})")
        elif there[sha256] > 1:
            found.kept_twice.append(content.ref)
        else:
            found.archived += 1
    found.unexpected += [f"{blob.container}/{blob.name}" for blob in blobs if blob.sha256 not in owed]


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
            yield Blob(container, name, storage.get_blob_client(container, name).download_blob().readall())


def _names(storage: BlobServiceClient, container: str) -> list[str]:
    client = storage.get_container_client(container)
    return list(client.list_blob_names()) if client.exists() else []
