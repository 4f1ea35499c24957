"""Where telemetry goes on a desk: each way in a process of its own, because OpenTelemetry is set up once a process."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from local.telemetry.records import Told

ROOT = Path(__file__).parents[3]

PROGRAM = """
import logging, sys
from local.telemetry.listening import listen

stop = listen(sys.argv[1])
from shared import parts
from shared.core.metrics import GAPS

telemetry = parts.telemetry()
with telemetry.span("store", post="a-post"):
    telemetry.measure(GAPS, 3)
    logging.getLogger("app").warning("post %s\\nforged", "a-post", extra={"post": "a-post"})
stop()
"""


class _Endpoint(BaseHTTPRequestHandler):
    """Takes what an OTLP exporter posts."""

    posts: list[tuple[str, bytes]]

    def do_POST(self) -> None:
        """Keep a post."""
        self.posts.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def endpoint() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """An OTLP endpoint's address, and what was posted there."""
    posts: list[tuple[str, bytes]] = []
    with HTTPServer(("127.0.0.1", 0), type("Endpoint", (_Endpoint,), {"posts": posts})) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", posts
        server.shutdown()
        thread.join()


def run(where: str, **environment: str) -> str:
    """Run the program; what it printed."""
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM, where],
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_it_goes_to_the_console() -> None:
    printed = run("console")

    assert '"name": "store"' in printed
    assert "copilot_archive.gaps.open" in printed


def test_it_goes_to_an_otlp_endpoint(endpoint: tuple[str, list[tuple[str, bytes]]]) -> None:
    address, posts = endpoint
    run("otlp", OTEL_EXPORTER_OTLP_ENDPOINT=address, OTEL_EXPORTER_OTLP_COMPRESSION="none")
    told = dict(posts)

    assert b"a-post" in told["/v1/traces"]
    assert b"copilot_archive.gaps.open" in told["/v1/metrics"]


def test_it_goes_to_a_file_log_lines_included(tmp_path: Path) -> None:
    run(str(tmp_path / "told.jsonl"))
    told = Told.read(tmp_path / "told.jsonl")
    (span,) = told.spans("store")
    (line,) = [each for each in told.logs() if each.logger == "app"]

    assert told.values("copilot_archive.gaps.open") == {(): 3}
    assert span.attributes == {"post": "a-post"}
    # A line of the file is a record, whatever is in it: no input forges one.
    assert line.text == "post a-post\nforged"
    assert (line.trace_id, line.attributes) == (span.trace_id, {"post": "a-post"})


def test_a_file_that_is_being_written_is_read_up_to_its_last_whole_line(tmp_path: Path) -> None:
    file = tmp_path / "told.jsonl"
    assert Told.read(file).records == []
    run(str(file))
    whole = Told.read(file).records
    with file.open("a") as more:
        more.write('{"span": {"na')

    assert Told.read(file).records == whole


def test_where_nobody_listens_opentelemetry_is_not_even_loaded() -> None:
    program = (
        "import sys\nfrom shared import parts\nfrom shared.ports import SILENCE\n"
        "assert parts.telemetry() is SILENCE\nassert 'opentelemetry' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=60)
