"""A resource comes to rest under its name, once: created, found there already, or kept beside what claims the name."""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from shared.core.archive_path import ArchivePath, conflict_path
from shared.core.errors import MalformedContent, StorageUnavailable
from shared.core.resources import digest, parse_resource
from shared.ports import Container

logger = logging.getLogger(__name__)

# What a look at a blob compares. ``sha256`` beside it is that of the bytes, for whoever audits with other tools.
CANONICAL = "canonicalsha256"
SOURCE = "source"


class Outcome(StrEnum):
    """What became of an item that is at rest now, or that the export is asked for."""

    ARCHIVED = "archived"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    ASKED_FOR = "asked-for"


@dataclass(frozen=True, slots=True)
class Rested:
    """What became of a resource, and the source of what rests under its name."""

    outcome: Outcome
    source: str


@dataclass(frozen=True, slots=True)
class Resting:
    """Puts resources to rest. Every write is create-only, so doing it again changes nothing."""

    containers: Mapping[str, Container]
    state: Container

    def rest(
        self,
        path: ArchivePath,
        content: bytes,
        canonical: str,
        metadata: Mapping[str, str],
        *,
        look_first: bool = False,
    ) -> Rested:
        """Put a resource to rest; ``canonical`` is its digest. Raises StorageUnavailable.

        ``look_first`` where it is likely to be there: a look costs a tenth of a write that is refused.
        """
        container = self.containers[path.container]
        marked = {**metadata, "sha256": hashlib.sha256(content).hexdigest(), CANONICAL: canonical}
        there = _look(container, path) if look_first else None
        if there is None and container.create(path.name, content, marked):
            return Rested(Outcome.ARCHIVED, metadata[SOURCE])
        # The name is taken: by a duplicate, by the other source, by our own write whose acknowledgement was lost, or by
        # something else. Only a look tells.
        there = there or _look(container, path)
        if there is None:
            raise StorageUnavailable(f"{path.container}/{path.name} was there and is gone; it is looked at again")
        if there.canonical == canonical:
            return Rested(Outcome.DUPLICATE, there.source)
        # By what it says: the two sources write the same content differently.
        beside = conflict_path(path, canonical.encode())
        # Told before it is kept: a crash in between repeats the telling, the other order could swallow it.
        self._tell_conflict(path, beside)
        outcome = Outcome.CONFLICT if container.create(beside.name, content, marked) else Outcome.DUPLICATE
        return Rested(outcome, there.source)

    def holds(self, path: ArchivePath, canonical: str) -> bool:
        """Whether this very resource rests there already. Raises StorageUnavailable."""
        there = _look(self.containers[path.container], path)
        return there is not None and there.canonical == canonical

    def _tell_conflict(self, path: ArchivePath, beside: ArchivePath) -> None:
        note = json.dumps({"container": path.container, "name": path.name, "beside": beside.name}).encode()
        if self.state.create(f"conflicts/{hashlib.sha256(beside.name.encode()).hexdigest()}.json", note, {}):
            logger.error(
                "conflict: %s/%s holds other content than the same version received now, which is kept beside it as %s",
                path.container,
                path.name,
                beside.name,
            )


@dataclass(frozen=True, slots=True)
class _There:
    """What rests under a name: its digest, and what brought it."""

    canonical: str
    source: str


def _look(container: Container, path: ArchivePath) -> _There | None:
    metadata = container.metadata(path.name)
    if metadata is None:
        return None
    if CANONICAL in metadata:
        return _There(metadata[CANONICAL], metadata.get(SOURCE, ""))
    blob = container.read(path.name)
    if blob is None:
        return None
    try:
        canonical = digest(parse_resource(blob.content))
    except MalformedContent:
        canonical = ""  # whatever it is, it is not what we hold
    return _There(canonical, blob.metadata.get(SOURCE, ""))
