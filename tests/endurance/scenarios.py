"""What is attacked: a state of storage and cloud, the function that is run in it, and what must be true in the end.

A scenario is prepared once, by the app itself and in good weather; each case starts from a copy. To add one (an export
window, say): a function that prepares and returns a ``Scenario``, and a row in ``SCENARIOS``.
"""

import base64
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from azure.storage.queue import QueueClient

from tests.endurance.posts import Parcel
from tests.endurance.stage import Stage, restore, snapshot
from tests.endurance.verifier import Stored

Step = list[str]
SETTLE: Step = ["settle"]
TRIES = 5


def receive(parcel: Parcel, function: str = "receive_notifications") -> Step:
    """The step that posts a parcel."""
    return [function, base64.b64encode(parcel.body).decode()]


@dataclass
class Scenario:
    """``kept`` posts were acknowledged before the attack, or stand for what an export owes.

    ``sent`` ones are sent under attack, until they are taken. ``attacked`` is what runs under attack, ``repair`` what
    the platform or an operator does next, before the inbox is settled. ``dead`` are the dead letters owed by the end.
    ``before`` and ``after`` surround each case: ``after`` returns what else is wrong.
    """

    name: str
    attacked: list[Step]
    blobs: list[Stored] = field(default_factory=list)
    kept: list[Parcel] = field(default_factory=list)
    sent: list[Parcel] = field(default_factory=list)
    repair: list[Step] = field(default_factory=list)
    dead: Counter[str] = field(default_factory=Counter)
    settings: dict[str, str] = field(default_factory=dict)
    before: Callable[[Stage], None] = lambda _: None
    after: Callable[[Stage], list[str]] = lambda _: []


def prepared(stage: Stage, *steps: Step) -> list[Stored]:
    """What storage holds after steps in good weather."""
    for _ in range(TRIES):
        account = stage.account()
        run = stage.worker.run(steps, stage.environment(account))
        assert run.status == 0, run
        # The webhook answers 503 where the machine is too busy to write a blob within a second and a half.
        if all(result.get("status", 0) < 500 and not result.get("errors") for result in run.results):
            return snapshot(account)
    raise AssertionError(run)


def in_inbox(stage: Stage, parcels: list[Parcel], *earlier: Step) -> tuple[list[Stored], list[str]]:
    """Storage with parcels in the inbox, and their names there, in the order of parcels."""
    blobs = prepared(stage, *earlier, *(receive(parcel) for parcel in parcels))
    there = {blob.content: blob.name for blob in blobs if blob.container == "inbox"}
    return blobs, [there[parcel.body] for parcel in parcels]


def receiving(stage: Stage) -> Scenario:
    """Two posts arrive, at storage that nobody has used: containers and queues are made on the way."""
    press = stage.press
    parcels = [press.parcel(press.genuine(change)) for change in press.changes(2)]
    return Scenario("receive", attacked=[], sent=parcels)


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
    blobs, (name,) = in_inbox(stage, [parcel], receive(earlier), SETTLE)
    return Scenario(
        "store",
        attacked=[["store_notifications", name]],
        blobs=blobs,
        kept=[earlier, parcel],
        dead=Counter({"client-state-mismatch": 1, "decryption-failed": 1}),
    )


def storing_first(stage: Stage) -> Scenario:
    """The first post of all: nothing is there, not even a container but the inbox."""
    press = stage.press
    changes = press.changes(2)
    parcel = press.parcel(press.genuine(changes[0]), press.stranger(changes[1]))
    blobs, (name,) = in_inbox(stage, [parcel])
    dead = Counter({"client-state-mismatch": 1})
    return Scenario("store first", [["store_notifications", name]], blobs=blobs, kept=[parcel], dead=dead)


def storing_forged(stage: Stage) -> Scenario:
    """A forger who knows the clientState: no token vouches for his post."""
    press = stage.press
    changes = press.changes(2)
    entries = [press.forged(change, "missing-tokens") for change in changes]
    parcel = press.parcel(*entries, tokens=[])
    blobs, (name,) = in_inbox(stage, [parcel])
    dead = Counter({"not-genuine": 2})
    return Scenario("store forged", [["store_notifications", name]], blobs=blobs, kept=[parcel], dead=dead)


def sweeping(stage: Stage) -> Scenario:
    """Posts wait in the inbox, and the queues have lost their messages."""
    press = stage.press
    parcels = [press.parcel(press.genuine(change)) for change in press.changes(3)]
    blobs, _ = in_inbox(stage, parcels)
    return Scenario("sweep", attacked=[["sweep_inbox"]], blobs=blobs, kept=parcels)


def replaying(stage: Stage) -> Scenario:
    """Dead letters of a certificate that was deleted and is back; one of them is dead for good, of another reason."""
    press = stage.press
    changes = press.changes(3)
    parcel = press.parcel(press.genuine(changes[0]), press.deletion(changes[1]), press.broken(changes[2]))
    vault, name = stage.graph.cloud.vault, stage.graph.certificate_name
    version = vault.versions(name)[-1].id
    stage.cloud.call(lambda _: vault.delete(name, version))
    blobs = prepared(stage, receive(parcel), SETTLE)
    stage.cloud.call(lambda _: vault.restore(name, version))
    assert sum(blob.container == "dead-letters" for blob in blobs) == 2
    return Scenario(
        "replay",
        attacked=[["replay_dead_letters", ""]],
        blobs=blobs,
        kept=[parcel],
        repair=[["replay_dead_letters", ""]],
        dead=Counter({"decryption-failed": 1}),
    )


def renewing(_: Stage) -> Scenario:
    """Nothing is subscribed to: the timer subscribes."""
    return Scenario(
        "renew",
        attacked=[["renew_subscriptions"]],
        repair=[["renew_subscriptions"]],
        before=Stage.unsubscribe,
        after=one_subscription,
    )


def heeding(stage: Stage) -> Scenario:
    """Graph has removed the subscription and says so: a hint is in the inbox."""
    blobs = prepared(stage, ["renew_subscriptions"])
    (subscription,) = stage.graph.subscriptions.living()
    hint = stage.press.hint("subscriptionRemoved", subscription.id)
    blobs += prepared(stage, receive(hint, "receive_lifecycle_notifications"))
    (name,) = [blob.name for blob in blobs if blob.container == "inbox"]
    return Scenario(
        "heed",
        attacked=[["handle_lifecycle_notifications", name]],
        blobs=blobs,
        repair=[["renew_subscriptions"]],
        before=Stage.unsubscribe,
        after=one_subscription,
    )


def planning(stage: Stage) -> Scenario:
    """The hourly plan, at storage that nobody has used; what it plans is exported then."""
    exposed, settings = happened(stage)
    return Scenario(
        "plan",
        attacked=[["plan_exports"]],
        kept=[exposed],
        repair=[["plan_exports"], ["pump"]],
        settings=settings,
    )


def exporting(stage: Stage) -> Scenario:
    """A user's window is exported, half of which a notification has brought already."""
    exposed, settings = happened(stage)
    brought = stage.press.parcel(exposed.entries[0])
    blobs = prepared(stage, receive(brought), SETTLE)
    account = stage.account()
    restore(account, blobs)
    assert stage.worker.run([["plan_exports"]], stage.environment(account, **settings)).status == 0
    with QueueClient.from_connection_string(account, "exports") as queue:
        messages = [base64.b64decode(str(message.content)).decode() for message in queue.peek_messages(32)]
    (window,) = messages
    return Scenario(
        "export",
        attacked=[["export_window", window]],
        blobs=snapshot(account),
        kept=[brought, exposed],
        # The queue brings the window again, as it does ten minutes after a process was lost.
        repair=[["export_window", window], ["pump"]],
        settings=settings,
    )


def happened(stage: Stage) -> tuple[Parcel, dict[str, str]]:
    """Interactions of one user of which nobody was told, as what Graph's export owes, and settings that export him."""
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
    changes = stage.cloud.call(lambda graph: graph.cloud.content.conversation(at))
    stage.cloud.call(lambda graph: graph.happen(changes))
    settings = {"EXPORT_USERS": min(changes[0].user_ids), "EXPORT_START": (at - timedelta(days=1)).isoformat()}
    return stage.press.parcel(*(stage.press.genuine(change) for change in changes)), settings


def one_subscription(stage: Stage) -> list[str]:
    """What is wrong with the subscriptions: there must be one to what is wanted, with our URLs."""
    living = stage.graph.subscriptions.living()
    wrong = [each.id for each in living if each.notification_url != f"{stage.door}/api/notifications"]
    if len(living) == 1 and not wrong:
        return []
    return [f"{len(living)} subscriptions live, {len(wrong)} of them with wrong URLs"]


SCENARIOS: dict[str, Callable[[Stage], Scenario]] = {
    "receive": receiving,
    "store": storing,
    "store first": storing_first,
    "store forged": storing_forged,
    "sweep": sweeping,
    "replay": replaying,
    "renew": renewing,
    "heed": heeding,
    "plan": planning,
    "export": exporting,
}
