"""The app as it runs: real ``function_app.py`` on the functions host, Azurite, and the simulated Microsoft cloud."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.azurite import Azurite
from local.functions_host.process import HostProcess
from local.graph.faults import Faults
from local.graph.threaded import run_in_thread
from tests.e2e.app import FUNCTION_KEY, App

ENGINES = ["sdk", "runtime"] if sys.version_info >= (3, 13) else ["sdk"]


@pytest.fixture(params=ENGINES)
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[App]:
    """A fresh app with empty storage and a friendly cloud, on each engine that this Python has; timers by hand."""
    (tmp_path / "graph").mkdir()
    with (
        Azurite(location=tmp_path / "azurite") as azurite,
        run_in_thread(folder=tmp_path / "graph", seed=7, faults=Faults.friendly()) as cloud,
    ):
        settings = {
            **cloud.graph.settings(),
            "FUNCTIONS_WORKER_RUNTIME": "python",
            "AzureWebJobsStorage": azurite.connection_string,
            "ARCHIVE_STORAGE": azurite.connection_string,
            "SWEEP_SCHEDULE": "0 */5 * * * *",
        }
        host = HostProcess(
            settings, function_key=FUNCTION_KEY, timers=False, engine=request.param, log=tmp_path / "host.log"
        )
        with host:
            yield App(tmp_path, azurite, cloud, host)
