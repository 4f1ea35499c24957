"""The Doorbell port on real Azurite."""

import base64
import uuid

import pytest
from azure.storage.queue import QueueClient

from local.azurite import Azurite
from local.free_ports import free_ports
from shared.adapters.storage_queue import open_queue
from shared.core.errors import StorageUnavailable


def test_a_ring_is_a_base64_message_that_never_expires(azurite: Azurite) -> None:
    name = f"q{uuid.uuid4().hex}"
    queue = open_queue(name, connection_string=azurite.connection_string, service_uri=None, credential=None)
    assert queue.depth() == 0
    queue.ring("notifications/2026/01/31/08/x.json")
    assert queue.depth() == 1
    with QueueClient.from_connection_string(azurite.connection_string, name) as client:
        message = next(iter(client.receive_messages()))
    # host.json's messageEncoding is base64: this is what the host expects to read.
    assert base64.b64decode(message.content) == b"notifications/2026/01/31/08/x.json"
    assert message.expires_on is not None
    assert message.expires_on.year == 9999


def test_a_queue_that_refuses_is_unavailable() -> None:
    (port,) = free_ports(1)
    connection = f"AccountName=a;AccountKey=a2V5;QueueEndpoint=http://127.0.0.1:{port}/a"
    queue = open_queue("q", connection_string=connection, service_uri=None, credential=None)
    with pytest.raises(StorageUnavailable, match="queue q did not answer"):
        queue.ring("n")
