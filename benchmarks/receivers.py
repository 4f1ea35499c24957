"""Ways to take a post: the app's own function, and what it is compared with.

All run on one event loop and are given the same azure.functions requests; what the host does around them, HTTP and the
queue's output binding, is compiled code in another process and in none of the figures, save where a row says so.
"""

import asyncio
import os
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any, TypeAlias, cast
from xml.sax.saxutils import escape

import aiohttp
import azure.functions as func
from azure.storage.blob.aio import ContainerClient
from azure.storage.queue.aio import QueueClient

import function_app
from benchmarks.tenant import CLIENT_STATE
from shared import parts, wiring
from shared.adapters import functions_http
from shared.adapters.blob_container import BlobContainer, open_container
from shared.adapters.blob_inbox import BlobInbox
from shared.core.inbox_name import NOTIFICATIONS, inbox_name
from shared.core.instants import format_instant
from shared.core.webhook import WebhookRequest, check_crowd, check_items, check_size
from shared.flows.receive import Receiving
from shared.parts import utc_now

MAX_BODY_BYTES = 4 << 20

Receiver: TypeAlias = Callable[[func.HttpRequest], Coroutine[Any, Any, func.HttpResponse]]
_Function: TypeAlias = Callable[[func.HttpRequest, func.Out[str]], Awaitable[func.HttpResponse]]


class Doorbell(func.Out[str]):
    """What the host gives a function for its queue output, and writes after it has returned."""

    def __init__(self) -> None:
        self._name = ""

    def set(self, val: str) -> None:
        """Note the message."""
        self._name = val

    def get(self) -> str:
        """The message."""
        return self._name


def app_settings(archive_storage: str) -> dict[str, str]:
    """Settings of the app with its storage at a connection string; nothing else is reached while posts are received."""
    return {
        "AzureWebJobsStorage": archive_storage,
        "ARCHIVE_STORAGE": archive_storage,
        "KEY_VAULT_URL": "https://vault.example",
        "ENCRYPTION_CERTIFICATE": "graph-notifications",
        "GRAPH_TENANT_ID": str(uuid.UUID(int=1)),
        "GRAPH_CLIENT_ID": str(uuid.UUID(int=2)),
        "CLIENT_STATE": CLIENT_STATE,
        # As on Azure, whatever this machine has; there is a row of its own for it.
        "REQUESTS_CA_BUNDLE": "",
    }


@cache
def app_function() -> _Function:
    """``receive_notifications`` as function_app.py has it, before a host wraps it. An app may be asked once only."""
    found = {each.get_function_name(): each.get_user_function() for each in function_app.app.get_functions()}
    return cast("_Function", found["receive_notifications"])


def use_storage(connection_string: str) -> None:
    """Have the app start again with its storage there."""
    os.environ.update(app_settings(connection_string))
    parts.reset()


async def leave_storage() -> None:
    """Close the app's connections."""
    inbox = wiring.receiving().inbox
    assert isinstance(inbox, BlobInbox)
    await inbox.close()


def shipped() -> Receiver:
    """The app's function; the host's write of the doorbell is not counted."""
    function = app_function()

    async def receive(request: func.HttpRequest) -> func.HttpResponse:
        return await function(request, Doorbell())

    return receive


def trusting(inbox: BlobInbox) -> Receiver:
    """The app's flow on an inbox that was opened otherwise."""
    flow = Receiving(inbox=inbox, client_states=(CLIENT_STATE,), max_body_bytes=MAX_BODY_BYTES, clock=utc_now)

    async def receive(request: func.HttpRequest) -> func.HttpResponse:
        return await functions_http.receive(request, Doorbell(), partial(flow.receive, NOTIFICATIONS))

    return receive


def ringing(ring: Callable[[str], Awaitable[None]]) -> Receiver:
    """The app's function, and the doorbell written before the answer counts."""
    function = app_function()

    async def receive(request: func.HttpRequest) -> func.HttpResponse:
        doorbell = Doorbell()
        answer = await function(request, doorbell)
        if doorbell.get():
            await ring(doorbell.get())
        return answer

    return receive


def write_only(container: ContainerClient) -> Receiver:
    """A function that does nothing but the blob write, on a client as the SDK makes it."""

    async def receive(request: func.HttpRequest) -> func.HttpResponse:
        await container.upload_blob(f"notifications/{uuid.uuid4()}.json", request.get_body())
        return func.HttpResponse(status_code=202)

    return receive


def keep_only() -> Receiver:
    """A function that does nothing but the app's own write, on the app's own client."""

    async def receive(request: func.HttpRequest) -> func.HttpResponse:
        now = utc_now()
        await wiring.receiving().inbox.keep(inbox_name(NOTIFICATIONS, now, uuid.uuid4()), request.get_body(), now)
        return func.HttpResponse(status_code=202)

    return receive


def in_threads(connection_string: str, pool: ThreadPoolExecutor) -> Receiver:
    """The same checks and the synchronous SDK, one thread for each post in work: how hosts run a plain ``def``."""
    container = open_container("inbox", connection_string=connection_string, service_uri=None, credential=None)

    async def receive(request: func.HttpRequest) -> func.HttpResponse:
        return await asyncio.get_running_loop().run_in_executor(pool, _receive_in_thread, container, request)

    return receive


def _receive_in_thread(container: BlobContainer, request: func.HttpRequest) -> func.HttpResponse:
    encoding = request.headers.get("content-encoding")
    post = WebhookRequest(request.params.get("validationToken"), encoding, request.get_body())
    check_size(post, max_body_bytes=MAX_BODY_BYTES)
    check_crowd(post.body)
    check_items(post.body, client_states=(CLIENT_STATE,))
    now = utc_now()
    assert container.create(
        inbox_name(NOTIFICATIONS, now, uuid.uuid4()), post.body, {"receivedat": format_instant(now)}
    )
    return func.HttpResponse(status_code=202)


def ring_by_sdk(queue: QueueClient) -> Callable[[str], Awaitable[None]]:
    """The doorbell as a second call of the SDK."""

    async def ring(name: str) -> None:
        await queue.send_message(name)

    return ring


def ring_bare(session: aiohttp.ClientSession, url: str) -> Callable[[str], Awaitable[None]]:
    """The doorbell as one HTTP call with a signed URL: about what the host's own write keeps storage busy with."""

    async def ring(name: str) -> None:
        body = f"<QueueMessage><MessageText>{escape(name)}</MessageText></QueueMessage>"
        async with session.post(url, data=body) as answer:
            assert answer.status == 201

    return ring
