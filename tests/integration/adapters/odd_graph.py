"""A Graph over TLS that answers what a test says, byte for byte, and remembers who asked what over which connection."""

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from local.graph.tls import issue

DATE = "Mon, 05 Jan 2026 09:30:10 GMT"


@dataclass(frozen=True)
class Asked:
    """A request as it came. ``connection`` is the same for requests over the same connection."""

    target: str
    headers: Mapping[str, str]
    connection: int


@dataclass
class OddGraph:
    """``answers`` by path, or by path and query; each writes to the socket itself."""

    origin: str = ""
    asked: list[Asked] = field(default_factory=list)
    answers: dict[str, Callable[["Wire"], None]] = field(default_factory=dict)

    def answer(self, path: str, document: object, status: int = 200, **headers: str) -> None:
        """Answer a path with JSON, or with bytes."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.write(path, lambda wire: wire.whole(status, named, body))

    def write(self, path: str, answer: Callable[["Wire"], None]) -> None:
        """Answer a path by hand."""
        self.answers[path] = answer


class Wire(BaseHTTPRequestHandler):
    """One connection, as the answers see it."""

    protocol_version = "HTTP/1.1"
    graph: OddGraph

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.graph.asked.append(Asked(self.path, dict(self.headers), self.client_address[1]))
        answers = self.graph.answers
        answer = answers.get(self.path) or answers.get(urlsplit(self.path).path)
        if answer is None:
            self.whole(404, {}, b"{}")
        else:
            answer(self)

    do_POST = do_GET  # noqa: N815 - http.server's name

    def whole(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """An answer as it should be, but for what the headers say."""
        self.head(status, {"Content-Length": str(len(body)), **headers})
        self.wfile.write(body)

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """The first lines, with no header but those."""
        lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        self.wfile.write("\r\n".join(lines).encode("latin-1"))

    def drop(self) -> None:
        """End the connection in the middle of everything."""
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that had enough is no news."""


@contextmanager
def odd_graph(folder: Path) -> Iterator[tuple[OddGraph, Path]]:
    """The server, and the file of the authority that clients have to trust."""
    files = issue(folder)
    graph = OddGraph()

    class Handler(Wire):
        pass

    Handler.graph = graph
    with _Server(("127.0.0.1", 0), Handler) as server:
        # The handshake belongs to the connection's own thread, or one slow client would hold up the others.
        server.socket = files.server_context().wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        graph.origin = f"https://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield graph, files.ca_file
        finally:
            server.shutdown()
            thread.join()
