"""A world, and how hypothesis runs here: the same examples each time, enough of them, and no directory left behind."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, configuration, settings

from tests.fakes import MemoryContainer, World

configuration.set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "hypothesis")
settings.register_profile(
    "unit",
    derandomize=True,
    deadline=None,
    max_examples=80,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("unit")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def state(world: World) -> MemoryContainer:
    return MemoryContainer("state", world)
