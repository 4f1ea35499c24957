"""Lifecycle notifications: hints to look at Graph now rather than in five minutes.

They carry no tokens, so nothing in them is believed but the name of a subscription that is ours already; what is done
follows from what Graph says. https://learn.microsoft.com/graph/change-notifications-lifecycle-events
"""

import logging
from dataclasses import dataclass

from shared.core.errors import CannotArchive, ClientStateMismatch
from shared.core.notification import LifecycleNotification, parse_lifecycle_item
from shared.core.webhook import carries
from shared.flows.inbox import KeptPost, open_post, park_item
from shared.flows.subscriptions import Reconciling
from shared.ports import SILENCE, Container, Telemetry

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Heeding:
    """The worker behind the queue ``lifecycle``."""

    inbox: Container
    dead_letters: Container
    reconciling: Reconciling
    client_states: tuple[str, ...]
    telemetry: Telemetry = SILENCE

    def handle(self, name: str) -> None:
        """Act on one post, and take it from the inbox.

        Raises Unavailable, Busy among it, so that the platform rings again; MalformedNotification for a message that
        no post of ours put on the queue.
        """
        kept = open_post(self.inbox, self.dead_letters, name, self.telemetry)
        if kept is None:
            return
        with self.telemetry.span("heed", continues=kept.traceparent, post=name, items=len(kept.post.items)):
            hints = self._hints(kept)
            if hints:
                self.reconciling.heed(hints)
            self.inbox.delete(name)
        logger.info("post %s: %d hints", name, len(hints), extra={"post": name})

    def _hints(self, kept: KeptPost) -> list[LifecycleNotification]:
        # In a post that says one thing a thousand times, it counts once.
        hints: dict[LifecycleNotification, None] = {}
        for position, item in enumerate(kept.post.items):
            try:
                if not carries(item, self.client_states):
                    raise ClientStateMismatch("the item does not carry our clientState; another item of its post does")
                hints[parse_lifecycle_item(item, kept.received_at)] = None
            except CannotArchive as error:
                park_item(self.dead_letters, kept, position, error, self.telemetry)
        return list(hints)
