"""Change notifications on the wire, in every form that was seen.

https://learn.microsoft.com/graph/api/resources/changenotification and the samples of the Copilot and Teams pages,
which differ in the casing of names and values and in the form of dates.
"""

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from local.graph import encryption, validation_tokens
from local.graph.content.change import Change
from local.graph.entra import Entra
from local.graph.randomness import chance, guid
from local.graph.subscription import Subscription
from local.graph.times import ticks_z, variant

Item = dict[str, Any]


@dataclass(frozen=True)
class Message:
    """The bytes of a post, and what its headers say beyond `Content-Type: application/json`.

    `items` are the refs that it carries in the end, where they are fewer than were planned.
    """

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    items: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Notice:
    """A change and the subscription that is to be told of it: becomes one item of a post."""

    change: Change
    subscription: Subscription


def item(notice: Notice, rng: random.Random, variants: float) -> Item:
    """Return one entry of `value`; a rate of `variants` uses the rarer forms."""
    change, subscription = notice.change, notice.subscription
    rare = chance(rng, variants)
    made: Item = {
        "subscriptionId": subscription.id,
        "changeType": change.change_type.title() if rare and chance(rng, 0.5) else change.change_type,
        "clientState": subscription.client_state,
        "subscriptionExpirationDateTime": variant(subscription.expires, rng) if rare else ticks_z(subscription.expires),
        "resource": resource_path(change),
        "resourceData": _resource_data(change, rng, rare=rare),
        "tenantId": subscription.tenant_id,
    }
    if subscription.include_resource_data:
        _add_content(made, notice, lower=rare and chance(rng, 0.5), rare=rare and chance(rng, 0.5))
    elif rare:
        del made["tenantId"]
    if rare and chance(rng, 0.3):
        made["id"] = guid(rng)
    return _capitalised(made) if rare and chance(rng, 0.2) else made


def resource_path(change: Change) -> str:
    """Return the `resource` of a notification."""
    if change.kind == "chat":
        return f"chats('{change.id}')"
    return f"copilot/interactionHistory/interactions('{change.id}')"


def body(items: Sequence[Item], tokens: Sequence[str] | None, *, missing: bool = False) -> bytes:
    """Return a post's body. Without tokens: `validationTokens` null, or not there at all (`missing`)."""
    document: dict[str, Any] = {"value": list(items)}
    if tokens or not missing:
        document["validationTokens"] = list(tokens) if tokens else None
    return json.dumps(document).encode()


def tokens(notices: Iterable[Notice], entra: Entra, rng: random.Random) -> list[str]:
    """Return one validation token for each app and tenant with encrypted content in a post."""
    pairs = {
        (notice.subscription.tenant_id, notice.subscription.audience): None
        for notice in notices
        if notice.subscription.include_resource_data
    }
    return [validation_tokens.genuine(entra, rng, tenant, audience) for tenant, audience in pairs]


def _capitalised(made: Item) -> Item:
    # Seen for EncryptedContent only; nothing promises that it stays the only one.
    return {name[0].upper() + name[1:]: value for name, value in made.items()}


def _resource_data(change: Change, rng: random.Random, *, rare: bool) -> Mapping[str, Any]:
    namespace = "microsoft.graph" if rare or change.kind == "chat" else "Microsoft.Graph"
    data = {"id": change.id, "@odata.type": f"#{namespace}.{change.kind}", "@odata.id": resource_path(change)}
    if rare and chance(rng, 0.3):
        data["@odata.etag"] = f'W/"{change.etag}"'
    return data


def _add_content(made: Item, notice: Notice, *, lower: bool, rare: bool) -> None:
    subscription, plaintext = notice.subscription, notice.change.plaintext
    name = "EncryptedContent" if rare or notice.change.kind == "chat" else "encryptedContent"
    if plaintext is None:
        if rare:
            made[name] = None
        return
    if subscription.certificate is None or subscription.certificate_id is None:
        raise ValueError(f"subscription {subscription.id} has no certificate")
    made[name] = encryption.encrypt(plaintext, subscription.certificate, subscription.certificate_id, lower=lower)
