"""What we hold but cannot archive, with its reason.

Dead letters exist because the alternative is to lose an item, or to let it block its neighbours for ever. Each holds
all that trying again takes: the item as sent, its post's tokens, and the time of receipt by which these are judged.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from shared.core.errors import MalformedNotification
from shared.core.instants import expect_instant, format_instant

VERSION = 1


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One item that could not be archived. ``attempts`` counts the tries that failed, the first included.

    ``post`` is the name that the item's post had in the inbox and ``position`` the item's place in it.
    ``detail`` is our sentence about what is wrong; it holds nothing of the content.
    """

    reason: str
    detail: str
    item: object
    validation_tokens: tuple[object, ...]
    received_at: datetime
    attempts: int
    post: str
    position: int

    @property
    def fingerprint(self) -> str:
        """The same for the same item of the same post, whatever becomes of it."""
        return f"{self.post}#{self.position}"


@dataclass(slots=True)
class ReplayReport:
    """What a replay did, in counts. ``complete`` is False where dead letters remain that it did not try."""

    outcomes: Counter[str] = field(default_factory=Counter)
    still_dead: Counter[str] = field(default_factory=Counter)
    unreadable: int = 0
    postponed: str | None = None
    complete: bool = True


def to_json(letter: DeadLetter) -> bytes:
    """The blob's content, UTF-8 JSON."""
    document = {
        "version": VERSION,
        "reason": letter.reason,
        "detail": letter.detail,
        "receivedAt": format_instant(letter.received_at),
        "attempts": letter.attempts,
        "post": letter.post,
        "position": letter.position,
        "validationTokens": letter.validation_tokens,
        "item": letter.item,
    }
    return json.dumps(document, indent=1).encode()


def from_json(content: bytes) -> DeadLetter:
    """The dead letter as parked. Raises MalformedNotification for a blob that is none of ours."""
    try:
        document = json.loads(content)
        return DeadLetter(
            reason=str(document["reason"]),
            detail=str(document["detail"]),
            item=document["item"],
            validation_tokens=tuple(document["validationTokens"]),
            received_at=expect_instant(document["receivedAt"]),
            attempts=int(document["attempts"]),
            post=str(document["post"]),
            position=int(document["position"]),
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise MalformedNotification("the blob among the dead letters is none of ours") from None
