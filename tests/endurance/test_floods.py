"""Floods from the internet: nothing of them is stored, nobody else is asked for them, and genuine posts come through.

Times are printed and not asserted: what they are depends on the machine (``pytest -s``). Quiet and flood alternate, and
the forger is a process of his own.
"""

import asyncio
import base64
import io
import json
import os
import random
import re
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import aiohttp
import pytest

from benchmarks.flood_sender import Flooded, flooding, genuine_posts
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
# Rounds of quiet and flood, and genuine posts in each half. FLOOD_POSTS=120 makes the percentile one.
ROUNDS, POSTS = 2, int(os.environ.get("FLOOD_POSTS", "15"))
# Posts that make the app look up all keys it needs: their tokens are of either version, as the dice fall.
FIRST = 10
# Forged posts a second.
RATE = 30
# Room for what an allocator keeps; the floods themselves are a hundred times that.
MEBIBYTES = 48


@pytest.fixture
def siege(tmp_path: Path) -> Iterator[Siege]:
    """The real host behind the proxy, which counts what it asks of anybody; it has archived one post."""
    with besieged(tmp_path, 11, RENEW_SCHEDULE=NEVER) as running:
        running.cloud.call(lambda graph: setattr(graph.traffic, "faults", Faults.friendly()))
        running.renew()
        _wait_until_still(running)
        yield running


@pytest.fixture
def press(siege: Siege) -> Press:
    (subscription,) = siege.cloud.graph.subscriptions.living()
    return Press(siege.cloud.graph, subscription)


def _wait_until_still(siege: Siege) -> None:
    """Graph has the subscription before the app has noted it."""
    asked = -1
    while asked != (asked := sum(call.gate == "cloud" or "/state/" in call.path for call in siege.proxy.calls)):
        time.sleep(2)


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


def send(siege: Siege, bodies: Sequence[bytes]) -> list[float]:
    """Post what is genuine; how long each took. Every one must be taken."""
    return asyncio.run(genuine_posts(f"{siege.host.url}/api/notifications", bodies))


def resident(siege: Siege) -> float:
    """The host's memory in MiB."""
    status = Path(f"/proc/{siege.host.pid}/status")
    if not status.exists():
        pytest.skip("the memory of a process is read from /proc")
    return int(re.search(r"VmRSS:\s+(\d+)", status.read_text())[1]) / 1024  # type: ignore[index] # always there


def test_what_does_not_carry_our_client_state_costs_nobody_else_anything(siege: Siege, press: Press) -> None:
    bodies = [press.parcel(press.genuine(change)).body for change in press.changes(FIRST + 2 * ROUNDS * POSTS)]
    send(siege, bodies[:FIRST])
    del bodies[:FIRST]
    siege.wait_for_rest()
    memory = [resident(siege)]
    siege.proxy.begin()
    flooded, quiet, during = Flooded(), [], []
    for begin in range(0, len(bodies), 2 * POSTS):
        quiet += send(siege, bodies[begin : begin + POSTS])
        with flooding(f"{siege.host.url}/api/notifications", RATE, siege.cloud.graph.client_state) as flow:
            during += send(siege, bodies[begin + POSTS : begin + 2 * POSTS])
        flooded.statuses += flow.statuses
        flooded.cores = max(flooded.cores, flow.cores)
        siege.wait_for_rest()
        memory.append(resident(siege))
    stored = [call for call in siege.proxy.calls if call.gate == "blob" and call.method == "PUT"]
    # By name: what the sweeper rings for while the worker is at it may be written twice, once in vain.
    assert len({call.path for call in stored if "/inbox/" in call.path}) == len(bodies)
    assert len({call.path for call in stored if "/interactions/" in call.path}) == len(bodies)
    assert not [call for call in stored if "/dead-letters/" in call.path]
    assert not [call for call in siege.proxy.calls if call.gate == "cloud"]
    assert flooded.statuses
    assert not [status for status in flooded.statuses if 200 <= status < 300]
    _print(f"answers {dict(flooded.statuses)}; MiB of memory before and after each flood: {[round(m) for m in memory]}")
    _print(
        f"{len(quiet)} genuine posts: p99 {_p99(quiet):.0f} ms in quiet; {_p99(during):.0f} ms, "
        f"{_p99(during) / _p99(quiet):.1f} times that, under {flooded.statuses.total()} forged ones, "
        f"whose sender took {flooded.cores:.2f} of a core; benchmarks/flood.py tells the machine's part from the app's"
    )
    # Heavy bodies wait for their turn, a few megabytes on each connection, and what held them is used again.
    assert memory[1] - memory[0] < 2 * MEBIBYTES
    assert memory[-1] - memory[1] < MEBIBYTES


def test_handshakes_with_huge_tokens_are_refused_and_touch_nothing(siege: Siege) -> None:
    memory = resident(siege)
    siege.proxy.begin()
    for length in (4097, 8000, 60_000):
        statuses = asyncio.run(flood(siege, [b""] * 60, query=f"?validationToken={'x' * length}"))
        assert {400, 414, 431, 0} >= set(statuses)
    # Timers go on with their own.
    assert not [call for call in siege.proxy.calls if call.gate == "cloud" or "/inbox/" in call.path]
    assert resident(siege) - memory < MEBIBYTES


def test_unknown_signing_keys_are_asked_for_once_in_a_cool_down(siege: Siege, press: Press) -> None:
    # Whoever sends these knows our clientState. Each is kept, judged and told of; Entra ID hears of it once.
    send(siege, [press.parcel(press.genuine(press.changes(1)[0])).body])
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
    # Whoever was answered 503 may have been kept all the same: storage's word came too late.
    dead = siege.figure().dead_letters
    assert set(dead) == {"not-genuine"}
    assert statuses.count(202) <= dead["not-genuine"] <= len(parcels)


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
