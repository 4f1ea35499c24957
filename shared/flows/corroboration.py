"""What a notification brought, seen by the export, and the reverse.

An interaction that the export archived was missed by the notifications, unless one comes after all: then its name is
noted here, so that it does not count.
"""

import hashlib
import re
from collections.abc import Iterator

from shared.core.archive_path import UNDATED, identity_of
from shared.ports import Container

# Where late notifications are noted in the container ``state``, by the day of the interaction.
CAME_AFTER_ALL = "corroborated/"
_DAY_OF_NAME = re.compile(r"[^/]+/(\d{4})/(\d{2})/(\d{2})/")


def note_corroborated(state: Container, name: str) -> None:
    """A notification brought what the export had archived before; twice is once. Raises StorageUnavailable."""
    found = _DAY_OF_NAME.match(name)
    day = "-".join(found.groups()) if found else UNDATED
    # By what is counted: an interaction, whatever its versions.
    state.create(f"{CAME_AFTER_ALL}{day}/{hashlib.sha256(identity_of(name).encode()).hexdigest()}.json", b"{}", {})


def came_after_all(state: Container, day: str) -> int:
    """For how many of a day's (``2026-11-20``) interactions the notification came after the export."""
    return sum(1 for _ in state.names(f"{CAME_AFTER_ALL}{day}/"))


def archived_of(interactions: Container, tenant_id: str, day: str) -> int:
    """How many interactions of a day the archive holds, whatever their versions. Names alone are listed."""
    return sum(1 for _ in _identities(interactions.names(f"{tenant_id}/{day.replace('-', '/')}/")))


def _identities(names: Iterator[str]) -> Iterator[str]:
    # Names come in order, so versions of one interaction are neighbours.
    last = ""
    for name in names:
        identity = identity_of(name)
        if identity != last:
            yield identity
        last = identity
