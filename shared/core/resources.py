"""The resource kinds that we capture, as a table: where each rests, what identifies it, what tells its versions apart.

aiInteraction: https://learn.microsoft.com/microsoft-365-copilot/extensibility/api/ai-services/interaction-export/resources/aiinteraction
chat: https://learn.microsoft.com/graph/api/resources/chat
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from shared.core.errors import MalformedContent

VERSION_DIGITS = 16


@dataclass(frozen=True, slots=True)
class ResourceKind:
    """One row. ``folders`` are the properties that lead to ``id``; ``version`` is the one that a change moves."""

    name: str
    container: str
    folders: tuple[str, ...] = ()
    id_in_folder: bool = False
    version: str = "etag"


AI_INTERACTION = ResourceKind(name="aiInteraction", container="interactions", folders=("sessionId", "requestId"))
CHAT = ResourceKind(name="chat", container="chats", id_in_folder=True, version="lastUpdatedDateTime")
KINDS = {kind.name.lower(): kind for kind in (AI_INTERACTION, CHAT)}

# Kinds without a row rest here under their own name: what Graph was asked to send is never dropped.
OTHER_CONTAINER = "resources"
CONTAINERS = (AI_INTERACTION.container, CHAT.container, OTHER_CONTAINER)


def kind_of(type_name: str, resource: str) -> ResourceKind:
    """The row for a bare type name; where Graph sent none, the path of the resource tells (``chats('19:…')``)."""
    if not type_name:
        path = resource.lower().strip("/")
        if path.startswith("copilot/"):
            return AI_INTERACTION
        type_name = "chat" if path.startswith("chats(") else "unknown"
    return KINDS.get(type_name.lower()) or ResourceKind(name=type_name, container=OTHER_CONTAINER)


def version_of(kind: ResourceKind, resource: Mapping[str, object]) -> str:
    """What tells this version of a resource from another one. It is never empty.

    A chat whose notification carries a ``viewpoint`` is one user's view: reading a chat changes it without touching
    lastUpdatedDateTime, so the viewpoint is part of the version
    (https://learn.microsoft.com/graph/teams-changenotifications-chat#notification-payloads-for-user-specific-properties).
    """
    version = resource.get(kind.version)
    stated = version if isinstance(version, str) and version else f"sha256-{digest(resource)[:VERSION_DIGITS]}"
    viewpoint = resource.get("viewpoint")
    if kind is CHAT and isinstance(viewpoint, dict):
        return f"{stated}-viewpoint-{digest(viewpoint)[:VERSION_DIGITS]}"
    return stated


def user_of(resource: Mapping[str, object]) -> str | None:
    """The id of the person in ``from.user``; a response has none, its prompt in the same folder does."""
    sender = resource.get("from")
    user = sender.get("user") if isinstance(sender, dict) else None
    user_id = user.get("id") if isinstance(user, dict) else None
    return user_id if isinstance(user_id, str) and user_id else None


def parse_resource(content: bytes) -> dict[str, object]:
    """The decrypted JSON object, to look at; what is archived are the bytes. Raises MalformedContent."""
    try:
        resource = json.loads(content)
    except (ValueError, RecursionError):
        raise MalformedContent("the decrypted content is not JSON") from None
    if not isinstance(resource, dict):
        raise MalformedContent("the decrypted content is not a JSON object")
    return resource


def digest(resource: Mapping[str, object]) -> str:
    """SHA-256 in hex of what a resource says, however it was written down.

    Key order, ``@odata.*`` annotations and nulls are left out, because a notification and an export of the same version
    differ in just these. Raises MalformedContent where the nesting is too deep to be compared.
    """
    try:
        text = json.dumps(_canonical(resource), sort_keys=True, separators=(",", ":"))
    except RecursionError:
        raise MalformedContent("the decrypted content is nested too deep") from None
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(value: object) -> object:
    if isinstance(value, dict):
        return {
            name: _canonical(member) for name, member in value.items() if member is not None and "@odata." not in name
        }
    if isinstance(value, list):
        return [_canonical(member) for member in value]
    return value
