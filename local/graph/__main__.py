"""`python -m local.graph`: the simulated Graph alone, until Ctrl-C."""

import argparse
import asyncio
import contextlib
import json
import signal
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from local.graph.control import PREFIX
from local.graph.faults import Faults, Timing
from local.graph.simulator import Simulator


def arguments() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = argparse.ArgumentParser(prog="python -m local.graph", description="A simulated Microsoft Graph.")
    parser.add_argument("--port", type=int, default=8443, help="of Graph, Entra ID and Key Vault (0: any free one)")
    parser.add_argument("--seed", type=int, default=1, help="of tenant, content and faults")
    parser.add_argument("--folder", type=Path, default=Path(".run/graph"), help="for certificates and ledger")
    parser.add_argument("--bits", type=int, choices=(2048, 3072, 4096), default=2048, help="of the encryption keys")
    parser.add_argument("--friendly", action="store_true", help="no faults and no forgeries")
    parser.add_argument("--https-only", action="store_true", help="refuse http:// notification URLs on loopback too")
    parser.add_argument("--time-scale", type=float, default=60.0, help="Graph's seconds in one real second")
    parser.add_argument("--quiet", action="store_true", help="print nothing")
    return parser


async def serve(options: argparse.Namespace) -> None:
    """Run until the process is told to end."""
    over = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows
            asyncio.get_running_loop().add_signal_handler(number, over.set)
    async with Simulator(
        folder=options.folder,
        seed=options.seed,
        port=options.port,
        bits=options.bits,
        faults=Faults.friendly() if options.friendly else None,
        timing=Timing(time_scale=options.time_scale),
        allow_http_loopback=not options.https_only,
        control=True,
    ) as graph:
        settings = {**graph.settings(), **graph.identity_environment()}
        await asyncio.to_thread((options.folder / "settings.json").write_text, json.dumps(settings, indent=2))
        if not options.quiet:
            _tell(graph, settings)
        await over.wait()


def _tell(graph: Simulator, settings: dict[str, str]) -> None:
    console = Console()
    table = Table("setting", "value", title=f"Simulated Microsoft Graph at {graph.graph_endpoint}")
    for name, value in settings.items():
        table.add_row(name, value)
    console.print(table)
    console.print(f"Control: {graph.graph_endpoint}{PREFIX}   Ledger: {graph.folder / 'ledger.jsonl'}")


def main() -> int:
    """Run, and return the exit status."""
    options = arguments().parse_args()
    try:
        asyncio.run(serve(options))
    except OSError as error:
        Console(stderr=True).print(f"The simulator cannot start: {error}", style="red")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
