"""What a test has Graph do to an app: end subscriptions, ask for reauthorisation, withdraw consent, hang up."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from local.graph.authorisation import Authorisations, Violation
from local.graph.cloud import Cloud
from local.graph.gateway import Gateway, Verb
from local.graph.ledger import Post
from local.graph.lifecycle import REAUTHORIZATION_REQUIRED, SUBSCRIPTION_REMOVED
from local.graph.subscription import Subscription
from local.graph.subscription_store import Subscriptions
from local.graph.traffic import Traffic


class Script:
    """The part of the simulator that plays Graph's whims. It works while the simulator runs."""

    cloud: Cloud
    subscriptions: Subscriptions
    traffic: Traffic
    gateway: Gateway
    authorisations: Authorisations

    @property
    def requests(self) -> Counter[str]:
        """How often Graph was asked, by verb (see `gateway.VERBS`), refused or not, inside of batches too."""
        return self.gateway.requests

    @property
    def violations(self) -> list[Violation]:
        """The rules that an app broke and that Graph documents without enforcing them."""
        return self.authorisations.violations

    def lose_answers(self, verb: Verb, count: int = 1) -> None:
        """Carry out the next `count` requests of a verb that succeed, and hang up instead of answering.

        Only requests of their own: what is inside of a batch is lost with the batch.

        Raises:
            ValueError: no such verb, or a count below 0.
        """
        self.gateway.lose_answers(verb, count)

    async def emit_lifecycle(self, event: str, subscription_id: str | None = None) -> list[Post]:
        """Send a lifecycle notification for one subscription, or for all that live, and wait for the answers.

        One that is gone can be named too: Graph's news may be late. Any text is sent as `event`, so that an app meets
        what is not invented yet.

        Raises:
            KeyError: there never was such a subscription.
            ValueError: it has no lifecycle URL.
        """
        if subscription_id is None:
            return await self._emit(event, self.subscriptions.living())
        if (found := self.subscriptions.last_seen(subscription_id)) is None:
            raise KeyError(subscription_id)
        if not found.lifecycle_notification_url:
            raise ValueError(f"subscription {found.id} has no lifecycle URL")
        return await self._emit(event, [found])

    async def remove_subscription(self, subscription_id: str, *, tell: bool = True) -> list[Post]:
        """Remove a subscription as Graph does on its own; `tell` sends subscriptionRemoved after it.

        Raises:
            KeyError: there is none of that id.
        """
        gone = self.subscriptions.remove(subscription_id, "removed")
        self.authorisations.forget(gone.id)
        return await self._emit(SUBSCRIPTION_REMOVED, [gone]) if tell else []

    async def revoke_consent(self, roles: Iterable[str] | None = None) -> list[Post]:
        """Take permissions from the app registration, all unless some are named, and ask to reauthorise.

        Tokens issued from now on lack the roles, and older ones do not help: Graph answers 403. Deliveries to
        subscriptions that need what is gone stop until consent is back and the app has reauthorised.
        """
        application = self.cloud.entra.application(self.cloud.who.application.client_id) or self.cloud.who.application
        left = application.roles - frozenset(application.roles if roles is None else roles)
        self.cloud.entra.register(replace(application, roles=left))
        orphans = [each for each in self.subscriptions.living() if not left & each.resource.type.roles]
        for each in orphans:
            self.authorisations.suspend(each.id)
        return await self._emit(REAUTHORIZATION_REQUIRED, orphans)

    def restore_consent(self, roles: Iterable[str] | None = None) -> None:
        """Give the app registration back what it had in the beginning, or exactly these roles.

        Tokens from before do not have them: an app must ask for a new one.
        """
        given = self.cloud.who.application.roles if roles is None else frozenset(roles)
        application = self.cloud.entra.application(self.cloud.who.application.client_id) or self.cloud.who.application
        self.cloud.entra.register(replace(application, roles=given))

    async def _emit(self, event: str, subscriptions: Iterable[Subscription]) -> list[Post]:
        told = list(subscriptions)
        if event == REAUTHORIZATION_REQUIRED:
            for each in told:
                self.authorisations.ask(each.id)
        return await self.traffic.tell(event, told)
