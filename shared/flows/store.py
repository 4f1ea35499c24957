"""A post from the inbox comes to rest, item by item: archived, or a dead letter with its reason.

The post leaves the inbox after the last of its items is at rest, and never before. Whatever ends this flow earlier, a
crash included, leaves it there; doing it again changes nothing that is done already.
"""

import logging
from collections import Counter
from dataclasses import dataclass

from shared.core.errors import CannotArchive, StorageUnavailable
from shared.flows.archive import Archiving, Provenance
from shared.flows.inbox import KeptPost, open_post, park_item
from shared.ports import SILENCE, Container, Telemetry

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Storing:
    """The worker behind the queue ``notifications``."""

    inbox: Container
    dead_letters: Container
    archiving: Archiving
    telemetry: Telemetry = SILENCE

    def store(self, name: str) -> None:
        """Put the items of one post to rest.

        Raises Unavailable, or whatever nobody foresaw, so that the platform rings again; MalformedNotification for a
        message that no post of ours put on the queue.
        """
        kept = open_post(self.inbox, self.dead_letters, name, self.telemetry)
        if kept is None:
            return
        with self.telemetry.span("store", continues=kept.traceparent, post=name, items=len(kept.post.items)):
            counts = self._store_items(kept)
            self.inbox.delete(name)
        told = ", ".join(f"{what}={count}" for what, count in sorted(counts.items()))
        logger.info("post %s: %s", name, told, extra={"post": name})

    def _store_items(self, kept: KeptPost) -> Counter[str]:
        provenance = self.archiving.provenance(kept.post.validation_tokens, kept.received_at)
        counts: Counter[str] = Counter()
        postponed: Exception | None = None
        for position in range(len(kept.post.items)):
            try:
                counts[self._store_item(kept, position, provenance)] += 1
            except StorageUnavailable:
                raise  # the neighbours need the same storage
            except Exception as error:  # noqa: BLE001 - raised below, after the neighbours have had their turn
                postponed = error
        if postponed is not None:
            raise postponed
        return counts

    def _store_item(self, kept: KeptPost, position: int, provenance: Provenance) -> str:
        item = kept.post.items[position]
        try:
            self.archiving.check_client_state(item)
            return self.archiving.archive(item, provenance).value
        except CannotArchive as error:
            park_item(self.dead_letters, kept, position, error, self.telemetry)
            return error.reason
