"""Sets OpenTelemetry up for a whole process, as the worker on Azure does: before the app asks who listens."""

import logging
from collections.abc import Callable
from pathlib import Path

from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

from local.telemetry.collector import Collector, FileSink
from local.telemetry.records import LogRecord

CONSOLE = "console"
OTLP = "otlp"
# What a log record always has; the rest was given with ``extra``.
_ALWAYS = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}


def listen(where: str) -> Callable[[], None]:
    """Send all telemetry to ``console``, to ``otlp`` or to the file of that path; returns what to call in the end.

    ``otlp`` goes where OTEL_EXPORTER_OTLP_ENDPOINT says: https://opentelemetry.io/docs/specs/otel/protocol/exporter/.
    """
    if where == CONSOLE:
        return _export(ConsoleSpanExporter(), ConsoleMetricExporter())
    if where == OTLP:
        return _export(OTLPSpanExporter(), OTLPMetricExporter())
    return _record(Path(where))


def _export(spans: SpanExporter, points: MetricExporter) -> Callable[[], None]:
    tracer_provider = TracerProvider(shutdown_on_exit=False)
    tracer_provider.add_span_processor(BatchSpanProcessor(spans))
    meter_provider = MeterProvider([PeriodicExportingMetricReader(points)], shutdown_on_exit=False)
    return _for_all(tracer_provider, meter_provider)


def _record(path: Path) -> Callable[[], None]:
    sink = FileSink(path)
    collector = Collector(sink)
    handler = _Lines(sink)
    logging.getLogger().addHandler(handler)
    stop = _for_all(collector.tracer_provider, collector.meter_provider)

    def close() -> None:
        stop()
        logging.getLogger().removeHandler(handler)
        sink.close()

    return close


def _for_all(tracer_provider: TracerProvider, meter_provider: MeterProvider) -> Callable[[], None]:
    trace.set_tracer_provider(tracer_provider)
    metrics.set_meter_provider(meter_provider)

    def stop() -> None:
        meter_provider.shutdown()
        tracer_provider.shutdown()

    return stop


class _Lines(logging.Handler):
    """Log lines beside spans and metrics, as the worker's handler sends them to Application Insights."""

    def __init__(self, sink: FileSink) -> None:
        super().__init__()
        self._sink = sink
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        context = trace.get_current_span().get_span_context()
        self._sink(
            LogRecord(
                logger=record.name,
                level=record.levelname,
                text=self.format(record),
                trace_id=trace.format_trace_id(context.trace_id) if context.is_valid else "",
                attributes={name: value for name, value in vars(record).items() if name not in _ALWAYS},
            )
        )
