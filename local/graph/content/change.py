"""A change of a resource in the tenant: what Graph would notify of."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Kind = Literal["aiInteraction", "chat"]
ChangeType = Literal["created", "updated", "deleted"]


@dataclass(frozen=True)
class Change:
    """One change.

    `ref` names it within a run and in the ledger. `at` is the tenant's own time. `plaintext` are the exact bytes
    that rich notifications carry, None for a deletion that comes without content. `properties` are the resource's
    top-level properties, for `$filter`. A chat has no session, request or etag; its version is `etag` here too:
    the text of its `lastUpdatedDateTime`.
    """

    ref: str
    at: datetime
    kind: Kind
    change_type: ChangeType
    id: str
    etag: str
    created: str
    session_id: str | None = None
    request_id: str | None = None
    user_ids: frozenset[str] = frozenset()
    installed_apps: frozenset[str] = frozenset()
    properties: Mapping[str, Any] = field(default_factory=dict)
    plaintext: bytes | None = None

    @property
    def sha256(self) -> str | None:
        """The digest of the plaintext, hex; None without content."""
        return None if self.plaintext is None else hashlib.sha256(self.plaintext).hexdigest()

    @property
    def size(self) -> int:
        """The length of the plaintext in bytes."""
        return len(self.plaintext or b"")
