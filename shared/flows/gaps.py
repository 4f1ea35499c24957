"""Hours that no notification vouches for: noted by whoever finds them, filled by the export, kept for the record."""

import json
import logging
import uuid
from collections.abc import Iterator

from shared.core.gap import EXPORTED_GAPS, GAPS, LOST_GAPS, Gap
from shared.core.instants import expect_instant, format_instant
from shared.ports import Container

logger = logging.getLogger(__name__)


def ask_for_export(state: Container, gap: Gap) -> None:
    """Note a gap for the export. The same gap twice is one, and one that has been filled is not opened again."""
    begin, end = format_instant(gap.begin), format_instant(gap.end)
    note = {"resource": gap.resource, "from": begin, "to": end, "reason": gap.reason}
    unique = uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(note, sort_keys=True))
    if any(state.metadata(f"{folder}{unique}.json") is not None for folder in (EXPORTED_GAPS, LOST_GAPS)):
        return
    if state.create(f"{GAPS}{unique}.json", json.dumps(note).encode(), {}):
        logger.warning("gap in %s from %s to %s: %s; an export is asked for", gap.resource, begin, end, gap.reason)


def open_gaps(state: Container) -> Iterator[tuple[str, Gap]]:
    """The gaps that wait for the export, with the names of their notes. Raises StorageUnavailable."""
    for name in state.names(GAPS):
        blob = state.read(name)
        gap = None if blob is None else _parse(blob.content)
        if gap is not None:
            yield name, gap
        elif blob is not None:
            logger.error("%s is no gap of ours; look at it and remove it", name)


def close(state: Container, name: str, folder: str) -> None:
    """A gap waits no more: its note moves to another folder."""
    blob = state.read(name)
    if blob is not None:
        state.create(folder + name.removeprefix(GAPS), blob.content, {})
        state.delete(name)


def _parse(content: bytes) -> Gap | None:
    try:
        note = json.loads(content)
        begin, end = expect_instant(note["from"]), expect_instant(note["to"])
        return Gap(str(note["resource"]), begin, end, str(note["reason"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
