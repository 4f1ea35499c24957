"""The `$filter` of the export: a range of createdDateTime, a choice of appClass, or both. Pure: text in, values out.

Only `gt` and `lt` are documented for the range, and both are needed; the errors are those that were observed, here or
with the sibling export of Teams messages.
https://learn.microsoft.com/microsoft-365/copilot/extensibility/api/ai-services/interaction-export/aiinteractionhistory-getallenterpriseinteractions#optional-query-parameters
"""

import re
from dataclasses import dataclass

from local.graph import times
from local.graph.graph_errors import GraphError, bad_request
from local.graph.odata_filter import PROPERTIES

_TOKEN = re.compile(r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<open>\()|(?P<close>\))|(?P<word>[^\s()']+))", re.DOTALL)
_OPERATIONS = {
    "eq": "Equal",
    "ne": "NotEqual",
    "gt": "GreaterThan",
    "ge": "GreaterThanOrEqual",
    "lt": "LessThan",
    "le": "LessThanOrEqual",
}
_ALLOWED = {"createdDateTime": {"gt", "lt"}, "appClass": {"eq"}}
_ALL_PROPERTIES = PROPERTIES | {"from", "body", "attachments", "contexts", "links", "mentions"}


@dataclass(frozen=True)
class ExportFilter:
    """What is asked for. Bounds are exclusive, in milliseconds since 1970; classes are in lower case."""

    after: int | None = None
    before: int | None = None
    app_classes: frozenset[str] | None = None

    @property
    def is_combined(self) -> bool:
        """Whether it asks for a range and for classes."""
        return self.after is not None and self.app_classes is not None


EVERYTHING = ExportFilter()


def parse(text: str) -> ExportFilter:
    """Read the value of `$filter`.

    Raises:
        GraphError: 400 for what is no filter or is not supported, 500 for a range with one end.
    """
    return _Reader(text).read()


def one_end() -> GraphError:
    """500, for a range with one end: what Graph was seen to answer."""
    return GraphError(500, "InternalServerError", "Failed to execute request.")


class _Reader:
    """A clause is a comparison, or alternatives in parentheses; clauses are joined by `and`."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._bounds: dict[str, int] = {}
        self._app_classes: frozenset[str] | None = None

    def read(self) -> ExportFilter:
        self._clause(alone=True)
        while self._tokens:
            self._expect("and")
            self._clause(alone=False)
        if len(self._bounds) == 1:
            raise one_end()
        return ExportFilter(self._bounds.get("gt"), self._bounds.get("lt"), self._app_classes)

    def _clause(self, *, alone: bool) -> None:
        grouped = self._next_is("(")
        if grouped:
            self._take()
        classes = self._comparison()
        # Without parentheses `or` binds weaker than `and`: then it must be all there is.
        while self._next_is("or"):
            if classes is None or not (grouped or alone):
                raise self._invalid()
            self._take()
            classes = classes | self._app_class()
            if not grouped and self._next_is("and"):
                raise self._invalid()
        if grouped:
            if classes is None:
                raise self._invalid()
            self._expect(")")
        if classes is not None:
            self._choose(classes)

    def _app_class(self) -> frozenset[str]:
        if (classes := self._comparison()) is None:
            raise self._invalid()
        return classes

    def _choose(self, classes: frozenset[str]) -> None:
        if self._app_classes is not None:
            raise self._invalid()
        self._app_classes = classes

    def _comparison(self) -> frozenset[str] | None:
        name, operator, value = self._take(), self._take(), self._take()
        _check(name, operator, self._text)
        if name == "appClass":
            if not value.startswith("'"):
                raise self._invalid()
            return frozenset({value[1:-1].replace("''", "'").lower()})
        if operator in self._bounds:
            raise self._invalid()
        self._bounds[operator] = self._moment(value)
        return None

    def _moment(self, value: str) -> int:
        try:
            return times.epoch_milliseconds(times.parse(value))
        except ValueError as error:
            raise self._invalid() from error

    def _next_is(self, token: str) -> bool:
        return bool(self._tokens) and self._tokens[0] == token

    def _take(self) -> str:
        if not self._tokens:
            raise self._invalid()
        return self._tokens.pop(0)

    def _expect(self, token: str) -> None:
        if self._take() != token:
            raise self._invalid()

    def _invalid(self) -> GraphError:
        return _invalid(self._text)


def _tokens(text: str) -> list[str]:
    found, position, end = [], 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise _invalid(text)
        found.append(match[0].lstrip())
        position = match.end()
    return found


def _check(name: str, operator: str, text: str) -> None:
    if operator not in _OPERATIONS or not re.fullmatch(r"[A-Za-z][\w/]*", name):
        raise _invalid(text)
    if name.partition("/")[0] not in _ALL_PROPERTIES:
        raise bad_request(f"Could not find a property named '{name}' on type 'microsoft.graph.aiInteraction'.")
    if operator not in _ALLOWED.get(name, ()):
        raise bad_request(
            f"The entity property '{name}' and operationKind '{_OPERATIONS[operator]}' is not allowed in $filter query."
        )


def _invalid(text: str) -> GraphError:
    return bad_request(f"Invalid filter clause: '{text}'.")
