"""Looks at what a run has left in blob storage: lists a container, or prints one blob.

``python -m local.blobs interactions`` · ``python -m local.blobs interactions NAME`` · ``--folder`` for another run.
"""

import argparse
import json
import signal
import sys
from pathlib import Path

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import ContainerClient

from local.azurite import Azurite, AzuriteError


def main() -> int:
    """List or print; returns the exit status."""
    # So that `| head` ends it as it ends any tool.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("container", help="interactions, chats, resources, dead-letters, inbox or state")
    parser.add_argument("name", nargs="?", help="a blob to print, with its metadata on standard error")
    parser.add_argument("--folder", type=Path, default=Path(".run"), help="the folder of the run (default: .run)")
    arguments = parser.parse_args()
    location = arguments.folder / "azurite"
    if not location.is_dir():
        sys.stderr.write(f"{location} is not there: make run first\n")
        return 2
    try:
        with Azurite(location=location) as azurite:
            connection = azurite.connection_string
            with ContainerClient.from_connection_string(connection, arguments.container) as container:
                return _show(container, arguments.name)
    except AzuriteError as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _show(container: ContainerClient, name: str | None) -> int:
    try:
        if name is None:
            for each in container.list_blob_names():
                sys.stdout.write(f"{each}\n")
            return 0
        blob = container.download_blob(name)
        sys.stderr.write(json.dumps(blob.properties.metadata, indent=1) + "\n")
        sys.stdout.buffer.write(blob.readall())
    except ResourceNotFoundError:
        sys.stderr.write("there is no such container or blob\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
