"""Requests that no sane client sends: refused with Graph's error object, and never 500."""

import base64
import json
import socket
import ssl
from typing import Any

import pytest

from local.graph import Simulator
from local.graph.directory import COPILOT_SKU
from local.graph.threaded import ThreadedSimulator
from tests.integration.local.graph_calls import Body, body, call, create
from tests.integration.local.graph_support import Receiver

pytest_plugins = ("tests.integration.local.graph_fixtures",)
HOLDERS = f"/v1.0/users?$filter=assignedLicenses/any(u:u/skuId eq {COPILOT_SKU})"
# An hour that exists where the offset says, and in no year of UTC that a date can have.
TIMELESS = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00")
MANY_DIGITS = "9" * 5000


def export_of(simulator: Simulator, query: str) -> str:
    user = simulator.directory.accounts()[0].id
    return f"/v1.0/copilot/users/{user}/interactionHistory/getAllEnterpriseInteractions?{query}"


async def refused(simulator: Simulator, path: str, **headers: str) -> Body:
    status, answer, _ = await call(simulator, "GET", path, **headers)
    assert status == 400, answer
    error: Body = answer["error"]
    return error


async def test_a_page_size_of_more_digits_than_python_reads(simulator: Simulator) -> None:
    for path in (f"{HOLDERS}&$top={MANY_DIGITS}", export_of(simulator, f"$top={MANY_DIGITS}")):
        assert (await refused(simulator, path))["message"].startswith("Invalid page size specified")


@pytest.mark.parametrize(("text", "size"), [("1", 1), ("007", 7)])
async def test_page_sizes(simulator: Simulator, text: str, size: int) -> None:
    _, page, _ = await call(simulator, "GET", f"{HOLDERS}&$top={text}")
    assert len(page["value"]) == size


@pytest.mark.parametrize("moment", TIMELESS)
async def test_a_time_beyond_the_years_that_there_are(simulator: Simulator, receiver: Receiver, moment: str) -> None:
    status, answer = await create(simulator, body(simulator, receiver, expirationDateTime=moment))
    assert (status, receiver.probes) == (400, []), answer
    bounds = f"$filter=createdDateTime gt {moment} and createdDateTime lt {moment}".replace("+", "%2B")
    assert (await refused(simulator, export_of(simulator, bounds)))["code"] == "BadRequest"


@pytest.mark.parametrize("name", ["clientState", "encryptionCertificateId"])
@pytest.mark.parametrize("rich", [True, False])
async def test_a_text_that_is_too_long(simulator: Simulator, receiver: Receiver, name: str, rich: bool) -> None:
    status, answer = await create(simulator, body(simulator, receiver, includeResourceData=rich, **{name: "x" * 129}))
    assert (status, receiver.probes) == (400, []), answer
    assert answer["error"]["message"] == f"Property {name} must not exceed 128 characters."


async def test_a_page_before_the_first(simulator: Simulator) -> None:
    token = base64.urlsafe_b64encode(b"-3").decode()
    assert (await refused(simulator, f"{HOLDERS}&$skiptoken={token}"))["code"] == "Directory_ExpiredPageToken"


async def test_a_count_that_is_neither_asked_for_nor_not(simulator: Simulator) -> None:
    error = await refused(simulator, f"{HOLDERS}&$count=perhaps", ConsistencyLevel="eventual")
    assert "$count" in error["message"]


async def test_a_batch_with_half_a_surrogate_pair_in_a_url(simulator: Simulator) -> None:
    url = HOLDERS.removeprefix("/v1.0") + "&$top=1&$select=id\ud800"
    requests = [{"id": "1", "method": "GET", "url": url}]
    status, answer, _ = await call(simulator, "POST", "/v1.0/$batch", {"requests": requests})
    assert (status, answer["error"]["code"]) == (400, "BadRequest")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/v1.0/subscriptions", "GET, POST"), ("/v1.0/subscriptions/x", "DELETE, GET, PATCH"), ("/v1.0/$batch", "POST")],
)
async def test_a_wrong_method_is_told_the_right_ones(simulator: Simulator, path: str, allowed: str) -> None:
    status, answer, response = await call(simulator, "PUT", path)
    assert (status, answer["error"]["code"], response.headers["Allow"]) == (405, "MethodNotAllowed", allowed)


def test_a_token_that_is_no_text(lasting: ThreadedSimulator) -> None:
    """By hand: clients refuse to send it."""
    status, answer = _exchange(lasting.graph, b"GET /v1.0/subscriptions HTTP/1.1", b"Authorization: Bearer \xff\xfe")
    assert (status, answer["error"]["code"]) == (401, "InvalidAuthenticationToken")


def _exchange(graph: Simulator, line: bytes, header: bytes) -> tuple[int, dict[str, Any]]:
    port = int(graph.graph_endpoint.rpartition(":")[2])
    context = ssl.create_default_context(cafile=graph.folder / "ca.pem")
    with (
        socket.create_connection(("localhost", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(b"\r\n".join([line, b"Host: localhost", b"Connection: close", header, b"", b""]))
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, content = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(content)
