"""Containers that stand in for storage: in memory, counted, and one that keeps nothing."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from shared.ports import Blob, Container

_WRITTEN = datetime(2026, 3, 3, 6, tzinfo=UTC)


class MemoryContainer:
    """A Container that costs next to nothing: what a worker takes without storage."""

    def __init__(self) -> None:
        self._blobs: dict[str, Blob] = {}
        self._writes = 0

    def create(self, name: str, content: bytes, metadata: Mapping[str, str]) -> bool:
        """See the port."""
        return name not in self._blobs and self._write(name, content, metadata)

    def metadata(self, name: str) -> Mapping[str, str] | None:
        """See the port."""
        blob = self._blobs.get(name)
        return None if blob is None else blob.metadata

    def read(self, name: str) -> Blob | None:
        """See the port."""
        return self._blobs.get(name)

    def replace(self, name: str, content: bytes, etag: str, metadata: Mapping[str, str] | None = None) -> bool:
        """See the port."""
        blob = self._blobs.get(name)
        if blob is None or blob.etag != etag:
            return False
        return self._write(name, content, blob.metadata if metadata is None else metadata)

    def delete(self, name: str, etag: str | None = None) -> bool:  # noqa: ARG002 - the port's
        """See the port."""
        return self._blobs.pop(name, None) is not None

    def names(self, prefix: str = "") -> Iterator[str]:
        """See the port."""
        return iter(sorted(name for name in self._blobs if name.startswith(prefix)))

    def described(self, prefix: str) -> Iterator[tuple[str, Mapping[str, str]]]:
        """See the port."""
        return ((name, self._blobs[name].metadata) for name in self.names(prefix))

    def ages(self, prefix: str) -> Iterator[datetime]:
        """See the port."""
        return (self._blobs[name].last_modified for name in self.names(prefix))

    def folders(self) -> Iterator[str]:
        """See the port."""
        return iter(sorted({name.partition("/")[0] for name in self._blobs}))

    def _write(self, name: str, content: bytes, metadata: Mapping[str, str]) -> bool:
        self._writes += 1
        self._blobs[name] = Blob(content, metadata, str(self._writes), _WRITTEN)
        return True


class Bottomless(MemoryContainer):
    """An archive that takes everything and holds nothing, so that only the worker's own memory is measured."""

    def create(self, name: str, content: bytes, metadata: Mapping[str, str]) -> bool:  # noqa: ARG002 - the port's
        """See the port."""
        return True


@dataclass(slots=True)
class Counted:
    """A Container around another one that counts calls by what they are about."""

    what: str
    inner: Container
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)

    def create(self, name: str, content: bytes, metadata: Mapping[str, str]) -> bool:
        """See the port."""
        self._count("create", name)
        return self.inner.create(name, content, metadata)

    def metadata(self, name: str) -> Mapping[str, str] | None:
        """See the port."""
        self._count("look", name)
        return self.inner.metadata(name)

    def read(self, name: str) -> Blob | None:
        """See the port."""
        self._count("read", name)
        return self.inner.read(name)

    def replace(self, name: str, content: bytes, etag: str, metadata: Mapping[str, str] | None = None) -> bool:
        """See the port."""
        self._count("replace", name)
        return self.inner.replace(name, content, etag, metadata)

    def delete(self, name: str, etag: str | None = None) -> bool:
        """See the port."""
        self._count("delete", name)
        return self.inner.delete(name, etag)

    def names(self, prefix: str = "") -> Iterator[str]:
        """See the port."""
        self._count("list", prefix)
        return self.inner.names(prefix)

    def described(self, prefix: str) -> Iterator[tuple[str, Mapping[str, str]]]:
        """See the port."""
        self._count("list", prefix)
        return self.inner.described(prefix)

    def ages(self, prefix: str) -> Iterator[datetime]:
        """See the port."""
        self._count("list", prefix)
        return self.inner.ages(prefix)

    def folders(self) -> Iterator[str]:
        """See the port."""
        self._count("list", "")
        return self.inner.folders()

    def _count(self, call: str, name: str) -> None:
        # In the container of state, what it is about is said by the first part of the name.
        about = name.partition("/")[0] if self.what == "state" else self.what
        self.calls[about, call] += 1
