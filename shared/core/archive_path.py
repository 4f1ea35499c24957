"""Resource -> blob name: injective, so that two resources never share one, and repeatable, so that one never has two.

Names follow https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata.
Every part comes from outside: letters, digits, ``-``, ``_`` and inner dots stay as they are, every other byte becomes
``=XX``. So a part is never empty, never ``.`` or ``..``, and holds no ``/``: no input can leave its folder.
"""

import hashlib
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.core.instants import parse_instant
from shared.core.notification import REPEATED_FOR
from shared.core.resources import OTHER_CONTAINER, ResourceKind, version_of

# The longest name has five such parts and must stay under the 1,024 characters that a blob name may have.
MAX_PART = 160
# "=" is always followed by two upper-case hex digits where it encodes a byte, so these can be no encoding of a text.
MISSING = "=none"
EMPTY = "=empty"
LONG = "=sha256-"
CONFLICT = "=conflict-"

# Where a date's folders would be, for what has none.
UNDATED = "undated"

_OUTSIDE = re.compile(rb"[^A-Za-z0-9_.-]|\A\.|\.\Z")
_OUTSIDE_OR_DOT = re.compile(rb"[^A-Za-z0-9_-]")
_NAMESPACE = uuid.UUID("6f2f6f0e-5d0c-4f0b-9a55-6a0c1c1a5c0e")


@dataclass(frozen=True, slots=True)
class ArchivePath:
    """Where a resource rests."""

    container: str
    name: str


def encode_part(text: object, *, keep_dots: bool = True) -> str:
    """One part of a name. A text that gets longer than 160 characters keeps its beginning and ends in its SHA-256."""
    if text is None:
        return MISSING
    if not isinstance(text, str):
        # A number where Graph documents text: readable, and never equal to the text of the same digits, because no
        # type's name begins with two hex digits.
        return f"={type(text).__name__}-{encode_part(str(text))}"
    outside = _OUTSIDE if keep_dots else _OUTSIDE_OR_DOT
    encoded = outside.sub(_hex, text.encode("utf-8", "surrogatepass")).decode("ascii")
    if len(encoded) <= MAX_PART:
        return encoded or EMPTY
    marked = LONG + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    # A cut through "=XX" would leave an ambiguous rest; the digest alone makes the name unique.
    return re.sub(r"=.?$", "", encoded[: MAX_PART - len(marked)]) + marked


def date_folders(created: datetime | None) -> str:
    """``yyyy/MM/dd`` in UTC, or ``undated``."""
    return UNDATED if created is None else created.astimezone(UTC).date().isoformat().replace("-", "/")


def archive_path(kind: ResourceKind, tenant_id: str, resource: Mapping[str, object]) -> ArchivePath:
    """Where this version of a resource rests: see the table in docs/architecture.md."""
    folders = [_guid(resource.get(name)) for name in kind.folders]
    # A dot joins id and version, so neither an id nor a version may smuggle another one in: the id's are encoded.
    identifier = encode_part(resource.get("id"), keep_dots=kind.id_in_folder)
    version = encode_part(version_of(kind, resource))
    leaf = f"{identifier}/{version}" if kind.id_in_folder else f"{identifier}.{version}"
    dated = [*_owner(kind, tenant_id), date_folders(parse_instant(resource.get("createdDateTime"))), *folders]
    return ArchivePath(kind.container, "/".join([*dated, f"{leaf}.json"]))


def conflict_path(path: ArchivePath, content: bytes) -> ArchivePath:
    """Where different content rests that claims a name already taken: beside it, told apart by its own digest."""
    stem = path.name.removesuffix(".json")
    return ArchivePath(path.container, f"{stem}{CONFLICT}{hashlib.sha256(content).hexdigest()[:16]}.json")


def identity_of(name: str) -> str:
    """The part of an interaction's name that all of its versions share: ``archive_path`` leaves no dot in an id."""
    folder, _, leaf = name.rpartition("/")
    return f"{folder}/{leaf.partition('.')[0]}"


def tombstone_paths(
    kind: ResourceKind, tenant_id: str, resource_id: str | None, received_at: datetime, fingerprint: str
) -> list[ArchivePath]:
    """Where the record of a deletion rests; then, where a repeat may have come on another day, where that rests.

    The same ``fingerprint`` received on the same day gives the same name, so a repeat adds nothing.
    """
    unique = uuid.uuid5(_NAMESPACE, fingerprint)
    leaf = f"{encode_part(resource_id, keep_dots=False)}.{unique}.json"
    heard = (received_at, received_at - REPEATED_FOR, received_at + REPEATED_FOR)
    days = dict.fromkeys(date_folders(each) for each in heard)
    owner = _owner(kind, tenant_id)
    return [ArchivePath(kind.container, "/".join([*owner, "deleted", day, leaf])) for day in days]


def dead_letter_name(reason: str, received_at: datetime, fingerprint: str) -> str:
    """``{reason}/{yyyy}/{MM}/{dd}/{uuid}.json``; parking the same item of the same post twice gives one name."""
    return f"{reason}/{date_folders(received_at)}/{uuid.uuid5(_NAMESPACE, fingerprint)}.json"


def _owner(kind: ResourceKind, tenant_id: str) -> list[str]:
    tenant = encode_part(tenant_id.lower())
    return [encode_part(kind.name), tenant] if kind.container == OTHER_CONTAINER else [tenant]


def _guid(value: object) -> str:
    """A folder that is one for a GUID in any case: GUIDs compare without it."""
    try:
        is_guid = isinstance(value, str) and str(uuid.UUID(value)) == value.lower()
    except ValueError:
        is_guid = False
    return str(value).lower() if is_guid else encode_part(value)


def _hex(found: re.Match[bytes]) -> bytes:
    return b"=%02X" % found[0][0]
