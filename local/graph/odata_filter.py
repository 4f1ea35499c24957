"""The little of `$filter` that subscriptions to Copilot interactions take: top-level properties, `eq` and `ne`.

https://learn.microsoft.com/microsoft-365/copilot/extensibility/api/ai-services/change-notifications/aiinteraction-changenotifications#using-filter-to-be-notified-of-only-a-subset-of-copilot-ai-interactions
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

PROPERTIES = frozenset(
    {
        "id",
        "sessionId",
        "requestId",
        "appClass",
        "interactionType",
        "conversationType",
        "etag",
        "createdDateTime",
        "locale",
    }
)
_COMPARISON = re.compile(r"(?P<name>[\w/]+)\s+(?P<operator>\w+)\s+'(?P<value>(?:[^']|'')*)'")
_JOINT = re.compile(r"\s+(and|or)\s+")


@dataclass(frozen=True)
class Comparison:
    """`name eq 'value'` or `name ne 'value'`, compared without case as Graph does for appClass."""

    name: str
    negated: bool
    value: str

    def holds(self, document: Mapping[str, Any]) -> bool:
        """Say whether a document passes."""
        same = str(document.get(self.name)).lower() == self.value.lower()
        return same != self.negated


@dataclass(frozen=True)
class Filter:
    """Comparisons, all joined by the same word."""

    comparisons: tuple[Comparison, ...]
    joint: Literal["and", "or"] = "and"

    def holds(self, document: Mapping[str, Any]) -> bool:
        """Say whether a document passes; without comparisons every one does."""
        results = [comparison.holds(document) for comparison in self.comparisons]
        return all(results) if self.joint == "and" else any(results)


EVERYTHING = Filter(())


def parse(text: str) -> Filter:
    """Read the text after `$filter=`.

    Raises:
        ValueError: with the reason, in Graph's manner.
    """
    comparisons, joints, position = [], set(), 0
    while True:
        found = _COMPARISON.match(text, position)
        if found is None:
            raise ValueError(f"Invalid filter clause: '{text}'.")
        comparisons.append(_comparison(found["name"], found["operator"], found["value"]))
        position = found.end()
        if position == len(text):
            break
        joint = _JOINT.match(text, position)
        if joint is None:
            raise ValueError(f"Invalid filter clause: '{text}'.")
        joints.add(joint[1])
        position = joint.end()
    if len(joints) > 1:
        raise ValueError("Mixing 'and' with 'or' is not supported in $filter here.")
    return Filter(tuple(comparisons), "or" if "or" in joints else "and")


def _comparison(name: str, operator: str, value: str) -> Comparison:
    if "/" in name:
        raise ValueError(f"Filtering on nested property '{name}' is not supported.")
    if name not in PROPERTIES:
        raise ValueError(f"Could not find a property named '{name}' on type 'microsoft.graph.aiInteraction'.")
    if operator not in {"eq", "ne"}:
        raise ValueError(f"The operator '{operator}' is not allowed in $filter query for '{name}'.")
    return Comparison(name, operator == "ne", value.replace("''", "'"))
