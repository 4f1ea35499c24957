"""Runs Azurite, Microsoft's storage emulator, for one owner: on its own ports, ended with its owner.

https://learn.microsoft.com/azure/storage/common/storage-use-azurite
"""

import atexit
import http.client
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from local.azurite_install import AzuriteError, install
from local.free_ports import LOOPBACK, free_ports

__all__ = ["ACCOUNT", "ACCOUNT_KEY", "Azurite", "AzuriteError", "Ports", "Tls", "install"]

ACCOUNT = "devstoreaccount1"
# Published by Microsoft for the emulator, the same for everybody.
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_PRELOAD = Path(__file__).resolve().parent / "stop_on_eof.cjs"
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_TRIES = 3


@dataclass(frozen=True)
class Ports:
    """Where the three services listen on 127.0.0.1."""

    blob: int
    queue: int
    table: int


@dataclass(frozen=True)
class Tls:
    """PEM files for HTTPS. Azurite then also takes bearer tokens, checking their claims and not their signature."""

    certificate: Path
    key: Path


class Azurite:
    """One Azurite; a context manager that starts and stops it. After `stop`, `start` uses the same ports.

    Data lives in `location`, or in memory and then no longer than one start. `log` takes what it prints.
    """

    def __init__(
        self,
        *,
        location: Path | None = None,
        ports: Ports | None = None,
        tls: Tls | None = None,
        log: Path | None = None,
    ) -> None:
        self._location = location
        self._ports = ports
        self._tls = tls
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def ports(self) -> Ports:
        """The ports; `AzuriteError` before the first start, unless they were given."""
        if self._ports is None:
            raise AzuriteError("Azurite has not been started: it has no ports yet")
        return self._ports

    @property
    def blob_port(self) -> int:
        """Port of the Blob service."""
        return self.ports.blob

    @property
    def queue_port(self) -> int:
        """Port of the Queue service."""
        return self.ports.queue

    @property
    def table_port(self) -> int:
        """Port of the Table service."""
        return self.ports.table

    @property
    def blob_url(self) -> str:
        """The account's Blob endpoint, for clients that bring a credential."""
        return self._url(self.ports.blob)

    @property
    def queue_url(self) -> str:
        """The account's Queue endpoint, for clients that bring a credential."""
        return self._url(self.ports.queue)

    @property
    def connection_string(self) -> str:
        """Connection string with the emulator's well-known key."""
        return (
            f"DefaultEndpointsProtocol={self._scheme};AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};"
            f"BlobEndpoint={self.blob_url};QueueEndpoint={self.queue_url};TableEndpoint={self._url(self.ports.table)};"
        )

    @property
    def pid(self) -> int:
        """Process id, to pause it or to look at its memory; `AzuriteError` when it is not running."""
        if self._process is None:
            raise AzuriteError("Azurite is not running")
        return self._process.pid

    def start(self) -> Self:
        """Install if need be, start, and return once all three services answer. `AzuriteError` when they do not."""
        if self._process is not None:
            return self
        command = install()
        fixed = self._ports
        for attempt in range(1, _TRIES + 1):
            self._ports = fixed or Ports(*free_ports(3))
            try:
                self._start(command)
            except AzuriteError:
                # A free port may be taken by another process before Azurite gets it; a given one we must not change.
                if fixed or attempt == _TRIES:
                    self._ports = fixed
                    raise
            else:
                break
        atexit.register(self.stop)
        return self

    def stop(self) -> None:
        """End it, let it write its data, and wait. Does nothing when it is not running."""
        atexit.unregister(self.stop)
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin is not None:
            process.stdin.close()

    def _start(self, command: list[str]) -> None:
        node, *script = command
        # Its own session: a Ctrl-C in the terminal is for the owner, who stops Azurite last.
        with (self._log or Path("/dev/null")).open("ab") as output:
            self._process = subprocess.Popen(
                [node, "--require", str(_PRELOAD), *script, *self._arguments()],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._await_answers(self._process)
        except BaseException:
            self.stop()
            raise

    def _arguments(self) -> list[str]:
        ports = self.ports
        # Azurite refuses API versions newer than itself, which an SDK upgrade may bring; and it need not call home.
        arguments = ["--silent", "--skipApiVersionCheck", "--disableTelemetry"]
        for service, port in (("blob", ports.blob), ("queue", ports.queue), ("table", ports.table)):
            arguments += [f"--{service}Host", LOOPBACK, f"--{service}Port", str(port)]
        arguments += ["--location", str(self._location)] if self._location else ["--inMemoryPersistence"]
        if self._tls:
            arguments += ["--cert", str(self._tls.certificate), "--key", str(self._tls.key), "--oauth", "basic"]
        return arguments

    def _await_answers(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        for port in (self.ports.blob, self.ports.queue, self.ports.table):
            while not self._answers(port):
                if process.poll() is not None:
                    raise AzuriteError(f"Azurite ended with code {process.returncode}; is one of {self.ports} taken?")
                if time.monotonic() > deadline:
                    raise AzuriteError(f"Azurite does not answer on port {port} after {_START_SECONDS:.0f} s")
                time.sleep(0.05)

    def _answers(self, port: int) -> bool:
        try:
            if self._tls:
                # Whether its certificate is trusted is between the clients and whoever made it.
                socket.create_connection((LOOPBACK, port), timeout=1).close()
            else:
                connection = http.client.HTTPConnection(LOOPBACK, port, timeout=2)
                connection.request("GET", "/")
                connection.getresponse().close()
                connection.close()
        except (OSError, http.client.HTTPException):
            return False
        return True

    @property
    def _scheme(self) -> str:
        return "https" if self._tls else "http"

    def _url(self, port: int) -> str:
        return f"{self._scheme}://{LOOPBACK}:{port}/{ACCOUNT}"
