"""The instances' accounts of the latest hours are put together, so that status reads one blob and not hundreds."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.core.activity import from_json, hour_of, hour_prefix, merged, shown
from shared.core.instants import format_instant
from shared.ports import Clock, Container

# Where the hours are kept in the container ``state``.
CAPTURED = "captured.json"
HOURS_KEPT = 48
# Accounts are written seconds after what they count; an hour later nobody writes an hour's any more.
STILL_WRITTEN = 2


@dataclass(frozen=True, slots=True)
class Hours:
    """What was captured in each hour."""

    state: Container
    clock: Clock

    def put_together(self) -> None:
        """Put the latest hours together. Raises StorageUnavailable."""
        blob = self.state.read(CAPTURED)
        before = {str(each["hour"]): each for each in _read(blob.content if blob else b"[]")}
        now = hour_of(self.clock())
        # The latest ones of the last run were still being written then, however long ago that was. The first run, and
        # the first after a long absence, make up for what they have not seen.
        settled = set(sorted(before)[:-STILL_WRITTEN]) - set(map(format_instant, _back(now, STILL_WRITTEN)))
        hours = _back(now, HOURS_KEPT)
        kept = [before[text] if (text := format_instant(hour)) in settled else self._hour(hour) for hour in hours]
        content = json.dumps(kept).encode()
        if blob is None:
            self.state.create(CAPTURED, content, {})
        elif content != blob.content:
            # Where somebody else was quicker, the next run is in minutes.
            self.state.replace(CAPTURED, content, blob.etag)

    def _hour(self, hour: datetime) -> Mapping[str, object]:
        blobs = (self.state.read(name) for name in self.state.names(hour_prefix(hour)))
        account = merged(from_json(blob.content) for blob in blobs if blob is not None)
        return {"hour": format_instant(hour), **shown(account)}


def captured(state: Container) -> list[Mapping[str, object]]:
    """The hours as put together last, the latest first."""
    blob = state.read(CAPTURED)
    return [] if blob is None else _read(blob.content)


def _back(now: datetime, hours: int) -> Iterator[datetime]:
    return (now - timedelta(hours=back) for back in range(hours))


def _read(content: bytes) -> list[Mapping[str, object]]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return []
    listed = document if isinstance(document, list) else []
    return [each for each in listed if isinstance(each, dict) and "hour" in each]
