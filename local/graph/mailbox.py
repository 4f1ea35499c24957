"""The hidden folders of a mailbox in which interactions rest, and the rows that the export shows of them.

https://learn.microsoft.com/microsoftteams/export-teams-content
"""

import itertools
import zlib
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import Final

from local.graph import times
from local.graph.content.change import Change
from local.graph.export_filter import ExportFilter

FOLDERS: Final = ("MailFolders/TeamsMessagesData", "MailFolders/TeamChat", "MailFolders/SubstrateHolds")
# Of ten sessions, how many rest in which folder.
_SHARES: Final = (0, 0, 0, 0, 0, 0, 1, 1, 1, 2)
UNDATED: Final = -1
_numbers = itertools.count()


@dataclass(eq=False, slots=True)
class Row:
    """An interaction: `current` as it is, `shown` as the export has it, and that one's JSON once it was asked for.

    A deleted one keeps its place, so that no other row moves up past somebody who is in the middle of a walk.
    """

    current: Change | None = None
    shown: Change | None = None
    content: bytes | None = None
    deleted: bool = False
    told: bool = False
    created: int = UNDATED
    number: int = 0
    app_class: str = ""

    def show(self, change: Change) -> None:
        """Show a version. The time of creation is that of the first one."""
        if self.shown is None:
            self.created, self.number = _milliseconds(change.created), next(_numbers)
        self.shown, self.content, self.told = change, None, False
        self.app_class = str(change.properties.get("appClass")).lower()

    def delete(self) -> None:
        """Show it no more."""
        self.deleted, self.content = True, None


class Mailbox:
    """The rows of one owner, by folder, oldest first."""

    def __init__(self) -> None:
        self._folders: tuple[list[Row], ...] = tuple([] for _ in FOLDERS)

    def put(self, row: Row) -> None:
        """Add a row that is shown from now on."""
        folder = self._folders[_folder(row)]
        folder.insert(bisect_right(folder, _key(row), key=_key), row)

    def view(self, folder: int, wanted: ExportFilter) -> "View":
        """Return a folder's rows within the range of a filter."""
        rows = self._folders[folder]
        begin = 0 if wanted.after is None else bisect_left(rows, wanted.after + 1, key=_created)
        end = len(rows) if wanted.before is None else bisect_left(rows, wanted.before, key=_created)
        return View(rows, begin, max(begin, end), wanted)


@dataclass(frozen=True)
class View:
    """Rows from the newest to the oldest; deleted ones and other classes count as places, and are not shown."""

    rows: list[Row]
    begin: int
    end: int
    wanted: ExportFilter

    def __len__(self) -> int:
        return self.end - self.begin

    def take(self, place: int, count: int) -> tuple[list[Row], int]:
        """Return up to `count` rows from a place on, and the place behind them."""
        found: list[Row] = []
        at = self.end - 1 - place
        while at >= self.begin and len(found) < count:
            if self._holds(self.rows[at]):
                found.append(self.rows[at])
            at -= 1
        return found, self.end - 1 - at

    def _holds(self, row: Row) -> bool:
        classes = self.wanted.app_classes
        return not row.deleted and (classes is None or row.app_class in classes)


def _folder(row: Row) -> int:
    session = (row.shown.session_id if row.shown else None) or ""
    return _SHARES[zlib.crc32(session.encode(errors="replace")) % len(_SHARES)]


def _created(row: Row) -> int:
    return row.created


def _key(row: Row) -> tuple[int, int]:
    return row.created, row.number


def _milliseconds(text: str) -> int:
    try:
        return times.epoch_milliseconds(times.parse(text))
    except (TypeError, ValueError):
        return UNDATED
