import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core import strict_json
from shared.core.errors import BodyTooLarge, MalformedRequest, RequestRefused

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
NAMES = st.text(st.characters(exclude_categories=["Lu", "Lt", "Cs"]), max_size=8)
DOCUMENTS = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4))

# Documents as texts, so that names repeat, and texts hold what looks like structure.
QUOTED = st.sampled_from(
    ['""', '"a"', '"A"', '"\\u0061"', '"[{"', '"]},:"', r'"\\"', r'"\""', r'"\\\"["', '"ß"', '"ẞ"', '"\\ud800"']
)
WRITTEN = st.recursive(
    QUOTED | st.sampled_from(["1", "null", "-0.5e3", "true", "NaN"]),
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda members: f"[{', '.join(members)}]")
        | st.lists(st.tuples(QUOTED, inner), max_size=4).map(
            lambda pairs: "{" + ",".join(f"{name}: {value}" for name, value in pairs) + "}"
        )
    ),
    max_leaves=12,
)
SLIPS = st.sampled_from(["", *'[]{},:"\\ x', "[]", "{}", '"a":', "\x00", "\ud800"])


def parse(document: bytes, *, max_nesting: int, max_containers: int = 100_000, max_names: int = 100_000) -> object:
    strict_json.refuse_crowds(document, max_nesting=max_nesting, max_containers=max_containers)
    return strict_json.parse(document, max_nesting=max_nesting, max_names=max_names)


def read(document: bytes | str) -> object:
    """What everybody reads, but for the numbers."""
    return json.loads(document, parse_int=lambda _: 0, parse_float=lambda _: 0)


class Pairs(list[tuple[str, Any]]):
    """An object as it is written."""


def containers(value: object) -> tuple[int, int, bool]:
    """How many there are, how deep, and whether one names a property twice: slowly, and of what is parsed."""
    if not isinstance(value, list):
        return 0, 0, False
    names = [name.lower() for name, _ in value] if isinstance(value, Pairs) else []
    inner = [containers(member[1] if isinstance(value, Pairs) else member) for member in value]
    twice = len(set(names)) < len(names) or any(each[2] for each in inner)
    return 1 + sum(each[0] for each in inner), 1 + max((each[1] for each in inner), default=0), twice


def expected(document: bytes, max_nesting: int, max_containers: int) -> set[type[RequestRefused]]:
    """What may be raised, told from a parser that keeps everything; nothing where the document is fine."""

    def refuse(constant: str) -> object:
        raise ValueError(constant)

    try:
        parsed = json.loads(document.decode(), object_pairs_hook=Pairs, parse_constant=refuse)
    except (ValueError, RecursionError):
        crowded = document.count(b"[") + document.count(b"{") > max_containers
        return {MalformedRequest, BodyTooLarge} if crowded else {MalformedRequest}
    count, depth, twice = containers(parsed)
    if count > max_containers:
        return {MalformedRequest} if depth > max_nesting else {BodyTooLarge}
    return {MalformedRequest} if depth > max_nesting or twice else set()


def folded_apart(document: object) -> bool:
    """Whether no object in the document has two names that differ in case only."""
    if isinstance(document, dict):
        names = {name.lower() for name in document}
        return len(names) == len(document) and all(folded_apart(member) for member in document.values())
    return all(folded_apart(member) for member in document) if isinstance(document, list) else True


@given(DOCUMENTS.filter(folded_apart), st.booleans())
def test_good_json_is_read_as_it_is(document: object, escaped: bool) -> None:
    text = json.dumps(document, ensure_ascii=escaped)

    assert parse(text.encode(), max_nesting=64) == read(text)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b" ",
        b"value",
        b"{",
        b"]",
        b"[}",
        b'{"a": 1,}',
        b'{"a": 1} {"b": 2}',
        b"{'a': 1}",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": 01}',
        b'"\x01"',
        b'"unclosed',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        "{}".encode("utf-32-le"),
        b"\x1f\x8b\x08\x00",
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": 0.' + b"9" * 5000 + b"}",
    ],
)
def test_what_is_no_utf8_json_is_refused(document: bytes) -> None:
    with pytest.raises(MalformedRequest):
        parse(document, max_nesting=32)


@pytest.mark.parametrize(
    "document",
    [
        b'{"a": 1, "a": 1}',
        b'{"value": [], "Value": [1]}',
        b'{"a": {"clientState": "x", "CLIENTSTATE": "y"}}',
        b'[[{"a": 1, "\\u0061": 2}]]',
        b'[{"": 1, "": 2}]',
        '{"straße": 1, "STRAßE": 2}'.encode(),
    ],
)
def test_a_property_named_twice_is_refused(document: bytes) -> None:
    with pytest.raises(MalformedRequest, match="twice"):
        parse(document, max_nesting=32)


def test_the_same_name_in_two_objects_is_fine() -> None:
    assert parse(b'[{"a": 0}, {"a": {"a": 0}}]', max_nesting=32) == [{"a": 0}, {"a": {"a": 0}}]


def test_a_lone_surrogate_that_json_spells_is_read() -> None:
    assert parse(b'["\\ud800"]', max_nesting=32) == ["\ud800"]


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
def test_nesting_is_bounded_exactly(opening: str) -> None:
    def nested(times: int) -> bytes:
        closing = "".join({"[": "]", "{": "}"}[bracket] for bracket in reversed(opening) if bracket in "[{")
        return (opening * times + "1" + closing * times).encode()

    levels = sum(bracket in "[{" for bracket in opening)
    times = 32 // levels

    assert parse(nested(times), max_nesting=32)
    with pytest.raises(MalformedRequest, match="deeper"):
        parse(nested(times + 1), max_nesting=32)


@pytest.mark.parametrize(
    "document",
    [b'"[[[[[["', b'{"a": "[[[[{{{{", "b": "]]"}', rb'"\"[[[[[[\\"', rb'["\\", "[[[[[[", "\\\"[[["]'],
)
def test_brackets_inside_of_texts_do_not_count(document: bytes) -> None:
    assert parse(document, max_nesting=2) == read(document)


@given(DOCUMENTS)
def test_depth_is_told_as_by_a_reader(document: object) -> None:
    def depth(value: object) -> int:
        members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
        return 0 if members is None else 1 + max(map(depth, members), default=0)

    text = json.dumps(document).encode()

    assert parse(text, max_nesting=depth(document)) == read(text)
    if depth(document) > 0:
        with pytest.raises(MalformedRequest, match="deeper"):
            parse(text, max_nesting=depth(document) - 1)


@given(st.binary(max_size=200))
def test_no_bytes_are_too_strange_to_be_refused(document: bytes) -> None:
    # Anything but MalformedRequest fails the test. What is left are the few texts that are JSON.
    with suppress(MalformedRequest):
        parse(document, max_nesting=32)
        json.loads(document.decode())


@pytest.mark.parametrize("document", [b"canary", b'{"canary": 1, "canary": 2}', b"[" * 40 + b"canary"])
def test_a_refusal_carries_nothing_of_the_document(document: bytes) -> None:
    with pytest.raises(MalformedRequest) as caught:
        parse(document, max_nesting=32)

    assert caught.value.__cause__ is None
    assert "canary" not in str(caught.value)


@given(WRITTEN, st.integers(0, 60), SLIPS, st.integers(1, 6), st.integers(1, 12))
def test_what_is_refused_is_what_a_slow_reader_refuses(
    written: str, place: int, slip: str, max_nesting: int, max_containers: int
) -> None:
    document = (written[:place] + slip + written[place:]).encode("utf-8", "surrogatepass")
    max_containers = max(max_containers, document.count(b","))
    may = expected(document, max_nesting, max_containers)

    if may:
        with pytest.raises(tuple(may)):
            parse(document, max_nesting=max_nesting, max_containers=max_containers)
    else:
        assert parse(document, max_nesting=max_nesting, max_containers=max_containers) == read(document)


@pytest.mark.parametrize(
    ("document", "error"),
    [
        (b"[" * 4_000_000, MalformedRequest),
        (b"[" * 2_000_000 + b"]" * 2_000_000, MalformedRequest),
        (b"{" * 2_000_000 + b"}" * 2_000_000, MalformedRequest),
        (b'{"a":' * 700_000, MalformedRequest),
        (b"[]" * 2_000_000, MalformedRequest),
        (b"]" + b"[" * 4_000_000, MalformedRequest),
        (b"[" + b"[]" * 2_000_000 + b"]", BodyTooLarge),
        (b"[" + (b"[" * 30 + b"]" * 30 + b",") * 60_000 + b"0]", BodyTooLarge),
        (b"[" + (b'{"a":' * 30 + b"0" + b"}" * 30 + b",") * 20_000 + b"0]", BodyTooLarge),
        (b'["' + b"[" * 100_000 + b'"' + b'"a"' * 1_000_000 + b"]", BodyTooLarge),
    ],
    ids=range(10),
)
def test_four_megabytes_of_brackets_are_refused_before_they_are_parsed(
    monkeypatch: pytest.MonkeyPatch, document: bytes, error: type[RequestRefused]
) -> None:
    monkeypatch.setattr("json.loads", lambda *_, **__: pytest.fail("parsed"))
    with pytest.raises(error):
        parse(document, max_nesting=32)


def test_what_numbers_say_is_nobodys_concern() -> None:
    longest = b"9" * 4300

    assert parse(b"[-0.50e3, 1e999, " + longest + b"]", max_nesting=1) == [0, 0, 0]
    with pytest.raises(MalformedRequest):
        parse(b"[9" + longest + b"]", max_nesting=1)


def test_names_are_counted_over_all_objects() -> None:
    document = b'[{"a": 1, "b": 2}, {"b": 3, "B2": {"c": 4}}]'

    assert parse(document, max_nesting=3, max_names=4)
    with pytest.raises(BodyTooLarge, match="names"):
        parse(document, max_nesting=3, max_names=3)


@pytest.mark.parametrize("document", [b'"' + b"\\" * 4_000_000, b'"\\"' * 1_300_000, b'"' + b'\\"' * 60_000])
def test_four_megabytes_of_marks_are_refused(document: bytes) -> None:
    with pytest.raises(MalformedRequest):
        parse(document, max_nesting=32)


def test_brackets_inside_of_texts_are_no_crowd() -> None:
    document = json.dumps({"a": "[{" * 100_000, "b": '\\"[' * 50_000}).encode()

    assert parse(document, max_nesting=1, max_containers=2) == read(document)


def test_a_crowd_is_counted_exactly() -> None:
    document = b"[" + b"{}," * 9 + b"[]]"

    assert parse(document, max_nesting=2, max_containers=11)
    with pytest.raises(BodyTooLarge):
        parse(document, max_nesting=2, max_containers=10)
