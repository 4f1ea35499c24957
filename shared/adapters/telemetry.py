"""Metrics and spans through OpenTelemetry: https://opentelemetry.io/docs/languages/python/.

Only its API is used here. Whoever runs the app decides where the data goes and sets up an SDK: the worker on Azure,
``local/telemetry`` on a desk. Nothing here raises: what can't be told must not stop what is done.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from opentelemetry import context, metrics, trace
from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.core.metrics import Instrument, Metric

logger = logging.getLogger(__name__)

SCOPE = "copilot_archive"
# Timers set gauges every five minutes, on whichever instance has them. One that has lost them falls silent.
GAUGE_SECONDS = 15 * 60.0
FLUSH_MILLISECONDS = 10_000
_TRACEPARENT = "traceparent"
_PROPAGATOR = TraceContextTextMapPropagator()

_Record = Callable[[float, Mapping[str, str]], None]


class OpenTelemetry:
    """The Telemetry port. Without providers those that were set up for the whole process are used."""

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tracer = trace.get_tracer(SCOPE, tracer_provider=tracer_provider)
        self._meters = meter_provider
        self._meter = metrics.get_meter(SCOPE, meter_provider=meter_provider)
        self._monotonic = monotonic
        self._records: dict[str, _Record] = {}
        self._lock = threading.Lock()

    def measure(self, metric: Metric, value: float, **attributes: str) -> None:
        """See the port. Attributes that the metric's row does not have are left out, and said in the log."""
        unknown = attributes.keys() - set(metric.attributes)
        if unknown:
            logger.error("%s has no attributes %s", metric.name, sorted(unknown))
        known = {name: value for name, value in attributes.items() if name in metric.attributes}
        with _harmless():
            self._record(metric)(value, known)

    def span(self, name: str, *, continues: str | None = None, **attributes: str | int) -> AbstractContextManager[None]:
        """See the port."""
        return _around(lambda: self._start(name, continues, attributes))

    def note(self, **attributes: str | int) -> None:
        """See the port."""
        with _harmless():
            trace.get_current_span().set_attributes(attributes)

    def traceparent(self) -> str | None:
        """See the port."""
        carrier: dict[str, str] = {}
        with _harmless():
            _PROPAGATOR.inject(carrier)
        return carrier.get(_TRACEPARENT)

    def flush(self) -> None:
        """See the port. The API has no word for it; the SDK's provider of meters does."""
        flush = getattr(self._meters or metrics.get_meter_provider(), "force_flush", None)
        if flush is not None:
            with _harmless():
                flush(timeout_millis=FLUSH_MILLISECONDS)

    def _start(self, name: str, continues: str | None, attributes: Mapping[str, str | int]) -> Span:
        kind = SpanKind.CLIENT if "dependency" in attributes else SpanKind.INTERNAL
        earlier = _PROPAGATOR.extract({_TRACEPARENT: continues}, context.Context()) if continues else None
        if earlier is None or not trace.get_current_span(earlier).get_span_context().is_valid:
            return self._tracer.start_span(name, kind=kind, attributes=attributes)
        # The host has begun a trace for this call of the function; the link leads there.
        current = trace.get_current_span().get_span_context()
        links = [Link(current)] if current.is_valid else []
        return self._tracer.start_span(name, earlier, kind=kind, attributes=attributes, links=links)

    def _record(self, metric: Metric) -> _Record:
        with self._lock:
            if metric.name not in self._records:
                self._records[metric.name] = _instrument(self._meter, metric, self._monotonic)
            return self._records[metric.name]


class _Gauge:
    """The last values by attributes, each told until nobody has set it for a while."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._values: dict[tuple[tuple[str, str], ...], tuple[float, float]] = {}

    def set(self, value: float, attributes: Mapping[str, str]) -> None:
        self._values[tuple(sorted(attributes.items()))] = value, self._monotonic() + GAUGE_SECONDS

    def observe(self, _: CallbackOptions) -> Iterable[Observation]:
        now = self._monotonic()
        return [Observation(value, dict(key)) for key, (value, until) in list(self._values.items()) if now < until]


def _instrument(meter: Meter, metric: Metric, monotonic: Callable[[], float]) -> _Record:
    if metric.instrument is Instrument.GAUGE:
        gauge = _Gauge(monotonic)
        meter.create_observable_gauge(metric.name, [gauge.observe], metric.unit, metric.description)
        return gauge.set
    if metric.instrument is Instrument.COUNTER:
        return meter.create_counter(metric.name, metric.unit, metric.description).add
    boundaries = list(metric.boundaries) or None
    histogram = meter.create_histogram(
        metric.name, metric.unit, metric.description, explicit_bucket_boundaries_advisory=boundaries
    )
    return histogram.record


@contextmanager
def _around(start: Callable[[], Span]) -> Iterator[None]:
    span: Span = trace.INVALID_SPAN
    with _harmless():
        span = start()
    token = context.attach(trace.set_span_in_context(span))
    try:
        yield
    except BaseException as error:
        # Its type alone: the message of an error that nobody foresaw may quote what it stumbled over.
        with _harmless():
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(Status(StatusCode.ERROR))
        raise
    finally:
        context.detach(token)
        with _harmless():
            span.end()


@contextmanager
def _harmless() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever an SDK's parts raise, the app's work goes on
        logger.warning("telemetry could not be told: %s", type(error).__name__)
