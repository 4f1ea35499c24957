"""Runs the host as a process of its own, for tests, benchmarks and `make run`."""

import atexit
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

_REPOSITORY = Path(__file__).resolve().parents[2]
_ADDRESS = "127.0.0.1"
_LISTENING = re.compile(r"Listening on http://127\.0\.0\.1:(\d+)")


class HostProcessError(Exception):
    """The host did not start, stop or answer as it should; the message ends with the tail of its log."""


class HostProcess:
    """One host process; a context manager that starts and stops it.

    `settings` is a local.settings.json-shaped file, or its `Values`. `port` 0 takes a free port and keeps it over
    `restart`. `log` collects what the host and the app write; without it, a file that is deleted in the end.
    """

    def __init__(
        self,
        settings: Path | Mapping[str, str],
        *,
        function_key: str | None = None,
        master_key: str | None = None,
        port: int = 0,
        app: Path = _REPOSITORY,
        engine: str = "auto",
        timers: bool = True,
        log: Path | None = None,
        python: Path = Path(sys.executable),
        extra_arguments: Sequence[str] = (),
        ready_seconds: float = 60.0,
    ) -> None:
        self._folder = folder = Path(tempfile.mkdtemp(prefix="functions-host-"))
        atexit.register(self._remove_folder)
        self._settings = settings if isinstance(settings, Path) else folder / "local.settings.json"
        if not isinstance(settings, Path):
            _write_settings(self._settings, settings, function_key, master_key)
        self._log = log or folder / "host.log"
        self._port = port
        self._ready_seconds = ready_seconds
        timer_arguments = [] if timers else ["--no-timers"]
        self._command = [str(python), "-m", "local.functions_host", "--settings", str(self._settings.resolve())]
        self._command += ["--app", str(app), "--engine", engine, "--stop-on-eof", *timer_arguments, *extra_arguments]
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        try:
            if self._process is not None:
                self.stop()
        finally:
            self.kill()
            self._remove_folder()

    @property
    def port(self) -> int:
        """The port; 0 before the first start of a host that takes a free one."""
        return self._port

    @property
    def url(self) -> str:
        """`http://127.0.0.1:<port>`, without the route prefix."""
        return f"http://{_ADDRESS}:{self._port}"

    @property
    def pid(self) -> int:
        """Process id; `HostProcessError` when it is not running."""
        return self._running().pid

    @property
    def log_text(self) -> str:
        """Everything in the log."""
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""

    def start(self) -> Self:
        """Start and return when `/admin/host/status` answers 200."""
        self.launch()
        deadline = time.monotonic() + self._ready_seconds
        while not self._is_ready():
            if self._running().poll() is not None:
                code = self.wait()
                raise HostProcessError(f"the host ended with code {code}\n{self._tail()}")
            if time.monotonic() > deadline:
                self.kill()
                raise HostProcessError(f"the host is not ready after {self._ready_seconds:.0f} s\n{self._tail()}")
            time.sleep(0.05)
        return self

    def launch(self) -> None:
        """Start and return at once."""
        if self._process is not None:
            raise HostProcessError("the host is running already")
        self._log_start = len(self.log_text)
        with self._log.open("ab") as log:
            # Its own session: a Ctrl-C in the terminal is for the parent, who stops the host in order.
            self._process = subprocess.Popen(
                [*self._command, "--port", str(self._port)],
                cwd=_REPOSITORY,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        atexit.register(self.kill)

    def stop(self, timeout: float = 40.0) -> int:
        """SIGTERM, wait, and return the exit code; `HostProcessError` when it does not end in `timeout` seconds."""
        self._running().send_signal(signal.SIGTERM)
        return self.wait(timeout)

    def wait(self, timeout: float = 40.0) -> int:
        """Wait for the end that something else brings about, and return the exit code."""
        process = self._running()
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise HostProcessError(f"the host did not end within {timeout:.0f} s\n{self._tail()}") from error
        self._forget(process)
        return code

    def kill(self) -> None:
        """SIGKILL: nothing is finished, messages that were running stay invisible until their lease ends."""
        process = self._process
        if process is not None:
            process.kill()
            process.wait()
            self._forget(process)

    def restart(self) -> None:
        """Stop if it runs, and start on the same port."""
        if self._process is not None:
            self.stop()
        self.start()

    def run_function(self, name: str, text: str = "") -> int:
        """`POST /admin/functions/{name}` with the input, and the status that came back (202: it was started)."""
        body = json.dumps({"input": text})
        return self._request("POST", f"/admin/functions/{name}", body)

    def _is_ready(self) -> bool:
        # Its own word first: what answers on the port may be another host, and the port is not known otherwise.
        match = _LISTENING.search(self.log_text, self._log_start)
        if match is None:
            return False
        self._port = int(match[1])
        try:
            # 401 is an answer too: it is up and wants the master key.
            return self._request("GET", "/admin/host/status") in (200, 401)
        except (OSError, http.client.HTTPException):
            return False

    def _request(self, method: str, path: str, body: str | None = None) -> int:
        connection = http.client.HTTPConnection(_ADDRESS, self._port, timeout=10)
        try:
            connection.request(method, path, body, {"content-type": "application/json"})
            with connection.getresponse() as response:
                return response.status
        finally:
            connection.close()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise HostProcessError("the host is not running")
        return self._process

    def _forget(self, process: subprocess.Popen[bytes]) -> None:
        atexit.unregister(self.kill)
        if process.stdin is not None:
            process.stdin.close()
        self._process = None

    def _remove_folder(self) -> None:
        atexit.unregister(self._remove_folder)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _tail(self) -> str:
        return self.log_text[self._log_start :][-4000:]


def _write_settings(path: Path, values: Mapping[str, str], function_key: str | None, master_key: str | None) -> None:
    host = {"FunctionKey": function_key, "MasterKey": master_key}
    path.write_text(json.dumps({"IsEncrypted": False, "Values": dict(values), "Host": host}), encoding="utf-8")
