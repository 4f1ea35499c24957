"""What was told, as tests and people read it: spans, points of metrics and log lines, one JSON object each."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeAlias

Attributes: TypeAlias = Mapping[str, str | int | float | bool]


@dataclass(frozen=True)
class SpanRecord:
    """A span that has ended. Ids are in hex as in a traceparent; ``parent_id`` is empty for the first of a trace."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    client: bool
    ok: bool
    milliseconds: float
    attributes: Attributes = field(default_factory=dict)
    links: tuple[str, ...] = ()


@dataclass(frozen=True)
class PointRecord:
    """A metric's value for some attributes, since the process began: a histogram's is the sum of ``count`` values."""

    metric: str
    unit: str
    value: float
    count: int
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True)
class LogRecord:
    """A log line with what came beside its text, and the span in which it was written."""

    logger: str
    level: str
    text: str
    trace_id: str = ""
    attributes: Attributes = field(default_factory=dict)


Record: TypeAlias = SpanRecord | PointRecord | LogRecord

_KINDS: dict[str, type[SpanRecord] | type[PointRecord] | type[LogRecord]] = {
    "span": SpanRecord,
    "metric": PointRecord,
    "log": LogRecord,
}


def to_line(record: Record) -> str:
    """The record as one line of JSON, whatever is in it."""
    kind = next(name for name, each in _KINDS.items() if isinstance(record, each))
    return json.dumps({kind: asdict(record)}, default=str)


def from_line(line: str) -> Record:
    """The record of a line that ``to_line`` wrote."""
    ((kind, fields),) = json.loads(line).items()
    if "links" in fields:
        fields["links"] = tuple(fields["links"])
    return _KINDS[kind](**fields)


@dataclass(frozen=True)
class Told:
    """Records in the order in which they were told."""

    records: list[Record] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> "Told":
        """What is in a file by now; a line that is being written is left out."""
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
        return cls([from_line(line) for line in lines if line.endswith("\n")])

    def spans(self, name: str | None = None) -> list[SpanRecord]:
        """The spans that ended, all or those of a name."""
        return [each for each in self.records if isinstance(each, SpanRecord) and name in (None, each.name)]

    def logs(self) -> list[LogRecord]:
        """The log lines."""
        return [each for each in self.records if isinstance(each, LogRecord)]

    def metrics(self) -> set[str]:
        """The names of the metrics that have a value."""
        return {each.metric for each in self._points()}

    def values(self, metric: str) -> dict[tuple[str, ...], float]:
        """The last value of a metric by the values of its attributes, in the order of the attributes' names."""
        return {key: point.value for key, point in self._last(metric).items()}

    def counts(self, metric: str) -> dict[tuple[str, ...], int]:
        """How many values a histogram was given, by the values of its attributes."""
        return {key: point.count for key, point in self._last(metric).items()}

    def _last(self, metric: str) -> dict[tuple[str, ...], PointRecord]:
        points = [point for point in self._points() if point.metric == metric]
        return {tuple(str(value) for _, value in sorted(point.attributes.items())): point for point in points}

    def _points(self) -> Iterator[PointRecord]:
        return (each for each in self.records if isinstance(each, PointRecord))
