"""docs/telemetry.md lists what the code tells: every metric of the table, every span, and nothing else."""

import re
from pathlib import Path

from shared.core.metrics import METRICS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "telemetry.md").read_text(encoding="utf-8")
SOURCES = [path.read_text(encoding="utf-8") for path in (ROOT / "shared").rglob("*.py")]
METRIC_ROW = re.compile(
    r"^\| `(copilot_archive\.[a-z_.]+)` \| (\w+) \| `([^`]+)` \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE
)


def test_every_metric_is_in_the_page_as_it_is_in_the_table() -> None:
    told = {
        name: (kind, unit, tuple(re.findall(r"`([a-z_]+)`", attributes)), description)
        for name, kind, unit, attributes, description in METRIC_ROW.findall(PAGE)
    }
    assert told == {
        metric.name: (metric.instrument.value, metric.unit, metric.attributes, metric.description) for metric in METRICS
    }


def test_no_metric_is_named_but_in_the_table() -> None:
    known = {metric.name for metric in METRICS}
    named = set(re.findall(r"copilot_archive\.[a-z_]+\.[a-z_]+", PAGE))

    assert named <= known


def test_every_span_is_in_the_page() -> None:
    section = PAGE.split("## Spans")[1].split("\n## ")[0]
    names = {name for source in SOURCES for name in re.findall(r"telemetry\.span\(\s*f?\"([a-z ]+)", source)}

    assert {"receive", "store", "heed", "replay"} <= names
    missing = {name for name in names if not re.search(rf"^\| `{name.strip()}( …)?`", section, re.MULTILINE)}
    assert missing == set()
