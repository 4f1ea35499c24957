"""``make run``: play a day, then say what was sent, what is archived, and what was lost.

Exit status 0 where every interaction is at rest once and nothing forged is; 1 otherwise; 2 where it could not start.
"""

import argparse
import os
import signal
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from local.azurite import AzuriteError
from local.functions_host.process import HostProcessError
from local.graph.ledger import Ledger
from local.play.script import play, settle, wait_for_subscriptions
from local.play.stage import FUNCTION_KEY, Stage, stage
from local.play.verdict import Verdict, judge

FOLDER = Path(".run")


def main() -> int:
    """Run the play; returns the exit status."""
    arguments = _arguments()
    console = Console()
    # SIGTERM ends it like Ctrl-C, so that everything that was started is stopped.
    signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    try:
        return _run(arguments, console)
    except (AzuriteError, HostProcessError) as error:
        console.print(f"[red]It could not be started:[/] {error}", markup=True, highlight=False)
        return 2
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 2


def _run(arguments: argparse.Namespace, console: Console) -> int:
    console.print("Starting Azurite, a simulated Microsoft cloud and the functions host …")
    with stage(arguments.folder, seed=arguments.seed) as on_stage:
        if not wait_for_subscriptions(on_stage):
            console.print(
                f"[red]The app has not subscribed within a minute; see {on_stage.host_log}[/]", highlight=False
            )
            return 2
        console.print("The app has subscribed to all Copilot interactions and chats of the tenant.")
        verdict = _play(on_stage, arguments, console)
        console.print(_table(verdict, on_stage))
        _tell_where(on_stage, arguments, console)
        if arguments.stay:
            _stay(on_stage, console)
    return 0 if verdict.good else 1


def _play(on_stage: Stage, arguments: argparse.Namespace, console: Console) -> Verdict:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as progress:
        posts = progress.add_task("posts answered", total=None)
        play(
            on_stage,
            interactions=arguments.interactions,
            users=arguments.users,
            seconds=arguments.seconds,
            tell=lambda what: progress.console.print(f"  · {what}"),
            moved=lambda finished, planned: progress.update(posts, completed=finished, total=planned or None),
        )
        missing = progress.add_task("not at rest yet", total=None)
        return settle(lambda: _judged(on_stage), lambda count: progress.update(missing, completed=count))


def _judged(on_stage: Stage) -> Verdict:
    # The ledger is on disk line by line, so the simulator need not stop before it is read.
    return judge(Ledger.read(on_stage.folder / "graph"), on_stage.azurite.connection_string)


def _table(verdict: Verdict, on_stage: Stage) -> Table:
    graph = on_stage.cloud.graph
    table = Table(title="A day of the tenant", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(overflow="fold")
    table.add_row("changes that Graph notified of", str(verdict.sent), "by the simulator's own ledger")
    table.add_row(
        "interactions that it did not", str(verdict.export_alone), "dropped, in a gap, or before the app came"
    )
    table.add_row("captured by notification", str(verdict.by_notification), "each once, byte for byte")
    table.add_row("captured by export", str(verdict.by_export), "each once")
    table.add_row("deletions recorded", str(verdict.tombstones), "as tombstones")
    table.add_row("duplicates dropped", str(verdict.duplicates_dropped), "deliveries beyond the first")
    table.add_row("forged posts", str(verdict.forged_posts), f"{verdict.forged_refused} refused at the door")
    table.add_row("calls that Key Vault refused", str(graph.cloud.outages.refused["vault"]), "while it was away")
    asked = graph.requests
    table.add_row("subscriptions made", str(asked["POST /subscriptions"]), "one again, after Graph removed it")
    table.add_row("subscriptions renewed", str(asked["PATCH"]), "moved to the new certificate")
    table.add_row(
        "gaps", str(verdict.gaps + verdict.gaps_filled), f"{verdict.gaps_filled} of them filled by the export"
    )
    table.add_row("requests to the export", str(asked["EXPORT"]), "at 25 a second at most")
    table.add_row(
        "told by nobody", str(verdict.unseen), "chats that Graph dropped, versions replaced since: no source has them"
    )
    for reason, count in sorted(verdict.dead_letters.items()):
        table.add_row("dead letters", str(count), reason)
    table.add_section()
    for name, found in (
        ("lost", verdict.lost),
        ("archived twice", verdict.kept_twice),
        ("forged and archived", verdict.forged_archived),
        ("unexpected in the archive", verdict.unexpected),
    ):
        table.add_row(name, str(len(found)), ", ".join(found[:5]), style="red" if found else "green")
    if verdict.still_in_inbox:
        table.add_row("still in the inbox", str(verdict.still_in_inbox), "see the log", style="red")
    return table


def _tell_where(on_stage: Stage, arguments: argparse.Namespace, console: Console) -> None:
    python = Path(sys.executable).relative_to(Path.cwd()) if _is_below(sys.executable) else sys.executable
    there = "" if arguments.folder == FOLDER else f" --folder {arguments.folder}"
    console.print(
        f"Look at the archive:    {python} -m local.blobs{there} interactions\n"
        f"Look at dead letters:   {python} -m local.blobs{there} dead-letters\n"
        f"What the app logged:    {on_stage.host_log}\n"
        f"What the simulator did: {arguments.folder / 'graph' / 'ledger.jsonl'}",
        highlight=False,
        soft_wrap=True,
    )


def _is_below(path: str) -> bool:
    return Path(path).is_relative_to(Path.cwd())


def _stay(on_stage: Stage, console: Console) -> None:
    graph = on_stage.cloud.graph
    console.print(
        f"\nEverything stays up until Ctrl-C:\n"
        f"  dashboard     {on_stage.host.url}/api/dashboard with the key {FUNCTION_KEY}\n"
        f"  status        {on_stage.host.url}/api/status?code={FUNCTION_KEY}\n"
        f"  simulator     {graph.graph_endpoint} (trust {graph.ca_file})\n"
        f"  blob storage  {on_stage.azurite.blob_url}\n"
        f"  AZURE_STORAGE_CONNECTION_STRING='{on_stage.azurite.connection_string}'",
        highlight=False,
        soft_wrap=True,
    )
    signal.pause()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make run ARGS=…", description=__doc__)
    parser.add_argument("--stay", action="store_true", help="keep everything up afterwards")
    parser.add_argument("--seed", type=int, default=1, help="another day, repeatable (default: 1)")
    parser.add_argument("--interactions", type=int, default=400, help="interactions in the day (default: 400)")
    parser.add_argument("--users", type=int, default=40, help="people in the tenant (default: 40)")
    parser.add_argument("--seconds", type=float, default=45.0, help="how long the day takes (default: 45)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the run leaves its traces (default: .run)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
