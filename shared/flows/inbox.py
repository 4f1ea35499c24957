"""A post is taken up from the inbox, by whichever worker its queue has."""

import logging
from dataclasses import dataclass
from datetime import datetime

from shared.core.dead_letter import DeadLetter
from shared.core.errors import CannotArchive, MalformedNotification
from shared.core.inbox_name import is_inbox_name
from shared.core.notification import Post, parse_post
from shared.flows.dead_letters import park
from shared.ports import SILENCE, Container, Telemetry

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KeptPost:
    """A post as it waits: its name in the inbox, when it was received, what is in it, and the trace that it came in."""

    name: str
    received_at: datetime
    post: Post
    traceparent: str | None = None


def open_post(inbox: Container, dead_letters: Container, name: str, telemetry: Telemetry = SILENCE) -> KeptPost | None:
    """The post that a queue message names; None where nothing is left to do for it.

    Raises MalformedNotification for a message that no post of ours put on the queue, StorageUnavailable for now.
    """
    if not is_inbox_name(name):
        raise MalformedNotification("the queue message is not the name of a post in the inbox")
    blob = inbox.read(name)
    if blob is None:
        logger.info("post %s is at rest already", name, extra={"post": name})
        return None
    try:
        return KeptPost(name, blob.received_at, parse_post(blob.content), blob.traceparent)
    except MalformedNotification as error:
        # The webhooks let no such body in. It is kept as it is, under the one position it has.
        raw = KeptPost(name, blob.received_at, Post((blob.content.decode("utf-8", "replace"),), ()))
        park_item(dead_letters, raw, 0, error, telemetry)
        inbox.delete(name)
        return None


def park_item(
    dead_letters: Container, kept: KeptPost, position: int, error: CannotArchive, telemetry: Telemetry = SILENCE
) -> None:
    """Make one item of a post a dead letter, at its first try. Raises StorageUnavailable."""
    letter = DeadLetter(
        reason=error.reason,
        detail=str(error),
        item=kept.post.items[position],
        validation_tokens=kept.post.validation_tokens,
        received_at=kept.received_at,
        attempts=1,
        post=kept.name,
        position=position,
    )
    park(dead_letters, letter, telemetry)
