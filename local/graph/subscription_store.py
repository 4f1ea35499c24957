"""The subscriptions of the tenant, with Graph's quotas.

https://learn.microsoft.com/graph/change-notifications-overview#supported-resources
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from local.graph.clock import Clock
from local.graph.content.change import Change
from local.graph.graph_errors import GraphError, forbidden, not_found
from local.graph.history import Event, Fate
from local.graph.policy import Policy
from local.graph.subscription import Subscription

Told = Callable[[Event, Subscription], None]


class Subscriptions:
    """Subscriptions by id; those past their expiry are gone.

    Expiries are in the calendar of the clock. Where its stopwatch is advanced, all that live come closer to their end.
    `history` is what became of each; `told`, if set, hears of it at once.
    """

    def __init__(self, clock: Clock | None = None, policy: Policy | None = None) -> None:
        self.history: list[Event] = []
        self.told: Told | None = None
        self._clock = clock or Clock()
        self._policy = policy or Policy()
        self._aged = self._clock.advanced
        self._by_id: dict[str, Subscription] = {}
        self._past: dict[str, Subscription] = {}
        self._numbers: dict[str, int] = {}

    def __iter__(self) -> Iterator[Subscription]:
        return iter(tuple(self._by_id.values()))

    def find(self, subscription_id: str) -> Subscription | None:
        """Return a living subscription."""
        self._age()
        return self._by_id.get(subscription_id.lower())

    def last_seen(self, subscription_id: str) -> Subscription | None:
        """Return a subscription that lives, or as it was in the end."""
        return self.find(subscription_id) or self._past.get(subscription_id.lower())

    def living(self) -> tuple[Subscription, ...]:
        """Return every living subscription, oldest first."""
        self._age()
        return tuple(self._by_id.values())

    def number(self, subscription: Subscription) -> int:
        """Return the place of a subscription in the order of creation, which none ever changes."""
        return self._numbers[subscription.id]

    def covering(self, change: Change) -> list[Subscription]:
        """Return the subscriptions that are to be told of a change."""
        return [
            each for each in self.living() if change.change_type in each.change_types and each.resource.covers(change)
        ]

    def check(self, wanted: Subscription) -> None:
        """Say whether there is room for one more.

        Raises:
            GraphError: 409 for the same changeType and resource by the same app, 403 for a quota.
        """
        for existing in self.living():
            if _same_request(existing, wanted):
                raise GraphError(409, "ObjectIdentifierInUse", _already_exists(existing.id))
        self._check_quotas(wanted)

    def add(self, subscription: Subscription) -> None:
        """Keep a subscription.

        Raises:
            GraphError: as `check`, which may fail now even if it passed before the handshake.
        """
        self.check(subscription)
        self._by_id[subscription.id] = subscription
        self._numbers[subscription.id] = len(self._numbers)
        self._tell("created", subscription)

    def replace(self, subscription: Subscription) -> None:
        """Keep a subscription in another form.

        Raises:
            GraphError: 404, it is gone.
        """
        if self.find(subscription.id) is None:
            raise not_found()
        self._by_id[subscription.id] = subscription
        self._tell("changed", subscription)

    def remove(self, subscription_id: str, fate: Fate = "deleted") -> Subscription:
        """Forget a subscription and return it.

        Raises:
            KeyError: there is none of that id.
        """
        self._age()
        gone = self._by_id.pop(subscription_id.lower())
        self._bury(gone, fate)
        return gone

    def _age(self) -> None:
        advanced = self._clock.advanced
        if older := advanced - self._aged:
            self._aged = advanced
            self._by_id = {name: replace(each, expires=each.expires - older) for name, each in self._by_id.items()}
        now = self._clock.now()
        # Most looks find nobody's time over: a year of them must not copy ten thousand subscriptions each.
        for gone in [each for each in self._by_id.values() if each.expires <= now]:
            del self._by_id[gone.id]
            self._bury(gone, "expired")

    def _bury(self, gone: Subscription, fate: Fate) -> None:
        self._past[gone.id] = gone
        self._tell(fate, gone)

    def _tell(self, fate: Fate, subscription: Subscription) -> None:
        at = subscription.expires if fate == "expired" else self._clock.now()
        event = Event(fate, subscription.id, at, subscription.expires)
        self.history.append(event)
        if self.told is not None:
            self.told(event, subscription)

    def _check_quotas(self, wanted: Subscription) -> None:
        limits = self._policy.limits
        same_kind = [each for each in self._by_id.values() if each.resource.type.kind == wanted.resource.type.kind]
        if len(same_kind) >= limits.per_organisation:
            raise forbidden(_quota("organization", limits.per_organisation))
        if wanted.resource.type.name == "copilot-tenant":
            self._check_quota(wanted, same_kind, "application and tenant combination")
        elif wanted.resource.type.name in {"copilot-user", "user-chats"}:
            if sum(each.resource.id == wanted.resource.id for each in same_kind) >= limits.per_user:
                raise forbidden(_quota("user", limits.per_user))
            if wanted.resource.type.name == "copilot-user":
                self._check_quota(wanted, same_kind, "application and user combination")
        elif wanted.resource.type.name == "chat":
            self._check_quota(wanted, same_kind, "application and chat combination")

    def _check_quota(self, wanted: Subscription, others: list[Subscription], scope: str) -> None:
        for each in others:
            if (each.application_id, _target(each)) == (wanted.application_id, _target(wanted)):
                raise forbidden(_quota(scope, 1))


def _target(subscription: Subscription) -> tuple[str, str]:
    return subscription.resource.type.name, (subscription.resource.id or "").lower()


def _same_request(one: Subscription, other: Subscription) -> bool:
    return (one.tenant_id, one.application_id, one.resource.normalised, one.change_types) == (
        other.tenant_id,
        other.application_id,
        other.resource.normalised,
        other.change_types,
    )


def _already_exists(subscription_id: str) -> str:
    return f"Subscription Id {subscription_id} already exists for the requested combination"


def _quota(scope: str, limit: int) -> str:
    return (
        "Operation: Create; Exception: [Status Code: Forbidden; Reason: Subscription limit reached: "
        f"{limit} per {scope}.]"
    )
