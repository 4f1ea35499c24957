"""The workbook's pictures are of what the app emits, and every metric is in one."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from shared.core.metrics import METRICS
from tests import kql

ROOT = Path(__file__).resolve().parents[3]
WORKBOOK = json.loads((ROOT / "infra" / "workbook.json").read_text(encoding="utf-8"))
BICEP = (ROOT / "infra" / "app" / "workbook.bicep").read_text(encoding="utf-8")
PANELS: list[dict[str, Any]] = [item for item in WORKBOOK["items"] if item["type"] == 3]
PICTURES = {"barchart", "areachart", "timechart", "table"}


def name(panel: dict[str, Any]) -> str:
    return str(panel["name"])


@pytest.mark.parametrize("panel", PANELS, ids=name)
def test_queries_ask_for_what_there_is(panel: dict[str, Any]) -> None:
    query = panel["content"]["query"]
    assert query.startswith("AppMetrics\n| where _ResourceId =~ '%component%'\n")
    assert list(kql.mistakes(query)) == []


@pytest.mark.parametrize("panel", PANELS, ids=name)
def test_panels_are_whole(panel: dict[str, Any]) -> None:
    content = panel["content"]
    assert content["version"] == "KqlItem/1.0"
    assert content["crossComponentResources"] == ["%workspace%"]
    assert content["visualization"] in PICTURES
    assert content["title"]
    assert content.get("timeContextFromParameter") == "Range" or content["timeContext"]["durationMs"]


def test_every_metric_is_in_a_picture() -> None:
    shown = {metric for panel in PANELS for metric in kql.metrics_of(panel["content"]["query"])}
    assert shown == set(METRICS)


def test_names_are_not_given_twice() -> None:
    names = [item["name"] for item in WORKBOOK["items"]]
    assert len(names) == len(set(names))


def test_the_range_that_panels_take_is_a_parameter() -> None:
    (parameters,) = [item["content"]["parameters"] for item in WORKBOOK["items"] if item["type"] == 9]
    assert [each["name"] for each in parameters] == ["Range"]


def test_bicep_fills_in_every_placeholder_and_no_other() -> None:
    assert "loadTextContent('../workbook.json')" in BICEP
    assert set(re.findall(r"%\w+%", json.dumps(WORKBOOK))) == set(re.findall(r"'(%\w+%)'", BICEP))
