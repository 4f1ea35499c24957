"""A document on a local web server, for whoever fetches it anew each time."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from local.free_ports import LOOPBACK, free_ports


@contextmanager
def serving(document: object) -> Iterator[str]:
    """A web server in a process of its own, so that its CPU time is not ours; gives the document's URL."""
    port = free_ports(1)[0]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "keys").write_text(json.dumps(document), encoding="utf-8")
        command = [sys.executable, "-m", "http.server", str(port), "--bind", LOOPBACK, "--directory", folder]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            url = f"http://{LOOPBACK}:{port}/keys"
            await_answer(url)
            yield url
        finally:
            server.terminate()
            server.wait()


def await_answer(url: str) -> None:
    """Return once a web server answers there, with whatever status."""
    for _ in range(100):
        try:
            urlopen(url, timeout=1).close()  # noqa: S310 - our own server
        except HTTPError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(url)
