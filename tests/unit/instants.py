"""Instants for hypothesis, which itself takes bounds without a zone."""

from datetime import UTC, date, datetime, time, tzinfo

from hypothesis import strategies as st

_UTC = st.just(UTC)


def instants(first: date, last: date, zones: st.SearchStrategy[tzinfo] = _UTC) -> st.SearchStrategy[datetime]:
    """Instants from the beginning of one day to that of another."""
    return st.datetimes(datetime.combine(first, time.min), datetime.combine(last, time.min), timezones=zones)


# What blobs hold: years with four digits. Far enough from where they end that a test may add days and hours.
INSTANTS = instants(date(1000, 1, 2), date(9000, 1, 1))
