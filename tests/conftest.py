"""What several test folders share: one Azurite for the whole run."""

from collections.abc import Iterator

import pytest

from local.azurite import Azurite


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """A running storage emulator, data in memory. Tests keep apart by the names of their queues and containers."""
    with Azurite() as running:
        yield running
