"""What lines of the ledger tell of: contents, posts, and each try of a post."""

from dataclasses import dataclass, field
from typing import Final, Literal

FILE: Final = "ledger.jsonl"
Outcome = Literal["answered", "gave-up", "dropped", "refused", "withheld"]


@dataclass(frozen=True, slots=True)
class Content:
    """One change that was, or would be, notified of.

    `id` to `created` are texts exactly as in the plaintext; `etag` is the version (for a chat its
    lastUpdatedDateTime). `sha256` is over the exact plaintext bytes, None for a deletion without content; `canonical`
    is the same for the export's form of it (see `content.canonical`). `user_ids` own it: the export of each shows it.
    `subscriptions` are those that cover the change. `forged` names the forgery that carries it: such content must
    never be archived.
    """

    ref: str
    kind: str
    change_type: str
    tenant_id: str
    id: str
    etag: str
    created: str
    session_id: str | None
    request_id: str | None
    user_ids: tuple[str, ...]
    sha256: str | None
    size: int
    subscriptions: tuple[str, ...] = ()
    forged: str | None = None
    canonical: str | None = None

    @property
    def identity(self) -> tuple[str, str | None, str | None, str]:
        """What its versions have in common."""
        return self.tenant_id, self.session_id, self.request_id, self.id


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a post: what came back (None: nothing in time) and after how many real milliseconds."""

    number: int
    at: str
    status: int | None = None
    milliseconds: float | None = None
    error: str | None = None


@dataclass(slots=True)
class Post:
    """One post and all its tries; `items` are refs of contents.

    `forged` names the forgery in it. `by_graph` posts were retried; an attacker's were sent once. `outcome` is None
    while a post is under way, "refused" for an attacker's that was not answered 2xx.
    """

    id: str
    url: str
    items: tuple[str, ...]
    forged: str | None
    size: int
    by_graph: bool = True
    attempts: list[Attempt] = field(default_factory=list)
    outcome: Outcome | None = None

    @property
    def acknowledged(self) -> bool:
        """Whether the endpoint took responsibility: any 2xx."""
        return any(attempt.status is not None and 200 <= attempt.status < 300 for attempt in self.attempts)
