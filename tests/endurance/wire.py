"""As much of HTTP/1.1 as a proxy needs to tell one message from the next."""

import asyncio
from dataclasses import dataclass


class Broken(Exception):
    """The other side does not speak HTTP, or stopped in the middle."""


@dataclass(frozen=True, slots=True)
class Message:
    """A request or an answer, bytes as they came. ``closes``: the connection ends with it."""

    head: bytes
    body: bytes
    method: str = ""
    path: str = ""
    closes: bool = False
    status: int = 0


async def read_request(reader: asyncio.StreamReader) -> Message | None:
    """The next request, None where the caller has hung up."""
    head = await _head(reader)
    if head is None:
        return None
    line, headers = _parsed(head)
    method, _, rest = line.partition(" ")
    return Message(head, await _body(reader, headers), method, rest.rpartition(" ")[0])


async def read_response(reader: asyncio.StreamReader, method: str) -> Message:
    """All of an answer to a request of that method."""
    head = await _head(reader)
    if head is None:
        raise Broken("no answer")
    line, headers = _parsed(head)
    status = int(line.split(" ")[1])
    closes = headers.get("connection", "").lower() == "close"
    if method == "HEAD" or status in {204, 304}:
        return Message(head, b"", closes=closes, status=status)
    if "content-length" not in headers and "transfer-encoding" not in headers:
        return Message(head, await reader.read(), closes=True, status=status)
    return Message(head, await _body(reader, headers), closes=closes, status=status)


async def _head(reader: asyncio.StreamReader) -> bytes | None:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise Broken("the head is cut") from error
        return None


def _parsed(head: bytes) -> tuple[str, dict[str, str]]:
    line, *fields = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    pairs = (field.partition(":") for field in fields)
    return line, {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return await _chunks(reader)
    return await reader.readexactly(int(headers.get("content-length", "0")))


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    raw = b""
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        raw += line + await reader.readexactly(size + 2)
        if size == 0:
            return raw
