"""Telemetry in memory that takes nothing but what the table of metrics has: a misspelt attribute fails its test."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from shared.core.metrics import METRICS, Metric


@dataclass
class MemorySpan:
    """A span: what it continues, its attributes, and the type of the error that ended it."""

    name: str
    continues: str | None
    attributes: dict[str, str | int]
    error: str | None = None


@dataclass
class MemoryTelemetry:
    """The Telemetry port. ``current`` is the trace that the work is in."""

    current: str | None = None
    measured: list[tuple[Metric, float, dict[str, str]]] = field(default_factory=list)
    spans: list[MemorySpan] = field(default_factory=list)
    flushed: int = 0
    _open: list[MemorySpan] = field(default_factory=list)

    def measure(self, metric: Metric, value: float, **attributes: str) -> None:
        """See the port."""
        assert metric in METRICS, f"{metric.name} is not in the table"
        assert set(attributes) == set(metric.attributes), f"{metric.name} has the attributes {metric.attributes}"
        self.measured.append((metric, value, attributes))

    @contextmanager
    def span(self, name: str, *, continues: str | None = None, **attributes: str | int) -> Iterator[None]:
        """See the port."""
        span = MemorySpan(name, continues, dict(attributes))
        self.spans.append(span)
        self._open.append(span)
        try:
            yield
        except BaseException as error:
            span.error = type(error).__name__
            raise
        finally:
            self._open.remove(span)

    def note(self, **attributes: str | int) -> None:
        """See the port."""
        if self._open:
            self._open[-1].attributes.update(attributes)

    def traceparent(self) -> str | None:
        """See the port."""
        return self.current

    def flush(self) -> None:
        """See the port."""
        self.flushed = len(self.measured)

    def counted(self, metric: Metric) -> Counter[tuple[str, ...]]:
        """The sum of a counter by the values of its attributes, in the order of the table."""
        counts: Counter[tuple[str, ...]] = Counter()
        for each, value, attributes in self.measured:
            if each is metric:
                counts[tuple(attributes[name] for name in metric.attributes)] += int(value)
        return counts

    def last(self, metric: Metric) -> dict[tuple[str, ...], float]:
        """The last value by the values of the attributes."""
        return {
            tuple(attributes[name] for name in metric.attributes): value
            for each, value, attributes in self.measured
            if each is metric
        }
