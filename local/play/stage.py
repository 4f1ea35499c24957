"""The stage: Azurite, the simulated Microsoft cloud, and the functions host with the app, all on free ports."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.azurite import Azurite
from local.free_ports import free_ports
from local.functions_host.process import HostProcess
from local.graph.threaded import ThreadedSimulator, run_in_thread

FUNCTION_KEY = "local-run"
# Posts that a killed worker held stay hidden for ten minutes; on stage the sweeper comes sooner than on Azure.
SWEEP_SCHEDULE = "*/5 * * * * *"
# What Azure does every five minutes, in a day of less than a minute.
RENEW_SCHEDULE = "*/2 * * * * *"
# What Azure does every hour.
EXPORT_SCHEDULE = "*/15 * * * * *"
WANTED = ("copilot/interactionHistory/getAllEnterpriseInteractions", "chats")


@dataclass(frozen=True)
class Stage:
    """What runs, and the folder where all of it leaves its traces."""

    folder: Path
    azurite: Azurite
    cloud: ThreadedSimulator
    host: HostProcess

    @property
    def host_log(self) -> Path:
        """What the host and the app logged."""
        return self.folder / "host.log"


@contextmanager
def stage(folder: Path, *, seed: int) -> Iterator[Stage]:
    """Start everything in a folder that begins empty; stop everything in the end.

    Raises AzuriteError or HostProcessError, which say what is missing and what to do.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for part in ("azurite", "graph"):
        (folder / part).mkdir(parents=True)
    with (
        Azurite(location=folder / "azurite") as azurite,
        run_in_thread(folder=folder / "graph", seed=seed) as cloud,
    ):
        (port,) = free_ports(1)
        settings = {
            **cloud.graph.settings(),
            "FUNCTIONS_WORKER_RUNTIME": "python",
            "AzureWebJobsStorage": azurite.connection_string,
            "ARCHIVE_STORAGE": azurite.connection_string,
            "SWEEP_SCHEDULE": SWEEP_SCHEDULE,
            "RENEW_SCHEDULE": RENEW_SCHEDULE,
            "EXPORT_SCHEDULE": EXPORT_SCHEDULE,
            "PUBLIC_BASE_URL": f"http://127.0.0.1:{port}",
            "SUBSCRIPTIONS": json.dumps([{"resource": resource} for resource in WANTED]),
        }
        with HostProcess(settings, function_key=FUNCTION_KEY, port=port, log=folder / "host.log") as host:
            yield Stage(folder, azurite, cloud, host)
