"""Lifecycle notifications: Graph tells an app what is about to happen to its subscriptions, or has.

Items carry clientState and no content; posts carry no tokens. Samples show more properties than the page lists.
https://learn.microsoft.com/graph/change-notifications-lifecycle-events
"""

import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from local.graph.delivery import Outgoing
from local.graph.envelope import Message
from local.graph.randomness import chance, guid
from local.graph.subscription import Subscription
from local.graph.times import ticks_z, variant

REAUTHORIZATION_REQUIRED = "reauthorizationRequired"
SUBSCRIPTION_REMOVED = "subscriptionRemoved"
MISSED = "missed"
Item = dict[str, Any]


def item(event: str, subscription: Subscription, rng: random.Random, variants: float) -> Item:
    """Return one entry of `value`; a rate of `variants` uses the rarer forms."""
    rare = chance(rng, variants)
    made: Item = {
        "subscriptionId": subscription.id,
        "subscriptionExpirationDateTime": variant(subscription.expires, rng) if rare else ticks_z(subscription.expires),
        "tenantId": subscription.tenant_id,
        "clientState": subscription.client_state,
        "lifecycleEvent": event,
    }
    if rare and chance(rng, 0.5):
        made |= {"resource": subscription.resource.text, "changeType": "updated"}
    if rare and chance(rng, 0.5):
        made |= {"resourceData": None, "encryptedContent": None, "organizationId": subscription.tenant_id}
    return made


def posts(
    event: str, subscriptions: Iterable[Subscription], rng: random.Random, *, batch: int, variants: float
) -> Iterator[Outgoing]:
    """Return the posts that tell of an event: at most `batch` subscriptions in each, all with the same URL."""
    by_url: dict[str, list[Subscription]] = defaultdict(list)
    for each in subscriptions:
        if each.lifecycle_notification_url:
            by_url[each.lifecycle_notification_url].append(each)
    for url, told in by_url.items():
        for start in range(0, len(told), batch):
            items = [item(event, each, rng, variants) for each in told[start : start + batch]]
            message = _message(items, missing=not chance(rng, variants))
            yield Outgoing(guid(rng), url, _sender(message))


def _sender(message: Message) -> Callable[[], Message]:
    return lambda: message


def _message(items: Sequence[Item], *, missing: bool) -> Message:
    document: dict[str, Any] = {"value": list(items)}
    if not missing:
        document["validationTokens"] = None
    return Message(json.dumps(document).encode())
