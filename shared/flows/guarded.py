"""A blob that several instances write: each of them finds out whether what it wrote is what is there."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.ports import Blob, Container


@dataclass(slots=True)
class GuardedBlob:
    """One blob by name, and its ETag as we know it: None until it was read or written, and where there is none."""

    container: Container
    name: str
    etag: str | None = None

    def read(self) -> Blob | None:
        """What is there now, which a later write is guarded by. Raises StorageUnavailable."""
        blob = self.container.read(self.name)
        self.etag = None if blob is None else blob.etag
        return blob

    def write(self, content: bytes, metadata: Mapping[str, str] | None = None) -> bool:
        """Write over what we know, and nothing else. False where something else is there now.

        Raises StorageUnavailable.
        """
        if self.etag is None:
            self.container.create(self.name, content, metadata or {})
        else:
            self.container.replace(self.name, content, self.etag, metadata)
        # Read back whatever it said: an acknowledgement may have been lost, and the next write needs the new ETag.
        blob = self.read()
        return blob is not None and blob.content == content
