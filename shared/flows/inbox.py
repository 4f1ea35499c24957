"""A post is taken up from the inbox, by whichever worker its queue has."""

import logging
from dataclasses import dataclass
from datetime import datetime

from shared.core.dead_letter import DeadLetter
from shared.core.errors import CannotArchive, MalformedNotification
from shared.core.inbox_name import is_inbox_name
from shared.core.notification import Post, parse_post
from shared.flows.dead_letters import park
from shared.ports import Container

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KeptPost:
    """A post as it waits: its name in the inbox, when it was received, and what is in it."""

    name: str
    received_at: datetime
    post: Post


def open_post(inbox: Container, dead_letters: Container, name: str) -> KeptPost | None:
    """The post that a queue message names; None where nothing is left to do for it.

    Raises MalformedNotification for a message that no post of ours put on the queue, StorageUnavailable for now.
    """
    if not is_inbox_name(name):
        raise MalformedNotification("the queue message is not the name of a post in the inbox")
    blob = inbox.read(name)
    if blob is None:
        logger.info("post %s is at rest already", name)
        return None
    try:
        return KeptPost(name, blob.received_at, parse_post(blob.content))
    except MalformedNotification as error:
        # The webhooks let no such body in. It is kept as it is, under the one position it has.
        raw = KeptPost(name, blob.received_at, Post((blob.content.decode("utf-8", "replace"),), ()))
        park_item(dead_letters, raw, 0, error)
        inbox.delete(name)
        return None


def park_item(dead_letters: Container, kept: KeptPost, position: int, error: CannotArchive) -> None:
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
    park(dead_letters, letter)
