"""JSON from strangers: UTF-8 only, bounded nesting, no property twice, no NaN.

A property named twice is refused because two readers may believe different ones
(https://www.rfc-editor.org/rfc/rfc8259#section-4). Graph varies the case of property names, so names that differ in
case only count as the same.
"""

import json
import re

from shared.core.errors import MalformedRequest

# Possessive, and content without a closing quote matches to its end: hostile input is read once, never again and again.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_SQUARE = bytes.maketrans(b"{}", b"[]")
_NOT_A_BRACKET = bytes(set(range(256)) - set(b"[]{}"))


def deeper_than(document: bytes, limit: int) -> bool:
    """Whether arrays and objects nest deeper than ``limit`` levels, told without parsing.

    Each round takes the innermost pairs away, so what is left after ``limit`` rounds was deeper, or is no JSON at all.
    """
    brackets = _STRING.sub(b"", document).translate(_SQUARE, _NOT_A_BRACKET)
    for _ in range(limit):
        remaining = brackets.replace(b"[]", b"")
        if len(remaining) == len(brackets):
            break
        brackets = remaining
    return bool(brackets)


def parse(document: bytes, *, max_nesting: int) -> object:
    """The parsed document.

    Raises MalformedRequest when it is not UTF-8 JSON, is nested deeper than ``max_nesting`` or names a property twice.
    """
    if deeper_than(document, max_nesting):
        raise MalformedRequest(f"the body is nested deeper than {max_nesting}, or its brackets do not match")
    try:
        return json.loads(document.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        # ValueError covers UnicodeDecodeError, JSONDecodeError and integers beyond Python's digit limit. The cause is
        # left out because a JSONDecodeError carries the whole document.
        raise MalformedRequest("the body is not UTF-8 JSON") from None


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len({name.lower() for name, _ in pairs}) != len(pairs):
        raise MalformedRequest("the body names a property twice")
    return dict(pairs)


def _no_constant(name: str) -> object:
    raise ValueError(name)
