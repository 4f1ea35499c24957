"""How fast interactions are pulled out of Graph, against the loop that anybody would write and Microsoft's own client.

Run ``.venv/bin/python -m benchmarks.export``; with ``--peers DIR`` for Microsoft's client: an environment that has it,
made there if there is none. All ask for the same pages of the same server, each in a process of its own, so that the
CPU seconds are those of the client alone. Then the whole worker, its calls to storage, and its memory.
"""

import argparse
import os
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks import export_peer
from benchmarks.export_calls import measure_calls
from benchmarks.export_clients import (
    BARE,
    ENDLESS,
    FOUND,
    KNOWN,
    NEW,
    OFFICIAL,
    OURS,
    Clients,
    peer_interpreter,
    peer_versions,
)
from benchmarks.export_graph import Walked, prepared_graph
from benchmarks.export_turns import Client
from benchmarks.report import Options, Report, print_machine
from benchmarks.rounds import Rounds, Sample, Variant, interleave, spread
from benchmarks.storage import emulator

# Users at once, pages of each, and whether there are 429s: the first of eight users meets one, at the end.
TURNS = [(users, pages, refused) for refused in (True, False) for users, pages in ((1, 20), (8, 4), (32, 2))]
QUICK_TURNS = [(1, 10, False), (8, 2, True), (32, 1, False)]
REFUSED_OF = 8
ROUNDS, QUICK_ROUNDS = 5, 3
LEAST_OF_BARE, LEAST_OF_OFFICIAL = 0.8, 3.0
# Memory is the same within a tenth, however many pages there are.
FEW_PAGES, MANY_PAGES, QUICK_MANY_PAGES = 10, 1000, 100
LEAST_OF_MEMORY = 0.91
STORED_PAGES = 2
SKIPPED = "skipped: give --peers DIR"


def turn(client: Client, users: int, pages: int, *, refused: bool) -> Sample:
    """Have so many users pulled at once, whom nobody has pulled before."""
    last = Walked(pages).requests
    named = [Walked(pages, last if refused and number % REFUSED_OF == 0 else 0).user() for number in range(users)]
    sample = client.turn(named)
    assert sample.done == users * pages * 100, "some interactions did not arrive"
    return sample


def measure_pulling(report: Report, clients: Clients, *, quick: bool) -> None:
    """Pages and nothing else."""
    with ExitStack() as stack:
        started = {name: clients.start(stack, name) for name in clients.pulling}
        for users, pages, refused in QUICK_TURNS if quick else TURNS:
            variants = [
                Variant(name, partial(turn, each, users, pages, refused=refused)) for name, each in started.items()
            ]
            measured = interleave(variants, QUICK_ROUNDS if quick else ROUNDS)
            report_pulling(report, f"{users} at once{', with 429s' * refused}", measured)


def report_pulling(report: Report, what: str, measured: Rounds) -> None:
    """The table of so many users at once, and its targets."""
    rows: list[tuple[object, ...]] = [
        (
            name,
            measured.per_cpu_second(name),
            measured.cpu_ratio(name, BARE),
            measured.per_second(name),
            measured.wall_ratio(name, BARE),
        )
        for name in measured.samples
    ]
    if OFFICIAL not in measured.samples:
        rows.append((OFFICIAL, SKIPPED, "", "", ""))
    columns = ["", "items per CPU second", "of the bare loop", "items per second", "of the bare loop"]
    report.table(f"Pulling pages of users, {what}", columns, rows)
    report.target(f"{what}: CPU, of the bare loop", measured.cpu_ratio(OURS, BARE), LEAST_OF_BARE)
    if OFFICIAL in measured.samples:
        times = measured.cpu_ratio(OURS, OFFICIAL)
        report.target(f"{what}: CPU, times Microsoft's client", times, LEAST_OF_OFFICIAL)


def measure_refusal(report: Report, clients: Clients) -> None:
    """What one 429 with Retry-After comes to, and who asks again."""
    rows: list[tuple[object, ...]] = []
    with ExitStack() as stack:
        for name in (OURS, BARE):
            user = Walked(1, refused=1).user()
            done = clients.start(stack, name).turn([user]).done
            rows.append((name, *_seen(clients, user), f"a page of {done}"))
    for mode in (export_peer.AS_IT_COMES, export_peer.MENDED) if clients.peer else ():
        user = Walked(1, refused=1).user()
        got = clients.ask_once(mode, user)["got"]
        rows.append((f"{OFFICIAL}, {mode}", *_seen(clients, user), got))
    if not clients.peer:
        rows.append((OFFICIAL, SKIPPED, "", ""))
    columns = ["", "requests that the server saw", "User-Agent", "what the caller got"]
    report.table("A page whose first request is answered 429 with Retry-After", columns, rows)


def _seen(clients: Clients, user: str) -> tuple[int, str]:
    seen = clients.seen(user)
    return seen["requests"], seen["agent"].replace("|", r"\|")


def measure_worker(report: Report, clients: Clients, *, quick: bool) -> None:
    """The whole worker beside the bare loop: storage in memory, and on Azurite where there is time for it."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    measured = _worker_rounds(clients, 1 if quick else 5, rounds, None)
    _report_worker(report, "storage in memory", measured)
    if not quick:
        with emulator() as azurite:
            measured = _worker_rounds(clients, STORED_PAGES, QUICK_ROUNDS, azurite.connection_string)
        _report_worker(report, "storage on Azurite", measured)


def _worker_rounds(clients: Clients, pages: int, rounds: int, storage: str | None) -> Rounds:
    users = [Walked(pages).user() for _ in range(2)]  # the same in every turn: they keep what they have stored
    with ExitStack() as stack:
        bare = clients.start(stack, BARE)
        started = {name: clients.start(stack, name, storage) for name in (NEW, FOUND, KNOWN)}
        variants = [Variant(name, partial(each.turn, users)) for name, each in [(BARE, bare), *started.items()]]
        return interleave(variants, rounds)


def _report_worker(report: Report, where: str, measured: Rounds) -> None:
    report.table(
        f"The whole worker, {where}, 2 users at once",
        ["", "items per CPU second", "of the bare loop", "CPU ms for an item", "items per second"],
        [
            (
                name,
                measured.per_cpu_second(name),
                measured.cpu_ratio(name, BARE),
                spread([sample.cpu / sample.done * 1000 for sample in measured.samples[name]]),
                measured.per_second(name),
            )
            for name in measured.samples
        ],
    )


def measure_memory(report: Report, clients: Clients, *, quick: bool) -> None:
    """The peak of fresh processes that walk few pages and many, of one user. The official client takes a minute."""
    many = QUICK_MANY_PAGES if quick else MANY_PAGES
    rows: list[tuple[object, ...]] = []
    for name in (*clients.pulling, ENDLESS):
        few_peak, many_peak = (_peak(clients, name, pages) for pages in (FEW_PAGES, many))
        rows.append((name, round(few_peak, 1), round(many_peak, 1), round(many_peak / few_peak, 3)))
        if name in {OURS, ENDLESS}:
            what = f"{name}: peak memory of {FEW_PAGES} pages, of that of {many}"
            report.target(what, spread([few_peak / many_peak]), LEAST_OF_MEMORY)
    columns = ["", f"MB, {FEW_PAGES} pages", f"MB, {many} pages", "ratio"]
    report.table("Peak memory, a process for each figure", columns, rows)


def _peak(clients: Clients, name: str, pages: int) -> float:
    with ExitStack() as stack:
        client = clients.start(stack, name)
        client.turn([Walked(pages, latency=0).user()])
        return client.peak_megabytes


def read_arguments() -> tuple[Options, Path | None]:
    """The command line: options, and where Microsoft's client is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the tables as JSON too")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a target is missed")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and pages: a look, not a measurement")
    parser.add_argument("--peers", type=Path, metavar="DIR", help="where Microsoft's client is, or is to be installed")
    given = parser.parse_args()
    return Options(json=given.json, check=given.check, quick=given.quick), given.peers


def main() -> int:
    """Measure, print, and say whether the targets are met."""
    options, folder = read_arguments()
    report, peer = Report(), peer_interpreter(folder)
    print_machine()
    if peer is not None:
        print(peer_versions(peer))
    with prepared_graph() as graph:
        plain, packed = graph.page_bytes
        print(f"pages of 100: {plain // 1000} KB of JSON, {packed // 1000} KB compressed")
        os.environ["REQUESTS_CA_BUNDLE"] = graph.ca_file
        clients = Clients(graph, peer)
        measure_refusal(report, clients)
        measure_pulling(report, clients, quick=options.quick)
        measure_worker(report, clients, quick=options.quick)
        measure_calls(report, graph)
        measure_memory(report, clients, quick=options.quick)
    return report.finish(options)


if __name__ == "__main__":
    sys.exit(main())
