"""A stand-in for Graph's export that takes next to no CPU: pages that are compressed already, over TLS, 20 ms away.

The simulator makes each page when it is asked for one, and would be what is measured. Here all that is made for a
request is the link to the next page. What a walk is like is said in the user's id, so that every turn can have users of
its own: how many pages, after how many milliseconds, and which page is first refused with 429. In the middle of each
walk is an empty page. Runs as a process of its own: ``python -m benchmarks.export_graph FOLDER``.
"""

import asyncio
import json
import re
import struct
import subprocess
import sys
import tempfile
import uuid
import zlib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import format_datetime
from pathlib import Path

from benchmarks.content import Content
from benchmarks.export_turns import PRESENT
from local.free_ports import LOOPBACK
from local.graph.tls import issue
from shared.core.export_window import PAGE_SIZE

LATENCY = 20
# Different pages; a longer walk sees them again under other links.
PAGES = 20

_USER = re.compile(r"/users/([0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8000-[0-9a-f]{12})(?:/|$)")
_PLACE = re.compile(r"skiptoken=(\d+)$")
_AGENT = re.compile(rb"(?im)^user-agent: *(.*?)\r$")
_GZIP = b"\x1f\x8b\x08" + bytes(6) + b"\xff"


@dataclass(frozen=True, slots=True)
class Walked:
    """What a walk is like. ``refused``: the number of the page that is answered with 429 once, 0 for none."""

    pages: int
    refused: int = 0
    latency: int = LATENCY

    def user(self) -> str:
        """The id of a user whom nobody has asked for yet, and whose pages are like this."""
        return f"{self.pages:08x}-{self.refused:04x}-4{self.latency:03x}-8000-{uuid.uuid4().hex[:12]}"

    @classmethod
    def of(cls, user: str) -> "Walked":
        """What an id says."""
        pages, refused, latency, *_ = user.split("-")
        return cls(int(pages, 16), int(refused, 16), int(latency[1:], 16))

    @property
    def requests(self) -> int:
        """How many pages there are together with the empty one."""
        return self.pages + (self.pages > 1)


@dataclass(slots=True)
class Seen:
    """What was asked for a user, and how the client called itself."""

    requests: int = 0
    refused: int = 0
    agent: str = ""


@dataclass(frozen=True, slots=True)
class _Piece:
    """The end of a page, which is the same for every user: plain, and compressed as the end of a stream."""

    plain: bytes
    packed: bytes

    @classmethod
    def of(cls, items: list[bytes]) -> "_Piece":
        plain = b'"value":[' + b",".join(items) + b"]}"
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        return cls(plain, packer.compress(plain) + packer.flush())

    def after(self, begin: bytes) -> bytes:
        """The whole page as gzip: the beginning in a block of its own, https://www.rfc-editor.org/rfc/rfc1952."""
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        packed = packer.compress(begin) + packer.flush(zlib.Z_SYNC_FLUSH)
        check = zlib.crc32(self.plain, zlib.crc32(begin))
        return _GZIP + packed + self.packed + struct.pack("<LL", check, len(begin) + len(self.plain))


class PreparedGraph:
    """Answers requests for pages, and for what it has seen of a user (``/seen/users/{id}``)."""

    def __init__(self) -> None:
        content = Content(seed=2048)
        self._pages = [_Piece.of([content.interaction()[1] for _ in range(PAGE_SIZE)]) for _ in range(PAGES)]
        self._empty = _Piece.of([])
        self._seen: defaultdict[str, Seen] = defaultdict(Seen)
        self.origin = ""

    @property
    def page_bytes(self) -> tuple[int, int]:
        """The size of a page on average, plain and compressed."""
        return sum(len(page.plain) for page in self._pages) // PAGES, sum(
            len(page.packed) for page in self._pages
        ) // PAGES

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until it ends."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                target = head.split(b" ", 2)[1].decode()
                found = _USER.search(target)
                if found is None:
                    writer.write(_answer(404, b"{}"))
                elif target.startswith("/seen/"):
                    writer.write(_answer(200, json.dumps(self._told(found[1])).encode()))
                else:
                    await asyncio.sleep(Walked.of(found[1]).latency / 1000)
                    writer.write(self._page(target, found[1], head))
                await writer.drain()
        writer.close()

    def _told(self, user: str) -> dict[str, object]:
        seen = self._seen[user]
        return {"requests": seen.requests, "refused": seen.refused, "agent": seen.agent}

    def _page(self, target: str, user: str, head: bytes) -> bytes:
        walked, seen = Walked.of(user), self._seen[user]
        place = _PLACE.search(target)
        number = int(place[1]) if place else 0
        agent = _AGENT.search(head)
        seen.requests += 1
        seen.agent = agent[1].decode() if agent else ""
        if number + 1 == walked.refused and not seen.refused:
            seen.refused += 1
            return _answer(429, b'{"error":{"code":"TooManyRequests","message":"Too many."}}', "Retry-After: 1\r\n")
        begin = b"{"
        if number + 1 < walked.requests:
            link = f"{self.origin}{target.partition('?')[0]}?$skiptoken={number + 1}"
            begin += b'"@odata.nextLink":' + json.dumps(link).encode() + b","
        empty = walked.pages > 1 and number == walked.requests // 2
        piece = self._empty if empty else self._pages[number % PAGES]
        return _answer(200, piece.after(begin), "Content-Encoding: gzip\r\n")


def _answer(status: int, body: bytes, headers: str = "") -> bytes:
    return (
        f"HTTP/1.1 {status} {'OK' if status == 200 else 'No'}\r\nContent-Type: application/json\r\n"
        f"Date: {format_datetime(PRESENT, usegmt=True)}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


@dataclass(frozen=True, slots=True)
class Served:
    """Where it is, whom to trust, and how large a page is, plain and compressed."""

    origin: str
    ca_file: str
    page_bytes: tuple[int, int]


@contextmanager
def prepared_graph() -> Iterator[Served]:
    """It, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.export_graph", folder]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            told = json.loads(server.stdout.readline())
            yield Served(told["origin"], told["caFile"], tuple(told["pageBytes"]))
        finally:
            server.terminate()
            server.wait()


async def main() -> None:
    """Serve until ended."""
    graph, files = PreparedGraph(), issue(Path(sys.argv[1]))
    server = await asyncio.start_server(graph.serve, LOOPBACK, 0, ssl=files.server_context(), backlog=256)
    graph.origin = f"https://{LOOPBACK}:{server.sockets[0].getsockname()[1]}"
    told = {"origin": graph.origin, "caFile": str(files.ca_file), "pageBytes": graph.page_bytes}
    print(json.dumps(told), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
