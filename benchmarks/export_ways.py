"""The app's ways to pull users' interactions: pages alone, and the whole worker.

Each runs in a process of its own: ``python -m benchmarks.export_ways WAY ORIGIN``.
"""

import logging
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import cast

from azure.core.credentials import TokenCredential

from benchmarks.export_storage import Bottomless, MemoryContainer
from benchmarks.export_turns import PRESENT, Pull, in_threads, serve_turns
from shared.adapters.graph_exports import GraphExports
from shared.adapters.graph_http import GraphHttp
from shared.core.export_window import ExportWindow, to_message
from shared.flows.account import Account
from shared.flows.export import Exporting
from shared.flows.export_walk import Walk
from shared.flows.rest import Resting
from shared.ports import Container, ExportPage, Exports, Pace

WALK = "walk"
NEW, FOUND, KNOWN, ENDLESS = "new", "found", "known", "endless"
TENANT = "0d1a7a9f-63c8-4d0f-8d2b-2b7f2b8f8a10"
BEGIN = PRESENT - timedelta(days=2)
LONG_AGO = PRESENT - timedelta(days=3650)

_started = time.monotonic()


def now() -> datetime:
    """The present by the clock of the Graph that is asked."""
    return PRESENT + timedelta(seconds=time.monotonic() - _started)


class Credential:
    """A token that is there already."""

    def get_token(self, *_: str, **__: object) -> SimpleNamespace:
        """See azure-core."""
        return SimpleNamespace(token="benchmark", expires_on=1 << 40)  # noqa: S106 - opens nothing


class ToldPace:
    """The Pace of one walk that waits for nothing but what Graph asks it to wait for, like the loops beside it."""

    def __init__(self) -> None:
        self._until = 0.0

    def wait(self) -> None:
        """See the port."""
        time.sleep(max(self._until - time.monotonic(), 0))

    def hold(self, wait: timedelta) -> None:
        """See the port."""
        self._until = time.monotonic() + wait.total_seconds()


class Silent:
    """The Doorbell of a window that ends within its run: nobody has to be told of the rest."""

    def ring(self, name: str, after: timedelta = timedelta(0)) -> None:
        """See the port."""
        raise AssertionError(f"{name} should not have been put on the queue again, in {after}")

    def ring_all(self, names: object) -> None:
        """See the port."""
        raise AssertionError(names)

    def depth(self) -> int:
        """See the port."""
        return 0


def graph_exports(origin: str) -> GraphExports:
    """The app's adapter, as wiring builds it."""
    return GraphExports(GraphHttp(origin, "v1.0", cast("TokenCredential", Credential()), now))


def walk(origin: str) -> Pull:
    """The app's pages and nothing done with them."""
    exports = graph_exports(origin)

    def pull(user: str) -> int:
        walked = Walk(exports, ToldPace(), user, (), time.sleep)
        return sum(len(page.items) for page in walked.pages(BEGIN, PRESENT))

    return in_threads(pull)


class Worker:
    """The app's Exporting, with storage of its own for each user: all of them are shown the same interactions.

    ``new``: the storage is empty at the beginning of each turn. ``found``: the archive holds everything, the checkpoint
    is gone, as where notifications brought all. ``known``: the checkpoint knows all. The first turn fills the storage.
    ``endless``: new, a page for each day of years, and an archive that keeps nothing.
    """

    def __init__(self, exports: Exports, kind: str, open_container: Callable[[str], Container]) -> None:
        self._exports = exports
        self._kind = kind
        self._open = open_container
        self._of: dict[str, tuple[Container, Container]] = {}

    def pull(self, user: str) -> int:
        """Run a window of a user."""
        fresh = user not in self._of
        state, archive = (None, None) if fresh else self._of[user]
        if state is None or self._kind != KNOWN:
            state = self._open("state")
        if archive is None or self._kind in {NEW, ENDLESS}:
            archive = self._open("interactions")
        self._of[user] = state, archive
        endless = self._kind == ENDLESS
        counting = CountedExports(self._exports, days=int(endless))
        window = ExportWindow(user, LONG_AGO if endless else BEGIN, now())
        worker(counting, state, archive, ToldPace()).run(to_message(window))
        return counting.items


class CountedExports:
    """An Exports that counts what it shows. Every page has interactions of its own, however often it is shown.

    ``days``: how much older each page is than the one before it.
    """

    def __init__(self, inner: Exports, days: int = 0) -> None:
        self.items = 0
        self._inner = inner
        self._days = days
        self._pages = 0

    def first_page(self, user_id: str | None, query: str | None) -> ExportPage:
        """See the port."""
        return self._counted(self._inner.first_page(user_id, query))

    def next_page(self, link: str) -> ExportPage:
        """See the port."""
        return self._counted(self._inner.next_page(link))

    def _counted(self, page: ExportPage) -> ExportPage:
        self._pages += 1
        self.items += len(page.items)
        day = (PRESENT - timedelta(days=1 + self._days * self._pages)).date().isoformat()
        for item in cast("Sequence[dict[str, str]]", page.items):
            item["requestId"] = f"{self._pages}"
            item["createdDateTime"] = day + item["createdDateTime"][10:]
        return page


def worker(exports: Exports, state: Container, archive: Container, pace: Pace) -> Exporting:
    """The app's worker as wiring builds it, on these containers."""
    return Exporting(
        exports=exports,
        pace=pace,
        resting=Resting({"interactions": archive}, state),
        state=state,
        dead_letters=MemoryContainer(),
        doorbell=Silent(),
        tenant_id=TENANT,
        clock=now,
        account=Account(state, now, later=lambda *_: None),
    )


def opened_in_memory(name: str) -> Container:
    """A fresh container of no cost."""
    del name
    return MemoryContainer()


def opened_endless(name: str) -> Container:
    """The same, where the archive is one that keeps nothing."""
    return Bottomless() if name == "interactions" else MemoryContainer()


def opened_at(connection_string: str, name: str) -> Container:
    """A fresh container as the app opens it."""
    from shared.adapters.blob_container import open_container  # noqa: PLC0415 - its SDK is half of the memory

    name = f"{name}-{uuid.uuid4()}"
    return open_container(name, connection_string=connection_string, service_uri=None, credential=None)


def way(name: str, origin: str, connection_string: str | None) -> Pull:
    """A way by its name; with a connection string the worker's storage is there."""
    if name == WALK:
        return walk(origin)
    opened = opened_endless if name == ENDLESS else opened_in_memory
    if connection_string is not None:
        opened = partial(opened_at, connection_string)
    return in_threads(Worker(graph_exports(origin), name, opened).pull)


def main() -> None:
    """Serve turns."""
    logging.disable()  # what is refused is counted where it matters
    name, origin, *storage = sys.argv[1:]
    serve_turns(way(name, origin, storage[0] if storage else None))


if __name__ == "__main__":
    main()
