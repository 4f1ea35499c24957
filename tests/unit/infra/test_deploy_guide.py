"""docs/deploy.md names every parameter of main.bicep, how azd sets it, and the outputs that its commands read."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
GUIDE = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
BICEP = (ROOT / "infra" / "main.bicep").read_text(encoding="utf-8")
PARAMETERS = json.loads((ROOT / "infra" / "main.parameters.json").read_text(encoding="utf-8"))["parameters"]
SECTION = GUIDE.split("\n## Parameters\n", 1)[1].split("\n## ", 1)[0]
ROWS = [[cell.strip() for cell in line.split("|")[1:-1]] for line in SECTION.splitlines() if line.startswith("| `")]


def test_every_parameter_is_in_the_table_and_no_other() -> None:
    documented = [name for row in ROWS for name in re.findall(r"`(\w+)`", row[0])]
    assert len(documented) == len(set(documented))
    assert set(documented) == set(re.findall(r"^param (\w+)", BICEP, re.MULTILINE))


def test_names_for_azd_are_those_of_the_parameters_file() -> None:
    documented = {row[0].strip("`"): row[1].strip("`") for row in ROWS if row[1]}
    from_file = {name: re.findall(r"\$\{(\w+)", each["value"])[0] for name, each in PARAMETERS.items()}
    assert documented == from_file


def test_outputs_that_commands_read_are_there() -> None:
    read = set(re.findall(r"azd env get-value (\w+)", GUIDE))
    assert read
    assert read <= set(re.findall(r"^output (\w+)", BICEP, re.MULTILINE))


def test_scripts_and_files_that_are_named_are_there() -> None:
    named = set(re.findall(r"(?:infra|\.github)/[\w./-]+\.(?:sh|bicep|json|yml)", GUIDE))
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_number_of_rules_is_the_one_that_is_paid_for() -> None:
    alerts = (ROOT / "infra" / "app" / "alerts.bicep").read_text(encoding="utf-8")
    rules, often = len(re.findall(r"^    query: ", alerts, re.MULTILINE)), alerts.count("frequency: 'PT5M'")
    platform = len(re.findall(r"^    scope: ", alerts, re.MULTILINE))
    assert f"{rules} log search rules, {often} of them every five minutes, and {platform} metric rules" in GUIDE
