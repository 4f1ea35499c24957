"""What Azure answers where the archive is protected, to the adapter that writes into it.

The emulator knows no immutability, so a server of three lines stands in for the container.
"""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from shared.adapters.blob_container import BlobContainer, open_container
from shared.core.errors import StorageUnavailable


class Refusing(BaseHTTPRequestHandler):
    """Refuses each write with the status and code that its name holds: ``/account/container/409-Code``."""

    def do_PUT(self) -> None:
        status, _, code = self.path.rpartition("/")[2].partition("-")
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(int(status))
        self.send_header("x-ms-error-code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def container() -> Iterator[BlobContainer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_port}/account"
    connection = f"DefaultEndpointsProtocol=http;AccountName=account;AccountKey=a2V5;BlobEndpoint={endpoint};"
    yield open_container("interactions", connection_string=connection, service_uri=None, credential=None)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("code", ["BlobAlreadyExists", "BlobImmutableDueToPolicy"])
def test_a_duplicate_is_there_already_with_and_without_a_policy(container: BlobContainer, code: str) -> None:
    assert container.create(f"409-{code}", b"{}", {}) is False


def test_without_the_right_to_write_a_duplicate_would_look_like_trouble(container: BlobContainer) -> None:
    """Why the role in archive-role.bicep has ``write`` beside ``add``."""
    with pytest.raises(StorageUnavailable):
        container.create("403-UnauthorizedBlobOverwrite", b"{}", {})
