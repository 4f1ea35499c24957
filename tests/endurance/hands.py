"""The other end of ``worker.py``: gives it jobs, and knows whom to kill."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

REPOSITORY = Path(__file__).resolve().parents[2]
# How much of the SDKs' own waiting between tries is kept.
SLEEP = 0.01


@dataclass(frozen=True, slots=True)
class Run:
    """How a job ended: the results of its steps, or the signal that ended it before (``status`` is negative then)."""

    status: int
    results: list[dict[str, Any]] = field(default_factory=list)

    @property
    def killed(self) -> bool:
        """Whether it was ended with SIGKILL."""
        return self.status == -signal.SIGKILL


class Worker:
    """A running ``worker.py``; a context manager."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._pid = 0

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.endurance.worker"],
                cwd=REPOSITORY,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        assert self._answer() == {"ready": True}
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def warm(self, env: Mapping[str, str]) -> None:
        """Let it do a bit of everything once, in an environment to throw away."""
        self._say(json.dumps({"warm": env}))
        self._answer()

    def run(
        self,
        steps: Sequence[Sequence[str]],
        env: Mapping[str, str],
        *,
        detour: Mapping[int, int] | None = None,
        careless: str | None = None,
        ahead: float = 0.0,
        quiet: bool = False,
    ) -> Run:
        """Run steps in a fresh process whose clock is so many seconds ahead, and wait for its end.

        ``quiet``: nobody listens to its telemetry.
        """
        job = {
            "steps": steps,
            "env": env,
            "detour": detour or {},
            "careless": careless,
            "ahead": ahead,
            "quiet": quiet,
            "sleep": SLEEP,
        }
        self._say(json.dumps(job))
        self._pid = self._answer()["pid"]
        self._say("go")
        answer = self._answer()
        self._pid = 0
        return Run(answer["status"], answer["results"])

    def kill(self) -> None:
        """SIGKILL to the process that runs the steps, as when an instance is taken away."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the worker has ended:\n{self._log.read_text(encoding='utf-8')[-4000:]}"
        answer: dict[str, Any] = json.loads(line)
        return answer
