"""What the siege is made of, apart from the siege: how long it lasts, what it plays, what it reads."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import pytest
from azure.storage.blob import BlobServiceClient

from local.azurite import Azurite
from local.graph.content.day import TenantContent
from tests.endurance.extent import Extent
from tests.endurance.feed import Days, population
from tests.endurance.holdings import ARCHIVE, LISTED, Holdings, read

DAY = date(2026, 11, 20)


@pytest.fixture(scope="module")
def storage() -> Iterator[BlobServiceClient]:
    with Azurite() as azurite, BlobServiceClient.from_connection_string(azurite.connection_string) as client:
        yield client


def test_it_lasts_until_there_were_enough_of_both() -> None:
    extent = Extent(interactions=1000, faults=100)
    assert extent.left(500, 100, 60.0) == 60.0
    assert extent.left(1000, 50, 60.0) == 60.0
    assert extent.left(0, 0, 1.0) > 0
    assert extent.left(1001, 100, 60.0) == 0


def test_it_lasts_for_so_many_minutes_where_there_are() -> None:
    extent = replace(Extent(interactions=1, faults=1), minutes=2.0)
    assert extent.left(1000, 1000, 90.0) == 30.0
    assert extent.left(0, 0, 121.0) == 0


def test_more_interactions_take_more_people() -> None:
    assert population(1_000_000) > population(10_000) > population(10) > 0
    assert Extent(minutes=60.0, rate=100.0).users == population(360_000)


def test_other_days_are_of_the_same_people_and_nothing_in_them_is_the_same() -> None:
    tenant = TenantContent(1, "a-tenant")
    one, other = (
        Days(seed, tenant.tenant_id, of=tenant).day(DAY, interactions=60, users=5, chats=2) for seed in (7, 8)
    )
    assert {each.ref for each in one}.isdisjoint(each.ref for each in other)
    assert {each.session_id for each in one if each.session_id}.isdisjoint(each.session_id for each in other)
    tenants = {person.oid for person in tenant.people(5)}
    assert {user for each in (*one, *other) for user in each.user_ids if each.kind == "aiInteraction"} <= tenants


def test_all_blobs_are_read_and_known_ones_not_again(storage: BlobServiceClient) -> None:
    text = json.dumps({"id": "1"}).encode()
    metadata = {"sha256": hashlib.sha256(text).hexdigest(), "source": "export"}
    for container in ("interactions", "inbox", "state"):
        storage.create_container(container)
    for number in range(LISTED + 3):
        storage.get_blob_client("interactions", f"{number}.json").upload_blob(text, metadata=metadata)
    storage.get_blob_client("inbox", "notifications/1.json").upload_blob(b'{"value": [{"ResourceData": {"Id": "7"}}]}')
    storage.get_blob_client("state", "x").upload_blob(b"{}")
    holdings = Holdings().take(read(storage, (*ARCHIVE, "inbox")))
    assert len(holdings.archive) == LISTED + 3
    assert all(held.sound and held.identity.startswith("says ") for held in holdings.archive.values())
    assert holdings.waiting == {"7": 1}
    storage.get_blob_client("interactions", "new.json").upload_blob(text)
    assert [str(blob) for blob in read(storage, ARCHIVE, known=holdings.archive)] == ["interactions/new.json"]
    assert len(list(read(storage))) == LISTED + 6
