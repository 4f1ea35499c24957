"""The pace on real Azurite: instances in processes of their own never take the same time."""

import json
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TypedDict, cast

from local.azurite import Azurite
from shared.adapters.blob_container import open_container
from shared.adapters.shared_pace import SharedPace
from shared.core.request_budget import LEDGER, SPACING, from_json

ROOT = Path(__file__).parents[3]
INSTANCES, THREADS, SECONDS = 2, 8, 5


class Answer(TypedDict):
    slots: list[str]
    early: bool


def test_all_instances_together_keep_the_tenants_pace(azurite: Azurite) -> None:
    container = f"c{uuid.uuid4().hex}"
    command = [sys.executable, "-m", "tests.integration.adapters.pace_worker"]
    arguments = [azurite.connection_string, container, str(THREADS), str(SECONDS)]

    def run(_: int) -> Answer:
        done = subprocess.run(
            [*command, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=150, check=False
        )
        assert done.returncode == 0, done.stderr
        return cast("Answer", json.loads(done.stdout))

    with ThreadPoolExecutor(INSTANCES) as pool:
        answers = list(pool.map(run, range(INSTANCES)))
    slots = sorted(datetime.fromisoformat(slot) for answer in answers for slot in answer["slots"])

    assert all(each["slots"] for each in answers), "both had their turn"
    assert not any(each["early"] for each in answers)
    # So no second holds more than 25, whatever the machine was busy with.
    assert all(later - sooner >= SPACING for sooner, later in pairwise(slots))
    most = max(sum(start <= slot < start + timedelta(seconds=1) for slot in slots) for start in slots)
    assert most <= 25


def test_a_hold_is_read_by_the_other_instance(azurite: Azurite) -> None:
    name = f"c{uuid.uuid4().hex}"
    now = datetime(2026, 1, 5, 9, 30, 10, tzinfo=UTC)
    slept: list[float] = []
    states = [
        open_container(name, connection_string=azurite.connection_string, service_uri=None, credential=None)
        for _ in range(2)
    ]
    one, two = (SharedPace(state, lambda: now, slept.append) for state in states)
    one.reserve()
    one.hold(timedelta(seconds=17))

    assert two.reserve() == now + timedelta(seconds=17)
    ledger = states[0].read(LEDGER)
    assert ledger is not None
    assert from_json(ledger.content).next_slot == now + timedelta(seconds=17) + SPACING
