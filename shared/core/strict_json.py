"""JSON from strangers: UTF-8 only, bounded nesting, no property twice, no NaN.

A property named twice is refused because two readers may believe different ones
(https://www.rfc-editor.org/rfc/rfc8259#section-4). Graph varies the case of property names, so names that differ in
case only count as the same.
"""

import json

from shared.core.errors import MalformedRequest


def parse(document: bytes, *, max_nesting: int) -> object:
    """The parsed document.

    Raises MalformedRequest when it is not UTF-8 JSON, is nested deeper than ``max_nesting`` or names a property twice.
    The parser itself gives up at the interpreter's recursion limit, so no depth can hurt before it is known.
    """
    try:
        parsed = json.loads(document.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        # ValueError covers UnicodeDecodeError, JSONDecodeError and integers beyond Python's digit limit. The cause is
        # left out because a JSONDecodeError carries the whole document.
        raise MalformedRequest("the body is not UTF-8 JSON") from None
    if _deeper_than(parsed, max_nesting):
        raise MalformedRequest(f"the body is nested deeper than {max_nesting}")
    return parsed


def _deeper_than(value: object, limit: int) -> bool:
    """Whether arrays and objects nest deeper than ``limit`` levels, told level by level and without recursion."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(limit):
        level = [
            member
            for container in level
            for member in (container.values() if isinstance(container, dict) else container)
            if isinstance(member, dict | list)
        ]
        if not level:
            return False
    return bool(level)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len({name.lower() for name, _ in pairs}) != len(pairs):
        raise MalformedRequest("the body names a property twice")
    return dict(pairs)


def _no_constant(name: str) -> object:
    raise ValueError(name)
