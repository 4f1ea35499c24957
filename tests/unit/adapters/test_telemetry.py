"""The adapter on a real SDK, which tells into memory."""

import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from local.telemetry.collector import Collector
from shared.adapters.telemetry import GAUGE_SECONDS, OpenTelemetry
from shared.core.metrics import ACKNOWLEDGEMENT_TIME, DEPENDENCY_FAILURES, GAPS, INBOX_POSTS, METRICS

ELSEWHERE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector(flush_seconds=3600)
    yield collector
    collector.close()


@pytest.fixture
def now() -> list[float]:
    return [0.0]


@pytest.fixture
def telemetry(collector: Collector, now: list[float]) -> OpenTelemetry:
    return OpenTelemetry(collector.tracer_provider, collector.meter_provider, monotonic=lambda: now[0])


class TestMeasure:
    def test_counters_add_up_by_attributes(self, telemetry: OpenTelemetry, collector: Collector) -> None:
        for dependency in ("storage", "graph", "storage"):
            telemetry.measure(DEPENDENCY_FAILURES, 1, dependency=dependency)

        assert collector.flush().values(DEPENDENCY_FAILURES.name) == {("graph",): 1, ("storage",): 2}

    def test_histograms_keep_sum_and_count(self, telemetry: OpenTelemetry, collector: Collector) -> None:
        for seconds in (0.25, 0.5):
            telemetry.measure(ACKNOWLEDGEMENT_TIME, seconds, queue="notifications", answer="202")
        told = collector.flush()

        assert told.values(ACKNOWLEDGEMENT_TIME.name) == {("202", "notifications"): 0.75}
        assert told.counts(ACKNOWLEDGEMENT_TIME.name) == {("202", "notifications"): 2}

    def test_gauges_keep_the_last_value(self, telemetry: OpenTelemetry, collector: Collector) -> None:
        for posts in (7, 3):
            telemetry.measure(INBOX_POSTS, posts, queue="notifications")
        telemetry.measure(INBOX_POSTS, 0, queue="lifecycle")

        assert collector.flush().values(INBOX_POSTS.name) == {("lifecycle",): 0, ("notifications",): 3}

    def test_a_gauge_that_nobody_sets_any_more_falls_silent(
        self, telemetry: OpenTelemetry, collector: Collector, now: list[float]
    ) -> None:
        telemetry.measure(GAPS, 5)
        now[0] = GAUGE_SECONDS - 1
        assert collector.flush().values(GAPS.name) == {(): 5}
        collector.told.records.clear()
        now[0] = GAUGE_SECONDS

        assert collector.flush().values(GAPS.name) == {}

    def test_every_metric_of_the_table_can_be_told(self, telemetry: OpenTelemetry, collector: Collector) -> None:
        for metric in METRICS:
            telemetry.measure(metric, 1, **dict.fromkeys(metric.attributes, "x"))

        assert collector.flush().metrics() == {metric.name for metric in METRICS}

    def test_an_unknown_attribute_is_dropped_and_said(
        self, telemetry: OpenTelemetry, collector: Collector, caplog: pytest.LogCaptureFixture
    ) -> None:
        telemetry.measure(DEPENDENCY_FAILURES, 1, dependency="graph", user="canary")

        assert collector.flush().values(DEPENDENCY_FAILURES.name) == {("graph",): 1}
        assert "user" in caplog.text
        assert "canary" not in caplog.text

    def test_a_value_that_is_none_stops_nothing(self, telemetry: OpenTelemetry) -> None:
        telemetry.measure(ACKNOWLEDGEMENT_TIME, float("nan"), queue="notifications", answer="202")
        telemetry.measure(ACKNOWLEDGEMENT_TIME, "x", queue="notifications", answer="202")  # type: ignore[arg-type] # on purpose


class TestSpan:
    def test_spans_nest(self, telemetry: OpenTelemetry, collector: Collector) -> None:
        with telemetry.span("outer", queue="notifications"), telemetry.span("inner"):
            telemetry.note(request_id="r-1")
        inner, outer = collector.told.spans()

        assert (inner.trace_id, inner.parent_id) == (outer.trace_id, outer.span_id)
        assert inner.attributes == {"request_id": "r-1"}
        assert outer.attributes == {"queue": "notifications"}
        assert outer.parent_id == ""
        assert outer.ok

    def test_a_call_of_a_dependency_is_a_client_span(self, telemetry: OpenTelemetry, collector: Collector) -> None:
        with telemetry.span("work"), telemetry.span("blob read", dependency="storage"):
            pass

        assert {span.name: span.client for span in collector.told.spans()} == {"blob read": True, "work": False}

    def test_an_error_passes_through_and_leaves_its_type_alone(
        self, telemetry: OpenTelemetry, collector: Collector
    ) -> None:
        with pytest.raises(ValueError, match="canary"), telemetry.span("work"):
            raise ValueError("canary")
        (span,) = collector.told.spans()

        assert not span.ok
        assert span.attributes == {"error.type": "ValueError"}

    def test_after_a_span_the_one_before_is_current_again(self, telemetry: OpenTelemetry, collector: Collector) -> None:
        with telemetry.span("outer"):
            before = telemetry.traceparent()
            with pytest.raises(KeyError), telemetry.span("inner"):
                raise KeyError
            assert telemetry.traceparent() == before
        assert telemetry.traceparent() is None
        assert len(collector.told.spans()) == 2

    def test_a_traceparent_is_continued_elsewhere(self, telemetry: OpenTelemetry, collector: Collector) -> None:
        with telemetry.span("receive"):
            traceparent = telemetry.traceparent()
        with telemetry.span("store", continues=traceparent), telemetry.span("blob create"):
            pass
        receive, create, store = collector.told.spans()

        assert {receive.trace_id} == {store.trace_id, create.trace_id}
        assert store.parent_id == receive.span_id
        assert create.parent_id == store.span_id
        assert store.links == ()

    def test_what_continues_elsewhere_is_linked_to_where_it_is(
        self, telemetry: OpenTelemetry, collector: Collector
    ) -> None:
        with telemetry.span("the host's call of the function"), telemetry.span("store", continues=ELSEWHERE):
            pass
        store, call = collector.told.spans()

        assert store.trace_id == ELSEWHERE[3:35]
        assert store.parent_id == ELSEWHERE[36:52]
        assert store.links == (call.trace_id,)

    @given(st.text(max_size=80))
    def test_what_is_no_traceparent_is_not_continued(self, text: str) -> None:
        collector = Collector(flush_seconds=3600)
        telemetry = OpenTelemetry(collector.tracer_provider, collector.meter_provider)
        with telemetry.span("call"), telemetry.span("store", continues=text):
            pass
        store, call = collector.told.spans()
        collector.close()

        assert (store.trace_id, store.parent_id, store.links) == (call.trace_id, call.span_id, ())

    def test_a_note_outside_of_every_span_is_lost(self, telemetry: OpenTelemetry, collector: Collector) -> None:
        telemetry.note(request_id="r-1")

        assert collector.told.records == []


class _Broken(SpanProcessor):
    """A part of somebody's SDK that fails, at the beginning or at the end of each span."""

    def __init__(self, *, at_start: bool) -> None:
        self._at_start = at_start

    def on_start(self, span: object, parent_context: object = None) -> None:  # noqa: ARG002 - the SDK's signature
        if self._at_start:
            raise RuntimeError("canary")

    def on_end(self, span: ReadableSpan) -> None:  # noqa: ARG002 - as above
        raise RuntimeError("canary")


@pytest.mark.parametrize("at_start", [True, False])
def test_telemetry_that_fails_stops_nothing(*, at_start: bool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(_Broken(at_start=at_start))
    telemetry, done = OpenTelemetry(provider), []
    with telemetry.span("work"):
        telemetry.note(request_id="r-1")
        done.append(telemetry.traceparent())

    assert len(done) == 1
    assert "RuntimeError" in caplog.text
    assert "canary" not in caplog.text


def test_without_an_sdk_it_is_silent() -> None:
    telemetry = OpenTelemetry()
    with telemetry.span("work", continues=ELSEWHERE):
        telemetry.measure(GAPS, 1)
        telemetry.measure(DEPENDENCY_FAILURES, 1, dependency="graph")
        telemetry.note(status=200)
