"""How long a cold process takes until it can work: starts of fresh interpreters, the median of several.

Bytecode is compiled already, as it must be in what is deployed; without it, starting takes about four times as long.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import partial

from benchmarks.receivers import app_settings
from benchmarks.report import Report
from benchmarks.rounds import Sample, Spread, Variant, interleave, spread
from benchmarks.tenant import CLIENT_STATE

BARE = "the bare interpreter"
FUNCTIONS = "azure.functions"
APP = "function_app"
WEBHOOK = "function_app and receiving()"
FIRST_POST = "function_app, and a first post acknowledged"
WORKER = "function_app and storing()"
EVERYTHING = "every module of the app"

_FIRST_POST = f"""
import asyncio, function_app
from azure.functions import HttpRequest
class Doorbell:
    def set(self, name): self.name = name
body = b'{{"value": [{{"clientState": "{CLIENT_STATE}"}}]}}'
post = HttpRequest("POST", "https://app.example/api/notifications", headers={{}}, params={{}}, body=body)
receive = next(each.get_user_function() for each in function_app.app.get_functions()
               if each.get_function_name() == "receive_notifications")
assert asyncio.run(receive(post, Doorbell())).status_code == 202
"""
_PROGRAMS = {
    BARE: "",
    FUNCTIONS: "import azure.functions",
    APP: "import function_app",
    WEBHOOK: "import function_app; function_app.wiring.receiving()",
    FIRST_POST: _FIRST_POST,
    WORKER: "import function_app; function_app.wiring.storing()",
    EVERYTHING: "import function_app, importlib, pkgutil, shared\n"
    "for each in pkgutil.walk_packages(shared.__path__, 'shared.'): importlib.import_module(each.name)",
}
# Libraries that cost a webhook's cold start dearly.
_WATCHED = ("cryptography", "jwt", "requests", "azure.identity", "azure.keyvault", "azure.storage.queue", "aiohttp")


def measure_imports(report: Report, connection_string: str, *, quick: bool) -> None:
    """Print what each start takes, and what it loads."""
    environment = {**os.environ, **app_settings(connection_string)}
    variants = [Variant(name, partial(_start, program, environment)) for name, program in _PROGRAMS.items()]
    measured = interleave(variants, 3 if quick else 9)
    report.table(
        "Cold starts",
        ["", "ms on the wall", "CPU ms", "loads"],
        [
            (
                name,
                _milliseconds(measured.samples[name], "wall"),
                _milliseconds(measured.samples[name], "cpu"),
                _loaded(program, environment),
            )
            for name, program in _PROGRAMS.items()
        ],
    )


def _start(program: str, environment: Mapping[str, str]) -> Sample:
    wall, before = time.perf_counter(), os.times()
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, stderr=subprocess.DEVNULL)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return Sample(1, used, time.perf_counter() - wall)


def _milliseconds(samples: list[Sample], what: str) -> Spread:
    return spread([getattr(sample, what) * 1000 for sample in samples])


def _loaded(program: str, environment: Mapping[str, str]) -> str:
    ask = f"{program}\nimport sys\nprint(*(name for name in {_WATCHED!r} if name in sys.modules), sep=', ')"
    told = subprocess.run([sys.executable, "-c", ask], env=environment, check=True, capture_output=True, text=True)
    return told.stdout.strip()
