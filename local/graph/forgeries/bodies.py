"""Posts whose body should be refused before anything in it is believed, though the items inside are flawless."""

import gzip
import json

from local.graph import envelope
from local.graph.envelope import Message
from local.graph.forgeries.materials import Forger, Materials

TOO_MANY_ITEMS = 1001
DEPTH = 5_000


def _flawless(materials: Materials) -> bytes:
    return envelope.body([materials.item()], materials.genuine_tokens())


def _garbage(materials: Materials) -> Message:
    cut = _flawless(materials)
    return Message(cut[: len(cut) // 2])


def _not_an_object(materials: Materials) -> Message:
    return Message(json.dumps([materials.item()]).encode())


def _deep(materials: Materials) -> Message:
    body = _flawless(materials)
    return Message(b'{"extra":' + b"[" * DEPTH + b"]" * DEPTH + b"," + body[1:])


def _too_many(materials: Materials) -> Message:
    # All but one without content, so that the number is what is wrong and not the size.
    item = materials.item()
    bare = {name: value for name, value in item.items() if name.lower() != "encryptedcontent"}
    return Message(envelope.body([item, *[bare] * (TOO_MANY_ITEMS - 1)], materials.genuine_tokens()))


def _duplicate_keys(materials: Materials) -> Message:
    body = _flawless(materials)
    return Message(b'{"value":[],' + body[1:])


def _compressed(materials: Materials) -> Message:
    return Message(gzip.compress(_flawless(materials)), {"Content-Encoding": "gzip"})


def _not_utf8(materials: Materials) -> Message:
    return Message(b'{"extra":"\xc3\x28\xff",' + _flawless(materials)[1:])


def _utf16(materials: Materials) -> Message:
    return Message(_flawless(materials).decode().encode("utf-16"))


BODIES: dict[str, Forger] = {
    "garbage": _garbage,
    "not-an-object": _not_an_object,
    "deep-json": _deep,
    "too-many-items": _too_many,
    "duplicate-keys": _duplicate_keys,
    "compressed": _compressed,
    "not-utf8": _not_utf8,
    "utf16": _utf16,
}
