"""Bugs to plant in the export, as careless.py has them for the rest.

They show where instances meet and time passes: no scenario of the crash matrix is for them.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from shared.adapters.shared_pace import SharedPace
from shared.core import checkpoint as export_checkpoint
from shared.core import export_plan
from shared.core.checkpoint import SETTLE, Checkpoint
from shared.core.errors import GraphUnavailable, StorageUnavailable
from shared.core.export_plan import OpenGap
from shared.flows.export import Exporting
from shared.flows.export_items import ExportedItems
from shared.flows.export_walk import Walk
from shared.flows.guarded import GuardedBlob
from shared.flows.rest import Resting
from shared.ports import Container, ExportPage
from tests.endurance.careless import Bug

T = Callable[..., Any]


def _moves_the_checkpoint_first(step: T) -> T:
    def careless(self: Exporting, walk: object, kept: Any, begin: datetime, end: datetime, *rest: object) -> object:  # noqa: ANN401 - the flow's own
        kept.save(kept.checkpoint.advanced(begin, end, self.clock()))
        return step(self, walk, kept, begin, end, *rest)

    return careless


def _writes_without_an_etag(write: T) -> T:
    def careless(self: GuardedBlob, *given: object) -> bool:
        self.read()
        return bool(write(self, *given))

    return careless


class _Believed:
    """A container in which whatever has the name is taken for what was to be written."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def metadata(self, _: str) -> None:
        return None

    def create(self, name: str, content: bytes, metadata: Mapping[str, str]) -> bool:
        self._container.create(name, content, metadata)
        return True


def _believes_a_conflict(rest: T) -> T:
    def careless(self: Resting, *given: object, **named: object) -> object:
        containers: Any = {name: _Believed(each) for name, each in self.containers.items()}
        return rest(replace(self, containers=containers), *given, **named)

    return careless


def _goes_on_without_what_storage_refused(rest: T) -> T:
    def careless(self: ExportedItems, item: object) -> None:
        with suppress(StorageUnavailable):
            rest(self, item)

    return careless


def _takes_a_failing_page_for_the_last(pages: T) -> T:
    def careless(self: Walk, *given: object) -> Iterator[ExportPage]:
        with suppress(GraphUnavailable):
            yield from pages(self, *given)

    return careless


def _lets_a_stale_window_move_it_back(_: T) -> T:
    def careless(self: Checkpoint, begin: datetime, end: datetime, graph_now: datetime) -> Checkpoint:
        return replace(self, since=begin, complete_until=max(begin, min(end, graph_now - SETTLE)))

    return careless


def _reserves_without_an_etag(change: T) -> T:
    def careless(self: SharedPace, *given: object) -> None:
        held: Any = self
        state = held._state
        held._state = _Overwritten(state)
        try:
            change(self, *given)
        finally:
            held._state = state

    return careless


class _Overwritten:
    """A container that replaces whatever is there."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def read(self, name: str) -> object:
        return self._container.read(name)

    def create(self, name: str, content: bytes, metadata: Mapping[str, str]) -> bool:
        return self._container.create(name, content, metadata) or self.replace(name, content, "", metadata)

    def replace(self, name: str, content: bytes, _: str, metadata: Mapping[str, str]) -> bool:
        there = self._container.read(name)
        return there is not None and self._container.replace(name, content, there.etag, metadata)


def _at_once(_: T) -> T:
    return lambda *_: True


def _for_ever(_: timedelta) -> timedelta:
    return timedelta(days=365)


def _never(_: timedelta) -> timedelta:
    return timedelta(0)


# By name, as in careless.py; no scenario of the crash matrix.
EXPORT_BUGS: Mapping[str, Bug] = {
    "moves the checkpoint first": (Exporting, "_step", _moves_the_checkpoint_first, ()),
    "writes the state without an ETag": (GuardedBlob, "write", _writes_without_an_etag, ()),
    "believes a conflict": (Resting, "rest", _believes_a_conflict, ()),
    "goes on without what storage refused": (ExportedItems, "rest", _goes_on_without_what_storage_refused, ()),
    "takes a failing page for the last": (Walk, "pages", _takes_a_failing_page_for_the_last, ()),
    "lets a stale window move the checkpoint back": (Checkpoint, "advanced", _lets_a_stale_window_move_it_back, ()),
    "claims what is not settled": (export_checkpoint, "SETTLE", _never, ()),
    "closes gaps when it plans them": (OpenGap, "is_closed", _at_once, ()),
    "waits for ever for a lost window": (export_plan, "FORGOTTEN_AFTER", _for_ever, ()),
    "lets go whoever has left": (export_plan, "has_left", _at_once, ()),
}
PACE_BUGS: Mapping[str, Bug] = {
    "reserves without an ETag": (SharedPace, "_change", _reserves_without_an_etag, ()),
}
