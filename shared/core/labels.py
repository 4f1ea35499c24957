"""What a metric may be told of an interaction: few values, and none that content could make up."""

import re
from collections.abc import Mapping

from shared.core.resources import KINDS, ResourceKind

OTHER = "other"
NONE = "none"
# An appClass is an open string: https://learn.microsoft.com/microsoft-365-copilot/extensibility/api/ai-services/interaction-export/resources/aiinteraction
_APP_CLASS_PREFIX = "IPM.SkypeTeams.Message.Copilot."
_APP_CLASS = re.compile(r"[A-Za-z0-9.]{1,40}", re.ASCII)
_INTERACTION_TYPES = ("userPrompt", "aiResponse", "unknownFutureValue")


def interaction_labels(kind: ResourceKind, resource: Mapping[str, object] | None) -> dict[str, str]:
    """The attributes ``kind``, ``app_class`` and ``interaction_type``; without a resource, a deletion say, "none"."""
    known = resource or {}
    return {
        "kind": kind.name if kind.name.lower() in KINDS else OTHER,
        "app_class": app_class_label(known.get("appClass")),
        "interaction_type": _interaction_type_label(known.get("interactionType")),
    }


def app_class_label(app_class: object) -> str:
    """An appClass without its prefix, ``Excel`` or ``BizChat``; "other" for what does not look like one."""
    if app_class is None:
        return NONE
    name = app_class.removeprefix(_APP_CLASS_PREFIX) if isinstance(app_class, str) else ""
    return name if _APP_CLASS.fullmatch(name) else OTHER


def _interaction_type_label(interaction_type: object) -> str:
    if interaction_type is None:
        return NONE
    return str(interaction_type) if interaction_type in _INTERACTION_TYPES else OTHER
