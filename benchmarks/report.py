"""What a benchmark says: Markdown tables on the terminal, the same as JSON, and an exit status for its targets."""

import argparse
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.rounds import Spread

_LIBRARIES = ("azure-functions", "azure-storage-blob", "aiohttp", "cryptography", "PyJWT", "requests")


@dataclass(frozen=True, slots=True)
class Options:
    """How a benchmark was called."""

    json: Path | None
    check: bool
    quick: bool


@dataclass(frozen=True, slots=True)
class Target:
    """A promise about one figure: the median of its rounds is at least ``least``."""

    what: str
    measured: Spread
    least: float

    @property
    def met(self) -> bool:
        """Whether it was kept."""
        return self.measured.median >= self.least


@dataclass(slots=True)
class Report:
    """Collects tables and targets, printing each as it comes."""

    tables: list[dict[str, object]] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print a table and keep it."""
        texts = [[str(cell) for cell in row] for row in rows]
        widths = [max(len(line[column]) for line in [list(columns), *texts]) for column in range(len(columns))]
        print(f"\n{title}\n")
        for line in [list(columns), ["-" * width for width in widths], *texts]:
            print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |")
        self.tables.append({"title": title, "columns": list(columns), "rows": [[_plain(c) for c in r] for r in rows]})

    def target(self, what: str, measured: Spread, least: float) -> None:
        """Note a figure that must reach ``least``."""
        self.targets.append(Target(what, measured, least))

    def finish(self, options: Options) -> int:
        """Print the targets, write the JSON, and return the exit status."""
        if self.targets:
            rows = [(each.what, each.measured, each.least, "met" if each.met else "MISSED") for each in self.targets]
            self.table("Targets", ["what", "measured", "at least", ""], rows)
        if options.json:
            document = {**machine(), "tables": self.tables}
            options.json.write_text(json.dumps(document, indent=1), encoding="utf-8")
        return 1 if options.check and not all(each.met for each in self.targets) else 0


def read_options(description: str) -> Options:
    """The command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the tables as JSON too")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a target is missed")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a look, not a measurement")
    given = parser.parse_args()
    return Options(json=given.json, check=given.check, quick=given.quick)


def machine() -> dict[str, object]:
    """Where and with what this runs."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "loadAverage": [round(load, 2) for load in os.getloadavg()],
        "libraries": {name: version(name) for name in _LIBRARIES},
    }


def print_machine() -> None:
    """Say where and with what this runs."""
    facts = machine()
    print(f"{facts['time']}, Python {facts['python']}, {facts['cores']} cores, load average {facts['loadAverage']}")
    print(", ".join(f"{name} {version(name)}" for name in _LIBRARIES))


def _plain(cell: object) -> object:
    if isinstance(cell, Spread):
        return asdict(cell)
    return cell if isinstance(cell, str | int | float) else str(cell)
