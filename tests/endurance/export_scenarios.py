"""Scenarios about exports: plans, windows, pages, gaps."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache, partial

from azure.storage.queue import QueueClient

from local.graph.simulator import Simulator
from tests.endurance.account import Account
from tests.endurance.posts import Parcel
from tests.endurance.scenario import STORED, Scenario, Step, prepared, receive
from tests.endurance.stage import CONTAINERS, Stage
from tests.endurance.verifier import Stored

Settings = dict[str, str]
PLAN = ["plan_exports"]
PUMP = ["pump", "exports"]
A_DAY = timedelta(days=1)
# What a tenant's export shows is all that ever happened on the stage. Other scenarios let it happen earlier.
EARLIER = timedelta(hours=2)
LATELY = timedelta(minutes=30)


def planning(stage: Stage) -> Scenario:
    """The hourly plan, at storage that nobody has used; what it plans is exported then."""
    exposed, settings = happened(stage)
    return Scenario("plan", [PLAN], kept=[exposed], repair=[PLAN, PUMP], settings=settings)


def planning_tenant(stage: Stage) -> Scenario:
    """The same, where the tenant is exported as a whole."""
    exposed, settings = happened_in_tenant(stage)
    return Scenario("plan tenant", [PLAN], kept=[exposed], repair=[PLAN, PUMP], settings=settings)


def exporting(stage: Stage) -> Scenario:
    """A user's window is exported, half of which a notification has brought already."""
    exposed, settings = happened(stage)
    brought = stage.press.parcel(exposed.entries[0])
    blobs, window = planned(stage, settings, prepared(stage, receive(brought), STORED))
    return _exported("export", window, blobs, [brought, exposed], settings)


def exporting_tenant(stage: Stage) -> Scenario:
    """A window of the whole tenant."""
    exposed, settings = happened_in_tenant(stage)
    blobs, window = planned(stage, settings)
    return _exported("export tenant", window, blobs, [exposed], settings)


def exporting_pages(stage: Stage) -> Scenario:
    """A window of several pages."""
    exposed, settings = happened(stage)
    blobs, window = planned(stage, settings)
    return _exported("export pages", window, blobs, [exposed], settings, one_by_one)


def exporting_without_tokens(stage: Stage) -> Scenario:
    """The same, and page tokens end before they are used: the window goes on in steps, when Graph is calm again."""
    exposed, settings = happened(stage)
    blobs, window = planned(stage, settings)

    before = partial(one_by_one, token_life=0.0)
    return _exported("export tokens end", window, blobs, [exposed], settings, before)


def closing_gaps(stage: Stage) -> Scenario:
    """One gap has been exported, another is nobody's to fill: the plan closes both."""
    exposed, settings = happened(stage)
    account = stage.account()
    own = f"copilot/users/{settings['EXPORT_USERS']}/interactionHistory/getAllEnterpriseInteractions"
    account.fill(CONTAINERS, [gap(own, 1)])
    run = stage.worker.run([PLAN, PUMP], stage.environment(account, **settings))
    assert run.status == 0, run
    blobs = [*account.read(), gap("chats", 2)]

    def after(_: Stage, account: Account) -> list[str]:
        noted = sorted(blob.name.partition("/")[0] for blob in account.read({"state"}) if blob.name.startswith("gaps"))
        return [] if noted == ["gaps-exported", "gaps-lost"] else [f"gaps are noted as {noted}"]

    return Scenario("close gaps", [PLAN], blobs=blobs, kept=[exposed], repair=[PLAN], settings=settings, after=after)


def one_by_one(stage: Stage, token_life: float = 3600.0) -> None:
    """Let each page have one interaction."""
    stage.behave(default_page=1, largest_page=1, token_life=token_life)


def happened(stage: Stage) -> tuple[Parcel, Settings]:
    """Interactions of one user of which nobody was told, as what Graph's export owes, and settings that export him."""
    at = datetime.now(UTC).replace(microsecond=0) - EARLIER
    exposed, user = _happened(stage, at)
    return exposed, {"EXPORT_USERS": user, "EXPORT_START": (at - A_DAY).isoformat()}


@cache
def happened_in_tenant(stage: Stage) -> tuple[Parcel, Settings]:
    """The same, and settings that export the tenant as a whole: once on a stage."""
    at = datetime.now(UTC).replace(microsecond=0) - LATELY
    stage.populate("the tenant")
    exposed, _ = _happened(stage, at)
    return exposed, {"EXPORT_SCOPE": "tenant", "EXPORT_START": at.isoformat()}


def planned(stage: Stage, settings: Settings, blobs: list[Stored] | None = None) -> tuple[list[Stored], Step]:
    """What storage holds after a plan, and the step that exports the one window that it has put on the queue."""
    account = stage.account()
    account.fill(CONTAINERS, blobs or [])
    run = stage.worker.run([PLAN], stage.environment(account, **settings))
    assert run.status == 0, run
    with QueueClient.from_connection_string(account.connection_string, "exports") as queue:
        (window,) = [base64.b64decode(str(message.content)).decode() for message in queue.peek_messages(32)]
    return account.read(), ["export_window", window]


def gap(resource: str, number: int) -> Stored:
    """The note of hours that no notification vouches for."""
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    note = {"resource": resource, "from": f"{end - EARLIER:%FT%TZ}", "to": f"{end:%FT%TZ}", "reason": "it was gone"}
    return Stored("state", f"gaps/00000000-0000-4000-8000-{number:012}.json", json.dumps(note).encode(), {})


def _happened(stage: Stage, at: datetime) -> tuple[Parcel, str]:
    changes = stage.cloud.call(lambda graph: graph.cloud.content.conversation(at))
    for user in changes[0].user_ids:
        stage.cloud.call(partial(Simulator.license, user_id=user))
    stage.cloud.call(lambda graph: graph.happen(changes))
    return stage.press.parcel(*(stage.press.genuine(change) for change in changes)), min(changes[0].user_ids)


def _exported(
    name: str,
    window: Step,
    blobs: list[Stored],
    kept: list[Parcel],
    settings: Settings,
    before: Callable[[Stage], None] = lambda _: None,
) -> Scenario:
    # The queue brings the window again, as it does ten minutes after a process was lost.
    repair = [window, PUMP]
    return Scenario(name, [window], blobs=blobs, kept=kept, repair=repair, settings=settings, before=before)
