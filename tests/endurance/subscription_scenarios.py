"""Scenarios about subscriptions: the timer that cares for them, and Graph's hints."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from tests.endurance.account import Account
from tests.endurance.scenario import Scenario, Subscriptions, alive, prepared, receive
from tests.endurance.stage import INTERACTIONS, Stage
from tests.endurance.verifier import Stored

RENEW = ["renew_subscriptions"]


def renewing(_: Stage) -> Scenario:
    """Nothing is subscribed to: the timer subscribes."""
    return Scenario("renew", [RENEW], repair=[RENEW], before=Stage.unsubscribe, after=one_subscription)


def unwanting(stage: Stage) -> Scenario:
    """Two of three subscriptions are wanted no more, and the third is near its end."""
    wanted = [{"resource": name} for name in (INTERACTIONS, "chats", "chats/getAllMembers")]
    blobs, made = alive(stage, {"SUBSCRIPTIONS": json.dumps(wanted)}, ago=timedelta(hours=60))
    assert len(made) == len(wanted)

    def after(stage: Stage, account: Account) -> list[str]:
        return one_subscription(stage, account) or _prolonged(stage, made)

    return Scenario("unwant", [RENEW], blobs=blobs, repair=[RENEW], before=_again(made), after=after)


def rotating(stage: Stage, *, strictly: bool = False) -> Scenario:
    """The certificate has a new version. Graph takes it in a PATCH, or (``strictly``) with a new subscription only."""
    blobs, made = alive(stage)
    version = stage.cloud.call(lambda graph: graph.rotate_certificate(content_type="application/x-pem-file"))

    def before(stage: Stage) -> None:
        stage.subscribe(*made)
        stage.behave(strict_patch=strictly)

    def after(stage: Stage, account: Account) -> list[str]:
        living = stage.graph.subscriptions.living()
        old = [f"{each.id} has an old certificate" for each in living if each.certificate_id != version.id]
        return one_subscription(stage, account) or old

    name = "rotate strictly" if strictly else "rotate"
    return Scenario(name, [RENEW], blobs=blobs, repair=[RENEW], before=before, after=after)


def heeding(stage: Stage) -> Scenario:
    """Graph has removed the subscription and says so: a hint is in the inbox."""
    blobs, made = alive(stage)
    return _hinted("heed", "subscriptionRemoved", stage, blobs, made, there=False)


def heeding_challenge(stage: Stage) -> Scenario:
    """Graph asks for a new authorisation."""
    blobs, made = alive(stage)
    scenario = _hinted("heed challenge", "reauthorizationRequired", stage, blobs, made)

    def before(stage: Stage) -> None:
        stage.subscribe(*made)
        stage.cloud.call(lambda graph: graph.authorisations.ask(made[0].id))

    def after(stage: Stage, account: Account) -> list[str]:
        return one_subscription(stage, account) or _prolonged(stage, made)

    return replace(scenario, before=before, after=after)


def heeding_missed(stage: Stage) -> Scenario:
    """Graph could not deliver for a while: the export is asked for those hours."""
    blobs, made = alive(stage)
    scenario = _hinted("heed missed", "missed", stage, blobs, made)

    def after(stage: Stage, account: Account) -> list[str]:
        # A gap lasts until it is noted: a hint that is heeded again notes a longer one beside it.
        gaps = [blob.name for blob in account.read({"state"}) if blob.name.startswith("gaps/")]
        return one_subscription(stage, account) or ([] if gaps else ["no gap is noted"])

    return replace(scenario, after=after)


def one_subscription(stage: Stage, _: Account) -> list[str]:
    """What is wrong with the subscriptions: there must be one to what is wanted, with our URLs."""
    living = stage.graph.subscriptions.living()
    wrong = [each.id for each in living if each.notification_url != f"{stage.door}/api/notifications"]
    if len(living) == 1 and not wrong:
        return []
    return [f"{len(living)} subscriptions live, {len(wrong)} of them with wrong URLs"]


def _hinted(
    name: str, event: str, stage: Stage, blobs: list[Stored], made: Subscriptions, *, there: bool = True
) -> Scenario:
    """A hint about the subscription is in the inbox."""
    hint = stage.press.hint(event, made[0].id)
    kept = prepared(stage, receive(hint, "receive_lifecycle_notifications"))
    (waiting,) = [blob.name for blob in kept if blob.container == "inbox"]
    step = ["handle_lifecycle_notifications", waiting]
    before = _again(made if there else ())
    return Scenario(name, [step], blobs=[*blobs, *kept], repair=[step, RENEW], before=before, after=one_subscription)


def _again(made: Subscriptions) -> Callable[[Stage], None]:
    return lambda stage: stage.subscribe(*made)


def _prolonged(stage: Stage, before: Subscriptions) -> list[str]:
    ends = {each.id: each.expires for each in before}
    living = stage.graph.subscriptions.living()
    # One that was made in its place is new.
    return [f"{each.id} was not renewed" for each in living if each.id in ends and each.expires <= ends[each.id]]
