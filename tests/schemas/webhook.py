"""An endpoint that passes the handshake and accepts whatever comes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class _Webhook(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        tokens = parse_qs(urlsplit(self.path).query).get("validationToken", [])
        content = "".join(tokens).encode()
        self.send_response(200 if tokens else 202)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def listening() -> Iterator[str]:
    """Serve on a free port of loopback; gives the URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Webhook) as server:
        thread = threading.Thread(target=server.serve_forever, name="webhook", daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/api/notifications"
        server.shutdown()
        thread.join()
