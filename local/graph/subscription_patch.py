"""What may be changed in a subscription that exists. Pure, like the rules of creation.

The page's table knows two properties and demands one of them. The page on resource data tells to change the
certificate together with a renewal, which is taken here unless Graph is strict.
https://learn.microsoft.com/graph/api/subscription-update and
https://learn.microsoft.com/graph/change-notifications-with-resource-data#how-to-handle-certificate-rotation
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from local.graph import subscription_rules
from local.graph.graph_errors import bad_request
from local.graph.subscription import Subscription

_CERTIFICATE = ("encryptionCertificate", "encryptionCertificateId")
_RENEWAL = ("expirationDateTime", "notificationUrl")
_CHANGEABLE = frozenset({*_CERTIFICATE, *_RENEWAL, "@odata.type"})


def patch(
    existing: Subscription,
    body: Mapping[str, Any],
    now: datetime,
    *,
    allow_http_loopback: bool = False,
    strict: bool = False,
) -> Subscription:
    """Return the subscription as `body` changes it; `strict` takes no certificate.

    Raises:
        GraphError: 400, for the first rule that is broken.
    """
    subscription_rules.check_properties(body)
    _check_changeable(body)
    changed: dict[str, Any] = {}
    if "notificationUrl" in body:
        url = body["notificationUrl"]
        subscription_rules.check_url("notificationUrl", url, allow_http_loopback=allow_http_loopback)
        changed["notification_url"] = url
    if "expirationDateTime" in body:
        lifecycle_url = existing.lifecycle_notification_url
        changed["expires"] = subscription_rules.expiry(
            body["expirationDateTime"], lifecycle_url, now, operation="Update"
        )
    if any(name in body for name in _CERTIFICATE):
        changed |= _certificate(existing, body, strict=strict)
    return replace(existing, **changed)


def _check_changeable(body: Mapping[str, Any]) -> None:
    for name in body:
        if name not in _CHANGEABLE:
            raise bad_request(f"Property '{name}' of a subscription cannot be updated.")
    for name in _RENEWAL:
        if name in body and not body[name]:
            raise bad_request(f"Property '{name}' must have a value.")
    if not any(name in body for name in _RENEWAL):
        raise bad_request("At least one of expirationDateTime, notificationUrl is required to update a subscription.")


def _certificate(existing: Subscription, body: Mapping[str, Any], *, strict: bool) -> dict[str, Any]:
    if strict:
        raise bad_request("Property 'encryptionCertificate' of a subscription cannot be updated.")
    if not existing.include_resource_data:
        raise bad_request("Property 'encryptionCertificate' is supported only where includeResourceData is true.")
    if "expirationDateTime" not in body:
        raise bad_request("expirationDateTime is required to update the encryption certificate.")
    certificate = subscription_rules.certificate_of(body)
    return {"certificate": certificate, "certificate_id": body["encryptionCertificateId"]}
