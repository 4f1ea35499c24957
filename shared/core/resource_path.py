"""What a notification names -> a path that Graph may be asked for with our token, or nothing.

A lifecycle or change notification is somebody's text until Graph has said the same, and this token can read every
prompt of the tenant: so only the collections of the kinds that we capture, and keys that can't be anything but keys.
"""

import re
from urllib.parse import quote

_INTERACTIONS = ("copilot", "interactionHistory", "interactions")
_COLLECTIONS = (
    _INTERACTIONS,
    ("copilot", "users", "{}", "interactionHistory", "interactions"),
    ("chats",),
    ("chats", "{}", "messages"),
    ("chats", "{}", "members"),
    ("users", "{}", "chats"),
    ("users", "{}", "chats", "{}", "messages"),
)
_KEY_MARK = "{}"
# ``19:…@thread.v2``, ``19:…_…@unq.gbl.spaces``, GUIDs, milliseconds, principal names and base64, and nothing more: no
# slash, percent sign, quote or question mark, and no dot at the start.
_KEY = r"[A-Za-z0-9_=+~-][A-Za-z0-9_=+~:@.-]{0,511}"


def _pattern(collection: tuple[str, ...]) -> re.Pattern[str]:
    """One collection's members: each key in quotes and parentheses, or as a segment of its own."""
    text = ""
    for part in (*collection, _KEY_MARK):
        text += rf"(?:\('({_KEY})'\)|/({_KEY}))" if part == _KEY_MARK else rf"/{part}"
    return re.compile(text.removeprefix("/"), re.ASCII | re.IGNORECASE)


_PATTERNS = tuple((collection, _pattern(collection)) for collection in _COLLECTIONS)


def resource_path(named: object) -> str | None:
    """The path below the API version for a notification's ``resource`` or ``@odata.id``; None for what is no such.

    Graph writes a leading slash or none, and any case: https://learn.microsoft.com/graph/api/resources/changenotification.
    """
    if not isinstance(named, str):
        return None
    for collection, pattern in _PATTERNS:
        found = pattern.fullmatch(named.removeprefix("/"))
        if found is not None:
            keys = iter([key for key in found.groups() if key is not None])
            return _written(collection, [quote(key, safe="") for key in keys])
    return None


def _written(collection: tuple[str, ...], keys: list[str]) -> str:
    left = iter(keys)
    path = ""
    for part in (*collection, _KEY_MARK):
        path += f"('{next(left)}')" if part == _KEY_MARK else f"/{part}"
    return path.removeprefix("/")
