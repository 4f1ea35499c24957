"""Instants as Graph writes them: ISO 8601, any number of fraction digits, any offset."""

import re
from datetime import UTC, datetime

# datetime.fromisoformat alone also reads week dates and bare dates, which Graph never means.
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})?", re.ASCII)


def parse_instant(text: object) -> datetime | None:
    """The instant in UTC, to the microsecond; None for anything that is not one.

    Without an offset it is UTC, as Graph's DateTimeOffset of an aiInteraction is
    (https://learn.microsoft.com/microsoft-365-copilot/extensibility/api/ai-services/interaction-export/resources/aiinteraction).
    """
    if not isinstance(text, str) or not _INSTANT.fullmatch(text):
        return None
    try:
        instant = datetime.fromisoformat(text)
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        # The 30th of February; or an offset that leads out of the years that a datetime can hold.
        return None


def format_instant(instant: datetime) -> str:
    """The instant in UTC as ``2026-01-31T08:30:00.123456Z``."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def expect_instant(text: object) -> datetime:
    """As ``parse_instant``, where nothing but an instant will do. Raises ValueError."""
    instant = parse_instant(text)
    if instant is None:
        raise ValueError
    return instant


def format_known(instant: datetime | None) -> str | None:
    """As ``format_instant``; None, which JSON writes as null, where there is none."""
    return None if instant is None else format_instant(instant)
