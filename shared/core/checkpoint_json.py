"""A checkpoint <-> the blob that keeps it, and its essentials <-> that blob's metadata.

The planner reads the metadata alone, five thousand blobs to a request: so it knows 300,000 users for sixty of them
(https://learn.microsoft.com/rest/api/storageservices/list-blobs).
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite

from shared.core.checkpoint import ENTRY_BYTES, Checkpoint, ExportProblem, Look, Origin, is_dated, tally
from shared.core.export_window import is_user_id
from shared.core.instants import expect_instant, format_known, parse_instant

VERSION = 1
PREFIX = "checkpoints/"
# The name that stands for the tenant where it is exported as a whole: no user's id looks like it.
TENANT = "tenant"
# Days of which the planner is told the counts. The second look over a day is over by then.
DAYS_TOLD = 5
# Metadata holds 8 KB (https://learn.microsoft.com/rest/api/storageservices/setting-and-retrieving-properties-and-metadata-for-blob-resources).
# Regular looks are some forty; of more than these, the oldest ones are done again.
LOOKS_TOLD = 120
_ORIGINS = (Origin.NOTIFICATION, Origin.EXPORT, Origin.HISTORY)


@dataclass(frozen=True, slots=True)
class Progress:
    """What the planner knows of a user. ``tallies``: by day, counts in the order of ``Origin``."""

    since: datetime | None = None
    complete_until: datetime | None = None
    looks: tuple[Look, ...] = ()
    requests: int = 1
    per_day: float = 0.0
    reason: str | None = None
    retry_at: datetime | None = None
    tallies: Mapping[str, tuple[int, ...]] | None = None


def checkpoint_name(tenant_id: str, user_id: str | None) -> str:
    """``checkpoints/{tenantId}/{userId}.json`` in the container ``state``."""
    return f"{PREFIX}{tenant_id}/{user_id or TENANT}.json"


def user_of_name(name: str) -> str | None:
    """The user of a checkpoint's name; the tenant's is ``tenant``. None for a blob that is none of ours."""
    leaf, _, ending = name.rpartition("/")[2].rpartition(".")
    return leaf if ending == "json" and (leaf == TENANT or is_user_id(leaf)) else None


def to_json(checkpoint: Checkpoint) -> bytes:
    """The blob's content, UTF-8 JSON."""
    problem = checkpoint.problem
    document = {
        "version": VERSION,
        "userId": checkpoint.user_id,
        "since": format_known(checkpoint.since),
        "completeUntil": format_known(checkpoint.complete_until),
        "looks": [{"from": format_known(each.begin), "at": format_known(each.at)} for each in checkpoint.looks],
        "requests": checkpoint.requests,
        "problem": None
        if problem is None
        else {
            "reason": problem.reason,
            "sentence": problem.sentence,
            "since": format_known(problem.since),
            "retryAt": format_known(problem.retry_at),
        },
        "shown": {
            day: {origin.value: base64.b64encode(b"".join(sorted(each))).decode() for origin, each in shown.items()}
            for day, shown in checkpoint.shown.items()
        },
    }
    return json.dumps(document).encode()


def from_json(content: bytes) -> Checkpoint:
    """The checkpoint as saved. Raises ValueError for a blob that is none: then somebody else wrote it."""
    try:
        document = json.loads(content)
        problem = document["problem"]
        return Checkpoint(
            user_id=document["userId"],
            since=parse_instant(document["since"]),
            complete_until=parse_instant(document["completeUntil"]),
            looks=tuple(Look(expect_instant(each["from"]), expect_instant(each["at"])) for each in document["looks"]),
            requests=int(document["requests"]),
            problem=None
            if problem is None
            else ExportProblem(
                str(problem["reason"]),
                str(problem["sentence"]),
                expect_instant(problem["since"]),
                expect_instant(problem["retryAt"]),
            ),
            shown={
                day: {Origin(origin): _entries(text) for origin, text in shown.items()}
                for day, shown in document["shown"].items()
            },
        )
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError, RecursionError):
        raise ValueError("the blob of a checkpoint is none of ours") from None


def to_metadata(checkpoint: Checkpoint) -> dict[str, str]:
    """The essentials, as metadata of the same blob. Of the counts those of the latest days."""
    problem = checkpoint.problem
    dated = sorted(day for day in checkpoint.shown if is_dated(day))
    looks = sorted(checkpoint.looks, key=lambda each: each.at, reverse=True)[:LOOKS_TOLD]
    counts = {day: tally(checkpoint.shown[day]) for day in dated}
    told = {
        "since": format_known(checkpoint.since),
        "completeuntil": format_known(checkpoint.complete_until),
        "looks": " ".join(f"{_epoch(each.begin)}/{_epoch(each.at)}" for each in looks),
        "requests": str(checkpoint.requests),
        "perday": f"{_per_day(counts):.1f}",
        "reason": problem.reason if problem else None,
        "retryat": format_known(problem.retry_at) if problem else None,
        "tallies": " ".join(
            f"{day}:{'.'.join(str(counts[day][origin]) for origin in _ORIGINS)}" for day in dated[-DAYS_TOLD:]
        ),
    }
    return {name: value for name, value in told.items() if value}


def progress(metadata: Mapping[str, str]) -> Progress:
    """The essentials of a listed blob. Metadata that can't be read is as none: the user is exported anew."""
    try:
        return Progress(
            since=parse_instant(metadata.get("since")),
            complete_until=parse_instant(metadata.get("completeuntil")),
            looks=tuple(_look(text) for text in metadata.get("looks", "").split()),
            requests=int(metadata.get("requests", "1")),
            per_day=_finite(metadata.get("perday", "0")),
            reason=metadata.get("reason"),
            retry_at=parse_instant(metadata.get("retryat")),
            tallies=dict(_tally(text) for text in metadata.get("tallies", "").split()),
        )
    except (ValueError, OverflowError, OSError):
        return Progress()


def _per_day(counts: Mapping[str, Mapping[Origin, int]]) -> float:
    return sum(sum(each.values()) for each in counts.values()) / max(len(counts), 1)


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError
    return number


def _look(text: str) -> Look:
    begin, at = text.split("/")
    return Look(datetime.fromtimestamp(int(begin), UTC), datetime.fromtimestamp(int(at), UTC))


def _tally(text: str) -> tuple[str, tuple[int, ...]]:
    day, _, counts = text.partition(":")
    return day, tuple(int(count) for count in counts.split("."))


def _epoch(instant: datetime) -> int:
    return int(instant.timestamp())


def _entries(text: str) -> frozenset[bytes]:
    joined = base64.b64decode(text, validate=True)
    return frozenset(joined[start : start + ENTRY_BYTES] for start in range(0, len(joined), ENTRY_BYTES))
