"""An OpenTelemetry SDK whose every span and point goes to a sink of ours: a list for tests, a file for other processes.

https://opentelemetry-python.readthedocs.io/en/stable/sdk/
"""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    DataPointT,
    Metric,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanContext, SpanKind, StatusCode, format_span_id, format_trace_id

from local.telemetry.records import PointRecord, Record, SpanRecord, Told, to_line

# A test that reads a file waits no longer than this for a metric.
FLUSH_SECONDS = 0.5

Sink = Callable[[Record], None]


class Collector:
    """Providers for one process. Spans reach the sink as they end, metrics twice a second and at ``flush``."""

    def __init__(self, sink: Sink | None = None, flush_seconds: float = FLUSH_SECONDS) -> None:
        self.told = Told()
        sink = sink or self.told.records.append
        reader = PeriodicExportingMetricReader(_Metrics(sink), export_interval_millis=flush_seconds * 1000)
        self.tracer_provider = TracerProvider(shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(_Spans(sink)))
        self.meter_provider = MeterProvider([reader], shutdown_on_exit=False)

    def flush(self) -> Told:
        """Have all metrics told now; returns what is in memory, where there is no sink."""
        self.meter_provider.force_flush()
        return self.told

    def close(self) -> None:
        """Tell what is left, and no more."""
        self.meter_provider.shutdown()
        self.tracer_provider.shutdown()


class FileSink:
    """Writes each record as a line that is there for other processes at once."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._lock = threading.Lock()

    def __call__(self, record: Record) -> None:
        """Write one."""
        with self._lock:
            if not self._file.closed:
                self._file.write(to_line(record) + "\n")
                self._file.flush()

    def close(self) -> None:
        """Write no more."""
        with self._lock:
            self._file.close()


class _Spans(SpanExporter):
    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            self._sink(_span_record(span))
        return SpanExportResult.SUCCESS


class _Metrics(MetricExporter):
    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink = sink

    def export(
        self,
        metrics_data: MetricsData,
        timeout_millis: float = 10_000,  # noqa: ARG002 - the SDK's signature
        **_: object,
    ) -> MetricExportResult:
        for resource in metrics_data.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.data.data_points:
                        self._sink(_point_record(metric, point))
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002 - nothing is held back
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_: object) -> None:  # noqa: ARG002 - whose the sink is closes it
        return None


def _point_record(metric: Metric, point: DataPointT) -> PointRecord:
    attributes = _plain(point.attributes)
    if isinstance(point, NumberDataPoint):
        return PointRecord(metric.name, metric.unit or "", point.value, 1, attributes)
    return PointRecord(metric.name, metric.unit or "", point.sum, point.count, attributes)


def _span_record(span: ReadableSpan) -> SpanRecord:
    context = span.get_span_context()
    nanoseconds = (span.end_time or 0) - (span.start_time or 0)
    # Events hold the messages of exceptions; whoever looks for leaks has to see them.
    events = {f"event {number}": f"{event.name} {event.attributes}" for number, event in enumerate(span.events)}
    return SpanRecord(
        name=span.name,
        trace_id=_trace_id(context),
        span_id=_span_id(context),
        parent_id=_span_id(span.parent),
        client=span.kind is SpanKind.CLIENT,
        ok=span.status.status_code is not StatusCode.ERROR,
        milliseconds=nanoseconds / 1e6,
        attributes={**_plain(span.attributes), **events},
        links=tuple(_trace_id(link.context) for link in span.links),
    )


def _plain(attributes: object) -> dict[str, str | int | float | bool]:
    return dict(attributes) if attributes else {}  # type: ignore[call-overload] # the SDK's own mapping, of plain values


def _trace_id(context: SpanContext | None) -> str:
    return format_trace_id(context.trace_id) if context else ""


def _span_id(context: SpanContext | None) -> str:
    return format_span_id(context.span_id) if context else ""
