"""What can be subscribed to: paths, change types, permissions and the changes that each one brings.

https://learn.microsoft.com/graph/change-notifications-overview#supported-resources and
https://learn.microsoft.com/graph/api/subscription-post-subscriptions#permissions
"""

import re
from dataclasses import dataclass
from typing import Literal

from local.graph import odata_filter
from local.graph.content.change import Change
from local.graph.graph_errors import bad_request
from local.graph.odata_filter import Filter

Kind = Literal["aiInteraction", "chat", "chatMessage", "conversationMember"]
COPILOT_TENANT = "copilot/interactionHistory/getAllEnterpriseInteractions"
MAXIMUM_MINUTES = 4320
_CREATED_UPDATED = frozenset({"created", "updated"})
_ALL_CHANGES = frozenset({"created", "updated", "deleted"})
_ID = r"(?P<id>[^/?]+)"
CHAT_ROLES = frozenset({"Chat.ReadBasic.All", "Chat.Read.All", "Chat.ReadWrite.All"})
_INSTALLED_ROLES = frozenset(
    {"Chat.ReadBasic.WhereInstalled", "Chat.Read.WhereInstalled", "Chat.ReadWrite.WhereInstalled"}
)
_AI_ROLES = frozenset({"AiEnterpriseInteraction.Read.All"})


@dataclass(frozen=True)
class ResourceType:
    """A row of Graph's table; `roles` are application permissions, any of which is enough."""

    name: str
    kind: Kind
    pattern: re.Pattern[str]
    change_types: frozenset[str]
    roles: frozenset[str]


def _row(name: str, kind: Kind, path: str, change_types: frozenset[str], roles: frozenset[str]) -> ResourceType:
    return ResourceType(name, kind, re.compile(path, re.IGNORECASE), change_types, roles)


TYPES: tuple[ResourceType, ...] = (
    _row("copilot-tenant", "aiInteraction", COPILOT_TENANT, _ALL_CHANGES, _AI_ROLES),
    _row(
        "copilot-user",
        "aiInteraction",
        rf"copilot/users/{_ID}/interactionHistory/getAllEnterpriseInteractions",
        _ALL_CHANGES,
        _AI_ROLES | {"AiEnterpriseInteraction.Read.User"},
    ),
    _row("chats", "chat", "chats", _CREATED_UPDATED, CHAT_ROLES),
    _row(
        "chat-messages",
        "chatMessage",
        rf"(?:chats|users/{_ID}/chats)/getAllMessages",
        _ALL_CHANGES,
        frozenset({"Chat.Read.All", "Chat.ReadWrite.All"}),
    ),
    _row(
        "chat-members",
        "conversationMember",
        "chats/getAllMembers",
        _ALL_CHANGES,
        frozenset({"ChatMember.Read.All", "ChatMember.ReadWrite.All", "Chat.ReadBasic.All", "Chat.Read.All"}),
    ),
    _row(
        "chat",
        "chat",
        rf"chats/{_ID}",
        _CREATED_UPDATED,
        CHAT_ROLES | {"ChatSettings.Read.Chat", "ChatSettings.ReadWrite.Chat", "Chat.Manage.Chat"},
    ),
    _row("user-chats", "chat", rf"users/{_ID}/chats", _CREATED_UPDATED, CHAT_ROLES),
    _row(
        "installed-chats", "chat", rf"appCatalogs/teamsApps/{_ID}/installedToChats", _CREATED_UPDATED, _INSTALLED_ROLES
    ),
)


@dataclass(frozen=True)
class Resource:
    """The `resource` of a subscription, understood."""

    text: str
    type: ResourceType
    id: str | None
    filter: Filter

    @property
    def normalised(self) -> str:
        """What two subscriptions are compared by: no leading slash, and no case."""
        return self.text.strip().lstrip("/").lower()

    def covers(self, change: Change) -> bool:
        """Say whether a change of the tenant belongs to this resource."""
        if change.kind != self.type.kind:
            return False
        if self.type.name == "chat":
            return change.id == self.id
        if self.type.name == "installed-chats":
            return self.id in change.installed_apps
        if self.id is not None and self.id.lower() not in change.user_ids:
            return False
        return self.filter.holds(change.properties)


def understand(text: str) -> Resource:
    """Read a `resource`; a leading slash is optional, paths have no case.

    Raises:
        GraphError: 400, for what cannot be subscribed to.
    """
    path, _, query = text.strip().lstrip("/").partition("?")
    for row in TYPES:
        if (found := row.pattern.fullmatch(path)) is not None:
            identifier = found.groupdict().get("id")
            return Resource(text, row, identifier, _options(row, query))
    raise bad_request(f"Resource '{path}' is not supported for subscriptions.", "ExtensionError")


def _options(row: ResourceType, query: str) -> Filter:
    selected = odata_filter.EVERYTHING
    for option in filter(None, query.split("&")):
        name, _, value = option.partition("=")
        if name == "$filter" and row.kind == "aiInteraction":
            selected = _filter(value)
        elif name.lower() == "notifyonuserspecificproperties":
            raise bad_request("notifyOnUserSpecificProperties is supported in user context only.")
        elif name != "model" or value not in {"A", "B"} or row.kind == "aiInteraction":
            raise bad_request(f"Query option '{name}' is not supported for this resource.")
    return selected


def _filter(text: str) -> Filter:
    try:
        return odata_filter.parse(text)
    except ValueError as error:
        raise bad_request(str(error)) from error
