"""An instance of the app as far as the pace goes: threads that ask as often as they may, in a process of their own.

``python -m tests.integration.adapters.pace_worker CONNECTION CONTAINER THREADS SECONDS`` prints the slots that it got.
"""

import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from shared.adapters.blob_container import open_container
from shared.adapters.shared_pace import SharedPace


class Noted(SharedPace):
    """Keeps the slots that ``wait`` takes."""

    def reserve(self) -> datetime:
        """See the port."""
        slot = super().reserve()
        mine.slot = slot
        noted.append(slot)
        return slot


noted: list[datetime] = []
mine = threading.local()


def main() -> None:
    connection_string, container, threads, seconds = sys.argv[1:]
    state = open_container(container, connection_string=connection_string, service_uri=None, credential=None)
    pace = Noted(state, lambda: datetime.now(UTC))
    end = time.monotonic() + float(seconds)
    early = threading.Event()

    def ask() -> None:
        while time.monotonic() < end:
            pace.wait()
            if mine.slot > datetime.now(UTC):
                early.set()

    with ThreadPoolExecutor(int(threads)) as pool:
        for each in [pool.submit(ask) for _ in range(int(threads))]:
            each.result()
    sys.stdout.write(json.dumps({"early": early.is_set(), "slots": [each.isoformat() for each in noted]}))


if __name__ == "__main__":
    main()
