"""Wire JSON of a post -> ChangeNotification.

The shape is https://learn.microsoft.com/graph/api/resources/changenotification, with the variants that Graph sends in
practice: names of properties and changeType in any case, ``encryptedContent: null``, tenantId or validationTokens left
out.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.core.errors import MalformedNotification, UnknownLifecycleEvent

# https://learn.microsoft.com/graph/change-notifications-lifecycle-events
REAUTHORIZE = "reauthorizationrequired"
REMOVED = "subscriptionremoved"
MISSED = "missed"
# Graph repeats a post for so long: https://learn.microsoft.com/graph/change-notifications-delivery-webhooks
REPEATED_FOR = timedelta(hours=4)
# So late may a notification come after what it is about: it is an hour late at most when it is said first.
LATEST = REPEATED_FOR + timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Post:
    """One POST of Graph: its items as sent, and the tokens that vouch for them. ``tokens`` may hold anything."""

    items: tuple[object, ...]
    validation_tokens: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class EncryptedContent:
    """https://learn.microsoft.com/graph/api/resources/changenotificationencryptedcontent, base64 not yet decoded."""

    data: str
    data_key: str
    data_signature: str | None
    certificate_id: str
    certificate_thumbprint: str | None


@dataclass(frozen=True, slots=True)
class ChangeNotification:
    """One entry of ``value``. ``change_type`` is lower case; ``resource_type`` is the bare type name or empty."""

    subscription_id: str
    change_type: str
    resource: str
    resource_type: str
    resource_id: str | None
    resource_data: Mapping[str, object]
    tenant_id: str | None
    encrypted_content: EncryptedContent | None


@dataclass(frozen=True, slots=True)
class LifecycleNotification:
    """An entry with ``lifecycleEvent``, which is here one of the three constants above. It carries no tokens."""

    subscription_id: str
    event: str
    received_at: datetime | None = None


def parse_post(body: bytes) -> Post:
    """Items and tokens of a post that a webhook let in.

    Raises MalformedNotification when the bytes are not such a post: then somebody else wrote them into the inbox.
    """
    try:
        post = json.loads(body)
    except (ValueError, RecursionError):
        raise MalformedNotification("the body in the inbox is not JSON") from None
    if not isinstance(post, dict):
        raise MalformedNotification("the body in the inbox is not an object")
    folded = _fold(post)
    items = folded.get("value")
    if not isinstance(items, list):
        raise MalformedNotification("the body in the inbox has no value list")
    tokens = folded.get("validationtokens")
    if tokens is None:
        return Post(tuple(items), ())
    # A single string instead of a list is no shape of Graph's; as one entry it is still judged, and fails.
    return Post(tuple(items), tuple(tokens) if isinstance(tokens, list) else (tokens,))


def parse_item(item: object) -> ChangeNotification:
    """The typed notification. Raises MalformedNotification naming the property that is wrong, never its value."""
    if not isinstance(item, dict):
        raise MalformedNotification("the item is not an object")
    fields = _fold(item)
    resource_data = fields.get("resourcedata")
    if resource_data is None:
        resource_data = {}
    if not isinstance(resource_data, dict):
        raise MalformedNotification("resourceData is not an object")
    about = _fold(resource_data)
    return ChangeNotification(
        subscription_id=_text(fields, "subscriptionId"),
        change_type=_text(fields, "changeType").lower(),
        resource=_text(fields, "resource"),
        resource_type=_bare_type(_optional_text(about, "@odata.type")),
        resource_id=_optional_text(about, "id"),
        resource_data=resource_data,
        tenant_id=_optional_text(fields, "tenantId"),
        encrypted_content=_encrypted_content(fields.get("encryptedcontent")),
    )


def parse_lifecycle_item(item: object, received_at: datetime | None = None) -> LifecycleNotification:
    """The typed lifecycle notification, of a post received then.

    Raises MalformedNotification, or UnknownLifecycleEvent.
    """
    if not isinstance(item, dict):
        raise MalformedNotification("the item is not an object")
    fields = _fold(item)
    event = _text(fields, "lifecycleEvent").lower()
    if event not in (REAUTHORIZE, REMOVED, MISSED):
        raise UnknownLifecycleEvent("the lifecycleEvent is none that this app knows")
    return LifecycleNotification(_text(fields, "subscriptionId").lower(), event, received_at)


def _encrypted_content(content: object) -> EncryptedContent | None:
    if content is None:
        return None
    if not isinstance(content, dict):
        raise MalformedNotification("encryptedContent is not an object")
    fields = _fold(content)
    return EncryptedContent(
        data=_text(fields, "data"),
        data_key=_text(fields, "dataKey"),
        data_signature=_optional_text(fields, "dataSignature"),
        certificate_id=_text(fields, "encryptionCertificateId"),
        certificate_thumbprint=_optional_text(fields, "encryptionCertificateThumbprint"),
    )


def _fold(document: Mapping[str, object]) -> dict[str, object]:
    return {name.lower(): value for name, value in document.items()}


def _text(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name.lower())
    if not isinstance(value, str) or not value:
        raise MalformedNotification(f"{name} is missing or not text")
    return value


def _optional_text(fields: Mapping[str, object], name: str) -> str | None:
    value = fields.get(name.lower())
    if value is not None and not isinstance(value, str):
        raise MalformedNotification(f"{name} is not text")
    return value or None


def _bare_type(odata_type: str | None) -> str:
    return (odata_type or "").removeprefix("#").rpartition(".")[2]
