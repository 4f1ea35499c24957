"""A day of the tenant: who asks what and when, and what is changed or deleted afterwards."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

from local.graph.content import interactions
from local.graph.content.change import Change
from local.graph.content.chats import life
from local.graph.content.interactions import Session, Texture
from local.graph.content.people import Person, people
from local.graph.randomness import chance, guid, stream
from local.graph.times import epoch_milliseconds

_UPDATED = 0.04
_DELETED = 0.03
_SAME_MOMENT = 0.05


@dataclass
class TenantContent:
    """The tenant's life, repeatable: the same seed and calls in the same order give the same changes.

    `texture` sets how often hostile texts, big cards and odd names come.
    """

    seed: int
    tenant_id: str
    texture: Texture = field(default_factory=Texture)

    def __post_init__(self) -> None:
        self._asked = stream(self.seed, "asked")

    def people(self, count: int) -> tuple[Person, ...]:
        """Return the first `count` people of the tenant: always the same ones."""
        return people(count, stream(self.seed, "people"))

    def day(self, when: date, *, interactions: int = 300, users: int = 25, chats: int = 10) -> list[Change]:
        """Return a day's changes in order of time: so many interactions created, among so many users, besides
        their updates and deletions, and the lives of so many chats.

        Conversations begin between 06:00 and 23:00 UTC; late updates can fall on the next day.
        """
        rng = stream(self.seed, "day", when.isoformat())
        tenant = self.people(max(users, 2))
        made = self._created(tenant, when, interactions, rng)
        changes = [*made, *_afterwards(made, rng)]
        for _ in range(chats):
            changes += life(tenant, _moment(when, rng), self.tenant_id, rng)
        return sorted(changes, key=lambda change: change.at)

    def conversation(self, at: datetime, *, users: int = 25) -> list[Change]:
        """Return one prompt with its answers at a moment."""
        talk = interactions.session(self.people(max(users, 2)), self._asked, self.texture)
        return list(self._turn(talk, _whole_milliseconds(at), self._asked))

    def _created(self, tenant: tuple[Person, ...], when: date, count: int, rng: random.Random) -> list[Change]:
        made: list[Change] = []
        while len(made) < count:
            talk = interactions.session(tenant, rng, self.texture)
            # Two people can ask in the same millisecond: their prompts then share an id.
            moment = rng.choice(made).at if made and chance(rng, _SAME_MOMENT) else _moment(when, rng)
            for _ in range(rng.randint(1, 4)):
                turn = list(self._turn(talk, moment, rng))
                made += turn
                moment = turn[-1].at + timedelta(milliseconds=rng.randint(5_000, 240_000))
        return made[:count]

    def _turn(self, talk: Session, moment: datetime, rng: random.Random) -> Iterator[Change]:
        request = interactions.request_id(rng)
        asked = interactions.prompt(talk, request, moment, self.tenant_id, rng, self.texture)
        yield interactions.change(asked, talk, moment, rng)
        for _ in range(rng.choice((1, 1, 1, 1, 2))):
            moment += timedelta(milliseconds=rng.randint(400, 8_000))
            said = interactions.response(talk, request, moment, rng, self.texture)
            yield interactions.change(said, talk, moment, rng)


def _moment(when: date, rng: random.Random) -> datetime:
    seconds = min(max(rng.gauss(12.5, 3.0), 6.0), 23.0) * 3600 + rng.random()
    return _whole_milliseconds(datetime(when.year, when.month, when.day, tzinfo=UTC) + timedelta(seconds=seconds))


def _whole_milliseconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _afterwards(made: list[Change], rng: random.Random) -> Iterator[Change]:
    for change in made:
        if chance(rng, _UPDATED):
            yield _updated(change, rng)
        elif chance(rng, _DELETED):
            yield _deleted(change, rng)


def _updated(change: Change, rng: random.Random) -> Change:
    at = change.at + timedelta(milliseconds=rng.randint(1_000, 1_800_000))
    etag = str(epoch_milliseconds(at))
    document = {**change.properties, "etag": etag, "body": {"contentType": "text", "content": "This text was changed."}}
    plaintext = interactions.plaintext(document, rng)
    return replace(
        change, ref=guid(rng), at=at, change_type="updated", etag=etag, properties=document, plaintext=plaintext
    )


def _deleted(change: Change, rng: random.Random) -> Change:
    # No sample of a deletion is published: either nothing is encrypted, or little.
    at = change.at + timedelta(milliseconds=rng.randint(1_000, 1_800_000))
    little = {"id": change.id, "createdDateTime": change.created, "sessionId": change.session_id}
    plaintext = json.dumps(little).encode() if chance(rng, 0.5) else None
    return replace(change, ref=guid(rng), at=at, change_type="deleted", plaintext=plaintext)
