"""A tenant whose interactions are known, its export as Graph serves it, and the flows that share one storage account.

Nothing here is decided by the app's rules: what exists, in which version, and since when the export shows it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count, pairwise

from shared.core.errors import CaptureError
from shared.core.graph_fault import fault
from shared.core.instants import expect_instant
from shared.ports import ExportPage
from tests.fake_exports import ORIGIN, MemoryExports, MemoryPace
from tests.fake_graph import FakeGraph
from tests.fakes import MemoryDoorbell, World
from tests.graph_posts import notification, post, token
from tests.unit.flows.capture import Capture
from tests.unit.flows.exporting import ALICE, BOB, Exports, prompt

PAGE_SIZE = 2
# Nobody knows how long a page token lives; some time it ends.
TOKENS_LIVE = timedelta(minutes=45)


def mark_of(item: object) -> str:
    """What tells one version of one interaction from all others: it is in its content and nowhere else."""
    assert isinstance(item, dict)
    return str(item["body"]["content"])


@dataclass(frozen=True, slots=True)
class Version:
    """What an interaction says, and since when the export shows it so."""

    item: Mapping[str, object] = field(repr=False)
    shown_from: datetime
    mark: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "mark", mark_of(self.item))


@dataclass(slots=True)
class Interaction:
    """What happened, in whose history it is, and when by Graph's clock. The export shows the latest version alone."""

    owners: frozenset[str]
    created: datetime
    versions: list[Version]

    @property
    def shown_from(self) -> datetime:
        """Since when the export shows it at all."""
        return self.versions[0].shown_from

    def shown_at(self, instant: datetime) -> Version | None:
        """The version that the export shows then."""
        return next((each for each in reversed(self.versions) if each.shown_from <= instant), None)

    def marks_since(self, instant: datetime) -> Iterator[str]:
        """Of the versions that somebody may be shown who asks then or later."""
        yield from (version.mark for version, after in pairwise(self.versions) if after.shown_from >= instant)
        yield self.versions[-1].mark


class Mailboxes(MemoryExports):
    """The Exports port on what happened. Pages are made when they are asked for, and page tokens come to an end."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.held: list[Interaction] = []
        # By user: the status with which his requests are refused.
        self.refused: dict[str, int] = {}
        self._tokens: dict[str, tuple[str | None, str | None, int, datetime]] = {}
        self._token_numbers = count(1)

    def first_page(self, user_id: str | None, query: str | None) -> ExportPage:
        """See the port."""
        with self._world.graph_call(f"exports.first_page {user_id}"):
            self._check(user_id)
            if query is not None and not self.takes_filter:
                raise self._refusal(400)
            return self._live(user_id, query, 0)

    def next_page(self, link: str) -> ExportPage:
        """See the port."""
        user_id, query, done, given_at = self._tokens[link]
        with self._world.graph_call(f"exports.next_page {user_id}"):
            self._check(user_id)
            if self._world.now - given_at > TOKENS_LIVE:
                raise self._refusal(400)
            return self._live(user_id, query, done)

    def _refusal(self, status: int) -> CaptureError:
        return fault(status, {}, {}, "export interactions", self._world.now)

    def _check(self, user_id: str | None) -> None:
        if user_id in self.refused:
            raise self._refusal(self.refused[user_id])

    def _live(self, user_id: str | None, query: str | None, done: int) -> ExportPage:
        wanted = self._understood(query)
        newest_first = sorted(self.held, key=lambda each: each.created, reverse=True)
        shown = (each.shown_at(self._world.now) for each in newest_first if user_id in each.owners)
        items = [version.item for version in shown if version is not None and wanted(version.item)][done:]
        link = None
        if len(items) > PAGE_SIZE:
            link = f"{ORIGIN}/{user_id}?$skiptoken={next(self._token_numbers)}"
            self._tokens[link] = (user_id, query, done + PAGE_SIZE, self._world.now)
        return ExportPage(items[:PAGE_SIZE], link, self._world.now + self.ahead)


class Unhurried(MemoryPace):
    """The Pace port where nobody has to wait: test_pace_interleavings.py is about those who do."""

    def wait(self) -> None:
        """See the port."""

    def hold(self, _: timedelta) -> None:
        """See the port."""


class Exporters(Exports):
    """Planner, exporter and the worker behind the notifications on one storage account; and what happens meanwhile."""

    def __init__(self) -> None:
        # What is put off to a moment in the background, which is no call of whoever puts it off.
        self.put_off: list[Callable[[], None]] = []
        self.capture = Capture()
        super().__init__()
        self.world = self.capture.world
        self.state = self.capture.state
        self.interactions = self.capture.archive["interactions"]
        self.dead_letters = self.capture.dead_letters
        self.doorbell = MemoryDoorbell(self.world)
        self.graph = FakeGraph(self.world)
        self.graph.users = [ALICE, BOB]
        self.mailboxes = self.exports = Mailboxes(self.world)
        self.pace = Unhurried(self.world)
        self.restart()

    def restart(self) -> None:
        """A new process: nothing remembered but what is stored."""
        super().restart()
        self.account.later = lambda _, act: self.put_off.append(act)
        self.capture.restart()
        archiving = replace(self.capture.archiving, account=self.account)
        self.storing = replace(self.capture.storing, archiving=archiving)

    def in_the_background(self) -> None:
        """What was put off is done."""
        due, self.put_off = self.put_off, []
        for act in due:
            act()

    def happens(self, owners: Iterable[str], late: timedelta, *, nameless: bool) -> None:
        """Something new in somebody's history, which the export shows so much later."""
        number = len(self.mailboxes.held)
        item = {
            **prompt(self.world.now + self.exports.ahead),
            "id": None if nameless else str(number),
            "etag": "1",
            "from": {"user": {"id": min(owners)}},
            "body": {"contentType": "text", "content": f"mark-{number}"},
        }
        self.world.pass_time(seconds=1)
        version = Version(item, self.world.now + late)
        self.mailboxes.held.append(
            Interaction(frozenset(owners), expect_instant(item["createdDateTime"]), [version]),
        )

    def changes(self, each: Interaction, *, renamed: bool) -> None:
        """Another version: under a name of its own, as Graph says, or under the same."""
        last = each.versions[-1]
        etag = str(len(each.versions) + 1) if renamed else last.item["etag"]
        body = {"contentType": "text", "content": f"{last.mark}-again"}
        shown_from = max(self.world.now, last.shown_from) + timedelta(seconds=1)
        each.versions.append(Version({**last.item, "etag": etag, "body": body}, shown_from))

    def notified(self, version: Version) -> str:
        """The post that tells of a version, in the inbox under this name."""
        return self.capture.keep(post(notification(version.item), tokens=[token(at=self.world.now)]))
