import re

from shared.core import metrics
from shared.core.metrics import METRICS, Instrument, Metric


def test_the_table_holds_every_metric_once() -> None:
    defined = [value for value in vars(metrics).values() if isinstance(value, Metric)]

    assert set(METRICS) == set(defined)
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_names_are_those_of_the_semantic_conventions() -> None:
    for metric in METRICS:
        assert re.fullmatch(r"copilot_archive(\.[a-z_]+){2}", metric.name), metric.name
        assert metric.description
        # OpenTelemetry's limits: https://opentelemetry.io/docs/specs/otel/metrics/api/#instrument-unit
        assert metric.unit.isascii()
        assert 0 < len(metric.unit) <= 63


def test_only_histograms_have_boundaries_and_they_rise() -> None:
    for metric in METRICS:
        assert bool(metric.boundaries) == (metric.instrument is Instrument.HISTOGRAM)
        assert list(metric.boundaries) == sorted(set(metric.boundaries))
