"""`python -m local.functions_host --port 7071 --settings FILE`: hosts `function_app.py`."""

import argparse
import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from local.functions_host.engine import ENGINES
from local.functions_host.errors import HostError
from local.functions_host.host import LEASE_SECONDS, Host, HostOptions
from local.functions_host.host_json import read_host_json
from local.functions_host.keys import Keys
from local.functions_host.settings_file import apply, read_settings

_LOG = logging.getLogger("local.functions_host")
_REPOSITORY = Path(__file__).resolve().parents[2]


def main() -> NoReturn:
    """Run the host and end the process; the exit code is 0 after a clean stop and 1 after any fault."""
    arguments = _arguments()
    _log_to_stderr(arguments.log_level)
    if arguments.stop_on_eof:
        threading.Thread(target=_stop_on_eof, daemon=True).start()
    stop_listening: Callable[[], None] | None = None
    try:
        options = _options(arguments)
        stop_listening = _listen(arguments.telemetry)
        code = asyncio.run(Host(options).run())
    except HostError as error:
        _LOG.error("%s", error)
        code = 1
    except Exception:  # noqa: BLE001 - an app's import may raise anything, and its author needs all of it
        _LOG.exception("the app could not be loaded, or the host failed")
        code = 1
    # Azure ends a worker without unwinding it, and so do we: a synchronous function that never ends would be joined for
    # ever, and connections that an app keeps open for its whole life would be complained about.
    if stop_listening is not None:
        stop_listening()
    logging.shutdown()
    os._exit(code)


def _options(arguments: argparse.Namespace) -> HostOptions:
    app: Path = arguments.app.resolve()
    settings = read_settings(arguments.settings)
    host_json = read_host_json(app / "host.json")
    apply(settings, app)
    os.chdir(app)  # where Azure runs it
    return HostOptions(
        app=app,
        port=arguments.port,
        host_json=host_json,
        keys=Keys(function=settings.function_key, master=settings.master_key),
        engine=arguments.engine,
        timers=arguments.timers,
        message_lease=arguments.message_lease,
    )


def _listen(where: str | None) -> Callable[[], None] | None:
    if where is None:
        return None
    # Imported only where it is asked for: that OpenTelemetry is loaded tells the app that somebody listens.
    from local.telemetry.listening import listen  # noqa: PLC0415 - see above

    return listen(where)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local.functions_host", description="Hosts function_app.py locally."
    )
    add = parser.add_argument
    add("--port", type=int, default=7071, help="port on 127.0.0.1; 0 takes a free one and logs it")
    add("--settings", type=Path, required=True, help="a file shaped like local.settings.json")
    add("--app", type=Path, default=_REPOSITORY, help="folder of function_app.py and host.json (this repository)")
    add("--no-timers", dest="timers", action="store_false", help="run timers only by POST /admin/functions/{name}")
    add("--engine", choices=ENGINES, default="auto", help="auto is runtime on Python 3.13 and later, else sdk")
    add("--message-lease", type=int, default=LEASE_SECONDS, help="seconds a running message stays invisible (600)")
    add("--stop-on-eof", action="store_true", help="stop when standard input ends, so as not to outlive a parent")
    add("--telemetry", metavar="WHERE", help="console, otlp (see OTEL_EXPORTER_OTLP_ENDPOINT) or an absolute path")
    add("--log-level", default="INFO", help="of everything that logs in this process (INFO)")
    return parser.parse_args()


def _log_to_stderr(level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler])
    if level != "INFO":
        return  # whoever wants other lines wants to see what the app itself keeps quiet
    # One line for each storage call would drown the one line for each function call.
    for name in ("azure.core", "azure.identity", "azure.storage"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _stop_on_eof() -> None:
    # Not sys.stdin: its lock, held by a waiting thread, would break the interpreter's exit.
    while os.read(0, 4096):
        continue
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
