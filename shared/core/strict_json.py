"""JSON from strangers: UTF-8 only, bounded nesting, bounded containers, bounded names, no property twice, no NaN.

A container is an array or an object. A property named twice is refused because two readers may believe different ones
(https://www.rfc-editor.org/rfc/rfc8259#section-4). Graph varies the case of property names, so names that differ in
case only count as the same. Every number is read as 0: nobody counts with them here, and to make a number of thousands
of digits takes the interpreter longer than all the rest.

Strangers decide what there is to read, so most of the reading is done in compiled code: benchmarks/flood.py.
"""

import json
import sys
from array import array
from collections.abc import Collection
from itertools import accumulate, chain

from shared.core.errors import BodyTooLarge, MalformedRequest

# Brackets as steps: 1 is one level deeper, -1 (as a byte) one level back.
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))
# What Python makes an integer of (https://docs.python.org/3/library/stdtypes.html#int-max-str-digits): whoever reads
# the document again can read it.
_MAX_NUMBER = sys.int_info.default_max_str_digits
# Among so many brackets, what is too deep or at its end already shows.
_FIRST_SIGHT = 10_000


def refuse_crowds(document: bytes, *, max_nesting: int, max_containers: int) -> None:
    """Refuse a document of countless containers before it is parsed: that would take seconds, with few commas in it.

    Raises BodyTooLarge; or MalformedRequest for what is malformed at first sight as well, as it is where there are
    fewer of them.
    """
    if document.count(b"[") + document.count(b"{") <= max_containers:
        return
    # What counts is outside of texts, that is, in every other piece between quotation marks that are not escaped. Each
    # value follows a comma or begins a container, and may have a name: four marks.
    most = 4 * (document.count(b",") + max_containers + 1)
    pieces = document.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"', most)
    outside = pieces[::2] if len(pieces) <= most else pieces[:most:2]
    steps = b"".join(outside).translate(_STEPS, _NO_BRACKETS)
    levels = list(accumulate(array("b", steps[:_FIRST_SIGHT])))
    if max(levels, default=0) > max_nesting or min(levels[:-1], default=1) < 1:
        raise MalformedRequest(f"the body is nested deeper than {max_nesting}, or goes on after its end")
    if steps.count(1) > max_containers or len(pieces) > most:
        raise BodyTooLarge(f"a post of more than {max_containers} arrays and objects")


def parse(document: bytes, *, max_nesting: int, max_names: int) -> object:
    """The parsed document, with 0 for every number. ``refuse_crowds`` comes first.

    Raises MalformedRequest when it is not UTF-8 JSON, is nested deeper than ``max_nesting``, names a property twice or
    has a number of thousands of digits, and BodyTooLarge when it has more than ``max_names`` different names in all.
    The parser itself gives up at the interpreter's recursion limit, so no depth can hurt before it is known.
    """
    objects: list[dict[str, object]] = []

    def keep(pairs: list[tuple[str, object]]) -> dict[str, object]:
        objects.append(dict(pairs))
        if len(objects[-1]) != len(pairs):
            raise MalformedRequest("the body names a property twice")
        return objects[-1]

    try:
        text = document.decode("utf-8")
        parsed = json.loads(
            text, object_pairs_hook=keep, parse_constant=_no_constant, parse_int=_zero, parse_float=_zero
        )
    except (ValueError, RecursionError):
        # ValueError covers UnicodeDecodeError, JSONDecodeError and integers beyond Python's digit limit. The cause is
        # left out because a JSONDecodeError carries the whole document.
        raise MalformedRequest("the body is not UTF-8 JSON") from None
    if _deeper_than(parsed, max_nesting):
        raise MalformedRequest(f"the body is nested deeper than {max_nesting}")
    # All names at once first: there are few, and then no object needs a look.
    names = set(chain.from_iterable(objects))
    if len(names) > max_names:
        raise BodyTooLarge(f"a post of more than {max_names} names")
    if _differ_in_case_only(names) and any(map(_differ_in_case_only, objects)):
        raise MalformedRequest("the body names a property twice")
    return parsed


def _deeper_than(value: object, limit: int) -> bool:
    """Whether arrays and objects nest deeper than ``limit`` levels, told level by level and without recursion."""
    level = [value] if type(value) is dict or type(value) is list else []
    for _ in range(limit):
        arrays = [container for container in level if type(container) is list]
        objects = [container.values() for container in level if type(container) is dict]
        members = chain(chain.from_iterable(arrays), chain.from_iterable(objects))
        level = [member for member in members if type(member) is dict or type(member) is list]
        if not level:
            return False
    return bool(level)


def _differ_in_case_only(names: Collection[str]) -> bool:
    """Whether two different names are the same in lower case. A set, or an object's: none is there twice."""
    return len(set(map(str.lower, names))) != len(names)


def _zero(number: str) -> int:
    if len(number) > _MAX_NUMBER:
        raise ValueError
    return 0


def _no_constant(name: str) -> object:
    raise ValueError(name)
