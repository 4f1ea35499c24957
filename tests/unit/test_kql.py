"""The reader of queries finds what it is there for."""

import pytest

from tests import kql

GOOD = (
    "AppMetrics | where Name == 'copilot_archive.dead_letters.held' "
    "| summarize arg_max(TimeGenerated, Sum) by Reason = tostring(Properties['reason']) | where Sum > 0"
)
QUEUES = "AppMetrics | where Name == 'copilot_archive.inbox.posts' and Properties['queue'] == 'notifications'"


@pytest.mark.parametrize("query", [GOOD, QUEUES])
def test_nothing_is_said_about_a_good_query(query: str) -> None:
    assert list(kql.mistakes(query)) == []


@pytest.mark.parametrize(
    ("query", "old", "new", "said"),
    [
        (GOOD, "AppMetrics", "customMetrics", "customMetrics is no table of ours"),
        (GOOD, "letters.held", "letters.hold", "copilot_archive.dead_letters.hold is no metric"),
        (GOOD, "['reason']", "['queue']", "copilot_archive.dead_letters.held has no attribute queue"),
        (GOOD, "where Sum", "where Items", "Items is no column here"),
        (GOOD, "where Sum", "where Name", "Name is no column here"),
        (GOOD, "tostring(", "asString(", "asString() is no column here"),
        (GOOD, "summarize", "summarise", "summarise is no operator that is used here"),
        (GOOD, "'reason'])", "'reason']", "brackets are not balanced"),
        (GOOD, "Name == 'copilot_archive.dead_letters.held'", "Sum > 1", "no metric is named"),
        (QUEUES, "'notifications'", "'notification'", "queue is never notification"),
    ],
)
def test_a_mistake_is_named(query: str, old: str, new: str, said: str) -> None:
    assert old in query
    assert said in list(kql.mistakes(query.replace(old, new)))
