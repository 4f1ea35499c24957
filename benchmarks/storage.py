"""The emulator that the benchmarks write to, and the app's own containers on it."""

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.azurite import Azurite
from shared.adapters.blob_container import BlobContainer, open_container


@contextmanager
def emulator() -> Iterator[Azurite]:
    """Azurite with its data on disk: in memory it gets slow after some thousand small blobs."""
    with tempfile.TemporaryDirectory() as folder, Azurite(location=Path(folder)) as azurite:
        yield azurite


def container(azurite: Azurite, name: str) -> BlobContainer:
    """A container of the app's, as its worker opens it, and there already."""
    opened = open_container(name, connection_string=azurite.connection_string, service_uri=None, credential=None)
    opened.create(f"first/{uuid.uuid4()}", b"", {})
    return opened
