"""What the state says of the export, held against what is true, by nothing but the promise (docs/completeness.md)."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.core.checkpoint import Checkpoint, Look
from shared.core.checkpoint_json import from_json, progress, user_of_name
from shared.core.dead_letter import from_json as letter_from_json
from shared.core.instants import expect_instant
from shared.ports import Blob
from tests.endurance.exporting_instances import Exporters, Interaction, mark_of

SETTLED_AFTER = timedelta(hours=1)
A_LOOK_COUNTS = timedelta(days=62)


@dataclass(slots=True)
class Planner:
    """A run of ``plan_exports``: when it began, and who has been on the list ever since. ``written``: how often each
    one's checkpoint had been written by then.
    """

    began: datetime
    everybody: set[str]
    written: dict[str, int]


@dataclass
class Judge:
    """Looks at storage after every call. What was ``notified`` of is the world's to tell."""

    tenant: Exporters
    everybody: tuple[str, ...]
    notified: set[str] = field(default_factory=set)
    noted: set[str] = field(default_factory=set)
    kept: Counter[str] = field(default_factory=Counter)
    # Every user who was ever put on the queue.
    planned: set[str] = field(default_factory=set)
    wrong: bool = False
    _seen: dict[str, Blob] = field(default_factory=dict)
    _checkpoints: dict[str, list[Checkpoint]] = field(default_factory=dict)

    def look(self, planner: Planner | None = None) -> None:
        """Judge what has changed since the last time. ``planner`` is whose call it was, if it was a planner's."""
        self.wrong = True
        self._archive()
        for name, blob in self._changed():
            user = user_of_name(name) if name.startswith("checkpoints/") else None
            if user is not None:
                self._checkpoint(user, blob)
            elif name == "exports/plan.json":
                self.planned |= json.loads(blob.content)["queued"].keys()
            elif name.startswith("gaps-exported/"):
                assert planner is not None, "nobody but a planner closes a gap"
                self._closed(json.loads(blob.content), planner)
            elif name.startswith("gaps-lost/"):
                assert json.loads(blob.content)["resource"] == "chats", "given up, though the export shows it"
        self._notes()
        self.wrong = False

    def planner(self) -> Planner:
        """One that begins now."""
        written = {user: len(known) for user, known in self._checkpoints.items()}
        return Planner(self.tenant.world.now, set(self.tenant.graph.users), written)

    def checkpoint(self, user: str) -> Checkpoint | None:
        """As it is now."""
        known = self._checkpoints.get(user)
        return known[-1] if known else None

    def is_let_go(self, user: str) -> bool:
        """Of one who is not on the list: whether he was never on a plan, or an operator was told when he left."""
        checkpoint = self.checkpoint(user)
        return user not in self.planned or (checkpoint is not None and checkpoint.problem is not None)

    def holds(self, interaction: Interaction, since: datetime) -> bool:
        """Whether a version is at rest that somebody may have been shown who asked then or later."""
        return any(mark in self.kept for mark in interaction.marks_since(since))

    def of(self, user: str) -> Iterator[Interaction]:
        """All that is in a user's history."""
        return (each for each in self.tenant.mailboxes.held if user in each.owners)

    def _changed(self) -> Iterator[tuple[str, Blob]]:
        before, self._seen = self._seen, dict(self.tenant.state.blobs)
        for name, blob in self._seen.items():
            if name not in before or before[name].etag != blob.etag:
                yield name, blob

    def _archive(self) -> None:
        blobs = {**self.tenant.interactions.blobs, **self.tenant.dead_letters.blobs}
        if len(blobs) == self.kept.total():
            return
        documents = [json.loads(blob.content) for blob in self.tenant.interactions.blobs.values()]
        dead = [letter_from_json(blob.content).item for blob in self.tenant.dead_letters.blobs.values()]
        self.kept = Counter(map(mark_of, [*documents, *dead]))
        true = {version.mark: version for each in self.tenant.mailboxes.held for version in each.versions}
        for item in [*documents, *dead]:
            version = true[mark_of(item)]
            assert item == version.item
            assert version.mark in self.notified or version.shown_from <= self.tenant.world.now, "nobody exposed it"
            assert self.kept[version.mark] == 1, f"{version.mark} is there twice"
        assert all(each["id"] is not None for each in documents)
        assert all(mark_of(each) not in self.notified and each["id"] is None for each in dead if isinstance(each, dict))

    def _checkpoint(self, user: str, blob: Blob) -> None:
        before, after = self.checkpoint(user), from_json(blob.content)
        assert after.user_id == user
        told = progress(blob.metadata)
        assert (told.since, told.complete_until) == (after.since, after.complete_until)
        if before is not None:
            _nothing_goes_back(before, after)
        self._checkpoints.setdefault(user, []).append(after)
        for look in after.looks:
            self._looked(user, look)
        self._complete(user, after)

    def _looked(self, user: str, look: Look) -> None:
        """Everything since ``begin`` was read, beginning at ``at``: what was shown by then is at rest."""
        assert look.at <= self.tenant.world.now
        for each in self.of(user):
            if look.begin <= each.created <= look.at and each.shown_from < look.at:
                assert self.holds(each, look.at), f"{each.versions} was there to be seen by {look}"

    def _complete(self, user: str, checkpoint: Checkpoint) -> None:
        """All between two instants that showed up within an hour is at rest."""
        since, until = checkpoint.since, checkpoint.complete_until
        if since is None or until is None:
            return
        ahead = self.tenant.exports.ahead
        assert until <= self.tenant.world.now + ahead - SETTLED_AFTER or until == since
        for each in self.of(user):
            settled = each.created - ahead + SETTLED_AFTER
            if since <= each.created <= until and each.shown_from < settled:
                assert self.holds(each, settled), f"{each.versions} is claimed from {since} to {until}"

    def _closed(self, note: dict[str, str], planner: Planner) -> None:
        """Everybody concerned was looked at since the end of the gap, or is told of as flagged."""
        begin, end = expect_instant(note["from"]), expect_instant(note["to"])
        for user in self._concerned(note["resource"], planner):
            for each in self.of(user):
                if begin <= each.created <= end and each.shown_from < end:
                    assert self.holds(each, end), f"{each.versions} is in a gap that is closed: {note}"

    def _concerned(self, resource: str, planner: Planner) -> set[str]:
        named = {user for user in self.everybody if f"/users/{user}/" in resource}
        return {user for user in named or planner.everybody if not self._was_flagged(user, planner)}

    def _was_flagged(self, user: str, planner: Planner) -> bool:
        """Whether he was to be left alone at any moment since then."""
        known = self._checkpoints.get(user, [])[max(planner.written.get(user, 0) - 1, 0) :]
        return any(each.problem is not None and each.problem.retry_at > planner.began for each in known)

    def _notes(self) -> None:
        """No note of a gap is ever gone: it waits, or is in a folder that tells what became of it."""
        there = {name.rpartition("/")[2] for name in self._seen if name.startswith("gaps")}
        assert self.noted <= there
        self.noted = there


def _nothing_goes_back(before: Checkpoint, after: Checkpoint) -> None:
    if before.since is not None and before.complete_until is not None:
        assert after.since is not None
        assert after.since <= before.since
        assert after.complete_until is not None
        assert after.complete_until >= before.complete_until
    latest = max((each.at for each in after.looks), default=None)
    for look in before.looks:
        forgotten = not any(each.begin <= look.begin and each.at >= look.at for each in after.looks)
        assert not forgotten or (latest is not None and latest - look.at > A_LOOK_COUNTS), f"{look} is forgotten"
