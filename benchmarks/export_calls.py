"""How many calls to storage the whole worker of the export takes: counted, in one window and in eight at once."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from benchmarks.export_graph import Served, Walked
from benchmarks.export_storage import Counted, MemoryContainer
from benchmarks.export_ways import BEGIN, CountedExports, graph_exports, now, worker
from benchmarks.report import Report
from shared.adapters.shared_pace import SharedPace
from shared.core.export_window import PAGE_SIZE, ExportWindow, to_message
from shared.core.request_budget import LEDGER

PAGES = 5
AT_ONCE = 8
# How the tables name what a call is about: the container, and in that of state the first part of the name.
BUDGET, ARCHIVE = LEDGER, "interactions"


class _Storage:
    """The containers of one storage account, counted."""

    def __init__(self) -> None:
        self.state = Counted("state", MemoryContainer())
        self.archive = Counted(ARCHIVE, MemoryContainer())
        self.pace = SharedPace(self.state, now)

    def run(self, graph: Served, users: Sequence[str]) -> Counter[tuple[str, str]]:
        """Run a window of each user at the same time, and count."""
        self.state.calls.clear()
        self.archive.calls.clear()
        exports = graph_exports(graph.origin)

        def window(user: str) -> None:
            flow = worker(CountedExports(exports), self.state, self.archive, self.pace)
            flow.run(to_message(ExportWindow(user, BEGIN, now())))

        with ThreadPoolExecutor(len(users)) as pool:
            list(pool.map(window, users))
        return self.state.calls + self.archive.calls

    def forget_checkpoints(self) -> None:
        """Leave the archive as it is."""
        self.state.inner = MemoryContainer()


def measure_calls(report: Report, graph: Served) -> None:
    """The table: windows of five pages, whose interactions are new, in the archive, and known to the checkpoint."""
    walked, storage = Walked(PAGES, latency=0), _Storage()
    user = walked.user()
    counted = {"all of it new": storage.run(graph, [user])}
    storage.forget_checkpoints()
    counted["all found in the archive"] = storage.run(graph, [user])
    counted["all known to the checkpoint"] = storage.run(graph, [user])
    rows = [_row(case, calls, 1) for case, calls in counted.items()]
    many = _Storage()
    at_once = many.run(graph, [walked.user() for _ in range(AT_ONCE)])
    rows.append(_row(f"all of it new to one of {AT_ONCE} windows at once", at_once, AT_ONCE))
    report.table(
        f"Calls to storage, windows of {PAGES} pages",
        ["", "for an interaction", "of the archive", "for a request: the budget", "for a window: the rest", "of these"],
        rows,
    )


def _row(case: str, calls: Counter[tuple[str, str]], windows: int) -> tuple[object, ...]:
    of: dict[str, dict[str, int]] = {ARCHIVE: {}, BUDGET: {}, "rest": {}}
    for (about, call), count in sorted(calls.items()):
        place = about if about in of else "rest"
        of[place][call if place != "rest" else f"{about} {call}"] = count
    archive, budget, rest = (sum(each.values()) for each in of.values())
    requests = Walked(PAGES).requests * windows
    return (
        case,
        round(archive / (PAGES * PAGE_SIZE * windows), 2),
        _named(of[ARCHIVE]),
        round(budget / requests, 2),
        round(rest / windows, 2),
        _named(of["rest"]),
    )


def _named(calls: dict[str, int]) -> str:
    return ", ".join(f"{count} {call}" for call, count in calls.items()) or "none"
