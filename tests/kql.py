"""Reads the queries of alerts and workbook as far as a mistake in them can be found without Azure.

Kusto's own parser is not to be had for Python. The queries here keep to a handful of operators, and each operator says
which columns come out of it, so a misspelt metric, attribute, column or function is found; a wrong number is not.
"""

import re
from collections.abc import Iterator

from shared.core.inbox_name import QUEUES
from shared.core.metrics import EXPORT_USERS, METRICS, Metric

# https://learn.microsoft.com/azure/azure-monitor/reference/tables/appmetrics and .../apprequests: those that we use.
TABLES = {
    "AppMetrics": {"_ResourceId", "TimeGenerated", "Name", "Sum", "Min", "Max", "ItemCount", "Properties"},
    "AppRequests": {"_ResourceId", "TimeGenerated", "Name", "Success", "ResultCode", "ItemCount", "DurationMs"},
}
FUNCTIONS = {
    *("count", "sum", "sumif", "min", "max", "minif", "maxif", "dcount", "arg_max", "percentilesw_array"),
    *("bin", "startofday", "now", "dayofweek", "toint", "todouble", "tostring", "strcat", "round", "coalesce"),
}
# Values that attributes are compared with: the states of an export are in no type of the core's.
VALUES = {
    "queue": set(QUEUES),
    "source": {"notification", "export"},
    "state": set(EXPORT_USERS.description.partition(": ")[2].split(", ")),
}
WORDS = {"in", "between", "and", "or", "not", "by", "asc", "desc", "true", "false"}
BY_NAME = {metric.name: metric for metric in METRICS}

STRING = re.compile(r"'[^']*'")
NUMBER = re.compile(r"\b\d+(?:\.\d+)?(?:ms|[smhd])?\b")
IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
ATTRIBUTE = re.compile(r"Properties\['([^']*)'\]")
COMPARED = re.compile(r"Properties\['(\w+)'\] == '([^']*)'")


def metrics_of(query: str) -> list[Metric]:
    """The metrics that a query names; KeyError for one that the app does not emit."""
    return [BY_NAME[text[1:-1]] for text in STRING.findall(query) if "." in text and "%" not in text]


def mistakes(query: str) -> Iterator[str]:
    """What is wrong with a query, one sentence each."""
    if query.count("(") != query.count(")") or query.count("[") != query.count("]"):
        yield "brackets are not balanced"
    table, *stages = [stage.strip() for stage in query.split("|")]
    if table not in TABLES:
        yield f"{table} is no table of ours"
        return
    columns = set(TABLES[table])
    for stage in stages:
        yield from _wrong_in(stage, columns)
    yield from _wrong_metrics(query, table)


def _wrong_metrics(query: str, table: str) -> Iterator[str]:
    names = {text[1:-1] for text in STRING.findall(query) if "." in text and "%" not in text}
    unknown = names - set(BY_NAME)
    yield from (f"{name} is no metric" for name in sorted(unknown))
    if table == "AppMetrics" and not names:
        yield "no metric is named"
    for attribute in ATTRIBUTE.findall(query):
        without = [name for name in names - unknown if attribute not in BY_NAME[name].attributes]
        yield from (f"{name} has no attribute {attribute}" for name in without)
    for attribute, value in COMPARED.findall(query):
        if value not in VALUES[attribute]:
            yield f"{attribute} is never {value}"


def _wrong_in(stage: str, columns: set[str]) -> Iterator[str]:
    """Check one operator against the columns that reach it, and leave those that come out of it in ``columns``."""
    operator, _, rest = stage.partition(" ")
    made = set(re.findall(r"(\w+) = ", rest))
    used = set(_names(NUMBER.sub("", re.sub(r"\b\w+ = ", "", STRING.sub("''", rest)))))
    yield from (f"{name} is no column here" for name in sorted(used - columns))
    match operator:
        case "where" | "order":
            pass
        case "extend":
            columns |= made
        case "summarize" | "project":
            kept = made | _bare(rest)
            columns.clear()
            columns |= kept
        case _:
            yield f"{operator} is no operator that is used here"


def _names(expression: str) -> Iterator[str]:
    for match in IDENTIFIER.finditer(expression):
        name = match.group()
        called = expression[match.end() : match.end() + 1] == "("
        if called and name not in FUNCTIONS | WORDS:
            yield f"{name}()"
        elif not called and name not in WORDS:
            yield name


def _bare(rest: str) -> set[str]:
    """Columns that keep their names: keys without alias, bins of a column, and what arg_max returns."""
    plain = STRING.sub("''", rest)
    bins = set(re.findall(r"(?<!= )\bbin\((\w+),", plain))
    best = {name for pair in re.findall(r"arg_max\((\w+), (\w+)\)", plain) for name in pair}
    parts = re.split(r",(?![^(]*\))|\bby\b", plain)
    return bins | best | {part.strip() for part in parts if re.fullmatch(r"\s*\w+\s*", part)}
