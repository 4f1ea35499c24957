"""The world as ``shared/ports.py`` promises it, in memory, and able to fail on cue at any call.

Every call to a port goes through one ``World``, which counts it, and which a test tells when to fail: before the call
took effect, or after it did (an acknowledgement that got lost, a process killed right after a write).
"""

import base64
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from shared.core.decryption import DecryptionKey
from shared.core.errors import GraphUnavailable, StorageUnavailable, UnknownCertificate
from shared.core.instants import format_instant
from shared.ports import Blob, CertificateVersion

NOW = datetime(2026, 1, 5, 9, 30, 10, tzinfo=UTC)
MAX_BLOB_NAME = 1024
# 64 KiB as it travels, which is base64: https://learn.microsoft.com/rest/api/storageservices/put-message
MAX_MESSAGE = 64 * 1024


class Crash(BaseException):
    """The process is gone. No ``except Exception`` of the app may outlive that."""


@dataclass
class _Trouble:
    """What happens at calls that match: ``times`` of them, then never again."""

    matches: Callable[[int, str], bool]
    error: BaseException
    after: bool
    times: int


@dataclass
class World:
    """The clock, the record of calls, and the troubles to come."""

    now: datetime = NOW
    calls: list[str] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    # What happens in between, just before a matching call: somebody else's work.
    meanwhile: dict[str, Callable[[], None]] = field(default_factory=dict)
    _troubles: list[_Trouble] = field(default_factory=list)

    def clock(self) -> datetime:
        """The present instant."""
        return self.now

    def pass_time(self, **spans: float) -> None:
        """Let time pass: the arguments are those of timedelta."""
        self.now += timedelta(**spans)

    def sleep(self, seconds: float) -> None:
        """Sleeping is time that passes."""
        assert seconds >= 0
        self.slept.append(seconds)
        self.pass_time(seconds=seconds)

    def fail(
        self, call: str, error: BaseException | None = None, *, after: bool = False, times: int = 1_000_000
    ) -> None:
        """Fail calls whose label begins with ``call``, such as ``interactions.create``; storage trouble by default."""
        trouble = error or StorageUnavailable(f"{call} did not answer")
        self._troubles.append(_Trouble(lambda _, label: label.startswith(call), trouble, after, times))

    def fail_call(self, number: int, error: BaseException, *, after: bool) -> None:
        """Fail the call of that number, counted from 0."""
        self._troubles.append(_Trouble(lambda index, _: index == number, error, after, 1))

    def recover(self) -> None:
        """All is well again."""
        self._troubles.clear()

    def called(self, call: str) -> int:
        """How many calls have a label that begins with ``call``."""
        return sum(label.startswith(call) for label in self.calls)

    @contextmanager
    def call(self, label: str) -> Iterator[None]:
        """One call to a port."""
        for start in [start for start in self.meanwhile if label.startswith(start)]:
            self.meanwhile.pop(start)()
        index = len(self.calls)
        self.calls.append(label)
        trouble = next((each for each in self._troubles if each.times > 0 and each.matches(index, label)), None)
        if trouble is not None:
            trouble.times -= 1
        if trouble is not None and not trouble.after:
            raise trouble.error
        yield
        if trouble is not None:
            raise trouble.error

    @contextmanager
    def graph_call(self, label: str) -> Iterator[None]:
        """One call to Graph. A test that breaks call after call does so in storage's words: here it is no answer."""
        try:
            with self.call(label):
                yield
        except StorageUnavailable as error:
            raise GraphUnavailable(str(error)) from error


class MemoryContainer:
    """A blob container: create-only, guarded by ETags, listed in pages, strict about what real storage refuses."""

    def __init__(self, name: str, world: World, *, page_size: int = 3) -> None:
        self.name = name
        self.blobs: dict[str, Blob] = {}
        self._world = world
        self._page_size = page_size
        self._writes = 0

    def create(self, name: str, content: bytes, metadata: Mapping[str, str]) -> bool:
        """See the port."""
        _check_name(name)
        _check_metadata(metadata)
        with self._world.call(f"{self.name}.create {name}"):
            free = name not in self.blobs
            if free:
                self._write(name, content, metadata)
        return free

    def metadata(self, name: str) -> Mapping[str, str] | None:
        """See the port."""
        with self._world.call(f"{self.name}.metadata {name}"):
            blob = self.blobs.get(name)
        return None if blob is None else dict(blob.metadata)

    def read(self, name: str) -> Blob | None:
        """See the port."""
        with self._world.call(f"{self.name}.read {name}"):
            return self.blobs.get(name)

    def replace(self, name: str, content: bytes, etag: str, metadata: Mapping[str, str] | None = None) -> bool:
        """See the port."""
        _check_metadata(metadata or {})
        with self._world.call(f"{self.name}.replace {name}"):
            blob = self.blobs.get(name)
            unchanged = blob is not None and blob.etag == etag
            if blob is not None and unchanged:
                self._write(name, content, blob.metadata if metadata is None else metadata)
        return unchanged

    def delete(self, name: str, etag: str | None = None) -> bool:
        """See the port."""
        with self._world.call(f"{self.name}.delete {name}"):
            blob = self.blobs.get(name)
            there = blob is not None and etag in (None, blob.etag)
            if there:
                del self.blobs[name]
        return there

    def names(self, prefix: str = "") -> Iterator[str]:
        """See the port. A page shows what is there when it is fetched, not when the listing began."""
        return (name for name, _ in self._listed("names", prefix))

    def described(self, prefix: str) -> Iterator[tuple[str, Mapping[str, str]]]:
        """See the port. In pages, as names are."""
        return ((name, dict(blob.metadata)) for name, blob in self._listed("described", prefix))

    def ages(self, prefix: str) -> Iterator[datetime]:
        """See the port."""
        with self._world.call(f"{self.name}.ages {prefix}"):
            found = [blob.last_modified for name, blob in sorted(self.blobs.items()) if name.startswith(prefix)]
        yield from found

    def folders(self) -> Iterator[str]:
        """See the port."""
        with self._world.call(f"{self.name}.folders"):
            found = sorted({name.partition("/")[0] for name in self.blobs if "/" in name})
        yield from found

    def in_folders(self) -> Counter[str]:
        """How many blobs there are in each folder."""
        return Counter(name.partition("/")[0] for name in self.blobs)

    def _listed(self, verb: str, prefix: str) -> Iterator[tuple[str, Blob]]:
        last = ""
        while True:
            with self._world.call(f"{self.name}.{verb} {prefix}"):
                following = (name for name in sorted(self.blobs) if name.startswith(prefix) and name > last)
                page = [(name, self.blobs[name]) for name in islice(following, self._page_size)]
            yield from page
            if len(page) < self._page_size:
                return
            last = page[-1][0]

    def _write(self, name: str, content: bytes, metadata: Mapping[str, str]) -> None:
        self._writes += 1
        self.blobs[name] = Blob(content, dict(metadata), f'"{self._writes}"', self._world.now)


class MemoryInbox:
    """The InboxWriter port on a container."""

    def __init__(self, container: MemoryContainer, world: World) -> None:
        self._container = container
        self._world = world

    async def keep(self, name: str, body: bytes, received_at: datetime) -> None:
        """See the port."""
        self._container.create(name, body, {"receivedat": format_instant(received_at)})

    async def check(self) -> None:
        """See the port."""
        with self._world.call("inbox.check"):
            pass


class MemoryDoorbell:
    """The Doorbell port. ``waiting`` messages are on the queue before the first ring.

    ``rings`` are the messages that are on it since, each with when it is seen from.
    """

    def __init__(self, world: World, waiting: int = 0) -> None:
        self.rings: list[tuple[str, datetime]] = []
        self.waiting = waiting
        self._world = world

    @property
    def rung(self) -> list[str]:
        """The messages alone."""
        return [name for name, _ in self.rings]

    def ring(self, name: str, after: timedelta = timedelta(0)) -> None:
        """See the port."""
        assert timedelta(0) <= after <= timedelta(days=7), "storage hides nothing for so long"
        assert len(base64.b64encode(name.encode())) <= MAX_MESSAGE, "storage refuses a message of that size"
        with self._world.call(f"doorbell.ring {name}"):
            self.rings.append((name, self._world.now + after))

    def ring_all(self, names: Iterable[str]) -> None:
        """See the port."""
        for name in names:
            self.ring(name)

    def take(self) -> list[str]:
        """What is seen now leaves the queue, as it came."""
        seen = [name for name, at in self.rings if at <= self._world.now]
        self.rings = [(name, at) for name, at in self.rings if at > self._world.now]
        return seen

    def depth(self) -> int:
        """See the port."""
        with self._world.call("doorbell.depth"):
            return self.waiting + len(self.rings)


class MemorySigningKeys:
    """The SigningKeys port: what is not in ``published`` is unknown for certain."""

    def __init__(self, world: World, published: Mapping[tuple[str, str], RSAPublicKey]) -> None:
        self.published = dict(published)
        self._world = world

    def find(self, issuer: str, kid: str, received_at: datetime) -> RSAPublicKey | None:
        """See the port."""
        assert received_at.tzinfo is not None
        with self._world.call(f"signing-keys.find {kid}"):
            return self.published.get((issuer, kid))


class MemoryKeyRing:
    """The KeyRing port. ``refusals`` holds what Key Vault says about versions that it does not give."""

    def __init__(self, world: World, keys: Mapping[str, DecryptionKey]) -> None:
        self.keys = dict(keys)
        self.refusals: dict[str, Exception] = {}
        self.newest: CertificateVersion | Exception = UnknownCertificate("there is no certificate")
        self._world = world

    def key(self, certificate_id: str) -> DecryptionKey:
        """See the port."""
        with self._world.call(f"key-ring.key {certificate_id}"):
            if certificate_id in self.refusals:
                raise self.refusals[certificate_id]
            if certificate_id not in self.keys:
                raise UnknownCertificate("Key Vault has no such version")
            return self.keys[certificate_id]

    def current(self) -> CertificateVersion:
        """See the port."""
        with self._world.call("key-ring.current"):
            if isinstance(self.newest, Exception):
                raise self.newest
            return self.newest


def _check_name(name: str) -> None:
    """https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata."""
    assert 0 < len(name) <= MAX_BLOB_NAME, "storage refuses the length of the name"
    assert name.isascii(), "a name that not every tool can write"
    assert name.isprintable(), "storage refuses control characters"
    assert not set("\\%?#") & set(name), "a name that resolves differently in a URL"
    assert not [part for part in name.split("/") if part in ("", ".", "..") or part.endswith(".")], (
        "a path that resolves"
    )


def _check_metadata(metadata: Mapping[str, str]) -> None:
    """Names are C# identifiers, and names and values travel as HTTP headers."""
    for name, value in metadata.items():
        assert re.fullmatch(r"[a-z_][a-z0-9_]*", name), f"storage refuses the metadata name {name!r}"
        assert re.fullmatch(r"[!-~](?:[ -~]*[!-~])?", value), f"a header can't carry the value of {name}"
