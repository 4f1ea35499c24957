"""The Container port on real Azurite."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from azure.storage.blob import BlobClient, ContainerClient

from local.azurite import Azurite
from local.free_ports import free_ports
from shared.adapters.blob_container import BlobContainer, open_container
from shared.core.errors import StorageUnavailable
from shared.ports import Container
from tests.fakes import MemoryContainer, World
from tests.refusing_storage import refusing_storage


@pytest.fixture
def container(azurite: Azurite) -> BlobContainer:
    return open_container(
        f"c{uuid.uuid4().hex}", connection_string=azurite.connection_string, service_uri=None, credential=None
    )


@pytest.fixture
def nobody() -> BlobContainer:
    (port,) = free_ports(1)
    connection = f"AccountName=a;AccountKey=a2V5;BlobEndpoint=http://127.0.0.1:{port}/a"
    return open_container("c", connection_string=connection, service_uri=None, credential=None)


def test_the_first_write_makes_the_container(container: BlobContainer) -> None:
    assert container.create("a/b.json", b"{}", {"source": "notification"})
    blob = container.read("a/b.json")
    assert blob is not None
    assert blob.content == b"{}"
    assert blob.metadata == {"source": "notification"}
    assert datetime.now(UTC) - blob.last_modified < timedelta(minutes=5)


def test_a_blob_is_never_overwritten(container: BlobContainer) -> None:
    assert container.create("a", b"first", {"sha256": "1"})
    assert not container.create("a", b"second", {"sha256": "2"})
    blob = container.read("a")
    assert blob is not None
    assert (blob.content, blob.metadata) == (b"first", {"sha256": "1"})


@pytest.mark.parametrize(
    ("status", "code"),
    [(409, "ContainerBeingDeleted"), (409, "ContainerDisabled"), (409, ""), (412, "ConditionNotMet"), (412, "")],
)
def test_a_conflict_that_is_not_the_blobs_own_is_no_copy_of_it(status: int, code: str) -> None:
    with refusing_storage(status, code) as connection:
        refusing = open_container("c", connection_string=connection, service_uri=None, credential=None)
        with pytest.raises(StorageUnavailable, match=str(status)):
            refusing.create("n", b"{}", {})


def test_of_many_writers_at_once_exactly_one_wins(container: BlobContainer) -> None:
    container.create("makes the container", b"", {})
    start = threading.Barrier(8)

    def write(writer: int) -> bool:
        start.wait()
        return container.create("a", str(writer).encode(), {})

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(write, range(8))) == 1


def test_of_two_who_find_no_container_one_wins(azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other makes the container and writes the blob between our first try and our second."""
    name = f"c{uuid.uuid4().hex}"
    ours, theirs = (
        open_container(name, connection_string=azurite.connection_string, service_uri=None, credential=None)
        for _ in range(2)
    )
    create_container = ContainerClient.create_container

    def too_late(client: ContainerClient) -> object:
        monkeypatch.undo()
        assert theirs.create("a", b"theirs", {})
        return create_container(client)

    monkeypatch.setattr(ContainerClient, "create_container", too_late)

    assert not ours.create("a", b"ours", {})
    blob = ours.read("a")
    assert blob is not None
    assert blob.content == b"theirs"


def test_what_is_not_there_is_none(container: BlobContainer) -> None:
    assert container.read("a") is None
    assert container.metadata("a") is None
    assert not container.delete("a")
    assert not container.replace("a", b"", "etag")
    assert list(container.names()) == []
    assert list(container.folders()) == []


def test_replace_and_delete_only_the_version_that_was_read(container: BlobContainer) -> None:
    container.create("a", b"1", {"reason": "r"})
    first = container.read("a")
    assert first is not None
    assert container.replace("a", b"2", first.etag)
    assert not container.replace("a", b"3", first.etag)
    assert not container.delete("a", first.etag)
    second = container.read("a")
    assert second is not None
    assert (second.content, second.metadata) == (b"2", {"reason": "r"})
    assert container.delete("a", second.etag)
    assert container.read("a") is None


def test_replace_with_metadata_asks_for_nothing_first(
    container: BlobContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    container.create("a", b"1", {"reason": "r", "old": "x"})
    first = container.read("a")
    assert first is not None
    # A look before each write would be another request, and another race.
    monkeypatch.setattr(BlobClient, "get_blob_properties", None)
    assert container.replace("a", b"2", first.etag, {"reason": "other"})
    assert not container.replace("a", b"3", first.etag, {"reason": "third"})
    second = container.read("a")
    assert second is not None
    assert (second.content, second.metadata) == (b"2", {"reason": "other"})


def test_metadata_can_be_taken_away(container: BlobContainer) -> None:
    container.create("a", b"1", {"reason": "r"})
    first = container.read("a")
    assert first is not None
    assert container.replace("a", b"2", first.etag, {})
    assert container.metadata("a") == {}


@pytest.fixture(params=["storage", "memory"])
def either(request: pytest.FixtureRequest, container: BlobContainer) -> Container:
    """What tests of the flows use instead must do the same."""
    return container if request.param == "storage" else MemoryContainer("state", World())


def test_described_names_have_their_metadata(either: Container) -> None:
    for number, name in enumerate(("b/2", "a/1", "b/1", "b/3", "b/4", "c")):
        either.create(name, b"", {"number": str(number)})
    either.create("b/0", b"", {})
    assert list(either.described("b/")) == [
        ("b/0", {}),
        ("b/1", {"number": "2"}),
        ("b/2", {"number": "0"}),
        ("b/3", {"number": "3"}),
        ("b/4", {"number": "4"}),
    ]
    assert list(either.described("nothing/")) == []


def test_a_replaced_blob_is_described_as_it_is_now(either: Container) -> None:
    either.create("a", b"1", {"state": "old", "kept": "x"})
    first = either.read("a")
    assert first is not None
    assert either.replace("a", b"2", first.etag)
    assert dict(either.described("")) == {"a": {"state": "old", "kept": "x"}}
    second = either.read("a")
    assert second is not None
    assert either.replace("a", b"3", second.etag, {"state": "new"})
    assert dict(either.described("")) == {"a": {"state": "new"}}
    assert not either.replace("a", b"4", second.etag, {"state": "late"})


def test_a_container_that_is_missing_describes_nothing(container: BlobContainer) -> None:
    assert list(container.described("")) == []


def test_names_come_in_order_and_by_prefix(container: BlobContainer) -> None:
    for name in ("b/2", "a/1", "b/1", "c"):
        container.create(name, b"", {})
    assert list(container.names()) == ["a/1", "b/1", "b/2", "c"]
    assert list(container.names("b/")) == ["b/1", "b/2"]
    assert list(container.folders()) == ["a", "b"]
    assert len(list(container.ages("b/"))) == 2


@pytest.mark.parametrize("name", ["=2E=2E/=2Fetc", "a=C3=A9/19=3Ax=40thread.v2", "a//b", "%2e%2e/x", "q?x=1#f", "ü/😀"])
def test_odd_names_stay_what_they_are(container: BlobContainer, name: str) -> None:
    assert container.create(name, b"x", {})
    assert list(container.names()) == [name]
    assert container.metadata(name) is not None


def test_storage_that_refuses_is_unavailable(nobody: BlobContainer) -> None:
    with pytest.raises(StorageUnavailable, match="container c could not write a"):
        nobody.create("a", b"secret content", {})
    with pytest.raises(StorageUnavailable):
        list(nobody.names())
    with pytest.raises(StorageUnavailable, match="container c could not list"):
        list(nobody.described(""))


def test_a_message_never_repeats_what_was_sent(nobody: BlobContainer) -> None:
    with pytest.raises(StorageUnavailable) as caught:
        nobody.create("a", b"secret content", {"source": "secret metadata"})
    assert "secret" not in str(caught.value)
