"""What a scenario is, and by what it is prepared."""

import base64
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from local.graph.subscription import Subscription
from tests.endurance.account import Account
from tests.endurance.posts import Parcel
from tests.endurance.stage import Stage
from tests.endurance.verifier import Stored

Step = list[str]
Subscriptions = tuple[Subscription, ...]
SETTLE: Step = ["settle"]
# What the queue of the posts brings is stored.
STORED: Step = ["pump", "notifications"]
TRIES = 5


def receive(parcel: Parcel, function: str = "receive_notifications") -> Step:
    """The step that posts a parcel."""
    return [function, base64.b64encode(parcel.body).decode()]


@dataclass
class Scenario:
    """``kept`` posts were acknowledged before the attack, or stand for what an export owes.

    ``sent`` ones are sent to the function ``door`` under attack, until they are taken. ``attacked`` is what runs under
    attack, ``repair`` what the platform or an operator does next, before the inbox is settled. ``dead`` are the dead
    letters owed by the end. ``before`` and ``after`` surround each case: ``after`` returns what else is wrong. Graph is
    calm during the repair.
    """

    name: str
    attacked: list[Step]
    blobs: list[Stored] = field(default_factory=list)
    kept: list[Parcel] = field(default_factory=list)
    sent: list[Parcel] = field(default_factory=list)
    door: str = "receive_notifications"
    repair: list[Step] = field(default_factory=list)
    dead: Counter[str] = field(default_factory=Counter)
    settings: dict[str, str] = field(default_factory=dict)
    before: Callable[[Stage], None] = lambda _: None
    after: Callable[[Stage, Account], list[str]] = lambda *_: []


def prepared(
    stage: Stage, *steps: Step, settings: Mapping[str, str] | None = None, ago: timedelta = timedelta(0)
) -> list[Stored]:
    """What storage holds after steps in good weather, or held some time ``ago``."""
    for _ in range(TRIES):
        account = stage.account()
        environment = stage.environment(account, **(settings or {}))
        run = stage.worker.run(steps, environment, ahead=-ago.total_seconds(), quiet=True)
        assert run.status == 0, run
        # The webhook answers 503 where the machine is too busy to write a blob within a second and a half.
        if all(result.get("status", 0) < 500 and not result.get("errors") for result in run.results):
            return account.read()
    raise AssertionError(run)


def in_inbox(stage: Stage, parcels: list[Parcel], *earlier: Step) -> tuple[list[Stored], list[str]]:
    """Storage with parcels in the inbox, and their names there, in the order of parcels."""
    blobs = prepared(stage, *earlier, *(receive(parcel) for parcel in parcels))
    there = {blob.content: blob.name for blob in blobs if blob.container == "inbox"}
    return blobs, [there[parcel.body] for parcel in parcels]


def alive(
    stage: Stage, settings: Mapping[str, str] | None = None, ago: timedelta = timedelta(0)
) -> tuple[list[Stored], Subscriptions]:
    """What storage holds after the timer has subscribed, some time ``ago``, and the subscriptions that it has made."""
    stage.unsubscribe()
    blobs = prepared(stage, ["renew_subscriptions"], settings=settings, ago=ago)
    return blobs, stage.graph.subscriptions.living()
