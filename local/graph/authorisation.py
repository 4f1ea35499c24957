"""Whether Graph may still deliver to a subscription: reauthorizationRequired, its answers, and revoked consent.

https://learn.microsoft.com/graph/change-notifications-lifecycle-events#responding-to-reauthorizationrequired-notifications
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from local.graph.clock import Clock
from local.graph.entra import Entra
from local.graph.policy import Policy
from local.graph.subscription import Subscription

APART = timedelta(minutes=10)
REAUTHORIZE_AND_PATCH = "reauthorize-and-patch"
Means = Literal["patch", "reauthorize"]


@dataclass(frozen=True)
class Violation:
    """A rule that Graph documents without enforcing it, broken at a moment of the calendar.

    It was broken for a subscription, or, with an empty id, for the user whose export was asked for.
    """

    rule: str
    subscription_id: str
    at: datetime
    user_id: str = ""


@dataclass
class _Record:
    asked: datetime | None = None
    last: dict[Means, datetime] = field(default_factory=dict)


class Authorisations:
    """What was asked of each subscription's app, and how it answered. `violated` is told of each violation."""

    def __init__(self, clock: Clock, policy: Policy, violated: Callable[[Violation], None]) -> None:
        self.violations: list[Violation] = []
        self._clock = clock
        self._policy = policy
        self._violated = violated
        self._records: dict[str, _Record] = {}

    def ask(self, subscription_id: str) -> None:
        """Note that the app was told to reauthorise. The first unanswered time counts."""
        record = self._record(subscription_id)
        record.asked = record.asked or self._clock.passed()

    def suspend(self, subscription_id: str) -> None:
        """Deliver nothing until the app reauthorises, without any patience."""
        self._record(subscription_id).asked = self._clock.passed() - self._policy.patience

    def renew(self, subscription_id: str, means: Means) -> None:
        """Note that the app reauthorised, by itself or with a PATCH: deliveries go on.

        Both within ten minutes of each other is what Graph's page warns of: the state may be corrupted.
        """
        record, moment = self._record(subscription_id), self._clock.passed()
        other: Means = "reauthorize" if means == "patch" else "patch"
        if other in record.last and moment - record.last[other] < APART:
            self.flag(Violation(REAUTHORIZE_AND_PATCH, subscription_id, self._clock.now()))
        record.last[means] = moment
        record.asked = None

    def is_suspended(self, subscription_id: str) -> bool:
        """Say whether Graph has lost its patience with the subscription's app."""
        record = self._records.get(subscription_id)
        if record is None or record.asked is None:
            return False
        return self._clock.passed() - record.asked >= self._policy.patience

    def forget(self, subscription_id: str) -> None:
        """Forget a subscription that is gone."""
        self._records.pop(subscription_id, None)

    def flag(self, violation: Violation) -> None:
        """Keep a violation, of reauthorisation or of another rule."""
        self.violations.append(violation)
        self._violated(violation)

    def _record(self, subscription_id: str) -> _Record:
        return self._records.setdefault(subscription_id, _Record())


def is_consented(subscription: Subscription, entra: Entra) -> bool:
    """Say whether the subscription's app holds a permission for its resource today."""
    application = entra.application(subscription.application_id)
    return application is not None and bool(application.roles & subscription.resource.type.roles)
