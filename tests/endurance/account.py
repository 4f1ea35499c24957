"""A storage account of Azurite, filled and read without an SDK: what stands around a case must cost less than the case.

The app under attack calls storage by its own means. This is for whoever sets the scene and judges it.
"""

import http.client
import time
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from urllib.parse import quote
from xml.etree import ElementTree

from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

from tests.endurance.holdings import Stored

LOOPBACK = "127.0.0.1"
VERSION = "2024-11-04"
# Azurite closes what is idle for five seconds.
FRESH_SECONDS = 2.0
TAKEN = 409


class Account:
    """One account. What was put there by ``fill`` and has not changed since is not read again."""

    def __init__(self, name: str, key: str, blob_port: int, queue_port: int) -> None:
        self.name = name
        self._key = key
        self._blob_port = blob_port
        self._queue_port = queue_port
        self._known: dict[tuple[str, str], tuple[str, Stored]] = {}
        self._connection = http.client.HTTPConnection(LOOPBACK, blob_port)
        self._used = 0.0

    @property
    def connection_string(self) -> str:
        """For SDKs."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={self.name};AccountKey={self._key};"
            f"BlobEndpoint=http://{LOOPBACK}:{self._blob_port}/{self.name};"
            f"QueueEndpoint=http://{LOOPBACK}:{self._queue_port}/{self.name};"
        )

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def fill(self, containers: Iterable[str], blobs: Iterable[Stored]) -> None:
        """Make containers and put blobs into them, as they were."""
        for container in containers:
            self._ask("PUT", f"{container}?restype=container")
        for blob in blobs:
            headers = {"x-ms-blob-type": "BlockBlob"} | {f"x-ms-meta-{name}": of for name, of in blob.metadata.items()}
            headers["content-type"] = "application/octet-stream"
            answer, _ = self._ask("PUT", f"{blob.container}/{quote(blob.name)}", blob.content, headers)
            self._known[blob.container, blob.name] = _etag(answer.headers["etag"]), blob

    def read(self, containers: Collection[str] | None = None, *, page: int = 5000) -> list[Stored]:
        """Every blob, of these containers alone where they are named; ``page`` are listed at once."""
        _, listed = self._ask("GET", "?comp=list")
        there = [str(each.findtext("Name")) for each in ElementTree.fromstring(listed).iter("Container")]  # noqa: S314 - Azurite's
        chosen = [each for each in there if containers is None or each in containers]
        return [blob for container in chosen for blob in self._blobs(container, page)]

    def _blobs(self, container: str, page: int) -> Iterator[Stored]:
        wanted, marker = f"{container}?restype=container&comp=list&include=metadata&maxresults={page}", ""
        while True:
            _, listed = self._ask("GET", f"{wanted}&marker={marker}")
            document = ElementTree.fromstring(listed)  # noqa: S314 - as above
            for each in document.iter("Blob"):
                name, etag = str(each.findtext("Name")), _etag(str(each.findtext("Properties/Etag")))
                known = self._known.get((container, name))
                if known is None or known[0] != etag:
                    metadata = {item.tag.lower(): item.text or "" for item in each.findall("Metadata/*")}
                    known = etag, Stored(container, name, self._content(container, name), metadata)
                    self._known[container, name] = known
                yield known[1]
            marker = quote(document.findtext("NextMarker") or "")
            if not marker:
                return

    def _content(self, container: str, name: str) -> bytes:
        return self._ask("GET", f"{container}/{quote(name)}")[1]

    def _ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        if time.monotonic() - self._used > FRESH_SECONDS:
            self._connection.close()
        url = f"/{self.name}/{path}{'&' if '?' in path else '?'}{self._signature}"
        self._connection.request(method, url, body, {"x-ms-version": VERSION, **(headers or {})})
        answer = self._connection.getresponse()
        content = answer.read()
        self._used = time.monotonic()
        if answer.status >= 300 and answer.status != TAKEN:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:400]!r}")
        return answer, content

    @cached_property
    def _signature(self) -> str:
        until = datetime.now(UTC) + timedelta(days=7)
        everything = ResourceTypes(service=True, container=True, object=True)
        rights = AccountSasPermissions(read=True, write=True, list=True, create=True)
        return generate_account_sas(self.name, self._key, everything, rights, until)


def _etag(text: str) -> str:
    return text.strip('"')
