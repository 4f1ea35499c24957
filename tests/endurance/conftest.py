"""What the endurance tests stand on: two stages, one for each core, for the whole run."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.endurance.stage import Stage, standing_stage


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Stage]]:
    """As many as there are processors, and not more than two."""
    folder: Path = tmp_path_factory.mktemp("endurance")
    with ExitStack() as stack:
        count = min(os.cpu_count() or 1, 2)
        yield [stack.enter_context(standing_stage(folder / str(number), seed=7 + number)) for number in range(count)]


@pytest.fixture
def stage(stages: list[Stage]) -> Stage:
    """One of them."""
    return stages[0]
