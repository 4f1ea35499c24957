"""Long-lived processes that pull users' interactions when they are told to, so that each client's CPU is its own.

Nothing here needs more than the standard library: the official client runs it in an environment of its own.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.rounds import Sample, once

# What a client does with users: pulls all pages of all of them at the same time, and says how many interactions.
Pull = Callable[[Sequence[str]], int]

# What time it is by the clock of the Graph that is asked: a day after the content.
PRESENT = datetime(2026, 3, 3, 6, tzinfo=UTC)
# What the app asks for in these days.
FILTER = "createdDateTime gt 2026-03-01T05:59:59Z and createdDateTime lt 2026-03-03T06:00:01Z"
AT_ONCE = 32

_PEAK = re.compile(r"VmHWM:\s+(\d+) kB")


class Client:
    """The other end: one client's process."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.peak_megabytes = 0.0

    def turn(self, users: Sequence[str]) -> Sample:
        """Have these users pulled."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(users) + "\n")
        self._process.stdin.flush()
        told = self.told()
        self.peak_megabytes = told["peakMegabytes"]
        return Sample(told["done"], told["cpu"], told["wall"])

    def told(self) -> dict[str, Any]:
        """What it says next."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a client has ended with {self._process.wait()}")
        told: dict[str, Any] = json.loads(line)
        return told


@contextmanager
def client(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[Client]:
    """A client, until it is not needed any more."""
    process = subprocess.Popen(
        command, env={**os.environ, **environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Client(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


def serve_turns(pull: Pull) -> None:
    """In the client's process: pull whom each line names, and tell what that took."""
    for line in sys.stdin:
        users = json.loads(line)
        sample = once(lambda: pull(users))  # noqa: B023 - called at once
        told = {"done": sample.done, "cpu": sample.cpu, "wall": sample.wall, "peakMegabytes": peak_megabytes()}
        print(json.dumps(told), flush=True)


def in_threads(pull: Callable[[str], int]) -> Pull:
    """Every user in a thread of his own, as the host calls the function."""
    pool = ThreadPoolExecutor(AT_ONCE)
    return lambda users: sum(pool.map(pull, users))


def peak_megabytes() -> float:
    """The most memory that this process ever held.

    From Linux's own account where there is one: ``getrusage`` counts what the parent held when it started us.
    """
    status = Path("/proc/self/status")
    found = _PEAK.search(status.read_text(encoding="ascii", errors="replace")) if status.exists() else None
    if found is not None:
        return int(found[1]) / 1024
    import resource  # noqa: PLC0415 - not on Windows

    # https://man7.org/linux/man-pages/man2/getrusage.2.html has kilobytes, macOS has bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
