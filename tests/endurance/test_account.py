"""An account is filled as it was, and read as it is."""

from collections.abc import Iterable

from azure.storage.blob import BlobServiceClient

from tests.endurance.stage import CONTAINERS, Stage
from tests.endurance.verifier import Stored, read

ODD = "19=3Aa b/ä%25&?.json"


def test_what_is_filled_is_there_for_everybody(stage: Stage) -> None:
    account = stage.account()
    blobs = [Stored("state", "a/b.json", b"{}", {"source": "export"}), Stored("interactions", ODD, b"\x00\xff", {})]
    account.fill(CONTAINERS, blobs)
    with BlobServiceClient.from_connection_string(account.connection_string) as storage:
        assert _sorted(read(storage)) == _sorted(blobs) == _sorted(account.read())
    account.close()


def test_what_has_changed_is_read_anew(stage: Stage) -> None:
    account = stage.account()
    account.fill(CONTAINERS, [Stored("state", name, b"before", {}) for name in ("kept", "changed", "removed")])
    with BlobServiceClient.from_connection_string(account.connection_string) as storage:
        state = storage.get_container_client("state")
        state.upload_blob("changed", b"after", overwrite=True, metadata={"Changed": "yes"})
        state.upload_blob("new", b"new")
        state.delete_blob("removed")
    found = {blob.name: (blob.content, blob.metadata) for blob in account.read()}
    account.close()
    assert found == {"kept": (b"before", {}), "changed": (b"after", {"changed": "yes"}), "new": (b"new", {})}


def test_containers_can_be_chosen(stage: Stage) -> None:
    account = stage.account()
    account.fill(CONTAINERS, [Stored(container, "a", b"", {}) for container in CONTAINERS])
    assert {blob.container for blob in account.read({"state", "chats"})} == {"state"}
    account.close()


def test_a_listing_of_several_pages_is_read_to_its_end(stage: Stage) -> None:
    account = stage.account()
    blobs = [Stored("state", f"{number:03}", b"", {}) for number in range(12)]
    account.fill(["state"], blobs)
    assert [blob.name for blob in account.read(page=5)] == [blob.name for blob in blobs]
    account.close()


def _sorted(blobs: Iterable[Stored]) -> list[Stored]:
    return sorted(blobs, key=str)
