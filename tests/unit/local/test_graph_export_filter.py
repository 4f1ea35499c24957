"""What the export takes as `$filter`, and how it refuses the rest."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.graph.export_filter import ExportFilter, parse
from local.graph.graph_errors import GraphError

X, Y = "2024-09-09T16:48:35Z", "2024-11-15T21:48:35.5Z"
RANGE = f"createdDateTime gt {X} and createdDateTime lt {Y}"
WORD, CHAT = "IPM.SkypeTeams.Message.Copilot.Word", "IPM.SkypeTeams.Message.Copilot.BizChat"
BOUNDS = 1725900515000, 1731707315500
CLASSES = frozenset({WORD.lower(), CHAT.lower()})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (RANGE, ExportFilter(*BOUNDS)),
        (f"createdDateTime lt {Y} and createdDateTime gt {X}", ExportFilter(*BOUNDS)),
        (
            "  createdDateTime  gt 2024-09-09T18:48:35+02:00 and createdDateTime lt 2024-11-15T21:48:35.5009Z ",
            ExportFilter(*BOUNDS),
        ),
        (f"appClass eq '{WORD}'", ExportFilter(app_classes=frozenset({WORD.lower()}))),
        (f"appClass eq '{WORD}' or appClass eq '{CHAT}'", ExportFilter(app_classes=CLASSES)),
        (f"(appClass eq '{WORD}' or appClass eq '{CHAT}')", ExportFilter(app_classes=CLASSES)),
        (f"{RANGE} and (appClass eq '{WORD}' or appClass eq '{CHAT}')", ExportFilter(*BOUNDS, CLASSES)),
        (f"(appClass eq '{WORD}' or appClass eq '{CHAT}') and {RANGE}", ExportFilter(*BOUNDS, CLASSES)),
        (f"{RANGE} and appClass eq '{WORD}'", ExportFilter(*BOUNDS, frozenset({WORD.lower()}))),
        ("appClass eq 'it''s'", ExportFilter(app_classes=frozenset({"it's"}))),
    ],
)
def test_filters_that_graph_takes(text: str, wanted: ExportFilter) -> None:
    assert parse(text) == wanted


NOT_ALLOWED = "is not allowed in $filter query."


@pytest.mark.parametrize(
    ("text", "status", "message"),
    [
        (f"createdDateTime gt {X}", 500, "Failed to execute request."),
        (f"createdDateTime lt {Y}", 500, "Failed to execute request."),
        (f"createdDateTime gt {X} and appClass eq 'A'", 500, "Failed to execute request."),
        (
            f"createdDateTime ge {X} and createdDateTime le {Y}",
            400,
            f"The entity property 'createdDateTime' and operationKind 'GreaterThanOrEqual' {NOT_ALLOWED}",
        ),
        (
            f"createdDateTime gt {X} and createdDateTime le {Y}",
            400,
            f"The entity property 'createdDateTime' and operationKind 'LessThanOrEqual' {NOT_ALLOWED}",
        ),
        (
            "sessionId eq '19:x'",
            400,
            f"The entity property 'sessionId' and operationKind 'Equal' {NOT_ALLOWED}",
        ),
        ("appClass ne 'A'", 400, f"The entity property 'appClass' and operationKind 'NotEqual' {NOT_ALLOWED}"),
        ("from/user/id eq 'x'", 400, f"'from/user/id' and operationKind 'Equal' {NOT_ALLOWED}"),
        ("weather eq 'x'", 400, "Could not find a property named 'weather'"),
        (f"{RANGE} and appClass eq 'A' or appClass eq 'B'", 400, "Invalid filter clause"),
        (f"appClass eq 'A' or appClass eq 'B' and {RANGE}", 400, "Invalid filter clause"),
        ("appClass eq 'A' and appClass eq 'B'", 400, "Invalid filter clause"),
        (f"createdDateTime gt {X} or createdDateTime lt {Y}", 400, "Invalid filter clause"),
        (f"createdDateTime gt {X} and createdDateTime gt {Y}", 400, "Invalid filter clause"),
        (f"({RANGE}) and appClass eq 'A'", 400, "Invalid filter clause"),
        (f"(createdDateTime gt {X}) and createdDateTime lt {Y}", 400, "Invalid filter clause"),
        (f"createdDateTime gt '{X}' and createdDateTime lt '{Y}'", 400, "Invalid filter clause"),
        ("createdDateTime gt 2024-09-09 and createdDateTime lt 2024-09-10", 400, "Invalid filter clause"),
        # An offset whose plus was not escaped.
        ("createdDateTime gt 2024-09-09T16:48:35 00:00 and createdDateTime lt x", 400, "Invalid filter clause"),
        (f"createdDateTime GT {X} AND createdDateTime LT {Y}", 400, "Invalid filter clause"),
        ("startswith(appClass,'IPM')", 400, "Invalid filter clause"),
        ("appClass eq A", 400, "Invalid filter clause"),
        ("appClass eq 'A", 400, "Invalid filter clause"),
        ("(appClass eq 'A'", 400, "Invalid filter clause"),
        ("appClass eq 'A')", 400, "Invalid filter clause"),
        ("", 400, "Invalid filter clause"),
    ],
)
def test_filters_that_graph_refuses(text: str, status: int, message: str) -> None:
    with pytest.raises(GraphError) as refused:
        parse(text)
    assert refused.value.status == status
    assert message in refused.value.message


@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from([*RANGE.split(), "(", ")", "or", "'A'", "appClass eq"])).map(" ".join)
)
def test_no_text_breaks_the_filter(text: str) -> None:
    with contextlib.suppress(GraphError):
        parse(text)
