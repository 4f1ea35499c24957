"""The subscriptions of the tenant, with Graph's quotas.

https://learn.microsoft.com/graph/change-notifications-overview#supported-resources
"""

from collections.abc import Iterator
from datetime import datetime

from local.graph.content.change import Change
from local.graph.graph_errors import GraphError, forbidden
from local.graph.subscription import Subscription

PER_USER = 10
PER_ORGANISATION = 10_000


class Subscriptions:
    """Subscriptions by id; those past their expiry are gone."""

    def __init__(self) -> None:
        self._by_id: dict[str, Subscription] = {}

    def __iter__(self) -> Iterator[Subscription]:
        return iter(tuple(self._by_id.values()))

    def find(self, subscription_id: str, now: datetime) -> Subscription | None:
        """Return a living subscription."""
        self._forget_expired(now)
        return self._by_id.get(subscription_id.lower())

    def living(self, now: datetime) -> tuple[Subscription, ...]:
        """Return every living subscription, oldest first."""
        self._forget_expired(now)
        return tuple(self._by_id.values())

    def covering(self, change: Change, now: datetime) -> list[Subscription]:
        """Return the subscriptions that are to be told of a change."""
        return [
            each
            for each in self.living(now)
            if change.change_type in each.change_types and each.resource.covers(change)
        ]

    def check(self, wanted: Subscription, now: datetime) -> None:
        """Say whether there is room for one more.

        Raises:
            GraphError: 409 for the same changeType and resource by the same app, 403 for a quota.
        """
        self._forget_expired(now)
        for existing in self._by_id.values():
            if _same_request(existing, wanted):
                raise GraphError(409, "ObjectIdentifierInUse", _already_exists(existing.id))
        self._check_quotas(wanted)

    def add(self, subscription: Subscription, now: datetime) -> None:
        """Keep a subscription.

        Raises:
            GraphError: as `check`, which may fail now even if it passed before the handshake.
        """
        self.check(subscription, now)
        self._by_id[subscription.id] = subscription

    def remove(self, subscription_id: str) -> None:
        """Forget a subscription.

        Raises:
            KeyError: there is none of that id.
        """
        del self._by_id[subscription_id.lower()]

    def _forget_expired(self, now: datetime) -> None:
        self._by_id = {name: each for name, each in self._by_id.items() if each.expires > now}

    def _check_quotas(self, wanted: Subscription) -> None:
        same_kind = [each for each in self._by_id.values() if each.resource.type.kind == wanted.resource.type.kind]
        if len(same_kind) >= PER_ORGANISATION:
            raise forbidden(_quota("organization", PER_ORGANISATION))
        if wanted.resource.type.name == "copilot-tenant":
            self._check_quota(wanted, same_kind, "application and tenant combination")
        elif wanted.resource.type.name in {"copilot-user", "user-chats"}:
            if sum(each.resource.id == wanted.resource.id for each in same_kind) >= PER_USER:
                raise forbidden(_quota("user", PER_USER))
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
