"""Scenarios about posts: how they are taken in, and what becomes of their items."""

import json
import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

from local.graph.content import chats
from local.graph.content.change import Change
from shared.core.activity import Hour, hour_of, hour_prefix, to_json
from tests.endurance.account import Account
from tests.endurance.export_scenarios import happened
from tests.endurance.posts import MORNING, Entry, Parcel
from tests.endurance.scenario import STORED, Scenario, Step, alive, in_inbox, prepared, receive
from tests.endurance.stage import Stage
from tests.endurance.verifier import Stored


def receiving(stage: Stage) -> Scenario:
    """Two posts arrive, at storage that nobody has used: containers and queues are made on the way."""
    press = stage.press
    parcels = [press.parcel(press.genuine(change)) for change in press.changes(2)]
    return Scenario("receive", attacked=[], sent=parcels, repair=[["pump", "notifications"]])


def receiving_hint(stage: Stage) -> Scenario:
    """Graph hints that it has removed the subscription."""
    blobs, (subscription,) = alive(stage)
    hint = stage.press.hint("subscriptionRemoved", subscription.id)
    return Scenario(
        "receive hint",
        attacked=[],
        blobs=blobs,
        sent=[hint],
        door="receive_lifecycle_notifications",
        repair=[["pump", "lifecycle"]],
        before=Stage.unsubscribe,
        after=lambda stage, _: [] if stage.graph.subscriptions.living() else ["nobody has heeded the hint"],
    )


def storing(stage: Stage) -> Scenario:
    """A post with every fate that an item can have, on an archive that holds some of it already."""
    press = stage.press
    changes = press.changes(5)
    known, fresh, *others = changes
    earlier = press.parcel(press.genuine(known))
    parcel = press.parcel(
        press.genuine(fresh),
        press.genuine(known),
        press.rewritten(known),
        press.stranger(others[0]),
        press.genuine(fresh),
        press.broken(others[1]),
        press.deletion(others[2]),
        press.genuine(others[2]),
    )
    blobs, (name,) = in_inbox(stage, [parcel], receive(earlier), STORED)
    dead = Counter({"client-state-mismatch": 1, "decryption-failed": 1})
    return _stored("store", name, blobs, [earlier, parcel], dead)


def storing_first(stage: Stage) -> Scenario:
    """The first post of all: nothing is there, not even a container but the inbox."""
    press = stage.press
    changes = press.changes(2)
    parcel = press.parcel(press.genuine(changes[0]), press.stranger(changes[1]))
    blobs, (name,) = in_inbox(stage, [parcel])
    return _stored("store first", name, blobs, [parcel], Counter({"client-state-mismatch": 1}))


def storing_forged(stage: Stage) -> Scenario:
    """A forger who knows the clientState: no token vouches for his post."""
    press = stage.press
    changes = press.changes(2)
    entries = [press.forged(change, "missing-tokens") for change in changes]
    parcel = press.parcel(*entries, tokens=[])
    blobs, (name,) = in_inbox(stage, [parcel])
    return _stored("store forged", name, blobs, [parcel], Counter({"not-genuine": 2}))


def storing_deletions(stage: Stage) -> Scenario:
    """News of deletions: of what is archived, with a little content and with none, and for the second time."""
    press = stage.press
    # Ids are times: of two deletions without content, of the same id, nobody could say that they are two.
    archived, unknown, buried = list({each.id: each for each in press.changes(12)}.values())[:3]
    little = json.dumps({"id": unknown.id, "createdDateTime": unknown.created}).encode()
    spoken = replace(unknown, ref=f"{unknown.ref}-deleted", change_type="deleted", plaintext=little)
    again = press.deletion(buried)
    earlier = press.parcel(press.genuine(archived), again)
    parcel = press.parcel(press.deletion(archived), press.genuine(spoken), again)
    blobs, (name,) = in_inbox(stage, [parcel], receive(earlier), STORED)
    return _stored("store deletions", name, blobs, [earlier, parcel])


def storing_chats(stage: Stage) -> Scenario:
    """The first chat of all, in each of its versions, and the first of them once more."""
    press = stage.press
    first, *others = _chat(stage, least=2)
    parcel = press.parcel(*map(press.genuine, (first, *others[:1], first)))
    blobs, (name,) = in_inbox(stage, [parcel])
    return _stored("store chats", name, blobs, [parcel])


def storing_basic(stage: Stage) -> Scenario:
    """Notifications without content: a chat is fetched; an interaction Graph does not give, and the export is asked."""
    press = stage.press
    chat = _chat(stage, least=1)[0]
    stage.cloud.call(lambda graph: graph.happen([chat]))
    exposed, settings = happened(stage)
    told, *others = exposed.entries
    parcel = press.parcel(_fetched(stage, _basic(press.genuine(chat))), _basic(told), tokens=[])
    blobs, (name,) = in_inbox(stage, [parcel])
    step = ["store_notifications", name]
    return Scenario(
        "store basic",
        [step],
        blobs=blobs,
        kept=[parcel, press.parcel(*others)],
        # What Graph has forbidden is a dead letter, until an operator has it tried again.
        repair=[step, ["replay_dead_letters", ""], ["plan_exports"], ["pump", "exports"]],
        settings=settings,
        after=_asked_for,
    )


def sweeping(stage: Stage) -> Scenario:
    """Posts and a hint wait in the inbox, the queues have lost their messages, and accounts are to be put together."""
    press = stage.press
    parcels = [press.parcel(press.genuine(change)) for change in press.changes(3)]
    blobs, _ = in_inbox(stage, parcels)
    blobs += prepared(stage, receive(press.hint("missed", "somebody-else"), "receive_lifecycle_notifications"))
    name = f"{hour_prefix(hour_of(datetime.now(UTC)))}00000000-0000-4000-8000-000000000000.json"
    blobs.append(Stored("state", name, to_json(Hour(by_source={"notification": 3})), {}))
    return Scenario("sweep", attacked=[["sweep_inbox"]], blobs=blobs, kept=parcels, repair=[["pump"]])


def replaying(stage: Stage) -> Scenario:
    """Dead letters of a certificate that was deleted and is back; one of them is dead for good, of another reason."""
    press = stage.press
    changes = press.changes(3)
    genuine = press.genuine(changes[0])
    parcel = press.parcel(genuine, press.deletion(changes[1]), press.broken(changes[2]))
    vault, name = stage.graph.cloud.vault, stage.graph.certificate_name
    version = str(genuine.item["encryptedContent"]["encryptionCertificateId"])
    stage.cloud.call(lambda _: vault.delete(name, version))
    blobs = prepared(stage, receive(parcel), STORED)
    stage.cloud.call(lambda _: vault.restore(name, version))
    assert sum(blob.container == "dead-letters" for blob in blobs) == 2
    step = ["replay_dead_letters", ""]
    dead = Counter({"decryption-failed": 1})
    return Scenario("replay", [step], blobs=blobs, kept=[parcel], repair=[step], dead=dead)


def looking(stage: Stage) -> Scenario:
    """A load balancer and an operator look; there is a bit of everything to be told of."""
    press = stage.press
    fresh, known, strange = press.changes(3)
    earlier = press.parcel(press.genuine(known), press.stranger(strange))
    waiting = press.parcel(press.genuine(fresh))
    blobs, (name,) = in_inbox(stage, [waiting], receive(earlier), STORED, ["renew_subscriptions"])
    steps: list[Step] = [["health"], ["status"]]
    dead = Counter({"client-state-mismatch": 1})
    repair: list[Step] = [["store_notifications", name]]
    return Scenario("look", steps, blobs=blobs, kept=[earlier, waiting], repair=repair, dead=dead)


def _stored(
    scenario: str, name: str, blobs: list[Stored], kept: list[Parcel], dead: Counter[str] | None = None
) -> Scenario:
    step = ["store_notifications", name]
    # The queue brings the message again, as it does ten minutes after a process was lost.
    return Scenario(scenario, [step], blobs=blobs, kept=kept, repair=[step], dead=dead or Counter())


def _chat(stage: Stage, *, least: int) -> list[Change]:
    """A chat's life: so many versions at least."""
    graph, rng = stage.graph, random.Random(least)
    while True:
        life = chats.life(graph.cloud.content.people(25), MORNING, graph.tenant_id, rng)
        if len(life) >= least:
            return life


def _basic(entry: Entry) -> Entry:
    """An item as Graph sends it to who has not asked for content."""
    item = {name: value for name, value in entry.item.items() if name.lower() != "encryptedcontent"}
    return Entry(item, entry.content)


def _fetched(stage: Stage, entry: Entry) -> Entry:
    """The same, known by the bytes in which Graph gives it to who asks."""
    blobs = prepared(stage, receive(stage.press.parcel(entry, tokens=[])), STORED)
    (blob,) = [each for each in blobs if each.container == "chats"]
    said = json.loads(blob.content)
    assert (said["id"], said["lastUpdatedDateTime"]) == (entry.content.id, entry.content.etag)
    return Entry(entry.item, replace(entry.content, sha256=blob.sha256, canonical=blob.says))


def _asked_for(_: Stage, account: Account) -> list[str]:
    noted = [blob.name for blob in account.read({"state"}) if blob.name.startswith("gaps")]
    return [] if noted else ["the export was not asked for what had no content"]
