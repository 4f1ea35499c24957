"""When a timer fires: NCRONTAB, six fields from seconds to day of week (five: from minutes), in UTC.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer#ncrontab-expressions
Unlike cron, day of month AND day of week must both match (CrontabSchedule.cs in NCrontab).
croniter computes the times; it accepts more than Azure does, so the text is checked first.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from croniter import croniter
from croniter.croniter import CroniterBadDateError, CroniterError

_VALUE = r"(?:\d{1,2}|[A-Za-z]{3})"
_ITEM = rf"(?:\*|{_VALUE}(?:-{_VALUE})?)(?:/[1-9]\d?)?"
_FIELD = re.compile(rf"{_ITEM}(?:,{_ITEM})*")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


@dataclass(frozen=True)
class _Range:
    name: str
    low: int
    high: int
    words: tuple[str, ...] = ()


_RANGES = (
    _Range("second", 0, 59),
    _Range("minute", 0, 59),
    _Range("hour", 0, 23),
    _Range("day", 1, 31),
    _Range("month", 1, 12, _MONTHS),
    _Range("day of week", 0, 6, _DAYS),
)


class Schedule:
    """A checked expression. Raises `ValueError` with the field that Azure would refuse."""

    def __init__(self, expression: str) -> None:
        fields = expression.split()
        if len(fields) == 5:
            fields = ["0", *fields]
        if len(fields) != 6:
            raise ValueError(f"schedule {expression!r} has {len(fields)} fields, not 6")
        for text, allowed in zip(fields, _RANGES, strict=True):
            _check(expression, text, allowed)
        self.expression = " ".join(fields)
        try:
            self.after(datetime.now(UTC))
        except CroniterBadDateError as error:
            raise ValueError(f"schedule {expression!r} never comes") from error
        except CroniterError as error:
            raise ValueError(f"schedule {expression!r}: {error}") from error

    def after(self, time: datetime) -> datetime:
        """The first firing later than `time` (aware); in UTC."""
        times = croniter(self.expression, time.astimezone(UTC), second_at_beginning=True, day_or=False)
        found: datetime = times.get_next(datetime)
        return found


def _check(expression: str, text: str, allowed: _Range) -> None:
    if not _FIELD.fullmatch(text):
        raise ValueError(f"schedule {expression!r}: {text!r} is no {allowed.name}")
    for item in text.split(","):
        bounds = [_number(expression, value, allowed) for value in item.partition("/")[0].split("-") if value != "*"]
        if bounds != sorted(bounds):
            raise ValueError(f"schedule {expression!r}: the {allowed.name} range {item!r} runs backwards")


def _number(expression: str, value: str, allowed: _Range) -> int:
    if value.upper() in allowed.words:
        return allowed.low + allowed.words.index(value.upper())
    number = int(value) if value.isdecimal() else -1
    if not allowed.low <= number <= allowed.high:
        raise ValueError(f"schedule {expression!r}: {value!r} is no {allowed.name}")
    return number
