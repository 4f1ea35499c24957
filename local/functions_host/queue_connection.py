"""Turns a binding's `connection` into a client of Queue storage.

A connection is a connection string, or the identity form with its parts under `{name}__`:
https://learn.microsoft.com/azure/azure-functions/functions-reference#connections
"""

import os
from typing import Any, Self

from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from local.functions_host.errors import LoadError

# An output is written while a caller waits: one repeat at once (the server may have closed an idle connection), and
# then the caller is told. The defaults of the SDK would keep it waiting for more than a minute.
_OUTPUT = {"connection_timeout": 1, "read_timeout": 2, "retry_total": 1}
# A listener can wait, and must not give up early: messages in an answer that nobody reads stay invisible.
_POLLING = {"connection_timeout": 2, "read_timeout": 10, "retry_total": 2, "initial_backoff": 1}
_RETRY_AT_ONCE = {"initial_backoff": 0, "increment_base": 0, "random_jitter_range": 0}
_EMULATOR = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey="
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1"
)


Credential = DefaultAzureCredential | ManagedIdentityCredential


class QueueConnections:
    """Opens each connection once for outputs and once for polling. An async context manager: it closes them all."""

    def __init__(self) -> None:
        self._services: dict[tuple[str, bool], QueueServiceClient] = {}
        self._credentials: list[Credential] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for resource in (*self._services.values(), *self._credentials):
            await resource.close()

    def for_output(self, connection: str, queue: str) -> QueueClient:
        """A client that gives up within about three seconds."""
        return self._service(connection, polling=False).get_queue_client(queue)

    def for_polling(self, connection: str, queue: str) -> QueueClient:
        """A client that waits for a slow server and repeats what failed."""
        return self._service(connection, polling=True).get_queue_client(queue)

    def _service(self, connection: str, *, polling: bool) -> QueueServiceClient:
        key = (connection, polling)
        if key not in self._services:
            self._services[key] = self._open(connection, {**_RETRY_AT_ONCE, **(_POLLING if polling else _OUTPUT)})
        return self._services[key]

    def _open(self, connection: str, options: dict[str, Any]) -> QueueServiceClient:
        # The SDK's transport looks at no environment variable for its authorities.
        options["connection_verify"] = os.environ.get("REQUESTS_CA_BUNDLE") or True
        text = _setting(connection)
        if text is not None:
            text = _EMULATOR if text.strip(";").lower() == "usedevelopmentstorage=true" else text
            return _from_string(connection, text, options)
        url = _setting(f"{connection}__queueServiceUri")
        account = _setting(f"{connection}__accountName")
        if url is None and account is None:
            raise LoadError(
                f"storage connection {connection}: neither {connection} nor {connection}__queueServiceUri is set"
            )
        url = url or f"https://{account}.queue.core.windows.net"
        return QueueServiceClient(url, credential=self._credential(connection), **options)

    def _credential(self, connection: str) -> Credential:
        client_id = _setting(f"{connection}__clientId")
        credential: Credential
        if (_setting(f"{connection}__credential") or "").lower() == "managedidentity":
            credential = ManagedIdentityCredential(client_id=client_id)
        else:
            credential = DefaultAzureCredential(managed_identity_client_id=client_id)
        self._credentials.append(credential)
        return credential


def _from_string(connection: str, text: str, options: dict[str, Any]) -> QueueServiceClient:
    try:
        return QueueServiceClient.from_connection_string(text, **options)
    except ValueError as error:
        # The SDK's message may quote the string, and the string holds a key.
        raise LoadError(f"storage connection {connection}: not a connection string ({type(error).__name__})") from None


def _setting(name: str) -> str | None:
    # The host prefers its own prefix: a binding's "Archive" may be set as AzureWebJobsArchive.
    return os.environ.get(f"AzureWebJobs{name}") or os.environ.get(name) or None
