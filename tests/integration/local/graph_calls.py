"""Requests to the simulated Graph, as an app would send them."""

import base64
from datetime import timedelta
from typing import Any

import aiohttp

from local.graph import Simulator
from local.graph.times import milliseconds_z, utc_now
from tests.integration.local.graph_support import Receiver

Body = dict[str, Any]


def soon(**ahead: float) -> str:
    return milliseconds_z(utc_now() + timedelta(**ahead))


def body(simulator: Simulator, receiver: Receiver, **changed: object) -> Body:
    version = simulator.cloud.vault.versions(simulator.certificate_name)[-1]
    made = {
        "changeType": "created,updated,deleted",
        "notificationUrl": receiver.url,
        "lifecycleNotificationUrl": receiver.lifecycle_url,
        "resource": "copilot/interactionHistory/getAllEnterpriseInteractions",
        "expirationDateTime": milliseconds_z(utc_now() + timedelta(hours=24)),
        "clientState": "a secret",
        "includeResourceData": True,
        "encryptionCertificate": base64.b64encode(version.pair.der).decode(),
        "encryptionCertificateId": version.id,
        **changed,
    }
    return {name: value for name, value in made.items() if value is not None}


async def call(
    simulator: Simulator, method: str, path: str, json: object = None, token: str | None = None, **headers: str
) -> tuple[int, Body, aiohttp.ClientResponse]:
    headers.setdefault("Authorization", f"Bearer {token or await simulator.graph_token()}")
    connector = aiohttp.TCPConnector(ssl=simulator._files.client_context())
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.request(method, simulator.graph_endpoint + path, json=json, headers=headers) as answer,
    ):
        return answer.status, await answer.json() if answer.status != 204 else {}, answer


async def create(simulator: Simulator, json: object, version: str = "v1.0") -> tuple[int, Body]:
    status, answer, _ = await call(simulator, "POST", f"/{version}/subscriptions", json)
    return status, answer
