"""Creates a subscription as an operator's app would: a token from Entra ID, then Graph, over TLS."""

import base64
from datetime import datetime
from typing import Any

import aiohttp

from local.graph.times import milliseconds_z
from local.graph.vault import Version


class SubscriptionRefused(Exception):
    """Graph did not create the subscription: `status` and `error` are its answer."""

    def __init__(self, status: int, error: dict[str, Any]) -> None:
        super().__init__(f"{status} {error.get('code')}: {error.get('message')}")
        self.status = status
        self.error = error


async def request_token(
    session: aiohttp.ClientSession, authority: str, tenant_id: str, client_id: str, client_secret: str, scope: str
) -> str:
    """Return an access token.

    Raises:
        aiohttp.ClientResponseError: Entra ID refused.
    """
    form = {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_secret": client_secret,
        "scope": scope,
    }
    async with session.post(f"{authority}/{tenant_id}/oauth2/v2.0/token", data=form) as response:
        response.raise_for_status()
        return str((await response.json())["access_token"])


def wanted(
    notification_url: str,
    lifecycle_url: str | None,
    *,
    resource: str,
    change_type: str,
    client_state: str,
    certificate: Version | None,
    until: datetime,
) -> dict[str, Any]:
    """Return the body of the request; rich where a certificate is given, whose version becomes its id."""
    body: dict[str, Any] = {
        "changeType": change_type,
        "notificationUrl": notification_url,
        "resource": resource,
        "expirationDateTime": milliseconds_z(until),
        "clientState": client_state,
    }
    if lifecycle_url is not None:
        body["lifecycleNotificationUrl"] = lifecycle_url
    if certificate is not None:
        body["includeResourceData"] = True
        body["encryptionCertificate"] = base64.b64encode(certificate.pair.der).decode()
        body["encryptionCertificateId"] = certificate.id
    return body


async def create(
    session: aiohttp.ClientSession, graph_endpoint: str, token: str, body: dict[str, Any]
) -> dict[str, Any]:
    """Return the subscription that Graph created.

    Raises:
        SubscriptionRefused: with Graph's error.
    """
    headers = {"Authorization": f"Bearer {token}"}
    async with session.post(f"{graph_endpoint}/v1.0/subscriptions", json=body, headers=headers) as response:
        answer: dict[str, Any] = await response.json()
        if response.status != 201:
            raise SubscriptionRefused(response.status, answer.get("error", {}))
        return answer
