"""The suite is worth its time: whoever had written it carelessly would have been found out, bug by bug."""

import pytest

from tests.endurance.careless import BUGS
from tests.endurance.matrix import enumerated
from tests.endurance.spoilers import SHORT
from tests.endurance.stage import Stage

pytestmark = pytest.mark.timeout(1200)


@pytest.mark.parametrize("bug", BUGS)
def test_the_crash_matrix_finds_a_planted_bug(stages: list[Stage], bug: str) -> None:
    *_, scenarios = BUGS[bug]
    harm = next((each for each in enumerated(stages, scenarios, SHORT, thin=True, careless=bug) if each.wrong), None)
    assert harm is not None, f"a bug that {bug} lives on"
