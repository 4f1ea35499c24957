"""The dial: what turns it, who lives by it, and what goes on as before."""

import json
import subprocess
import sys
from pathlib import Path

from tests.endurance.clocks import Dial

TELL = """
import json, sys, time
from pathlib import Path
from tests.endurance.clocks import follow
machine, since = time.time(), time.monotonic()
follow(Path(sys.argv[1]))
from shared import parts
passed = time.monotonic() - since
print(json.dumps([time.time() - machine - passed, parts.utc_now().timestamp() - machine - passed, passed]))
"""
HOUR = 3600.0


def test_it_says_what_it_was_turned_to(tmp_path: Path) -> None:
    dial = Dial(tmp_path / "clock")
    assert dial.ahead == 0.0
    dial.turn(-90.5)
    assert Dial(tmp_path / "clock").ahead == -90.5


def test_a_process_that_follows_lives_by_it_but_for_its_stopwatch(tmp_path: Path) -> None:
    Dial(tmp_path / "clock").turn(-HOUR)
    done = subprocess.run(
        [sys.executable, "-c", TELL, str(tmp_path / "clock")], check=True, capture_output=True, text=True
    )
    sdks, app, passed = json.loads(done.stdout)
    assert round(sdks / HOUR) == -1
    assert round(app / HOUR) == -1
    assert passed >= 0


def test_turned_while_somebody_follows_it_is_heeded_at_once(tmp_path: Path) -> None:
    ours, theirs = Dial(tmp_path / "clock"), Dial(tmp_path / "clock")
    ours.turn(600.0)
    assert theirs.ahead == 600.0
