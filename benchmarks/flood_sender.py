"""Who posts: a forger in a process of its own, and Graph beside him.

The forger sends garbage at a steady rate until his standard input ends: ``python -m benchmarks.flood_sender URL RATE
CLIENT_STATE``. He prints a line of JSON: how often he got which status (0 where the connection was lost), and how much
of a core he took, so that it can be told from what those take whom he floods.
"""

import asyncio
import contextlib
import io
import json
import os
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

REPOSITORY = Path(__file__).resolve().parents[1]
TICKS = os.sysconf("SC_CLK_TCK")
# Connections at once. Beyond them the forger waits: a rate that nobody could answer is not a rate.
LANES = 32
# Genuine posts come a few at once, as Graph sends them.
BURST, BURST_SECONDS = 3, 0.15
SLOW_BODIES = 20
SLOW_PAUSE_SECONDS = 0.2


@dataclass
class Flooded:
    """What a flood has come to, filled in when it is over."""

    statuses: Counter[int] = field(default_factory=Counter)
    cores: float = 0.0


def garbage(client_state: str) -> dict[str, bytes]:
    """Bodies without our clientState, or with too much of it, by what is wrong with them."""
    content = {"data": "A" * 4000}
    forged = {"clientState": "x" * 128, "subscriptionId": str(uuid.uuid4()), "encryptedContent": content}
    return {
        "nothing": b"",
        "no UTF-8": b"\xff" * 2000,
        "100,000 deep": b"[" * 100_000,
        "100 forged items": _posted([forged] * 100),
        "1,000 items, the secret but for a letter": _posted([{"clientState": client_state[:-1]}] * 1000),
        "10,000 items": _posted([{"clientState": client_state}] * 10_000),
        "9,990 empty items": b'{"value": [' + b"{}," * 9_990 + b"{}]}",
        "100,000 empty items": b'{"value": [' + b"{}," * 100_000 + b"{}]}",
        "1,000 items of 17 names": _posted([_named(17)] * 1000),
        "18,000 names of 220 letters": json.dumps({f"{number:x>220}": 0 for number in range(18_000)}).encode(),
        "1,000 numbers of 4,000 digits": b'{"value": [' + b",".join([b"9" * 4000] * 1000) + b"]}",
        "4 MB of brackets and escapes in a text": b'{"value": ["' + (b"[" * 23 + b"\\n") * 167_000 + b'"]}',
        "2 million arrays, few commas": b'{"value": [' + (b"[" * 30 + b"]" * 30 + b",") * 60_000 + b"[]]}",
        "over MAX_BODY_BYTES": b'{"value": ["' + b"x" * 4_200_000 + b'"]}',
    }


async def flood(url: str, rate: float, client_state: str, over: asyncio.Event) -> Counter[int]:
    """Post so many a second, and a few bodies that come byte by byte; returns how often which status came back."""
    statuses: Counter[int] = Counter()
    lanes = asyncio.Semaphore(LANES)
    slow_ones = [asyncio.create_task(_drip(url, over)) for _ in range(SLOW_BODIES)]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session, asyncio.TaskGroup() as group:

        async def post(body: bytes) -> None:
            try:
                async with session.post(url, data=io.BytesIO(body)) as answer:
                    statuses[answer.status] += 1
            except aiohttp.ClientError:
                statuses[0] += 1
            finally:
                lanes.release()

        begun = time.monotonic()
        for number, body in enumerate(cycle(garbage(client_state).values())):
            await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
            if over.is_set():
                break
            await lanes.acquire()
            group.create_task(post(body))
    await asyncio.gather(*slow_ones)
    return statuses


async def genuine_posts(url: str, bodies: Sequence[bytes]) -> list[float]:
    """Post a few at once, again and again, whether or not the last ones were answered; returns how long each took.

    What is answered 503 is sent again and its time goes on.
    """
    took: list[float] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session, asyncio.TaskGroup() as group:

        async def post(body: bytes) -> None:
            begun, status = time.perf_counter(), 503
            while status == 503:
                async with session.post(url, data=body) as answer:
                    status = answer.status
            assert status == 202, status
            took.append(time.perf_counter() - begun)

        begun = time.monotonic()
        for number, body in enumerate(bodies):
            await asyncio.sleep(max(0.0, begun + number // BURST * BURST_SECONDS - time.monotonic()))
            group.create_task(post(body))
    return took


async def _drip(url: str, over: asyncio.Event) -> None:
    """A body that comes byte by byte, on a new connection whenever the old one is closed."""
    to = urlsplit(url)
    while not over.is_set():
        _, writer = await asyncio.open_connection(to.hostname, to.port)
        with contextlib.suppress(OSError), contextlib.closing(writer):
            writer.write(f"POST {to.path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n".encode())
            while not over.is_set():
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(SLOW_PAUSE_SECONDS)


@contextmanager
def flooding(url: str, rate: float, client_state: str) -> Iterator[Flooded]:
    """A flood while the block runs; what it came to is known after it."""
    flooded = Flooded()
    command = [sys.executable, "-m", "benchmarks.flood_sender", url, str(rate), client_state]
    forger = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert forger.stdout is not None
    try:
        forger.stdout.readline()
        yield flooded
    finally:
        said, _ = forger.communicate()
    document = json.loads(said)
    flooded.statuses.update({int(status): count for status, count in document["statuses"].items()})
    flooded.cores = document["cores"]


def cpu_seconds(pid: int) -> float:
    """What a process has taken so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


async def _until_input_ends(url: str, rate: float, client_state: str) -> Counter[int]:
    over = asyncio.Event()
    flow = asyncio.create_task(flood(url, rate, client_state, over))
    print("begun", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    over.set()
    return await flow


def _named(names: int) -> dict[str, int]:
    """An object of so many names, of which two are the same but for their case."""
    return {**{f"name {number}": 0 for number in range(names - 1)}, "NAME 0": 0}


def _posted(items: Sequence[object]) -> bytes:
    return json.dumps({"value": items}).encode()


def main() -> None:
    """Flood until standard input ends."""
    url, rate, client_state = sys.argv[1:]
    cpu, begun = time.process_time(), time.monotonic()
    statuses = asyncio.run(_until_input_ends(url, float(rate), client_state))
    cores = (time.process_time() - cpu) / (time.monotonic() - begun)
    print(json.dumps({"statuses": statuses, "cores": cores}))


if __name__ == "__main__":
    main()
