"""Small servers on loopback for as long as a context lasts, and the webhook that takes everything."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class _Server(ThreadingHTTPServer):
    # Forty handshakes of a batch come at once; the default keeps five waiting.
    request_queue_size = 128
    daemon_threads = True


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The origin at which a handler's requests are answered."""
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def open_door() -> AbstractContextManager[str]:
    """The origin of notification URLs that answer handshakes and accept everything."""
    return serving(_Door)


class _Door(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        """Say the token, or thank you."""
        (token,) = parse_qs(urlsplit(self.path).query).get("validationToken", [""])
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200 if token else 202)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(token.encode())))
        self.end_headers()
        self.wfile.write(token.encode())

    def log_message(self, *_: object) -> None:
        """Nothing is worth a line."""
