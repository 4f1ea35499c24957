"""Bugs to plant: what a careless hand might have written. A suite that lets one of them live is not worth its time.

Each is a patch at run time, in the process under attack and nowhere else. Each names the scenarios
that meet the code in question; the crash matrix of these must find the bug (tests/endurance/test_careless.py).
"""

import asyncio
import hmac
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast
from unittest import mock

from shared.adapters.blob_container import BlobContainer
from shared.adapters.blob_inbox import BlobInbox
from shared.core.errors import CannotArchive, DecryptionFailed, StorageUnavailable
from shared.flows import archive, inbox, store, watch_claim
from shared.flows.archive import Archiving
from shared.flows.dead_letters import Replaying
from shared.flows.genuine import Genuineness
from shared.flows.store import Storing
from shared.flows.sweep import Sweeping
from shared.ports import Blob, Container

T = Callable[..., Any]


class _Held:
    """A container that still shows a blob which was deleted from it."""

    def __init__(self, container: Any, blob: Blob) -> None:  # noqa: ANN401 - stands in for any container
        self._container = container
        self._blob = blob

    def read(self, _: str) -> Blob:
        return self._blob

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as above
        return getattr(self._container, name)


def _clears_the_inbox_first(store_: T) -> T:
    def careless(self: Storing, name: str) -> None:
        blob = self.inbox.read(name)
        if blob is not None:
            self.inbox.delete(name)
            store_(replace(self, inbox=_Held(self.inbox, blob)), name)

    return careless


def _clears_the_inbox_whatever_happened(store_: T) -> T:
    def careless(self: Storing, name: str) -> None:
        try:
            store_(self, name)
        finally:
            self.inbox.delete(name)

    return careless


def _takes_any_conflict_for_success(create: T) -> T:
    def careless(self: BlobContainer, name: str, content: bytes, metadata: Mapping[str, str]) -> bool:
        create(self, name, content, metadata)
        return True

    return careless


def _overwrites(_: T) -> T:
    def careless(self: BlobContainer, name: str, content: bytes, metadata: Mapping[str, str]) -> bool:
        with suppress(Exception):
            self._client.create_container()
        self._client.upload_blob(name, content, overwrite=True, metadata=dict(metadata))
        return True

    return careless


def _swallows_trouble_when_it_writes(create: T) -> T:
    def careless(self: BlobContainer, name: str, content: bytes, metadata: Mapping[str, str]) -> bool:
        try:
            return bool(create(self, name, content, metadata))
        except StorageUnavailable:
            return True

    return careless


def _writes_in_the_background(keep: T) -> T:
    waiting: set[asyncio.Task[None]] = set()

    async def careless(self: BlobInbox, name: str, body: bytes, received_at: datetime) -> None:
        async def later() -> None:
            with suppress(StorageUnavailable):
                await keep(self, name, body, received_at)

        waiting.add(asyncio.create_task(later()))
        await asyncio.sleep(0.02)

    return careless


def _acknowledges_what_it_could_not_keep(keep: T) -> T:
    async def careless(self: BlobInbox, name: str, body: bytes, received_at: datetime) -> None:
        with suppress(StorageUnavailable):
            await keep(self, name, body, received_at)

    return careless


def _names_posts_by_the_hour(_: T) -> T:
    return lambda: uuid.UUID(int=0x4000_8000_0000_0000_0000)


def _believes_without_tokens(_: T) -> T:
    def careless(self: Genuineness, *_: object) -> frozenset[str]:
        return frozenset({self._rules.tenant_id.lower()})

    return careless


def _believes_any_client_state(_: T) -> T:
    return lambda *_: None


def _believes_any_signature(_: T) -> T:
    return lambda *_: True


def _forgets_the_neighbours_of_a_dead_letter(store_: T) -> T:
    park = inbox.park_item

    def park_and_stop(*given: Any) -> None:  # noqa: ANN401 - as in the flow, whatever it is
        park(*given)
        raise _Enough

    def careless(self: Storing, name: str) -> None:
        with mock.patch.object(store, "park_item", park_and_stop):
            try:
                store_(self, name)
            except _Enough:
                self.inbox.delete(name)

    return careless


class _Enough(BaseException):
    """One dead letter is enough of a post."""


def _buries_what_is_only_out_of_reach(archive_: T) -> T:
    def careless(self: Archiving, item: object, provenance: object) -> object:
        try:
            return archive_(self, item, provenance)
        except CannotArchive:
            raise
        except Exception as error:
            raise DecryptionFailed("whatever it was") from error

    return careless


def _writes_json_anew(parse: T) -> T:
    def careless(*given: object, **named: object) -> bytes | None:
        content = parse(*given, **named)
        return None if content is None else bytes(content) + b"\n"

    return careless


def _names_tombstones_at_random(path: T) -> T:
    return lambda *given: path(*given[:-1], str(uuid.uuid4()))


def _names_dead_letters_at_random(park: T) -> T:
    def careless(dead_letters: Any, kept: Any, *rest: Any) -> None:  # noqa: ANN401 - as in the flow, whatever it is
        other = replace(kept, name=kept.name[:-41] + f"{uuid.uuid4()}.json")
        park(dead_letters, other, *rest)

    return careless


def _sweeps_all_but_the_first(sweep: T) -> T:
    def careless(self: Sweeping) -> object:
        return sweep(replace(self, inbox=cast("Container", _WithoutFirst(self.inbox))))

    return careless


class _WithoutFirst:
    def __init__(self, container: Any) -> None:  # noqa: ANN401 - stands in for any container
        self._container = container

    def names(self, prefix: str) -> Iterator[str]:
        found = self._container.names(prefix)
        next(found, None)
        return iter(found)


def _sweeps_the_posts_away(sweep: T) -> T:
    def careless(self: Sweeping) -> object:
        rung = sweep(self)
        for name in list(self.inbox.names(f"{self.queue}/")):
            self.inbox.delete(name)
        return rung

    return careless


def _deletes_a_letter_before_it_tries(replay_one: T) -> T:
    def careless(self: Replaying, name: str, report: object) -> None:
        blob = self.dead_letters.read(name)
        if blob is not None:
            self.dead_letters.delete(name)
            replay_one(replace(self, dead_letters=_Held(self.dead_letters, blob)), name, report)

    return careless


def _deletes_letters_that_are_still_dead(_: T) -> T:
    def careless(self: Replaying, name: str, etag: str, *_: object) -> None:
        self.dead_letters.delete(name, etag)

    return careless


def _claims_for_a_day(_: T) -> timedelta:
    return timedelta(days=1)


STORING = ("store",)
RECEIVING = ("receive",)
SWEEPING = ("sweep",)
REPLAYING = ("replay",)
CLAIMING = ("renew",)

# By name: what is patched, by what, and the scenarios that must find out.
Bug = tuple[object, str, Callable[[Any], Any], tuple[str, ...]]
BUGS: Mapping[str, Bug] = {
    "clears the inbox first": (Storing, "store", _clears_the_inbox_first, STORING),
    "clears the inbox whatever happened": (Storing, "store", _clears_the_inbox_whatever_happened, STORING),
    "takes any conflict for success": (BlobContainer, "create", _takes_any_conflict_for_success, STORING),
    "overwrites": (BlobContainer, "create", _overwrites, STORING),
    "swallows trouble when it writes": (BlobContainer, "create", _swallows_trouble_when_it_writes, STORING),
    "writes in the background": (BlobInbox, "keep", _writes_in_the_background, RECEIVING),
    "acknowledges what it could not keep": (BlobInbox, "keep", _acknowledges_what_it_could_not_keep, RECEIVING),
    "names posts by the hour": (uuid, "uuid4", _names_posts_by_the_hour, RECEIVING),
    "believes without tokens": (Genuineness, "tenants", _believes_without_tokens, ("store forged",)),
    "believes any clientState": (Archiving, "check_client_state", _believes_any_client_state, STORING),
    "believes any signature": (hmac, "compare_digest", _believes_any_signature, STORING),
    "forgets a dead letter's neighbours": (Storing, "store", _forgets_the_neighbours_of_a_dead_letter, STORING),
    "buries what is out of reach": (Archiving, "archive", _buries_what_is_only_out_of_reach, STORING),
    "writes JSON anew": (archive, "decrypt", _writes_json_anew, STORING),
    "names tombstones at random": (archive, "tombstone_path", _names_tombstones_at_random, STORING),
    "names dead letters at random": (store, "park_item", _names_dead_letters_at_random, STORING),
    "sweeps all but the first": (Sweeping, "sweep", _sweeps_all_but_the_first, SWEEPING),
    "sweeps the posts away": (Sweeping, "sweep", _sweeps_the_posts_away, SWEEPING),
    "deletes a letter before it tries": (Replaying, "_replay_one", _deletes_a_letter_before_it_tries, REPLAYING),
    "deletes what is still dead": (Replaying, "_keep", _deletes_letters_that_are_still_dead, REPLAYING),
    "claims for a day": (watch_claim, "CLAIM", _claims_for_a_day, CLAIMING),
}


@contextmanager
def planted(name: str | None, bugs: Mapping[str, Bug] = BUGS) -> Iterator[None]:
    """Plant the bug of that name, or none."""
    if name is None:
        yield
        return
    owner, attribute, spoilt, _ = bugs[name]
    with mock.patch.object(owner, attribute, spoilt(getattr(owner, attribute))):
        yield
