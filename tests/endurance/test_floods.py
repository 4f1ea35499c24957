"""Floods from the internet: nothing of them is stored, nobody else is asked for them, and genuine posts come through.

Times are printed and not asserted: what they are depends on the machine (``pytest -s``).
"""

import asyncio
import base64
import contextlib
import io
import json
import random
import re
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from local.graph.faults import Faults
from local.graph.validation_tokens import genuine
from tests.endurance.posts import Parcel, Press
from tests.endurance.siege import Siege, besieged

pytestmark = pytest.mark.timeout(600)

# The care for subscriptions asks Graph and Key Vault, and is not what is flooded here.
NEVER = "0 0 0 1 1 *"
# Two configurations and two lists of keys, for tokens of version 1.0 and 2.0.
ONE_LOOK = 4
COOL_DOWN_SECONDS = 30
# Room for what an allocator keeps; the floods themselves are a hundred times that.
MEBIBYTES = 48


@pytest.fixture
def siege(tmp_path: Path) -> Iterator[Siege]:
    """The real host behind the proxy, which counts what it asks of anybody; it has archived one post."""
    with besieged(tmp_path, 11, RENEW_SCHEDULE=NEVER) as running:
        running.cloud.call(lambda graph: setattr(graph.traffic, "faults", Faults.friendly()))
        running.renew()
        yield running


@pytest.fixture
def press(siege: Siege) -> Press:
    (subscription,) = siege.cloud.graph.subscriptions.living()
    return Press(siege.cloud.graph, subscription)


async def flood(siege: Siege, bodies: list[bytes], *, query: str = "", lanes: int = 16) -> list[int]:
    """Post bodies on so many connections at once; returns the answers' status."""
    waiting = list(bodies)
    statuses: list[int] = []
    async with aiohttp.ClientSession() as session:

        async def lane() -> None:
            while waiting:
                body = waiting.pop()
                try:
                    url = f"{siege.host.url}/api/notifications{query}"
                    async with session.post(url, data=io.BytesIO(body)) as answer:
                        statuses.append(answer.status)
                except aiohttp.ClientError:
                    statuses.append(0)

        await asyncio.gather(*(lane() for _ in range(lanes)))
    return statuses


async def genuine_posts(siege: Siege, parcels: list[Parcel]) -> list[float]:
    """Post them one after the other; returns how long each answer took. Every one must be taken."""
    took = []
    async with aiohttp.ClientSession() as session:
        for parcel in parcels:
            status, started = 0, time.monotonic()
            while status != 202:
                async with session.post(f"{siege.host.url}/api/notifications", data=parcel.body) as answer:
                    status = answer.status
                assert status in {202, 503}
            took.append(time.monotonic() - started)
    return took


def resident(siege: Siege) -> float:
    """The host's memory in MiB."""
    status = Path(f"/proc/{siege.host.pid}/status")
    if not status.exists():
        pytest.skip("the memory of a process is read from /proc")
    return int(re.search(r"VmRSS:\s+(\d+)", status.read_text())[1]) / 1024  # type: ignore[index] # always there


def garbage(siege: Siege) -> list[bytes]:
    """Bodies that forgers without our clientState send, from cheap to costly."""
    forged = {"clientState": "x" * 128, "subscriptionId": str(uuid.uuid4()), "encryptedContent": {"data": "A" * 4000}}
    return [
        b"",
        b"\xff" * 2000,
        b"[" * 100_000,
        b'{"value": [' + b"{}," * 100_000 + b"{}]}",
        json.dumps({"value": [forged] * 100}).encode(),
        json.dumps({"value": [{"clientState": siege.cloud.graph.client_state[:-1]}] * 1000}).encode(),
        json.dumps({"value": [{"clientState": siege.cloud.graph.client_state}] * 10_000}).encode(),
        b'{"value": ["' + b"x" * 4_200_000 + b'"]}',
    ]


async def slow(siege: Siege, stop: asyncio.Event) -> None:
    """A body that comes byte by byte."""
    _, writer = await asyncio.open_connection("127.0.0.1", siege.host.port)
    with contextlib.suppress(OSError), contextlib.closing(writer):
        writer.write(b"POST /api/notifications HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        while not stop.is_set():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.2)


def test_what_does_not_carry_our_client_state_costs_nobody_else_anything(siege: Siege, press: Press) -> None:
    quiet, loud = ([press.parcel(press.genuine(change)) for change in press.changes(30)] for _ in range(2))
    before = asyncio.run(genuine_posts(siege, quiet))
    siege.wait_for_rest()
    memory = resident(siege)
    siege.proxy.begin()
    statuses, during = asyncio.run(_besiege(siege, garbage(siege) * 15, loud))
    siege.wait_for_rest()
    stored = [call for call in siege.proxy.calls if call.gate == "blob" and call.method == "PUT"]
    # By name: what the sweeper rings for while the worker is at it may be written twice, once in vain.
    assert len({call.path for call in stored if "/inbox/" in call.path}) == len(loud)
    assert len({call.path for call in stored if "/interactions/" in call.path}) == len(loud)
    assert not [call for call in stored if "/dead-letters/" in call.path]
    assert not [call for call in siege.proxy.calls if call.gate == "cloud"]
    assert not {status for status in statuses if 200 <= status < 300}
    grown = resident(siege) - memory
    _print(f"answers {sorted(set(statuses))}; memory {memory:.0f} MiB and {grown:+.0f} after the flood")
    _print(f"genuine posts: p99 {_p99(before):.0f} ms quiet, {_p99(during):.0f} ms under {len(statuses)} forged ones")
    assert grown < MEBIBYTES


async def _besiege(siege: Siege, bodies: list[bytes], parcels: list[Parcel]) -> tuple[list[int], list[float]]:
    stop = asyncio.Event()
    slow_ones = [asyncio.create_task(slow(siege, stop)) for _ in range(20)]
    flooding = asyncio.create_task(flood(siege, bodies))
    during = await genuine_posts(siege, parcels)
    statuses = await flooding
    stop.set()
    await asyncio.gather(*slow_ones)
    return statuses, during


def test_handshakes_with_huge_tokens_are_refused_and_touch_nothing(siege: Siege) -> None:
    memory = resident(siege)
    siege.proxy.begin()
    for length in (4097, 8000, 60_000):
        statuses = asyncio.run(flood(siege, [b""] * 60, query=f"?validationToken={'x' * length}"))
        assert {400, 414, 431, 0} >= set(statuses)
    assert not [call for call in siege.proxy.calls if call.gate != "queue"]
    assert resident(siege) - memory < MEBIBYTES


def test_unknown_signing_keys_are_asked_for_once_in_a_cool_down(siege: Siege, press: Press) -> None:
    # Whoever sends these knows our clientState. Each is kept, judged and told of; Entra ID hears of it once.
    asyncio.run(genuine_posts(siege, [press.parcel(press.genuine(press.changes(1)[0]))]))
    siege.wait_for_rest()
    siege.proxy.begin()
    started = time.monotonic()
    parcels = [_unknown_key(siege, press) for _ in range(120)]
    statuses = asyncio.run(flood(siege, [parcel.body for parcel in parcels]))
    assert set(statuses) <= {202, 503}
    siege.wait_for_rest()
    cool_downs = 1 + (time.monotonic() - started) // COOL_DOWN_SECONDS
    asked = [call for call in siege.proxy.calls if call.path.endswith(("/keys", "openid-configuration"))]
    vault = [call for call in siege.proxy.calls if "/secrets/" in call.path]
    _print(f"{len(parcels)} posts with unknown keys: Entra ID asked {len(asked)} times, Key Vault {len(vault)} times")
    assert len(asked) <= ONE_LOOK * cool_downs
    assert not vault
    dead = siege.figure().dead_letters
    assert dead == {"not-genuine": statuses.count(202)}


def _unknown_key(siege: Siege, press: Press) -> Parcel:
    graph = siege.cloud.graph
    made = genuine(graph.cloud.entra, random.Random(1), graph.tenant_id, graph.client_id)
    head, claims, signature = made.split(".")
    header = json.loads(base64.urlsafe_b64decode(head + "=="))
    spoilt = base64.urlsafe_b64encode(json.dumps({**header, "kid": str(uuid.uuid4())}).encode()).rstrip(b"=").decode()
    entry = press.forged(press.changes(1)[0], "unknown-key")
    return press.parcel(entry, tokens=[f"{spoilt}.{claims}.{signature}"])


def _p99(seconds: list[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.99)] * 1000


def _print(line: str) -> None:
    sys.stderr.write(f"\n{line}\n")
