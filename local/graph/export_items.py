"""Interactions as the export shows them: what the notification carried, in a form of its own.

The pages of notifications and export show the same documents with members in another order, and with and without
annotations and nulls.
"""

import json
import random
from collections.abc import Callable, Mapping
from typing import Any

from local.graph.content.change import Change
from local.graph.randomness import chance, stream

_TYPE = "#microsoft.graph.aiInteraction"
# Members that are null where an interaction has none of it.
_NULLABLE = ("conversationType", "locale", "body", "createdDateTime")


def document(change: Change) -> dict[str, Any] | None:
    """Return the plaintext of a change, parsed; None where there is no object in it."""
    try:
        parsed = json.loads(change.plaintext or b"")
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def rendered(change: Change, seed: int, variants: float) -> bytes:
    """Return an item of the export: always the same bytes for a change and a seed, a share of `variants` varied."""
    parsed = document(change) or {}
    rng = stream(seed, "export item", change.ref)
    if chance(rng, variants):
        parsed = _varied(parsed, rng)
    # ASCII: texts may hold halves of surrogate pairs, which have no UTF-8.
    return json.dumps(parsed, separators=(",", ":")).encode()


def _varied(parsed: Mapping[str, Any], rng: random.Random) -> dict[str, Any]:
    made = {**dict.fromkeys(_NULLABLE), **parsed}
    if chance(rng, 0.5):
        made = _kept(made, lambda _, value: value is not None)
    if chance(rng, 0.3):
        made = _kept(made, lambda name, _: "@odata." not in name)
    if chance(rng, 0.5):
        made["@odata.type"] = _TYPE
    if chance(rng, 0.3) and "etag" in made:
        made["@odata.etag"] = f'W/"{made["etag"]}"'
    return _shuffled(made, rng)


def _kept(document: Mapping[str, Any], keeps: Callable[[str, object], bool]) -> dict[str, Any]:
    return {name: _kept_in(value, keeps) for name, value in document.items() if keeps(name, value)}


def _kept_in(value: Any, keeps: Callable[[str, object], bool]) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return _kept(value, keeps)
    return [_kept_in(each, keeps) for each in value] if isinstance(value, list) else value


def _shuffled(document: Mapping[str, Any], rng: random.Random) -> dict[str, Any]:
    names = list(document)
    rng.shuffle(names)
    return {name: _shuffled_in(document[name], rng) for name in names}


def _shuffled_in(value: Any, rng: random.Random) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return _shuffled(value, rng)
    return [_shuffled_in(each, rng) for each in value] if isinstance(value, list) else value
