"""What the endurance tests stand on: two stages, one for each core, for the whole run; and how hypothesis runs here."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, configuration, settings

from tests.endurance.stage import Stage, standing_stage

configuration.set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "hypothesis")
settings.register_profile(
    "endurance",
    derandomize=True,
    deadline=None,
    max_examples=80,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("endurance")


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Stage]]:
    """As many as there are processors, and not more than two."""
    folder: Path = tmp_path_factory.mktemp("endurance")
    with ExitStack() as stack:
        count = min(os.cpu_count() or 1, 2)
        yield [stack.enter_context(standing_stage(folder / str(number))) for number in range(count)]


@pytest.fixture
def stage(stages: list[Stage]) -> Stage:
    """One of them."""
    return stages[0]
