"""What the tenant's history holds, whoever was told of it, and what the ledger says of that."""

from dataclasses import replace
from datetime import timedelta

from local.graph import ExportPolicy, Faults, Simulator
from local.graph.content.canonical import canonical_sha256
from local.graph.ledger import Ledger
from tests.integration.local.graph_exports import DAY, WINDOW, ask, content, identity, items, latest, pages, path_of
from tests.integration.local.graph_support import Receiver

pytest_plugins = ("tests.integration.local.graph_fixtures",)


async def shown_to(simulator: Simulator, user: str) -> set[tuple[str, str, str]]:
    return {identity(item) for item in items(await pages(simulator, path_of(user), filter=WINDOW, top="100"))}


async def test_what_is_sent_can_be_exported(simulator: Simulator, receiver: Receiver) -> None:
    await simulator.subscribe(receiver.url, receiver.lifecycle_url)
    changes = simulator.day(DAY, interactions=30, users=2, chats=1)
    await simulator.send(changes)
    for account in simulator.directory.accounts()[:2]:
        assert await shown_to(simulator, account.id) == set(latest(changes, account.id))


async def test_what_happens_unnoticed_is_for_the_export_alone(simulator: Simulator, receiver: Receiver) -> None:
    await simulator.subscribe(receiver.url, receiver.lifecycle_url)
    changes = simulator.day(DAY, interactions=20, users=2, chats=0)
    simulator.happen(changes)
    assert receiver.bodies == []
    ledger = simulator.ledger()
    assert ledger.genuine() == ()
    assert {ledger.notified(each) for each in ledger.contents} == {"silent"}
    assert {each.ref for each in ledger.exportable()} == {each.ref for each in latest(changes).values()}
    assert ledger.shown == frozenset()
    user = simulator.directory.accounts()[0].id
    mine = latest(changes, user)
    assert await shown_to(simulator, user) == set(mine)
    ledger = simulator.ledger()
    assert ledger.shown == {each.ref for each in mine.values()}
    assert {each.ref for each in ledger.exportable([user])} == ledger.shown
    await shown_to(simulator, user)
    assert simulator.ledger() == ledger


async def test_a_played_day_shows_up_as_it_goes_on(simulator: Simulator) -> None:
    changes = [each for each in simulator.day(DAY, interactions=20, users=2, chats=0) if each.change_type == "created"]
    first, last = min(each.at for each in changes), max(each.at for each in changes)
    simulator.happen(changes, seconds=86_400)
    user = simulator.directory.accounts()[0].id
    assert len(await shown_to(simulator, user)) <= 1
    simulator.clock.advance((last - first) / 2)
    half = await shown_to(simulator, user)
    assert 0 < len(half) < len(latest(changes, user))
    simulator.clock.advance((last - first) / 2 + timedelta(seconds=1))
    assert await shown_to(simulator, user) == set(latest(changes, user))


async def test_dropped_notifications_are_in_ledger_and_export(simulator: Simulator, receiver: Receiver) -> None:
    made = await simulator.subscribe(receiver.url, receiver.lifecycle_url)
    simulator.traffic.faults = replace(Faults.friendly(), dropped=0.5)
    changes = [each for each in simulator.day(DAY, interactions=60, users=2, chats=0) if each.change_type == "created"]
    await simulator.send(changes)
    ledger = simulator.ledger()
    dropped = {ref for ref, subscription in ledger.dropped if subscription == made["id"]}
    assert 10 < len(dropped) < 50
    assert len(receiver.items()) == len(changes) - len(dropped)
    assert {each.ref for each in ledger.contents if ledger.notified(each) == "dropped"} == dropped
    assert {each.ref for each in ledger.genuine()} == {each.ref for each in changes} - dropped
    assert {each.ref for each in ledger.exportable()} == {each.ref for each in changes}
    users = [account.id for account in simulator.directory.accounts()[:2]]
    seen = [await shown_to(simulator, user) for user in users]
    assert set().union(*seen) == set(latest(changes))


async def test_a_forgery_never_happened(simulator: Simulator, receiver: Receiver) -> None:
    await simulator.subscribe(receiver.url, receiver.lifecycle_url)
    neighbours = simulator.cloud.content.conversation(simulator.clock.now())
    await simulator.forge("broken-signature", neighbours=neighbours)
    simulator.policy.export = ExportPolicy.friendly(tenant_export=True)
    _, page, _ = await ask(simulator, "/v1.0/copilot/interactionHistory/getAllEnterpriseInteractions", top="100")
    assert {identity(item) for item in page["value"]} == set(latest(neighbours))
    ledger = simulator.ledger()
    assert [ledger.notified(each) for each in ledger.forged()] == ["forged"]
    assert {each.ref for each in ledger.exportable()} == {each.ref for each in neighbours}


async def test_the_ledger_knows_owners_digests_and_accounts(simulator: Simulator) -> None:
    changes = simulator.day(DAY, interactions=10, users=2, chats=1)
    simulator.happen(changes)
    user = simulator.directory.accounts()[0].id
    simulator.unlicense(user)
    simulator.trouble(user, "503")
    simulator.delete_user(user)
    ledger = Ledger.read(simulator.folder)
    by_ref = {each.ref: each for each in ledger.contents}
    for change in changes:
        assert by_ref[change.ref].user_ids == tuple(sorted(change.user_ids))
        assert by_ref[change.ref].canonical == canonical_sha256(change.plaintext)
    states = [event["state"] for event in ledger.events if event["line"] == "account" and event["user"] == user]
    assert states == ["unlicensed", "trouble 503", "deleted"]


async def test_a_late_item_keeps_its_time_of_creation(simulator: Simulator) -> None:
    simulator.policy.export = ExportPolicy.friendly(mean_delay=600, longest_delay=3600)
    changes = [each for each in simulator.day(DAY, interactions=20, users=1, chats=0) if each.change_type == "created"]
    simulator.happen(changes)
    user = next(iter(changes[0].user_ids))
    before = await shown_to(simulator, user)
    simulator.clock.advance(timedelta(hours=1))
    after = items(await pages(simulator, path_of(user), filter=WINDOW))
    assert before < {identity(item) for item in after}
    assert {identity(item): item for item in after} == {
        name: content(change) for name, change in latest(changes, user).items()
    }
