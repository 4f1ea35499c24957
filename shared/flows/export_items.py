"""What a page shows comes to rest, where a notification has not brought it already."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from shared.core.archive_path import UNDATED, ArchivePath, archive_path, encode_part, identity_of
from shared.core.checkpoint import ENTRY_BYTES, IDENTITY_BYTES, MAX_REMEMBERED, REMEMBERED, Checkpoint, Origin
from shared.core.dead_letter import DeadLetter
from shared.core.errors import MalformedContent
from shared.core.instants import format_instant, parse_instant
from shared.core.resources import AI_INTERACTION, digest, user_of
from shared.flows.account import Account
from shared.flows.dead_letters import EXPORTED, park
from shared.flows.rest import SOURCE, Outcome, Rested, Resting
from shared.ports import SILENCE, Clock, Container, Telemetry


@dataclass(slots=True)
class ExportedItems:
    """Puts a user's exported interactions to rest. ``seen``: by day, what is at rest now, and what brought it.

    ``notified_since``: since when notifications should have brought them; None where none ever did.
    """

    resting: Resting
    dead_letters: Container
    tenant_id: str
    checkpoint: Checkpoint
    notified_since: datetime | None
    clock: Clock
    account: Account | None = None
    telemetry: Telemetry = SILENCE
    seen: dict[str, dict[bytes, Origin]] = field(default_factory=dict)
    _oldest: str = ""

    def __post_init__(self) -> None:
        """What is older is forgotten."""
        self._oldest = (self.clock() - REMEMBERED).date().isoformat()

    def rest(self, item: object) -> None:
        """Put one to rest, or among the dead letters what is none. Raises StorageUnavailable."""
        try:
            self._rest(_checked(item))
        except MalformedContent as error:
            self._park(item, error)

    def _rest(self, interaction: Mapping[str, object]) -> None:
        canonical = digest(interaction)
        path = archive_path(AI_INTERACTION, self.tenant_id, interaction)
        created = _created(interaction)
        day = UNDATED if created is None else created.date().isoformat()
        entry = _entry(path, canonical)
        if self.checkpoint.knows(day, entry) or entry in self.seen.get(day, {}):
            return
        # What is older than our first subscription nobody has brought: a look would be a call for nothing.
        expected = not self._is_history(created)
        metadata = self._metadata(interaction)
        rested = self.resting.rest(path, _content(interaction), canonical, metadata, look_first=expected)
        self._see(day, entry, self._origin(rested, created))
        if self.account is not None and rested.outcome is not Outcome.DUPLICATE:
            self.account.rested(AI_INTERACTION, interaction, rested.outcome, "export")

    def _origin(self, rested: Rested, created: datetime | None) -> Origin:
        if rested.source == "notification":
            return Origin.NOTIFICATION
        return Origin.HISTORY if self._is_history(created) else Origin.EXPORT

    def _is_history(self, created: datetime | None) -> bool:
        since = self.notified_since
        return since is None or created is None or created < since

    def _metadata(self, interaction: Mapping[str, object]) -> dict[str, str]:
        user_id = self.checkpoint.user_id or user_of(interaction)
        metadata = {
            SOURCE: "export",
            "tenantid": encode_part(self.tenant_id),
            "receivedat": format_instant(self.clock()),
        }
        return metadata if user_id is None else {**metadata, "userid": encode_part(user_id.lower())}

    def _park(self, item: object, error: MalformedContent) -> None:
        # Known by what it says: however often it is shown, it is one dead letter.
        said = hashlib.sha256(json.dumps(item, sort_keys=True).encode())
        entry = said.digest()[:ENTRY_BYTES]
        if self.checkpoint.knows(UNDATED, entry):
            return
        letter = DeadLetter(
            reason=error.reason,
            detail=f"exported: {error}",
            item=item,
            validation_tokens=(),
            # Its name has the day in it, and must be the same however much later it is shown again.
            received_at=_created(item) or self.clock(),
            attempts=1,
            post=f"{EXPORTED}{self.checkpoint.user_id}/{said.hexdigest()}",
            position=0,
        )
        park(self.dead_letters, letter, self.telemetry)
        self._see(UNDATED, entry, Origin.EXPORT)

    def _see(self, day: str, entry: bytes, origin: Origin) -> None:
        # What a checkpoint would forget at once is not held either: years of history take no more memory than a day.
        entries = self.seen.setdefault(day, {}) if day >= self._oldest else None
        if entries is not None and len(entries) + self._remembered(day) < MAX_REMEMBERED:
            entries[entry] = origin

    def _remembered(self, day: str) -> int:
        return sum(len(each) for each in self.checkpoint.shown.get(day, {}).values())


def _checked(item: object) -> Mapping[str, object]:
    if not isinstance(item, dict) or item.get("id") is None:
        raise MalformedContent("the export shows something that is no interaction")
    return item


def _created(item: object) -> datetime | None:
    return parse_instant(item.get("createdDateTime")) if isinstance(item, dict) else None


def _entry(path: ArchivePath, canonical: str) -> bytes:
    identity = hashlib.sha256(identity_of(path.name).encode()).digest()[:IDENTITY_BYTES]
    version = hashlib.sha256(f"{path.name} {canonical}".encode()).digest()[: ENTRY_BYTES - IDENTITY_BYTES]
    return identity + version


def _content(interaction: Mapping[str, object]) -> bytes:
    try:
        return json.dumps(interaction, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(interaction).encode()  # half of a surrogate pair, which only an escape can hold
