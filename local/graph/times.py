"""Times as Microsoft Graph writes and reads them.

Graph's `Edm.DateTimeOffset` values carry zero to seven digits of fraction and `Z` or an offset, all of which were
seen in published notifications:
https://learn.microsoft.com/microsoft-365/copilot/extensibility/api/ai-services/change-notifications/aiinteraction-changenotifications
"""

import random
import re
from datetime import UTC, datetime, timedelta, timezone

_DATE_TIME_OFFSET = re.compile(
    r"(?P<seconds>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(?P<fraction>\d{1,7}))?(?P<offset>Z|[+-]\d\d:\d\d)", re.IGNORECASE
)
_OFFSETS = (timedelta(hours=-8), timedelta(0), timedelta(hours=5, minutes=30))


def utc_now() -> datetime:
    """Return the present time, aware, in UTC."""
    return datetime.now(UTC)


def parse(text: str) -> datetime:
    """Read an Edm.DateTimeOffset; the offset is mandatory. Digits beyond microseconds are cut off.

    Raises:
        ValueError: the text is not a date, a time and an offset, or leads out of the years that there are.
    """
    found = _DATE_TIME_OFFSET.fullmatch(text)
    if found is None:
        raise ValueError(f"not an Edm.DateTimeOffset: {text[:64]!r}")
    fraction = (found["fraction"] or "").ljust(6, "0")[:6]
    moment = datetime.fromisoformat(f"{found['seconds']}.{fraction}{found['offset'].upper()}")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"in no year from 1 to 9999 of UTC: {text[:64]!r}") from error


def epoch_milliseconds(moment: datetime) -> int:
    """Return milliseconds since 1970, exact to the millisecond."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def milliseconds_z(moment: datetime) -> str:
    """Return the usual form: `2024-11-15T20:16:41.008Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"


def ticks_z(moment: datetime) -> str:
    """Return the form with seven digits, a tick of 100 ns being .NET's resolution: `…41.0080000Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"


def variant(moment: datetime, rng: random.Random) -> str:
    """Return one of the forms seen for the same moment: trimmed or full fractions, `Z` or an offset."""
    text = milliseconds_z(moment)
    if rng.random() < 0.4:
        return text
    if rng.random() < 0.5:
        return ticks_z(moment)
    if rng.random() < 0.5:
        trimmed = text[:-1].rstrip("0").rstrip(".")
        return f"{trimmed}Z"
    local = moment.astimezone(timezone(rng.choice(_OFFSETS)))
    offset = local.strftime("%z")
    return f"{local:%Y-%m-%dT%H:%M:%S.%f}0{offset[:3]}:{offset[3:]}"
