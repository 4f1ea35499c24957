"""Whatever call goes wrong, and however: what was acknowledged is archived once, or a dead letter with its reason.

Every call of every scenario is spoilt in each way of the short form, repeated reads left out; ``pytest -s`` shows how
many cases that makes. ``make endure`` has the long one, with all ways at all calls, and can run a scenario alone.
"""

import ast
import sys
from pathlib import Path

import pytest

from tests.endurance.cases import Case, prepare, run_case
from tests.endurance.matrix import by_scenario, enumerated, told, unattacked
from tests.endurance.proxy import Effect, Fault
from tests.endurance.scenarios import SCENARIOS
from tests.endurance.spoilers import SHORT, Spoiler
from tests.endurance.stage import Stage

pytestmark = pytest.mark.timeout(1800)

FUNCTION_APP = Path(__file__).resolve().parents[2] / "function_app.py"
# It answers with a page, and asks nobody for anything.
NO_CALLS = {"dashboard"}


def test_no_single_fault_breaks_the_promise(stages: list[Stage]) -> None:
    verdicts = list(enumerated(stages, SCENARIOS, SHORT, thin=True))
    for each in by_scenario(verdicts).values():
        sys.stdout.write(f"{told(each)}\n")
    assert [str(verdict) for verdict in verdicts if verdict.wrong] == []
    assert unattacked(verdicts) == []


def test_every_function_of_the_app_is_attacked(stage: Stage) -> None:
    scenarios = [prepare(stage, name) for name in SCENARIOS]
    attacked = {step[0] for each in scenarios for step in each.attacked}
    doors = {each.door for each in scenarios if each.sent}
    assert attacked | doors == _functions() - NO_CALLS


def test_a_webhook_whose_storage_hangs_promises_nothing(stage: Stage) -> None:
    # 503 within two seconds, and Graph sends again.
    for number in range(2):
        verdict = run_case(stage, Case("receive", number, Spoiler("never answered", Fault(Effect.HANG))))
        assert not verdict.wrong, str(verdict)


def _functions() -> set[str]:
    body = ast.parse(FUNCTION_APP.read_text(encoding="utf-8")).body
    return {each.name for each in body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
