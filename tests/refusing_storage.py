"""Blob storage that answers every write with one status and error code, and says what exists."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

from tests.serving import serving


@contextmanager
def refusing_storage(status: int, code: str, *, exists: bool = False) -> Iterator[str]:
    """A connection string to it. ``exists``: what a look at a blob finds."""

    class Refusal(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._answer(status, code)

        def do_HEAD(self) -> None:
            self._answer(*((200, "") if exists else (404, "BlobNotFound")))

        def _answer(self, status: int, code: str) -> None:
            self.send_response(status)
            for name, value in (("Content-Length", "0"), ("x-ms-error-code", code)):
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing is worth a line."""

    with serving(Refusal) as origin:
        yield f"AccountName=a;AccountKey=a2V5;BlobEndpoint={origin}/a"
