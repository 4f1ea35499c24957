"""What storage holds, blob by blob, boiled down to what a verdict needs: digests and names, no content.

A siege leaves hundreds of thousands of blobs. Each is read, several at a time, and forgotten but for a few words. What
is in the archive is never changed, so whoever looks again need not read it again.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import islice
from sys import intern
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobProperties, BlobServiceClient, ContainerClient, LinearRetry

from local.graph.content.canonical import canonical_sha256

ARCHIVE = ("interactions", "chats", "resources")
AT_ONCE = 8
LISTED = 512
# For clients that are to find out what is there, however much else storage has to do: it may be busy for a minute.
PATIENT: dict[str, Any] = {"read_timeout": 60, "retry_policy": LinearRetry(backoff=2, retry_total=10)}


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
    def says(self) -> str | None:
        """A digest of what it says, in whatever form; None for what is no JSON."""
        return canonical_sha256(self.content)

    @property
    def is_tombstone(self) -> bool:
        """Whether it tells of a deletion."""
        return "/deleted/" in self.name

    def __str__(self) -> str:
        return f"{self.container}/{self.name}"


@dataclass(frozen=True, slots=True)
class Held:
    """A blob of the archive without its content.

    ``identity`` is by what it is known: a notification's is there byte for byte, an export's in the form that the
    export has. ``says`` is the same for all that say the same. ``sound``: the bytes are those of its digest.
    """

    where: str
    identity: str
    says: str
    source: str
    sound: bool

    @classmethod
    def of(cls, blob: Stored) -> "Held":
        """What is kept of a blob."""
        source = intern(blob.metadata.get("source", "nobody knows what"))
        identity = f"says {blob.says}" if source == "export" else blob.sha256
        sound = blob.metadata.get("sha256") == blob.sha256
        return cls(str(blob), identity, blob.says or blob.sha256, source, sound)


@dataclass
class Holdings:
    """All that storage holds: contents by digest; by id, where the id is all that can be read.

    ``reasons`` are those of dead letters.
    """

    archive: dict[str, Held] = field(default_factory=dict)
    graves: Counter[str] = field(default_factory=Counter)
    dead: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    waiting: Counter[str] = field(default_factory=Counter)

    def take(self, blobs: Iterable[Stored]) -> "Holdings":
        """Take more of it in; itself."""
        for blob in blobs:
            if blob.container == "inbox":
                self.waiting.update(_identifier(item) for item in json.loads(blob.content)["value"])
            elif blob.container == "dead-letters":
                self.dead[_identifier(json.loads(blob.content)["item"])] += 1
                self.reasons[blob.name.partition("/")[0]] += 1
            elif blob.container in ARCHIVE:
                if blob.is_tombstone:
                    self.graves[_identifier(json.loads(blob.content))] += 1
                else:
                    self.archive[str(blob)] = Held.of(blob)
        return self


def read(
    storage: BlobServiceClient, containers: Collection[str] | None = None, known: Collection[str] = ()
) -> Iterator[Stored]:
    """Every blob of these containers (of all, unless told), but for those that are known already."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for container in storage.list_containers():
            if containers is not None and container.name not in containers:
                continue
            client = storage.get_container_client(container.name)
            blobs = client.list_blobs(include=["metadata"])
            listed = (blob for blob in blobs if f"{container.name}/{blob.name}" not in known)
            # Some hundred at a time: a million must not wait for their turn in memory.
            while several := list(islice(listed, LISTED)):
                found = threads.map(partial(_read, client), several)
                yield from (each for each in found if each is not None)


def _read(client: ContainerClient, blob: BlobProperties) -> Stored | None:
    try:
        content = client.download_blob(blob.name).readall()
    except ResourceNotFoundError:
        return None  # looked at while the app works: a post has just left the inbox
    metadata = {name.lower(): value for name, value in (blob.metadata or {}).items()}
    return Stored(client.container_name, blob.name, content, metadata)


def _identifier(item: object) -> str:
    data = _lower(item).get("resourcedata")
    return str(_lower(data).get("id"))


def _lower(document: object) -> dict[str, Any]:
    return {name.lower(): value for name, value in document.items()} if isinstance(document, dict) else {}
