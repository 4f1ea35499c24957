"""A wall clock that one process turns and another lives by: eight bytes in a file, the seconds by which it is ahead."""

import mmap
import struct
import time
from datetime import UTC, datetime
from pathlib import Path

_AHEAD = struct.Struct("d")


class Dial:
    """The clock's dial. Whoever ``follow``s its file is at once as much ahead (or behind: below 0) as it says."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(_AHEAD.pack(0.0))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), _AHEAD.size)

    @property
    def ahead(self) -> float:
        """By how many seconds it is ahead."""
        ahead: float = _AHEAD.unpack(self._shared)[0]
        return ahead

    def turn(self, ahead: float) -> None:
        """Set it so many seconds ahead of the machine's."""
        self._shared[:] = _AHEAD.pack(ahead)


def follow(path: Path) -> None:
    """Let this process live by the dial, from before it imports what tells the time.

    That is the app's one clock, and ``time.time``, which the SDKs date their requests and judge their tokens by.
    Stopwatches (``time.monotonic``, and with it every timeout) go on as they do when a machine's clock is set, and the
    host's timers stay with the machine.
    """
    dial, now = Dial(path), time.time

    def shifted() -> float:
        return now() + dial.ahead

    time.time = shifted
    from shared import parts  # noqa: PLC0415 - see above

    parts.utc_now = lambda: datetime.fromtimestamp(time.time(), UTC)
