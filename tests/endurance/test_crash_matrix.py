"""Whatever call goes wrong, and however: what was acknowledged is archived once, or a dead letter with its reason.

Every call of every scenario is spoilt in each way of the short form, repeated reads left out: ``make endure`` has the
long one, with all calls and all ways.
"""

import pytest

from tests.endurance.cases import Case, run_case
from tests.endurance.matrix import enumerated
from tests.endurance.proxy import Effect, Fault
from tests.endurance.scenarios import SCENARIOS
from tests.endurance.spoilers import SHORT, Spoiler
from tests.endurance.stage import Stage

pytestmark = pytest.mark.timeout(1200)


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_single_fault_breaks_the_promise(stages: list[Stage], name: str) -> None:
    verdicts = list(enumerated(stages, [name], SHORT, thin=True))
    assert len(verdicts) > len(SHORT)
    assert [str(verdict) for verdict in verdicts if verdict.wrong] == []


def test_a_webhook_whose_storage_hangs_promises_nothing(stage: Stage) -> None:
    # 503 within two seconds, and Graph sends again.
    for number in range(2):
        verdict = run_case(stage, Case("receive", number, Spoiler("never answered", Fault(Effect.HANG))))
        assert not verdict.wrong, str(verdict)
