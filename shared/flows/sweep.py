"""Posts that are still in the inbox go back on the queue.

The inbox is the truth and the queue a doorbell. A message that expired, that the host gave up on, or that was never
written would otherwise leave its post waiting for ever.
"""

import logging
from dataclasses import dataclass
from itertools import islice

from shared.core.inbox_name import is_inbox_name
from shared.ports import Container, Doorbell

logger = logging.getLogger(__name__)

# As many doorbells as are useful at once. Beyond, the worker is behind and more messages would only make it slower.
MAX_DEPTH = 10_000


@dataclass(frozen=True, slots=True)
class Sweeping:
    """Rings for what waits, oldest hour first. A post may be rung for twice: the second ring finds it at rest."""

    inbox: Container
    doorbell: Doorbell
    queue: str

    def sweep(self) -> int:
        """Ring for the posts of the queue; returns how many. Raises StorageUnavailable."""
        room = max(MAX_DEPTH - self.doorbell.depth(), 0)
        rung = 0
        for name in islice(self.inbox.names(f"{self.queue}/"), room):
            if not is_inbox_name(name):
                logger.error("the inbox holds a blob that no webhook put there; remove it: %r", name)
                continue
            self.doorbell.ring(name)
            rung += 1
        logger.info("rang for %d posts waiting in the inbox of %s; room for %d", rung, self.queue, room)
        return rung
