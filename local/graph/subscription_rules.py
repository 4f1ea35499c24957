"""What a request to create a subscription must look like. Pure: JSON in, a subscription or the first error out.

The rules and the texts that were observed are collected from
https://learn.microsoft.com/graph/api/subscription-post-subscriptions,
https://learn.microsoft.com/graph/api/resources/subscription and
https://learn.microsoft.com/graph/change-notifications-with-resource-data
"""

import base64
import binascii
import ipaddress
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from local.graph import resources, times
from local.graph.entra import Principal
from local.graph.graph_errors import GraphError, bad_request, forbidden
from local.graph.resources import MAXIMUM_MINUTES, Resource
from local.graph.subscription import Subscription

REQUIRED = ("changeType", "notificationUrl", "resource", "expirationDateTime")
MINIMUM = timedelta(minutes=45)
MAXIMUM = timedelta(minutes=MAXIMUM_MINUTES)
WITHOUT_LIFECYCLE = timedelta(hours=1)
CLIENT_STATE_LIMIT = 128
CERTIFICATE_ID_LIMIT = 128
LIFECYCLE_REQUIRED = (
    "lifecycleNotificationUrl is a required property for subscription creation on this resource when the "
    "expirationDateTime value is set to greater than 1 hour"
)
_TEXTS = frozenset(
    {
        *REQUIRED,
        "lifecycleNotificationUrl",
        "clientState",
        "encryptionCertificate",
        "encryptionCertificateId",
        "latestSupportedTlsVersion",
        "notificationUrlAppId",
    }
)
_WEB_PUSH = frozenset({"vapidPublicKey", "webPushEncryptionP256dhPublicKey", "webPushEncryptionSecret"})
_KNOWN = _TEXTS | _WEB_PUSH | {"includeResourceData", "@odata.type", "notificationQueryOptions"}
_TLS_VERSIONS = frozenset({"v1_0", "v1_1", "v1_2", "v1_3"})


@dataclass(frozen=True)
class Caller:
    """Who asks: an application of a tenant, with the roles in its token."""

    tenant_id: str
    application: Principal
    roles: frozenset[str]


def create(
    body: Mapping[str, Any], caller: Caller, now: datetime, *, allow_http_loopback: bool = False
) -> Subscription:
    """Return the subscription that `body` asks for.

    Raises:
        GraphError: 400 or 403, for the first rule that is broken.
    """
    for name in REQUIRED:
        if not body.get(name):
            raise bad_request(f"{name} is a required property for subscription creation.")
    check_properties(body)
    resource = resources.understand(body["resource"])
    check_role(caller, resource)
    change_types = _change_types(body["changeType"], resource)
    for name in ("notificationUrl", "lifecycleNotificationUrl"):
        check_url(name, body.get(name), allow_http_loopback=allow_http_loopback)
    _check_length(body, "clientState", CLIENT_STATE_LIMIT)
    _check_length(body, "encryptionCertificateId", CERTIFICATE_ID_LIMIT)
    expires = expiry(body["expirationDateTime"], body.get("lifecycleNotificationUrl"), now)
    rich = body.get("includeResourceData") is True
    return Subscription(
        id=str(uuid.uuid4()),
        tenant_id=caller.tenant_id,
        application_id=caller.application.client_id,
        creator_id=caller.application.object_id,
        resource=resource,
        change_types=change_types,
        change_type_text=body["changeType"],
        notification_url=body["notificationUrl"],
        lifecycle_notification_url=body.get("lifecycleNotificationUrl"),
        client_state=body.get("clientState"),
        expires=expires,
        include_resource_data=rich,
        tls_version=_tls_version(body.get("latestSupportedTlsVersion")),
        certificate=certificate_of(body) if rich else None,
        certificate_id=body.get("encryptionCertificateId"),
        token_audience=body.get("notificationUrlAppId"),
    )


def check_properties(body: Mapping[str, Any]) -> None:
    """Check names and types of what is sent.

    Raises:
        GraphError: 400.
    """
    for name, value in body.items():
        if name not in _KNOWN:
            raise bad_request(f"The property '{name}' does not exist on type 'microsoft.graph.subscription'.")
        if name in _WEB_PUSH and value is not None:
            raise bad_request(f"Property {name} is supported for web push subscriptions only.")
        if name in _TEXTS and not isinstance(value, str | None):
            raise bad_request(f"Cannot convert the value of property '{name}' to the expected type 'Edm.String'.")
    if not isinstance(body.get("includeResourceData"), bool | None):
        raise bad_request("Cannot convert a value of property 'includeResourceData' to type 'Edm.Boolean'.")


def _check_length(body: Mapping[str, Any], name: str, limit: int) -> None:
    if len(body.get(name) or "") > limit:
        raise bad_request(f"Property {name} must not exceed {limit} characters.")


def check_role(caller: Caller, resource: Resource, operation: str = "Create") -> None:
    """Check that the caller may hear of the resource.

    Raises:
        GraphError: 403.
    """
    if caller.roles & resource.type.roles:
        return
    any_of = ",".join(sorted(resource.type.roles))
    raise forbidden(
        f"Operation: {operation}; Exception: [Status Code: Forbidden; Reason: Caller does not have the required "
        f"permissions. Requires one of: {any_of}.]"
    )


def _change_types(text: str, resource: Resource) -> frozenset[str]:
    tokens = [token.strip().lower() for token in text.split(",")]
    for token in tokens:
        if token not in resource.type.change_types:
            raise bad_request(f"Change type '{token}' is not supported for resource '{resource.text}'.")
    return frozenset(tokens)


def check_url(name: str, text: str | None, *, allow_http_loopback: bool) -> None:
    """Check a URL that Graph is to post to; none is fine.

    Raises:
        GraphError: 400.
    """
    if text is None:
        return
    try:
        url = urlsplit(text)
        host, _ = url.hostname, url.port
    except ValueError as error:
        raise bad_request(f"{name} is not a valid URL.") from error
    if not host:
        raise bad_request(f"{name} is not a valid URL.")
    if url.scheme == "http" and allow_http_loopback and _is_loopback(host):
        return
    if url.scheme != "https":
        raise bad_request(f"The underlying scheme of {name} must be https.")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def expiry(text: str, lifecycle_url: str | None, now: datetime, *, operation: str = "Create") -> datetime:
    """Return when a subscription ends that is asked for, or renewed, now: never sooner than in 45 minutes.

    Raises:
        GraphError: 400 for what is no time, beyond three days, or beyond an hour without a lifecycle URL.
    """
    try:
        wanted = times.parse(text)
    except ValueError as error:
        message = "Cannot convert the value of 'expirationDateTime' to the expected type 'Edm.DateTimeOffset'."
        raise bad_request(message) from error
    if wanted - now > MAXIMUM:
        raise bad_request(_too_far(wanted, now, operation))
    if wanted - now > WITHOUT_LIFECYCLE and not lifecycle_url:
        raise bad_request(LIFECYCLE_REQUIRED)
    return max(wanted, now + MINIMUM)


def _too_far(wanted: datetime, now: datetime, operation: str) -> str:
    limit = f"{MAXIMUM.days}.00:00:00"
    return (
        f"Operation: {operation}; Exception: [Status Code: BadRequest; Reason: Expiration time "
        f"'{wanted:%m/%d/%Y %H:%M:%S} +00:00' ('{wanted - now}' from now) is beyond allowed max '{limit}'.]"
    )


def _tls_version(text: str | None) -> str:
    if text is not None and text not in _TLS_VERSIONS:
        raise bad_request("latestSupportedTlsVersion must be one of v1_0, v1_1, v1_2, v1_3.")
    return text or "v1_2"


def certificate_of(body: Mapping[str, Any]) -> x509.Certificate:
    """Return the encryption certificate that comes with its id.

    Raises:
        GraphError: 400 with the observed texts.
    """
    if not body.get("encryptionCertificate"):
        raise bad_request("Certificate cannot be empty")
    identifier = body.get("encryptionCertificateId")
    if not identifier:
        raise bad_request("encryptionCertificateId is a required property when includeResourceData is true.")
    _check_length(body, "encryptionCertificateId", CERTIFICATE_ID_LIMIT)
    return _parse_certificate(body["encryptionCertificate"])


def _parse_certificate(text: str) -> x509.Certificate:
    try:
        certificate = x509.load_der_x509_certificate(base64.b64decode(text, validate=True))
    except binascii.Error as error:
        raise _invalid_certificate("Invalid length for a Base-64 char array or string.") from error
    except ValueError as error:
        raise _invalid_certificate("Cannot find the requested object.") from error
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise _invalid_certificate("The certificate's key must be an RSA key.")
    if not 2048 <= key.key_size <= 4096:
        raise _invalid_certificate("The size of the certificate's key must be between 2048 and 4096 bits.")
    return certificate


def _invalid_certificate(reason: str) -> GraphError:
    return bad_request(f"Certificate validation error: {reason}")
