"""The simulated Graph does what graph-subset.yaml says, whatever it is asked; and what it does wrong is found."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest

from local.graph import ExportPolicy, Faults, Limits, ThreadedSimulator, directory_query, run_in_thread
from local.graph.graph_errors import GraphError
from local.graph.times import milliseconds_z
from tests.schemas.exploring import CHECKS, Exploration, Json, described, either, explore, one_of
from tests.serving import open_door

# Nothing is refused for being too much here, or little else would be seen.
PLENTY = 1_000_000
LIMITS = Limits(write=PLENTY, get=PLENTY, list=PLENTY, reauthorize=PLENTY, export=PLENTY)
GUID = {"type": "string", "format": "uuid"}
# What must have been seen before silence means anything: each operation done, and refused.
SEEN = {
    "listSubscriptions": {200, 400, 401},
    "createSubscription": {201, 400, 401, 409},
    "getSubscription": {200, 401, 404},
    "updateSubscription": {200, 400, 401, 404},
    "deleteSubscription": {204, 401, 404},
    "reauthorizeSubscription": {204, 401, 404},
    "exportInteractions": {200, 400, 401, 403, 404},
    "listUsers": {200, 400, 401},
    "getUser": {200, 400, 401, 404},
    "listMembers": {200, 400, 401, 404},
    "listTransitiveMembers": {200, 400, 401, 404},
    "listSubscribedSkus": {200, 400, 401},
    "getChat": {200, 400, 401, 404},
    "batch": {200, 400, 401},
}


@dataclass(frozen=True)
class Stage:
    """A friendly Graph with a day behind it, and a description that names who and what is there."""

    cloud: ThreadedSimulator
    description: Json
    folder: Path

    def explore(self, *arguments: str) -> Exploration:
        """Hold it against the description."""
        return explore(
            self.description,
            f"{self.cloud.graph.graph_endpoint}/v1.0",
            self.folder,
            headers={"Authorization": f"Bearer {self.cloud.run(lambda graph: graph.graph_token())}"},
            checks=(*CHECKS, "unsupported_method", "use_after_free"),
            authority=self.cloud.graph.folder / "ca.pem",
            arguments=arguments,
        )


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with (
        open_door() as door,
        run_in_thread(
            folder=tmp_path / "graph",
            seed=7,
            faults=Faults.friendly(),
            export=ExportPolicy.friendly(),
            limits=LIMITS,
        ) as cloud,
    ):
        yield Stage(cloud, _peopled(cloud, f"{door}/api/notifications"), tmp_path)


def _peopled(cloud: ThreadedSimulator, url: str) -> Json:
    day = cloud.call(lambda graph: graph.day(date(2026, 3, 2), interactions=60, users=6, chats=3))
    cloud.call(lambda graph: graph.happen(day))
    accounts = [each.id for each in cloud.call(lambda graph: graph.directory.accounts())]
    group = cloud.call(lambda graph: graph.add_group(accounts[:3]))
    chat = next(change.id for change in day if change.kind == "chat")
    living, doomed = ([_subscribed(cloud, url, f"chats/{name}{number}") for number in range(3)] for name in "ab")
    now = cloud.graph.clock.now()
    version = cloud.graph.cloud.vault.versions(cloud.graph.certificate_name)[-1]
    description = described(
        "graph-subset.yaml",
        SubscriptionId=one_of(*living),
        UserId=either([*accounts[:3], accounts[-1]], GUID),
        GroupId=either([group], GUID),
        ChatId=either([chat], {"type": "string", "minLength": 1}),
        ConsistencyLevel=either(["eventual"], {"type": "string"}),
        WebhookUrl=one_of(url, f"{url}?code=a%20b"),
        Expiry=one_of(*(milliseconds_z(now + timedelta(hours=hours)) for hours in (0.9, 50, 100))),
        Resource=one_of("/chats", *(f"users/{user}/chats" for user in accounts)),
        Certificate=either([base64.b64encode(version.pair.der).decode()], {"type": "string"}),
        RelativeUrl=one_of("/subscriptions", "subscribedSkus", f"/users/{accounts[0]}", "/users?$top=0", "/nothing"),
    )
    # Deletions come early. What they delete could neither be renewed nor reauthorised afterwards.
    target = {"name": "subscription", "in": "path", "required": True, "schema": one_of(*doomed)}
    description["paths"]["/subscriptions/{subscription}"]["delete"]["parameters"] = [target]
    return description


def _subscribed(cloud: ThreadedSimulator, url: str, resource: str) -> str:
    made = cloud.run(lambda graph: graph.subscribe(url, url, resource=resource, change_type="created,updated"))
    return str(made["id"])


def test_it_is_as_described(stage: Stage) -> None:
    explored = stage.explore()
    assert explored.passed, explored.told
    unseen = {name: statuses - explored.answers.get(name, frozenset()) for name, statuses in SEEN.items()}
    assert not {name: statuses for name, statuses in unseen.items() if statuses}


def test_what_it_does_wrong_is_found(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three faults: errors of another shape, an option that breaks what reads it, one that nobody reads."""
    monkeypatch.setattr(GraphError, "body", lambda error, *_: {"code": error.code, "message": error.message})
    monkeypatch.setattr(directory_query, "page_size", lambda text, _: int(text))
    monkeypatch.setattr(directory_query, "check_count", lambda _: False)
    names = ("getUser", "listMembers")
    explored = stage.explore("--phases", "coverage", *(f"--include-operation-id={name}" for name in names))
    assert not explored.passed
    for found in ("Response violates schema", "Server error", "Schema-violating request accepted"):
        assert found in explored.told
