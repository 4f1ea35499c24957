"""A post from the inbox comes to rest, item by item: archived, or a dead letter with its reason.

The post leaves the inbox after the last of its items is at rest, and never before. Whatever ends this flow earlier, a
crash included, leaves it there; doing it again changes nothing that is done already.
"""

import logging
from collections import Counter
from dataclasses import dataclass

from shared.core.errors import CannotArchive, MalformedNotification, StorageUnavailable
from shared.core.inbox_name import is_inbox_name
from shared.core.notification import Post, parse_post
from shared.flows.archive import Archiving, Provenance
from shared.flows.dead_letters import letter, park
from shared.ports import Blob, Container

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Storing:
    """The worker behind the queue ``notifications``."""

    inbox: Container
    dead_letters: Container
    archiving: Archiving

    def store(self, name: str) -> None:
        """Put the items of one post to rest.

        Raises Unavailable, or whatever nobody foresaw, so that the platform rings again; MalformedNotification for a
        message that no post of ours put on the queue.
        """
        if not is_inbox_name(name):
            raise MalformedNotification("the queue message is not the name of a post in the inbox")
        blob = self.inbox.read(name)
        if blob is None:
            logger.info("post %s is at rest already", name)
            return
        counts = self._store_items(name, blob)
        self.inbox.delete(name)
        logger.info("post %s: %s", name, ", ".join(f"{what}={count}" for what, count in sorted(counts.items())))

    def _store_items(self, name: str, blob: Blob) -> Counter[str]:
        try:
            post = parse_post(blob.content)
        except MalformedNotification as error:
            # The webhooks let no such body in. It is kept as it is, under the one position it has.
            self._park(name, 0, Post((blob.content.decode("utf-8", "replace"),), ()), blob, error)
            return Counter({error.reason: 1})
        provenance = self.archiving.provenance(post.validation_tokens, blob.received_at)
        counts: Counter[str] = Counter()
        postponed: Exception | None = None
        for position in range(len(post.items)):
            try:
                counts[self._store_item(name, position, post, blob, provenance)] += 1
            except StorageUnavailable:
                raise  # the neighbours need the same storage
            except Exception as error:  # noqa: BLE001 - raised below, after the neighbours have had their turn
                postponed = error
        if postponed is not None:
            raise postponed
        return counts

    def _store_item(self, name: str, position: int, post: Post, blob: Blob, provenance: Provenance) -> str:
        item = post.items[position]
        try:
            self.archiving.check_client_state(item)
            return self.archiving.archive(item, provenance).value
        except CannotArchive as error:
            self._park(name, position, post, blob, error)
            return error.reason

    def _park(self, name: str, position: int, post: Post, blob: Blob, error: CannotArchive) -> None:
        park(self.dead_letters, letter(name, position, post, blob.received_at, error))
