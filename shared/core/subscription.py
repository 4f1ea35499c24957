"""Desired against actual: what is to be done so that every wanted subscription lives, and no other of ours does.

Pure: what Graph lists, which certificate is current and what time it is come in; actions with their reasons come out.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from shared.core.subscription_rules import MAX_LIFE, DesiredSubscription, resource_key
from shared.core.subscription_watch import Tracked, Watch

# Renewed with half of its life left, a subscription survives an outage of a day and a half.
RENEW_BELOW = MAX_LIFE / 2


@dataclass(frozen=True, slots=True)
class ActualSubscription:
    """A subscription as Graph lists it. Graph hides clientState and certificate there."""

    id: str
    resource: str
    changes: frozenset[str]
    notification_url: str
    lifecycle_url: str | None
    expires_at: datetime
    include_resource_data: bool
    certificate_id: str | None

    @property
    def key(self) -> str:
        """As that of a DesiredSubscription."""
        return resource_key(self.resource)


@dataclass(frozen=True, slots=True)
class Here:
    """What our subscriptions must point to and carry: two URLs, the certificate's current version, the clientState."""

    notification_url: str
    lifecycle_url: str
    certificate_id: str | None
    client_state: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Create:
    """Subscribe: there is none."""

    desired: DesiredSubscription
    reason: str


@dataclass(frozen=True, slots=True)
class Renew:
    """PATCH: a new expiry, and with it the URL and the certificate where these have changed."""

    desired: DesiredSubscription
    actual: ActualSubscription
    reason: str
    new_url: bool = False
    new_certificate: bool = False


@dataclass(frozen=True, slots=True)
class Recreate:
    """Delete and subscribe again: Graph lets nobody change this in place."""

    desired: DesiredSubscription
    actual: ActualSubscription
    reason: str


@dataclass(frozen=True, slots=True)
class Delete:
    """Ours, and wanted no more."""

    actual: ActualSubscription
    reason: str


@dataclass(frozen=True, slots=True)
class Keep:
    """As it should be."""

    desired: DesiredSubscription
    actual: ActualSubscription
    reason: str


Action = Create | Renew | Recreate | Delete | Keep


def client_state_tag(client_state: str, subscription_id: str) -> str:
    """What is remembered of the secret that a subscription carries: enough to tell that it carries another one."""
    return hmac.new(client_state.encode(), subscription_id.encode(), hashlib.sha256).hexdigest()[:16]


def is_ours(actual: ActualSubscription, here: Here, known_ids: frozenset[str]) -> bool:
    """Whether we made it: by its id, or by its URL where the answer to our POST was lost."""
    return actual.id in known_ids or actual.notification_url == here.notification_url


def decide(
    desired: Sequence[DesiredSubscription],
    actual: Sequence[ActualSubscription],
    here: Here,
    watch: Watch,
    now: datetime,
) -> list[Action]:
    """What to do. Subscriptions that are not ours are never part of it."""
    known_ids = frozenset(tracked.id for tracked in watch.tracked.values())
    ours: dict[str, list[ActualSubscription]] = {}
    for each in actual:
        if is_ours(each, here, known_ids) and each.expires_at > now:
            ours.setdefault(each.key, []).append(each)
    actions: list[Action] = []
    for wanted in desired:
        there = sorted(ours.pop(wanted.key, []), key=lambda each: each.expires_at, reverse=True)
        # A filtered resource and the same one without it may both be listed; of one resource Graph keeps one at most,
        # and if it ever lists two, the one that lives longer stays.
        actions += [Delete(each, "another one of ours is for the same resource") for each in there[1:]]
        tracked = watch.tracked.get(wanted.key)
        known = tracked if tracked and there and tracked.id == there[0].id else None
        actions.append(_decide_one(wanted, there[0], here, now, known) if there else Create(wanted, "there is none"))
    actions += [Delete(each, "it is wanted no more") for unwanted in ours.values() for each in unwanted]
    # Deletions first: they make room within Graph's quota of one.
    return sorted(actions, key=lambda action: not isinstance(action, Delete))


def needs_life(actual: ActualSubscription, known: Tracked | None, now: datetime) -> bool:
    """Whether less than half of its life is left: of what we ask for, or of the less that Graph granted then."""
    half = RENEW_BELOW
    if known is not None and known.authorised_at is not None and known.granted_until is not None:
        half = min(half, (known.granted_until - known.authorised_at) / 2)
    return actual.expires_at - now < half


def _decide_one(
    desired: DesiredSubscription, actual: ActualSubscription, here: Here, now: datetime, known: Tracked | None
) -> Action:
    if actual.changes != desired.changes:
        return Recreate(desired, actual, "changeType differs")
    if actual.include_resource_data != desired.include_resource_data:
        return Recreate(desired, actual, "includeResourceData differs")
    if actual.lifecycle_url != here.lifecycle_url:
        # https://learn.microsoft.com/graph/change-notifications-lifecycle-events: it is set at creation only.
        return Recreate(desired, actual, "lifecycleNotificationUrl differs")
    if known is not None and known.client_state_tag not in (None, client_state_tag(here.client_state, actual.id)):
        # A PATCH carries none: https://learn.microsoft.com/graph/api/subscription-update
        return Recreate(desired, actual, "CLIENT_STATE begins with another secret")
    new_url = actual.notification_url != here.notification_url
    # None: Key Vault is away. What is there goes on with the version that it has.
    certificate_id = actual.certificate_id or (known.certificate_id if known else None)
    new_certificate = desired.include_resource_data and here.certificate_id not in (None, certificate_id)
    reasons = [
        *(["notificationUrl differs"] if new_url else []),
        *(["the certificate has a new version"] if new_certificate else []),
        *(["Graph has asked for a new authorisation, or has refused us"] if known and known.doubted else []),
        *(["less than half of its life is left"] if needs_life(actual, known, now) else []),
    ]
    if not reasons:
        return Keep(desired, actual, "it is as it should be")
    return Renew(desired, actual, "; ".join(reasons), new_url=new_url, new_certificate=new_certificate)
