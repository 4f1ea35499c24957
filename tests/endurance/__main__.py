"""``python -m tests.endurance``: the attack in its long form.

Without ``--part`` it does all three: the siege by seeds, the whole matrix of single faults, the planted bugs.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from tests.endurance.careless import BUGS
from tests.endurance.matrix import enumerated
from tests.endurance.scenarios import SCENARIOS
from tests.endurance.siege import besieged, commit
from tests.endurance.spoilers import LONG, SHORT
from tests.endurance.stage import Stage, standing_stage

CONSOLE = Console(highlight=False)


def main() -> int:
    """Attack; 0 where the promise was kept and every planted bug was found."""
    options = _arguments()
    CONSOLE.print(f"commit {commit()}")
    parts = {"siege": siege, "matrix": matrix, "careless": careless}
    with tempfile.TemporaryDirectory(prefix="endurance-") as folder:
        wanted = [options.part] if options.part else list(parts)
        kept = [parts[name](options, Path(folder) / name) for name in wanted]
    return 0 if all(kept) else 1


def siege(options: argparse.Namespace, folder: Path) -> bool:
    """Random faults around the real host, by seed."""
    kept = True
    for seed in options.seeds:
        started = time.monotonic()
        with besieged(folder / str(seed), seed) as run:
            run.run(faults=options.faults, interactions=options.interactions, tell=_tell)
            figure = run.figure()
            abandoned = run.cloud.graph.ledger().summary()["abandoned_posts"]
        kept = kept and not figure.harm and not figure.in_inbox and "!=" not in figure.sum
        CONSOLE.print(
            f"seed {seed}, {time.monotonic() - started:.0f} s: {figure.sent} interactions sent, {figure.acknowledged} "
            f"acknowledged ({abandoned} posts given up by Graph), archived by {_counts(figure.archived)}\n"
            f"  faults: {run.fired.total()}: {_counts(run.fired)}\n"
            f"  {figure.sum}\n"
            f"  dead letters: {_counts(figure.dead_letters)}; in the inbox: {figure.in_inbox}\n"
            f"  harm: {figure.harm or 'none'}"
        )
    return kept


def matrix(options: argparse.Namespace, folder: Path) -> bool:
    """Every single fault at every call."""
    spoilers = SHORT if options.short else LONG
    harm = 0
    with ExitStack() as stack:
        stages = _stages(stack, folder, options.lanes)
        started = time.monotonic()
        count = 0
        for verdict in enumerated(stages, options.scenarios or list(SCENARIOS), spoilers, thin=options.short):
            count += 1
            harm += bool(verdict.wrong)
            if verdict.wrong or verdict.case.spoiler is None:
                CONSOLE.print(f"{verdict}; {len(verdict.calls)} calls")
    seconds = time.monotonic() - started
    CONSOLE.print(f"{count} cases of {len(spoilers)} kinds in {seconds:.0f} s, the promise broken in {harm}")
    return harm == 0


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


def _tell(line: str) -> None:
    CONSOLE.print(line, end="\r" if sys.stdout.isatty() else "\n", style="dim")


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counter.most_common()) or "none"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.endurance", description=__doc__)
    add = parser.add_argument
    add("--part", choices=("siege", "matrix", "careless"), help="one part alone")
    add("--faults", type=int, default=300, help="siege: at least so many faults for each seed (300)")
    add("--interactions", type=int, default=400, help="siege: at least so many interactions for each seed (400)")
    add("--seeds", type=int, nargs="+", default=[1], help="siege: one run for each (1)")
    add("--scenarios", nargs="+", choices=list(SCENARIOS), help="matrix: these alone")
    add("--short", action="store_true", help="matrix: the cases that make test tries")
    add("--lanes", type=int, default=2, help="matrix: so many cases at once (2)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
