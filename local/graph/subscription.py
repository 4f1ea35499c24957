"""A subscription, and the shapes in which Graph shows it.

https://learn.microsoft.com/graph/api/resources/subscription
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509

from local.graph.resources import Resource
from local.graph.times import ticks_z


@dataclass(frozen=True)
class Subscription:
    """What an app asked for and Graph accepted; `certificate` is None for basic notifications."""

    id: str
    tenant_id: str
    application_id: str
    creator_id: str
    resource: Resource
    change_types: frozenset[str]
    change_type_text: str
    notification_url: str
    lifecycle_notification_url: str | None
    client_state: str | None
    expires: datetime
    include_resource_data: bool
    tls_version: str
    certificate: x509.Certificate | None
    certificate_id: str | None
    token_audience: str | None

    @property
    def audience(self) -> str:
        """Whom its validation tokens are for."""
        return self.token_audience or self.application_id

    def shown(self) -> dict[str, Any]:
        """Return the properties as answers to create and to get by id show them: the certificate is never echoed."""
        return {
            "id": self.id,
            "resource": self.resource.text,
            "applicationId": self.application_id,
            "changeType": self.change_type_text,
            "clientState": self.client_state,
            "notificationUrl": self.notification_url,
            "notificationQueryOptions": None,
            "lifecycleNotificationUrl": self.lifecycle_notification_url,
            "expirationDateTime": ticks_z(self.expires),
            "creatorId": self.creator_id,
            "includeResourceData": self.include_resource_data,
            "latestSupportedTlsVersion": self.tls_version,
            "encryptionCertificate": None,
            "encryptionCertificateId": self.certificate_id,
            "notificationUrlAppId": self.token_audience,
            "notificationContentType": "application/json",
        }

    def listed(self) -> dict[str, Any]:
        """Return the properties as the list shows them: without clientState."""
        return {**self.shown(), "clientState": None, "encryptionCertificate": ""}
