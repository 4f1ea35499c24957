"""Fixtures for tests of the simulated Graph: friendly in the loop of the test, or nasty in a thread."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from local.graph import Faults, Simulator, ThreadedSimulator, run_in_thread
from tests.integration.local.graph_support import FAST, Receiver, receiving


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


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
