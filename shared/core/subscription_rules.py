"""What may be subscribed to, as a table: how long, which changes, by which permission.

https://learn.microsoft.com/graph/api/resources/subscription#maximum-length-of-subscription-per-resource-type
https://learn.microsoft.com/graph/api/subscription-post-subscriptions#permissions
https://learn.microsoft.com/microsoft-365-copilot/extensibility/api/ai-services/interaction-export/aiinteraction-changenotifications
https://learn.microsoft.com/graph/teams-changenotifications-chat
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

# Graph's documented maximum is 4,320 minutes; what it really takes can be a little less, so we ask for a little less.
MAX_LIFE = timedelta(minutes=4300)
CHANGES = frozenset({"created", "updated", "deleted"})
CREATED_UPDATED = frozenset({"created", "updated"})
# https://learn.microsoft.com/graph/change-notifications-overview#supported-resources
ORGANISATION_QUOTA = 10_000

USER_PLACEHOLDER = "{user-id}"
LICENSED = "licensed"

_ID = r"[^/?()]+"
_QUOTED = re.compile(r"'(?:[^']|'')*'")
_PROPERTY = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_WORDS = frozenset({"eq", "ne", "and", "or", "not", "null", "true", "false"})


@dataclass(frozen=True, slots=True)
class ResourceRule:
    """One row: which resources it is about, and what Graph allows for them. Any one of ``permissions`` suffices."""

    name: str
    path: re.Pattern[str]
    changes: frozenset[str]
    permissions: tuple[str, ...]
    filterable: bool = False


def _row(
    name: str, path: str, changes: frozenset[str], permissions: Sequence[str], *, filterable: bool = False
) -> ResourceRule:
    return ResourceRule(name, re.compile(path, re.IGNORECASE), changes, tuple(permissions), filterable)


_CHAT_READ = ("Chat.ReadBasic.All", "Chat.Read.All", "Chat.ReadWrite.All")
_WHERE_INSTALLED = ("Chat.ReadBasic.WhereInstalled", "Chat.Read.WhereInstalled", "Chat.ReadWrite.WhereInstalled")
_INTERACTIONS = "interactionHistory/getAllEnterpriseInteractions"
COPILOT_TENANT = f"copilot/{_INTERACTIONS}"
_COPILOT_USER = re.compile(rf"copilot/users/({_ID})/{_INTERACTIONS}", re.IGNORECASE)
# Whose interactions a resource is about: a user's id, or this.
EVERYONE = "*"
_INSTALLED = rf"appCatalogs/teamsApps/{_ID}/installedToChats"

RULES = (
    _row(
        "Copilot interactions of the tenant",
        rf"copilot/{_INTERACTIONS}",
        CHANGES,
        ["AiEnterpriseInteraction.Read.All"],
        filterable=True,
    ),
    _row(
        "Copilot interactions of a user",
        rf"copilot/users/{_ID}/{_INTERACTIONS}",
        CHANGES,
        ["AiEnterpriseInteraction.Read.All", "AiEnterpriseInteraction.Read.User"],
        filterable=True,
    ),
    _row("chats of the tenant", "chats", CREATED_UPDATED, _CHAT_READ),
    _row("messages of all chats", "chats/getAllMessages", CHANGES, ["Chat.Read.All", "Chat.ReadWrite.All"]),
    _row("members of all chats", "chats/getAllMembers", CHANGES, ["ChatMember.Read.All", *_CHAT_READ]),
    _row("a chat", rf"chats/(?!getAll){_ID}", CREATED_UPDATED, [*_CHAT_READ, "ChatSettings.Read.Chat"]),
    _row("chats of a user", rf"users/{_ID}/chats", CREATED_UPDATED, _CHAT_READ),
    _row(
        "messages of a user's chats",
        rf"users/{_ID}/chats/getAllMessages",
        CHANGES,
        ["Chat.Read.All", "Chat.ReadWrite.All"],
    ),
    _row("chats with an app", _INSTALLED, CREATED_UPDATED, _WHERE_INSTALLED),
    _row("messages of chats with an app", rf"{_INSTALLED}/getAllMessages", CHANGES, _WHERE_INSTALLED[1:]),
    _row(
        "members of chats with an app",
        rf"{_INSTALLED}/getAllMembers",
        CHANGES,
        ["ChatMember.Read.WhereInstalled", *_WHERE_INSTALLED],
    ),
)


@dataclass(frozen=True, slots=True)
class DesiredSubscription:
    """What the operator wants. ``resource`` has no leading slash. ``users`` fills its ``{user-id}``, or is None."""

    resource: str
    changes: frozenset[str]
    include_resource_data: bool
    users: tuple[str, ...] | str | None = None

    @property
    def key(self) -> str:
        """The same for what Graph takes for the same resource: its paths compare without case, filters don't."""
        return resource_key(self.resource)

    @property
    def change_type(self) -> str:
        """As Graph writes it."""
        return ",".join(change for change in ("created", "updated", "deleted") if change in self.changes)

    @property
    def rule(self) -> ResourceRule:
        """The row of the table. What was parsed has one."""
        rule = _rule_for(self.resource.partition("?")[0])
        if rule is None:
            raise ValueError(self.resource)
        return rule


def resource_key(resource: str) -> str:
    """A resource in the form in which two of them compare."""
    path, _, query = resource.strip("/").partition("?")
    return f"{path.lower()}?{query}" if query else path.lower()


def parse_desired(entries: object) -> tuple[list[DesiredSubscription], list[str]]:
    """The items of ``SUBSCRIPTIONS``, and what is wrong with those that are not among them."""
    if not isinstance(entries, list):
        return [], ["SUBSCRIPTIONS must be a JSON list"]
    desired: list[DesiredSubscription] = []
    problems: list[str] = []
    for position, entry in enumerate(entries):
        try:
            desired.append(_parse_one(entry))
        except _Wrong as wrong:
            problems.append(f"SUBSCRIPTIONS[{position}]: {wrong}")
    for key, count in Counter(each.key for each in desired).items():
        if count > 1:
            problems.append(f"SUBSCRIPTIONS: {key} is there {count} times; Graph takes one subscription for a resource")
    return desired, problems


def expand(desired: DesiredSubscription, users: Sequence[str]) -> list[DesiredSubscription]:
    """One subscription for each user, however often he is named."""
    each = (
        DesiredSubscription(
            desired.resource.replace(USER_PLACEHOLDER, user), desired.changes, desired.include_resource_data
        )
        for user in users
    )
    return list({one.key: one for one in each}.values())


def user_in(template: DesiredSubscription, resource: str) -> str | None:
    """The user for whom a subscription was made from a template, None where it was not made from that one."""
    before, _, after = template.resource.partition(USER_PLACEHOLDER)
    fits = re.fullmatch(f"{re.escape(before)}({_ID}){re.escape(after)}", resource, re.IGNORECASE)
    return fits[1] if fits else None


def whose_interactions(resource: str) -> str | None:
    """The user, in lower case, or EVERYONE, whose Copilot interactions a resource is about; None for other kinds."""
    path = resource.strip("/").partition("?")[0]
    if path.lower() == COPILOT_TENANT.lower():
        return EVERYONE
    found = _COPILOT_USER.fullmatch(path)
    return found[1].lower() if found else None


class _Wrong(Exception):
    """Carries a sentence from a check to parse_desired."""


def _parse_one(entry: object) -> DesiredSubscription:
    if not isinstance(entry, dict) or not isinstance(entry.get("resource"), str):
        raise _Wrong('it must be {"resource": "...", "changeType": "...", "includeResourceData": true}')
    unknown = set(entry) - {"resource", "changeType", "includeResourceData", "users"}
    if unknown:
        raise _Wrong(f"unknown {', '.join(sorted(unknown))}")
    resource = entry["resource"].strip().strip("/")
    path, _, query = resource.partition("?")
    rule = _rule_for(path)
    if rule is None:
        raise _Wrong("its resource is none that this app captures; docs/subscriptions.md lists them")
    _check_query(rule, query)
    rich = entry.get("includeResourceData", True)
    if not isinstance(rich, bool):
        raise _Wrong("includeResourceData must be true or false")
    return DesiredSubscription(resource, _changes(rule, entry), rich, _users(resource, entry.get("users")))


def _rule_for(path: str) -> ResourceRule | None:
    return next((rule for rule in RULES if rule.path.fullmatch(path)), None)


def _changes(rule: ResourceRule, entry: Mapping[str, object]) -> frozenset[str]:
    given = entry.get("changeType", ",".join(sorted(rule.changes)))
    changes = frozenset(str(given).replace(" ", "").lower().split(","))
    if not isinstance(given, str) or not changes <= rule.changes:
        raise _Wrong(f"changeType for {rule.name} is made of {', '.join(sorted(rule.changes))}")
    return changes


def _users(resource: str, users: object) -> tuple[str, ...] | str | None:
    if USER_PLACEHOLDER not in resource:
        if users is not None:
            raise _Wrong(f"users goes with {USER_PLACEHOLDER} in the resource")
        return None
    if users == LICENSED:
        return LICENSED
    if isinstance(users, list) and users and all(isinstance(user, str) and re.fullmatch(_ID, user) for user in users):
        return tuple(dict.fromkeys(users))
    raise _Wrong(f'{USER_PLACEHOLDER} needs "users": "licensed" or a list of user ids')


def _check_query(rule: ResourceRule, query: str) -> None:
    if "notifyonuserspecificproperties" in query.lower():
        raise _Wrong("notifyOnUserSpecificProperties needs a signed-in user; this app calls Graph as itself")
    if not query:
        return
    name, _, expression = query.partition("=")
    if name.strip().lower() != "$filter" or not rule.filterable:
        raise _Wrong(f"{rule.name} takes no query" if not rule.filterable else "the only query there is is $filter")
    words = _QUOTED.sub(" ", expression).replace("(", " ").replace(")", " ").split()
    nested = next((word for word in words if not _PROPERTY.fullmatch(word) and word not in _WORDS), None)
    if not words or nested is not None:
        # https://learn.microsoft.com/microsoft-365-copilot/extensibility/api/ai-services/interaction-export/aiinteraction-changenotifications
        raise _Wrong(f"$filter compares properties of the interaction itself; {nested or 'nothing'} is none")
