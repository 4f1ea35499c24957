"""One unit of pull work: whose interactions, from when on, and how it is asked of Graph.

https://learn.microsoft.com/microsoft-365-copilot/extensibility/api/ai-services/interaction-export/aiinteractionhistory-getallenterpriseinteractions
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from shared.core.errors import MalformedNotification
from shared.core.instants import expect_instant, format_instant, parse_instant

VERSION = 1
PAGE_SIZE = 100
_WHOLE_SECOND = timedelta(seconds=1)
_USER_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Resumed:
    """How far an earlier run came: all up to ``done_until`` is durable; the look began at ``started_at``."""

    done_until: datetime
    started_at: datetime
    step: timedelta


@dataclass(frozen=True, slots=True)
class ExportWindow:
    """All interactions of a user (of the tenant where ``user_id`` is None) from ``begin`` up to when it is run."""

    user_id: str | None
    begin: datetime
    planned_at: datetime
    resumed: Resumed | None = None
    attempt: int = 1

    def after(self, done_until: datetime, started_at: datetime, step: timedelta) -> "ExportWindow":
        """The rest of this window, to be gone on with in steps of that length."""
        return replace(self, resumed=Resumed(done_until, started_at, step))

    def again(self) -> "ExportWindow":
        """The same, once more."""
        return replace(self, attempt=self.attempt + 1)


def is_user_id(text: str) -> bool:
    """Whether the text is a user's object id, in lower case."""
    return _USER_ID.fullmatch(text) is not None


def to_message(window: ExportWindow) -> str:
    """The message on the queue ``exports``."""
    document: dict[str, object] = {
        "version": VERSION,
        "userId": window.user_id,
        "from": format_instant(window.begin),
        "plannedAt": format_instant(window.planned_at),
        "attempt": window.attempt,
    }
    if window.resumed is not None:
        document["resumed"] = {
            "doneUntil": format_instant(window.resumed.done_until),
            "startedAt": format_instant(window.resumed.started_at),
            "stepSeconds": window.resumed.step.total_seconds(),
        }
    return json.dumps(document)


def from_message(text: str) -> ExportWindow:
    """The window of a message. Raises MalformedNotification for one that no planner of ours wrote."""
    try:
        document = json.loads(text)
        return ExportWindow(
            user_id=_user_id(document["userId"]),
            begin=expect_instant(document["from"]),
            planned_at=expect_instant(document["plannedAt"]),
            resumed=_resumed(document.get("resumed")),
            attempt=int(document["attempt"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise MalformedNotification("the queue message is no export window of ours") from None


def date_filter(begin: datetime, end: datetime, app_classes: Sequence[str] = ()) -> str:
    """The ``$filter`` that Graph documents: both bounds, exclusive; whole seconds, one wider at either side."""
    after, before = _bounds(begin, end)
    bounds = f"createdDateTime gt {_second(after)} and createdDateTime lt {_second(before)}"
    if not app_classes:
        return bounds
    named = " or ".join("appClass eq '{}'".format(name.replace("'", "''")) for name in app_classes)
    return f"{bounds} and ({named})"


def is_asked_for(item: Mapping[str, object], begin: datetime, end: datetime, app_classes: Sequence[str] = ()) -> bool:
    """The same filter, for where Graph does not filter. What has no date that parses is always asked for."""
    created = parse_instant(item.get("createdDateTime"))
    after, before = _bounds(begin, end)
    in_time = created is None or after < created < before
    wanted = {name.lower() for name in app_classes}
    return in_time and (not wanted or str(item.get("appClass")).lower() in wanted)


def _resumed(fields: Mapping[str, object] | None) -> Resumed | None:
    if fields is None:
        return None
    step = timedelta(seconds=float(str(fields["stepSeconds"])))
    if step <= timedelta(0):
        raise ValueError
    return Resumed(expect_instant(fields["doneUntil"]), expect_instant(fields["startedAt"]), step)


def _user_id(text: str | None) -> str | None:
    if text is not None and not is_user_id(text):
        raise ValueError
    return text


def _bounds(begin: datetime, end: datetime) -> tuple[datetime, datetime]:
    # Cut, not rounded: the second that was added at the end makes up for it, and at the beginning cutting widens.
    return (begin - _WHOLE_SECOND).replace(microsecond=0), (end + _WHOLE_SECOND).replace(microsecond=0)


def _second(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
