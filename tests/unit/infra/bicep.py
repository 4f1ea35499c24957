"""Bicep files as Python values: what tests/unit/infra hold against the code.

Literals become what they are, objects dicts, arrays lists. What a deployment works out is an Expression: its text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

ROOT = Path(__file__).resolve().parents[3]
INFRA = ROOT / "infra"
FILES = sorted(INFRA.rglob("*.bicep"))
_PARSER = Parser(Language(tree_sitter_bicep.language()))
# The grammar is older than this statement.
_EXTENSION = re.compile(rb"^extension [^\n]*", re.MULTILINE)


class Expression(str):
    """Something that only a deployment knows, as it is written."""

    __slots__ = ()


@dataclass(frozen=True)
class Declaration:
    """A param, var, output, resource or module. ``type`` of a nested resource is the whole one, without a version."""

    file: str
    kind: str
    name: str
    type: str
    value: Any
    decorators: dict[str, Any]
    existing: bool = False
    condition: str | None = None
    loop: str | None = None

    @property
    def properties(self) -> dict[str, Any]:
        """What a resource is declared with."""
        found: dict[str, Any] = self.value["properties"]
        return found


def declarations(file: str | None = None, kind: str | None = None) -> list[Declaration]:
    """All declarations, or those of a file (a path below infra/) or of a kind."""
    return [
        each
        for path in FILES
        for each in _read(path)
        if file in (None, each.file) and (kind is None or each.kind == kind)
    ]


def named(file: str, name: str) -> Declaration:
    """One declaration of a file."""
    (found,) = [each for each in declarations(file) if each.name == name]
    return found


def resources(type_: str, file: str | None = None) -> list[Declaration]:
    """The resources of a type that are made here, not only looked up."""
    return [each for each in declarations(file, "resource") if each.type == type_ and not each.existing]


def only(type_: str, file: str | None = None) -> Declaration:
    """The one resource of a type."""
    (found,) = resources(type_, file)
    return found


@cache
def _read(path: Path) -> list[Declaration]:
    root = _PARSER.parse(_EXTENSION.sub(b"", path.read_bytes())).root_node
    assert not root.has_error, f"{path} can't be read"
    return list(_declared(root, path.relative_to(INFRA).as_posix(), ""))


KINDS = {
    "parameter_declaration": "param",
    "variable_declaration": "var",
    "output_declaration": "output",
    "resource_declaration": "resource",
    "module_declaration": "module",
}


def _declared(root: Node, file: str, parent: str) -> Iterator[Declaration]:
    decorators: dict[str, Any] = {}
    for node in _parts(root):
        if node.type == "decorators":
            decorators = dict(_decorator(each) for each in _parts(node))
        elif node.type in KINDS:
            yield from _declaration(node, file, parent, decorators)
            decorators = {}


def _declaration(node: Node, file: str, parent: str, decorators: dict[str, Any]) -> Iterator[Declaration]:
    kind = KINDS[node.type]
    name, *rest = _parts(node)
    type_ = "" if kind == "var" else _text(rest.pop(0)).strip("'").partition("@")[0]
    if parent:
        type_ = f"{parent}/{type_}"
    body, condition, loop = _unwrapped(rest[0]) if rest else (None, None, None)
    if kind == "var" and rest:
        body, condition, loop = rest[0], None, None
    value = _value(body) if body else None
    existing = b"existing" in [each.text for each in node.children]
    yield Declaration(file, kind, _text(name), type_, value, decorators, existing, condition, loop)
    if kind == "resource" and body:
        for entry in _parts(body):
            yield from _declared(entry, file, type_)


def _unwrapped(node: Node) -> tuple[Node, str | None, str | None]:
    """The object within ``[for … in LOOP: if (CONDITION) {…}]``."""
    condition = loop = None
    if node.type == "for_statement":
        *_, over, node = _parts(node)
        loop = _text(over)
    if node.type == "if_statement":
        test, node = _parts(node)
        condition = _text(test)[1:-1]
    return node, condition, loop


def _value(node: Node) -> Any:  # noqa: ANN401 - whatever the file says
    text = _text(node)
    if node.type == "object":
        return {_text(pair[0]).strip("'"): _value(pair[1]) for pair in map(_parts, _parts(node)) if len(pair) == 2}
    if node.type == "array":
        return _items(node)
    if node.type == "string" and not any(each.type == "interpolation" for each in node.children):
        return text.strip("'").replace("\\'", "'")
    if node.type == "number":
        return int(text)
    constants = {"true": True, "false": False, "null": None}
    return constants[text] if text in constants else Expression(text)


def _items(node: Node) -> list[Any]:
    """The grammar makes two nodes of an item such as ``f().x``; nothing stands between them."""
    items: list[list[Node]] = []
    for part in _parts(node):
        if items and items[-1][-1].end_byte == part.start_byte:
            items[-1].append(part)
        else:
            items.append([part])
    return [_value(item[0]) if len(item) == 1 else Expression("".join(map(_text, item))) for item in items]


def _decorator(node: Node) -> tuple[str, Any]:
    name, arguments = _parts(_parts(node)[0])
    values = [_value(each) for each in _parts(arguments)]
    return _text(name), values[0] if values else True


def _parts(node: Node) -> list[Node]:
    return [child for child in node.named_children if not child.type.endswith("comment")]


def _text(node: Node) -> str:
    return (node.text or b"").decode()
