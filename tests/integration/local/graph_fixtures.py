"""Fixtures for tests of the simulated Graph: friendly in the loop of the test, or nasty in a thread."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from local.graph import Faults, Simulator, ThreadedSimulator, run_in_thread
from tests.integration.local.graph_support import FAST, Receiver


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    application = web.Application()
    application.router.add_post("/api/{name}", made.take)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}/api"
    made.url, made.lifecycle_url = f"{base}/notifications?code=a%20b", f"{base}/lifecycle"
    yield made
    await runner.cleanup()


@pytest_asyncio.fixture
async def simulator(tmp_path: Path) -> AsyncIterator[Simulator]:
    async with Simulator(folder=tmp_path, faults=Faults.friendly(), timing=FAST) as graph:
        yield graph


@pytest.fixture
def threaded(tmp_path: Path) -> Iterator[ThreadedSimulator]:
    with run_in_thread(folder=tmp_path, timing=FAST) as running:
        yield running


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadedSimulator]:
    """One simulator for a module's tests: for those that change nothing."""
    with run_in_thread(folder=tmp_path_factory.mktemp("graph"), timing=FAST) as running:
        yield running
