"""Who is to be told of a change today: subscriptions that cover it, live, and are not paused."""

from local.graph.authorisation import Authorisations, is_consented
from local.graph.content.change import Change
from local.graph.entra import Entra
from local.graph.envelope import Notice
from local.graph.subscription import Subscription
from local.graph.subscription_store import Subscriptions


class Recipients:
    """Looks at the subscriptions anew each time."""

    def __init__(self, subscriptions: Subscriptions, authorisations: Authorisations, entra: Entra) -> None:
        self._subscriptions = subscriptions
        self._authorisations = authorisations
        self._entra = entra

    def of(self, change: Change) -> list[Subscription]:
        """Return the subscriptions to be told; what happens while one is paused is not sent to it later."""
        return [each for each in self._subscriptions.covering(change) if self._delivers(each)]

    def current(self, notice: Notice) -> Notice | None:
        """Return a notice as it is to be sent now: to its subscription as it is today, or to its successor."""
        same = self._subscriptions.find(notice.subscription.id)
        if same is not None and self._delivers(same):
            return Notice(notice.change, same)
        successors = (each for each in self.of(notice.change) if _succeeds(each, notice.subscription))
        successor = next(successors, None)
        return None if successor is None else Notice(notice.change, successor)

    def _delivers(self, subscription: Subscription) -> bool:
        suspended = self._authorisations.is_suspended(subscription.id)
        return not suspended and is_consented(subscription, self._entra)


def _succeeds(one: Subscription, other: Subscription) -> bool:
    return (one.application_id, one.resource.type.name, one.resource.id) == (
        other.application_id,
        other.resource.type.name,
        other.resource.id,
    )
