"""Which function answers a path: route templates, their constraints and their order.

Templates: https://learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook-trigger#customize-the-http-endpoint
Constraints and precedence: https://learn.microsoft.com/aspnet/core/fundamentals/routing#route-constraints
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote
from uuid import UUID

from local.functions_host.descriptors import FunctionDescriptor, HttpTrigger
from local.functions_host.errors import LoadError

_PARAMETER = re.compile(r"\{(\*{0,2})(\w+)((?::\w+(?:\([^()]*\))?)*)(=[^{}?]*)?(\?)?\}")
_CONSTRAINT = re.compile(r":(\w+)(?:\(([^()]*)\))?")

Check = Callable[[str], bool]


@dataclass(frozen=True)
class _Segment:
    """`kind` orders segments as ASP.NET does: literal 0, constrained 1, plain 2, catch-all 3."""

    name: str
    kind: int
    checks: tuple[Check, ...] = ()
    default: str | None = None
    optional: bool = False

    def accepts(self, value: str) -> bool:
        if self.kind == 0:
            return value.lower() == self.name.lower()
        return bool(value) and all(check(value) for check in self.checks)


@dataclass(frozen=True)
class Match:
    """The function of a path and its route parameters, decoded."""

    function: FunctionDescriptor
    parameters: Mapping[str, str]


class RouteTable:
    """The HTTP functions of an app below one prefix."""

    def __init__(self, functions: Iterable[FunctionDescriptor], prefix: str) -> None:
        entries = []
        for function in functions:
            if isinstance(function.trigger, HttpTrigger):
                template = "/".join(part for part in (prefix, function.trigger.route) if part)
                entries.append((_parse(function.name, template), function, function.trigger.methods))
        self._entries = sorted(entries, key=lambda entry: [segment.kind for segment in entry[0]])

    def find(self, method: str, path: str) -> Match | None:
        """The function for a method and a raw (still encoded) path; None is a 404, also for another method."""
        parts = [_decode(part) for part in path.strip("/").split("/")] if path.strip("/") else []
        for segments, function, methods in self._entries:
            if methods and method not in methods:
                continue
            parameters = _match(segments, parts)
            if parameters is not None:
                return Match(function, parameters)
        return None


def _decode(part: str) -> str:
    # An encoded slash stays encoded, as in Kestrel: it must not look like a separator to anyone downstream.
    return unquote(re.sub("(?i)%2f", "%252F", part))


def _match(segments: tuple[_Segment, ...], parts: list[str]) -> dict[str, str] | None:
    found: dict[str, str] = {}
    for position, segment in enumerate(segments):
        rest = parts[position:]
        value = "/".join(rest) if segment.kind == 3 else (rest[0] if rest else "")
        if not value:
            if segment.default is not None:
                found[segment.name] = segment.default
            elif not segment.optional and segment.kind != 3:
                return None
        elif not segment.accepts(value):
            return None
        elif segment.kind:
            found[segment.name] = value
    takes_all = bool(segments) and segments[-1].kind == 3
    return found if takes_all or len(parts) <= len(segments) else None


def _parse(function: str, template: str) -> tuple[_Segment, ...]:
    texts = template.split("/") if template else []
    segments = tuple(_segment(function, text) for text in texts)
    for position, segment in enumerate(segments[:-1]):
        if segment.kind == 3 or (segment.optional and not segments[position + 1].optional):
            raise LoadError(f"{function}: only the end of route {template!r} may be optional or catch-all")
    return segments


def _segment(function: str, text: str) -> _Segment:
    if "{" not in text and "}" not in text:
        return _Segment(text, 0)
    match = _PARAMETER.fullmatch(text)
    if match is None:
        raise LoadError(f"{function}: route segment {text!r} is not hosted here: one whole {{parameter}} a segment")
    stars, name, constraints, default, optional = match.groups()
    checks = tuple(_check(function, kind, argument) for kind, argument in _CONSTRAINT.findall(constraints))
    kind = 3 if stars else (1 if checks else 2)
    return _Segment(name, kind, checks, default[1:] if default else None, bool(optional))


def _check(function: str, kind: str, argument: str) -> Check:
    try:
        return _CONSTRAINTS[kind](*[int(value) for value in argument.split(",") if value.strip()])
    except (KeyError, TypeError, ValueError) as error:
        known = ", ".join(sorted(_CONSTRAINTS))
        raise LoadError(f"{function}: route constraint {kind}({argument}) is none of {known}") from error


def _pattern(expression: str) -> Callable[[], Check]:
    compiled = re.compile(expression)
    return lambda: lambda value: compiled.fullmatch(value) is not None


def _is_guid(value: str) -> bool:
    try:
        UUID(value)
    except ValueError:
        return False
    return True


def _number_between(low: float, high: float) -> Check:
    return lambda value: re.fullmatch(r"[+-]?\d+", value) is not None and low <= int(value) <= high


def _length_between(low: float, high: float) -> Check:
    return lambda value: low <= len(value) <= high


_INFINITE = float("inf")
_CONSTRAINTS: dict[str, Callable[..., Check]] = {
    "alpha": _pattern("[A-Za-z]*"),
    "bool": _pattern("(?i:true|false)"),
    "decimal": _pattern(r"[+-]?\d+(\.\d+)?"),
    "guid": lambda: _is_guid,
    "int": lambda: _number_between(-(2**31), 2**31 - 1),
    "length": lambda low, high=None: _length_between(low, low if high is None else high),
    "long": lambda: _number_between(-(2**63), 2**63 - 1),
    "max": lambda high: _number_between(-_INFINITE, high),
    "maxlength": lambda high: _length_between(0, high),
    "min": lambda low: _number_between(low, _INFINITE),
    "minlength": lambda low: _length_between(low, _INFINITE),
    "range": _number_between,
}
