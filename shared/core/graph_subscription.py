"""A subscription <-> the JSON of Graph.

https://learn.microsoft.com/graph/api/resources/subscription#properties
"""

import base64
from collections.abc import Mapping
from datetime import datetime

from shared.core.errors import GraphUnavailable
from shared.core.instants import format_instant, parse_instant
from shared.core.subscription import ActualSubscription, Here
from shared.core.subscription_rules import DesiredSubscription


def parse_subscription(document: object) -> ActualSubscription:
    """A subscription as Graph answers it. Raises GraphUnavailable for an answer that is none."""
    fields = document if isinstance(document, dict) else {}
    expires_at = parse_instant(fields.get("expirationDateTime"))
    texts = {name: fields.get(name) for name in ("id", "resource", "changeType", "notificationUrl")}
    if expires_at is None or not all(isinstance(text, str) for text in texts.values()):
        raise GraphUnavailable("Graph answered something that is no subscription; it is looked at again")
    return ActualSubscription(
        id=str(texts["id"]).lower(),
        resource=str(texts["resource"]).strip("/"),
        changes=frozenset(str(texts["changeType"]).replace(" ", "").lower().split(",")),
        notification_url=str(texts["notificationUrl"]),
        lifecycle_url=_text(fields.get("lifecycleNotificationUrl")),
        expires_at=expires_at,
        include_resource_data=fields.get("includeResourceData") is True,
        certificate_id=_text(fields.get("encryptionCertificateId")),
    )


def creation(
    desired: DesiredSubscription, here: Here, *, certificate: bytes, expires_at: datetime
) -> Mapping[str, object]:
    """The body of POST /subscriptions. Never without a lifecycle URL: Graph then takes no more than an hour."""
    body: dict[str, object] = {
        "changeType": desired.change_type,
        "notificationUrl": here.notification_url,
        "lifecycleNotificationUrl": here.lifecycle_url,
        "resource": f"/{desired.resource}",
        "expirationDateTime": format_instant(expires_at),
        "clientState": here.client_state,
        "latestSupportedTlsVersion": "v1_2",
    }
    if desired.include_resource_data:
        body |= {"includeResourceData": True, **_certificate(here, certificate)}
    return body


def renewal(
    here: Here, *, new_url: bool, new_certificate: bool, certificate: bytes, expires_at: datetime
) -> Mapping[str, object]:
    """The body of PATCH /subscriptions/{id}: always with an expiry, which also answers reauthorizationRequired."""
    return {
        "expirationDateTime": format_instant(expires_at),
        **({"notificationUrl": here.notification_url} if new_url else {}),
        **(_certificate(here, certificate) if new_certificate else {}),
    }


def _certificate(here: Here, certificate: bytes) -> Mapping[str, object]:
    return {
        "encryptionCertificate": base64.b64encode(certificate).decode("ascii"),
        "encryptionCertificateId": here.certificate_id,
    }


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
