"""Alerts ask for what the app emits, what must be watched is watched, and each alert has its runbook."""

import re
from dataclasses import dataclass
from typing import Any

import pytest

from shared.core import metrics
from shared.core.metrics import METRICS, Metric
from tests import kql
from tests.unit.infra.bicep import ROOT, named, only

ALERTS = "app/alerts.bicep"
RUNBOOK = ROOT / "docs" / "operations.md"

# Looked at in the workbook, and why nobody is woken by them.
PICTURES_ONLY = {
    metrics.INTERACTIONS_ARCHIVED: "posts.received and corroboration say what is missing",
    metrics.DUPLICATES: "at-least-once delivery makes them; they change nothing",
    metrics.CAPTURE_LATENCY: "Graph itself may take an hour; our own part of it is the inbox's age",
    metrics.INBOX_POSTS: "a peak makes many; only old ones matter",
}
WATCHED = [metric for metric in METRICS if metric not in PICTURES_ONLY]
# Windows that Azure takes: https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-create-log-alert-rule
DURATIONS = {"PT5M": 5, "PT10M": 10, "PT15M": 15, "PT30M": 30, "PT1H": 60, "PT6H": 360, "P1D": 1440, "P2D": 2880}


@dataclass(frozen=True)
class Rule:
    """A row of one of the two tables in alerts.bicep."""

    row: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.row["name"])

    @property
    def query(self) -> str:
        return f"{self.row['table']} | where _ResourceId =~ '%component%'{self.row['query']}"


def rules() -> list[Rule]:
    return [Rule(row) for row in named(ALERTS, "rules").value]


def platform() -> list[Rule]:
    return [Rule(row) for row in named(ALERTS, "platform").value]


def runbooks() -> dict[str, str]:
    """What the section of the alerts says, by heading."""
    section = RUNBOOK.read_text(encoding="utf-8").split("\n## Alerts\n", 1)[1].split("\n## ", 1)[0]
    return dict(each.split("\n\n", 1) for each in section.split("\n### ")[1:])


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.name)
def test_queries_ask_for_what_there_is(rule: Rule) -> None:
    assert list(kql.mistakes(rule.query)) == []


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.name)
def test_queries_can_fire(rule: Rule) -> None:
    """A query without a comparison fires always; one whose dimension does not come out of it, never."""
    last = rule.query.rsplit("|", 1)[1]
    assert re.match(r" where .*(==|<|>|>=)", last)
    if rule.row["dimension"]:
        assert re.search(rf"by .*\b{rule.row['dimension']} = ", rule.query)


@pytest.mark.parametrize("metric", WATCHED, ids=lambda metric: metric.name)
def test_what_must_be_watched_is(metric: Metric) -> None:
    assert [rule.name for rule in rules() if metric in kql.metrics_of(rule.query)]


def test_a_new_metric_needs_a_decision() -> None:
    """Nothing is both woken for and declared as a picture only."""
    asked = {metric for rule in rules() for metric in kql.metrics_of(rule.query)}
    assert asked == set(WATCHED)


def test_silence_is_an_alert_too() -> None:
    """Gauges that stop coming give no row to any other rule."""
    heartbeat = next(rule for rule in rules() if rule.name == "heartbeat-missing")
    assert re.search(r"summarize (\w+) = count\(\)\s*\| where \1 == 0", heartbeat.query)
    assert heartbeat.row["severity"] == 0
    (metric,) = kql.metrics_of(heartbeat.query)
    assert metric.instrument is metrics.Instrument.GAUGE


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.name)
def test_rules_fit_together(rule: Rule) -> None:
    window, frequency = DURATIONS[rule.row["window"]], DURATIONS[rule.row["frequency"]]
    assert frequency <= window
    assert "ago(" not in rule.query, "Azure then makes the window two days, whatever the rule says"
    counted = sum(metric.instrument is not metrics.Instrument.GAUGE for metric in kql.metrics_of(rule.query))
    assert window >= 15 or not counted


@pytest.mark.parametrize("rule", [*rules(), *platform()], ids=lambda rule: rule.name)
def test_each_says_how_bad_it_is_and_what_to_do(rule: Rule) -> None:
    assert rule.row["severity"] in range(4)
    assert len(rule.row["description"]) > 60
    assert rule.row["description"].endswith(".")


def test_each_alert_has_a_runbook_and_each_runbook_an_alert() -> None:
    assert set(runbooks()) == {rule.name for rule in [*rules(), *platform()]}


@pytest.mark.parametrize("rule", [*rules(), *platform()], ids=lambda rule: rule.name)
def test_runbooks_say_how_bad_it_is(rule: Rule) -> None:
    runbook = runbooks()[rule.name]
    assert runbook.startswith(f"Severity {rule.row['severity']}.")


@pytest.mark.parametrize("type_", ["scheduledQueryRules", "metricAlerts"])
def test_every_row_becomes_a_rule_that_tells_somebody(type_: str) -> None:
    made = only(f"Microsoft.Insights/{type_}", ALERTS)
    assert made.loop == {"scheduledQueryRules": "rules", "metricAlerts": "platform"}[type_]
    assert made.properties["enabled"] is True
    assert made.properties["description"].endswith("Runbook: docs/operations.md#${rule.name}'")
    assert "operators.id" in str(made.properties["actions"])


def test_a_query_is_asked_as_it_was_read_here() -> None:
    (criterion,) = only("Microsoft.Insights/scheduledQueryRules", ALERTS).properties["criteria"]["allOf"]
    assert criterion["query"] == "'${rule.table} ${ofThisApp}\\n${rule.query}'"
    assert (criterion["timeAggregation"], criterion["operator"], criterion["threshold"]) == ("Count", "GreaterThan", 0)
    assert named(ALERTS, "ofThisApp").value == "'| where _ResourceId =~ \\'${applicationInsightsId}\\''"


def test_names_are_not_given_twice() -> None:
    names = [rule.name for rule in [*rules(), *platform()]]
    assert len(names) == len(set(names))
