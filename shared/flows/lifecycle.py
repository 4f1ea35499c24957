"""Lifecycle notifications: hints to look at Graph now rather than in five minutes.

They carry no tokens, so nothing in them is believed but the name of a subscription that is ours already; what is done
follows from what Graph says. https://learn.microsoft.com/graph/change-notifications-lifecycle-events
"""

import logging
from dataclasses import dataclass

from shared.core.errors import CannotArchive, ClientStateMismatch, MalformedNotification
from shared.core.inbox_name import is_inbox_name
from shared.core.notification import LifecycleNotification, Post, parse_lifecycle_item, parse_post
from shared.core.webhook import carries
from shared.flows.dead_letters import letter, park
from shared.flows.subscriptions import Reconciling
from shared.ports import Blob, Container

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Heeding:
    """The worker behind the queue ``lifecycle``."""

    inbox: Container
    dead_letters: Container
    reconciling: Reconciling
    client_states: tuple[str, ...]

    def handle(self, name: str) -> None:
        """Act on one post, and take it from the inbox.

        Raises Unavailable, Busy among it, so that the platform rings again; MalformedNotification for a message that
        no post of ours put on the queue.
        """
        if not is_inbox_name(name):
            raise MalformedNotification("the queue message is not the name of a post in the inbox")
        blob = self.inbox.read(name)
        if blob is None:
            logger.info("post %s is done already", name)
            return
        hints = self._hints(name, blob)
        if hints:
            self.reconciling.heed(hints)
        self.inbox.delete(name)
        logger.info("post %s: %d hints", name, len(hints))

    def _hints(self, name: str, blob: Blob) -> list[LifecycleNotification]:
        try:
            post = parse_post(blob.content)
        except MalformedNotification as error:
            # The webhooks let no such body in. It is kept as it is, under the one position it has.
            post = Post((blob.content.decode("utf-8", "replace"),), ())
            park(self.dead_letters, letter(name, 0, post, blob.received_at, error))
            return []
        # In a post that says one thing a thousand times, it counts once.
        hints: dict[LifecycleNotification, None] = {}
        for position, item in enumerate(post.items):
            try:
                if not carries(item, self.client_states):
                    raise ClientStateMismatch("the item does not carry our clientState; another item of its post does")
                hints[parse_lifecycle_item(item)] = None
            except CannotArchive as error:
                park(self.dead_letters, letter(name, position, post, blob.received_at, error))
        return list(hints)
