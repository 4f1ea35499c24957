"""``python -m tests.endurance``: the attack in its long form.

Without ``--part`` it does all three: the siege by seeds, the whole matrix of single faults, the planted bugs.
"""

import argparse
import json
import math
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from tests.endurance.careless import BUGS
from tests.endurance.cases import Verdict
from tests.endurance.extent import Extent
from tests.endurance.matrix import by_scenario, enumerated, told, unattacked
from tests.endurance.scenarios import SCENARIOS
from tests.endurance.siege import WHOLE, Siege, besieged, commit
from tests.endurance.spoilers import LONG, SHORT
from tests.endurance.stage import Stage, standing_stage
from tests.endurance.verifier import Figure

CONSOLE = Console(highlight=False)
TOLD_EVERY = 60.0


def main() -> int:
    """Attack; 0 where the promise was kept and every planted bug was found."""
    options = _arguments()
    CONSOLE.print(f"commit {commit()}")
    parts = {"siege": siege, "matrix": matrix, "careless": careless}
    with tempfile.TemporaryDirectory(prefix="endurance-") as temporary:
        folder = options.folder or Path(temporary)
        wanted = [options.part] if options.part else list(parts)
        kept = [parts[name](options, folder / name) for name in wanted]
    return 0 if all(kept) else 1


def siege(options: argparse.Namespace, folder: Path) -> bool:
    """Random faults around the real host, by seed."""
    extent = Extent(options.interactions, options.faults, options.minutes, options.rate, options.one_in)
    kept = [_besiege(seed, extent, options, folder / str(seed)) for seed in options.seeds]
    return all(kept)


def _besiege(seed: int, extent: Extent, options: argparse.Namespace, folder: Path) -> bool:
    started, worked = time.monotonic(), sum(os.times()[:4])
    with besieged(folder, seed, **WHOLE) as run:
        run.run(extent, _teller())
        figure, graph = run.figure(exported=True), run.cloud.graph.ledger().summary()
    # All of it: the cloud and the proxy are here, the hosts and storage were children.
    took = {"seconds": round(time.monotonic() - started), "processor": round(sum(os.times()[:4]) - worked)}
    kept = not figure.harm and not figure.in_inbox and "!=" not in figure.sum + figure.exports
    CONSOLE.print(f"seed {seed}: {_counts(Counter(took))}; {_said(run, figure, graph)}", soft_wrap=True)
    if options.report:
        about = {"commit": commit(), "seed": seed, "kept": kept, **took, "settled": round(run.settled)}
        storm = {"faults": run.fired.total(), "by_kind": run.fired, "interactions": run.sent}
        with options.report.open("a", encoding="utf-8") as report:
            report.write(json.dumps({**about, **storm, **figure.counts, "graph": graph}) + "\n")
    return kept


def _said(run: Siege, figure: Figure, graph: Mapping[str, int]) -> str:
    return (
        f"{run.sent} interactions; {figure.sent} changes, {figure.acknowledged} of them acknowledged "
        f"({graph['abandoned_posts']} posts given up by Graph, {graph['dropped_contents']} changes dropped, "
        f"{graph['withheld_contents']} withheld), archived by {_counts(figure.archived)}\n"
        f"  faults: {run.fired.total()}: {_counts(run.fired)}\n"
        f"  acknowledged items: {figure.sum}\n"
        f"  shown by the export: {figure.exports}; {figure.corroborated} seen by both\n"
        f"  dead letters: {_counts(figure.dead_letters)}; in the inbox: {figure.in_inbox}\n"
        f"  at rest {run.settled:.0f} s after the storm; harm: {figure.harm or 'none'}"
    )


def matrix(options: argparse.Namespace, folder: Path) -> bool:
    """Every single fault at every call."""
    spoilers = SHORT if options.short else LONG
    names = options.scenarios or list(SCENARIOS)
    with ExitStack() as stack:
        stages = _stages(stack, folder, options.lanes)
        started = time.monotonic()
        verdicts: list[Verdict] = []
        for each in enumerated(stages, names, spoilers, thin=options.short, known=not options.repair_each):
            verdicts.append(each)
            if each.wrong:
                CONSOLE.print(str(each), soft_wrap=True)
    seconds = time.monotonic() - started
    for some in by_scenario(verdicts).values():
        CONSOLE.print(told(some))
    missed, harm = unattacked(verdicts), sum(bool(each.wrong) for each in verdicts)
    CONSOLE.print("".join(f"not attacked: {call}\n" for call in missed), end="", soft_wrap=True)
    CONSOLE.print(f"{len(verdicts)} cases of {len(spoilers)} kinds in {seconds:.0f} s, the promise broken in {harm}")
    return harm + len(missed) == 0


def careless(options: argparse.Namespace, folder: Path) -> bool:
    """Planted bugs: killed of planted."""
    killed = 0
    with ExitStack() as stack:
        stages = _stages(stack, folder, options.lanes)
        for bug, (*_, scenarios) in BUGS.items():
            found = next(
                (each for each in enumerated(stages, scenarios, SHORT, thin=True, careless=bug) if each.wrong), None
            )
            killed += found is not None
            CONSOLE.print(f"{'killed' if found else 'LIVES '}  {bug}: {str(found)[:240]}")
    CONSOLE.print(f"{killed} of {len(BUGS)} planted bugs killed")
    return killed == len(BUGS)


def _stages(stack: ExitStack, folder: Path, count: int) -> list[Stage]:
    return [stack.enter_context(standing_stage(folder / str(number))) for number in range(count)]


def _teller() -> Callable[[str], None]:
    """Prints progress: in place, or where a file takes it, a line each minute."""
    last = -math.inf

    def tell(line: str) -> None:
        nonlocal last
        if sys.stdout.isatty():
            CONSOLE.print(f"{line:<110}", end="\r", style="dim", soft_wrap=True)
        elif time.monotonic() - last >= TOLD_EVERY:
            last = time.monotonic()
            CONSOLE.print(line, soft_wrap=True)

    return tell


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counter.most_common()) or "none"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.endurance", description=__doc__)
    add = parser.add_argument
    add("--part", choices=("siege", "matrix", "careless"), help="one part alone")
    add("--faults", type=int, default=300, help="siege: at least so many faults for each seed (300)")
    add("--interactions", type=int, default=400, help="siege: at least so many interactions for each seed (400)")
    add("--minutes", type=float, help="siege: for so long instead, for each seed")
    add("--seeds", type=int, nargs="+", default=[1], help="siege: one run for each (1)")
    add("--rate", type=float, default=20.0, help="siege: changes a second (20)")
    add("--one-in", type=int, default=25, help="siege: one call in so many is spoilt (25)")
    add("--report", type=Path, help="siege: a file that gets a line of JSON for each seed")
    add("--folder", type=Path, help="a folder that keeps the traces (a temporary one)")
    add("--scenarios", nargs="+", choices=list(SCENARIOS), help="matrix: these alone")
    add("--short", action="store_true", help="matrix: the cases that make test tries")
    add("--repair-each", action="store_true", help="matrix: repair and judge also what an earlier case had left behind")
    add("--lanes", type=int, default=2, help="matrix: so many cases at once (2)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
