"""Several instances work on the same inbox at once, each call of theirs may fail, and nothing is ever out of sight.

After every single call, whoever made it: each acknowledged item is in the archive, among the dead letters, or in the
inbox. And in the end, in good weather: in the archive or among the dead letters, once.
"""

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from shared.core.errors import KeyVaultUnavailable
from shared.flows.sweep import Sweeping
from tests.endurance.careless import BUGS
from tests.endurance.interleaving import Fate, Turns, find
from tests.fakes import MemoryDoorbell
from tests.graph_posts import CERTIFICATE_ID, interaction, notification, post
from tests.unit.flows.capture import Capture

INSTANCES = 3
GENUINE, AGAIN, REWRITTEN, STRANGER, BROKEN = "genuine", "again", "rewritten", "stranger", "broken"
# Mostly good weather, so that runs come far enough to meet each other.
FATES = st.sampled_from([Fate.DONE] * 6 + [fate for fate in Fate if fate is not Fate.DONE])


class Instances(RuleBasedStateMachine):
    """Posts come, workers, sweepers and replays run side by side, and an operator breaks and mends the vault."""

    @initialize()
    def begin(self) -> None:
        self.capture = Capture()
        self.turns = Turns(self.capture.world)
        self.doorbell = MemoryDoorbell(self.capture.world)
        self.owed: dict[str, dict[str, Any]] = {}
        self.doomed: set[str] = set()

    @rule(kinds=st.lists(st.sampled_from([GENUINE, AGAIN, REWRITTEN, STRANGER, BROKEN]), min_size=1, max_size=3))
    def acknowledge(self, kinds: list[str]) -> None:
        self.doorbell.ring(self.capture.keep(post(*(self.item(kind) for kind in kinds))))

    @precondition(lambda self: len(self.turns.running) < INSTANCES and self.doorbell.rung)
    @rule(data=st.data())
    def store(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.doorbell.rung))
        storing = self.process().storing
        self.turns.start(lambda: storing.store(name))

    @precondition(lambda self: len(self.turns.running) < INSTANCES)
    @rule()
    def sweep(self) -> None:
        self.turns.start(Sweeping(self.capture.inbox, self.doorbell, "notifications").sweep)

    @precondition(lambda self: len(self.turns.running) < INSTANCES)
    @rule()
    def replay(self) -> None:
        replaying = self.process().replaying
        self.turns.start(lambda: replaying.replay(None))

    @precondition(lambda self: self.turns.running)
    @rule(data=st.data(), fates=st.lists(FATES, min_size=1, max_size=6))
    def step(self, data: st.DataObject, fates: list[Fate]) -> None:
        for fate in fates:
            if running := self.turns.running:
                data.draw(st.sampled_from(running)).step(fate)
                self.nothing_is_out_of_sight()

    @rule(away=st.booleans())
    def vault(self, away: bool) -> None:
        refusals = self.capture.key_ring.refusals
        refusals.update({CERTIFICATE_ID: KeyVaultUnavailable("away")}) if away else refusals.clear()

    @invariant()
    def nothing_is_out_of_sight(self) -> None:
        seen = self.archived | self.dead | self.waiting
        assert set(self.owed) <= seen, set(self.owed) - seen

    @invariant()
    def nothing_forged_is_archived(self) -> None:
        assert not self.archived & self.doomed

    def teardown(self) -> None:
        if not hasattr(self, "owed"):
            return
        for instance in self.turns.running:
            instance.finish()
        self.vault(away=False)
        for _ in range(2):
            for name in sorted(self.capture.inbox.blobs):
                self.process().storing.store(name)
            self.process().replaying.replay(None)
        assert not self.capture.inbox.blobs
        kept = Counter(_marks(document) for document in self.capture.documents)
        dead = Counter(_marks_of(letter.item) for letter in self.capture.letters)
        assert set(kept) == set(self.owed) - self.doomed
        assert set(dead) == self.doomed
        assert kept.total() == len(kept), "kept twice"

    def process(self) -> Capture:
        """The flows of a fresh process on the same storage."""
        self.capture.restart()
        return self.capture

    def item(self, kind: str) -> dict[str, Any]:
        """An item of that kind; what it holds is told by its mark."""
        known = [mark for mark in self.owed if mark not in self.doomed]
        if kind == AGAIN and known:
            return self.owed[known[0]]
        number = len(self.owed)
        original = self.owed[known[0]]["resourceData"]["id"] if kind == REWRITTEN and known else str(number)
        mark = f"mark-{number}"
        resource = interaction(id=original, etag="1", body={"contentType": "text", "content": mark})
        made = notification(resource)
        made["resourceData"]["mark"] = mark
        if kind == STRANGER:
            made["clientState"] = "somebody-else"
        if kind == BROKEN:
            made["encryptedContent"]["dataSignature"] = "A" * 43 + "="
        if kind in (STRANGER, BROKEN):
            self.doomed.add(mark)
        self.owed[mark] = made
        return made

    @property
    def archived(self) -> set[str]:
        return {_marks(document) for document in self.capture.documents}

    @property
    def dead(self) -> set[str]:
        return {_marks_of(letter.item) for letter in self.capture.letters}

    @property
    def waiting(self) -> set[str]:
        bodies = [json.loads(blob.content) for blob in self.capture.inbox.blobs.values()]
        return {_marks_of(item) for body in bodies for item in body["value"]}


def _marks(document: dict[str, Any]) -> str:
    return str(document["body"]["content"])


def _marks_of(item: object) -> str:
    assert isinstance(item, dict)
    return str(item["resourceData"]["mark"])


TestInstances = pytest.mark.timeout(600)(Instances.TestCase)
TestInstances.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "bug",
    [
        "clears the inbox first",
        "clears the inbox whatever happened",
        "believes any clientState",
        "sweeps the posts away",
        "deletes a letter before it tries",
        "deletes what is still dead",
    ],
)
def test_interleavings_find_a_planted_bug(bug: str) -> None:
    find(Instances, bug, BUGS, examples=200, steps=30)
