"""The clients that are compared, by their names in the tables, and the environment that Microsoft's own is in."""

import json
import ssl
import subprocess
import sys
import venv
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from benchmarks import export_peer, export_ways
from benchmarks.export_graph import Served
from benchmarks.export_turns import Client, client

BARE = "the bare loop: requests and json"
OURS = "ours: pages only"
OFFICIAL = "Microsoft's client"
NEW = "the whole worker, all of it new"
FOUND = "the whole worker, all found in the archive"
KNOWN = "the whole worker, all known to the checkpoint"
ENDLESS = "the whole worker, an archive that keeps nothing"
_WAYS = {
    OURS: export_ways.WALK,
    NEW: export_ways.NEW,
    FOUND: export_ways.FOUND,
    KNOWN: export_ways.KNOWN,
    ENDLESS: export_ways.ENDLESS,
}
_REQUIREMENTS = Path(__file__).with_name("requirements-peers.txt")
_VERSIONS = "from importlib.metadata import version; print(', '.join(f'{n} {version(n)}' for n in %r))"


@dataclass(frozen=True, slots=True)
class Clients:
    """How to start each of them. ``peer``: the interpreter that has Microsoft's, None where there is none."""

    graph: Served
    peer: str | None

    @property
    def pulling(self) -> list[str]:
        """Those that do nothing but pull pages, as far as they are there."""
        return [OURS, BARE, *([OFFICIAL] if self.peer else [])]

    def start(self, stack: ExitStack, name: str, storage: str | None = None) -> Client:
        """One in a fresh process, until the stack is unwound."""
        if name == OFFICIAL:
            assert self.peer is not None
            command = [self.peer, "-m", "benchmarks.export_peer", export_peer.AS_IT_COMES, self.graph.origin]
        elif name == BARE:
            command = [sys.executable, "-m", "benchmarks.export_bare", self.graph.origin]
        else:
            command = [sys.executable, "-m", "benchmarks.export_ways", _WAYS[name], self.graph.origin]
        return stack.enter_context(client(command if storage is None else [*command, storage], self._trust))

    def ask_once(self, mode: str, user: str) -> dict[str, Any]:
        """What a caller of Microsoft's client gets who asks for one page."""
        assert self.peer is not None
        command = [self.peer, "-m", "benchmarks.export_peer", mode, self.graph.origin, user]
        with client(command, self._trust) as asking:
            return asking.told()

    def seen(self, user: str) -> dict[str, Any]:
        """What the server has seen of a user."""
        trust = ssl.create_default_context(cafile=self.graph.ca_file)
        with urlopen(f"{self.graph.origin}/seen/users/{user}", context=trust, timeout=10) as answer:  # noqa: S310 - ours
            told: dict[str, Any] = json.load(answer)
        return told

    @property
    def _trust(self) -> dict[str, str]:
        # As each library wants to be told.
        return {"REQUESTS_CA_BUNDLE": self.graph.ca_file, "SSL_CERT_FILE": self.graph.ca_file}


def peer_interpreter(folder: Path | None) -> str | None:
    """The interpreter of the environment there, which is made where there is none. Needs a package index only then."""
    if folder is None:
        return None
    interpreter = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not interpreter.exists():
        print(f"Installing Microsoft's client to {folder}")
        venv.create(folder, with_pip=True)
        install = [str(interpreter), "-m", "pip", "install", "--quiet", "--requirement", str(_REQUIREMENTS)]
        subprocess.run(install, check=True)
    return str(interpreter.absolute())


def peer_versions(interpreter: str) -> str:
    """What is in that environment."""
    command = [interpreter, "-c", _VERSIONS % (export_peer.DISTRIBUTIONS,)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
