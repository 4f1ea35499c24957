"""The app answers as archive.yaml says, whatever it is asked; and an answer that is not in there is found."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import requests

from tests.e2e.app import FUNCTION_KEY, App, running_app
from tests.schemas.exploring import Exploration, Json, described, either, explore

# What Azure itself runs, where this Python has it.
ENGINE = "runtime" if sys.version_info >= (3, 13) else "sdk"
# What is posted is kept whatever it holds, as long as one item carries our clientState.
WEBHOOKS = ("receiveNotifications", "receiveLifecycleNotifications")
POSTS = {
    "receiveNotifications": {202, 400, 403},
    "receiveLifecycleNotifications": {202, 400, 403},
    "health": {200},
    "dashboard": {200},
    "status": {200, 401},
    "replayDeadLetters": {200, 400, 401},
}
HANDSHAKES = {"receiveNotifications": {200}, "receiveLifecycleNotifications": {200}, "replayDeadLetters": {200, 400}}
ALL_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """One app for all: whatever is posted here is nothing that could be archived."""
    with running_app(tmp_path_factory.mktemp("archive"), engine=ENGINE) as running:
        yield running


def without(what: str, app: App) -> Json:
    """The description with a secret that is right, and without `what` of the posts.

    Where both are sent, a token has the body ignored, and a reason in the query the one in the body.
    """
    document = described("archive.yaml", ClientState=either([app.cloud.graph.client_state], {"type": "string"}))
    for operations in document["paths"].values():
        operations.get("post", {}).pop(what, None)
    for name in ("ChangeNotifications", "LifecycleNotifications"):
        # Posts of a thousand items are tried in tests/e2e, and cost seconds to make up here.
        del document["components"]["schemas"][name]["properties"]["value"]["maxItems"]
    return document


def tried(app: App, document: Json, folder: Path, *arguments: str) -> Exploration:
    key = {"x-functions-key": FUNCTION_KEY}
    return explore(document, f"{app.host.url}/api", folder, headers=key, lenient=WEBHOOKS, arguments=arguments)


def unseen(explored: Exploration, wanted: Mapping[str, set[int]]) -> Mapping[str, set[int]]:
    missing = {name: statuses - explored.answers.get(name, frozenset()) for name, statuses in wanted.items()}
    return {name: statuses for name, statuses in missing.items() if statuses}


def test_posts_are_answered_as_described(app: App, tmp_path: Path) -> None:
    explored = tried(app, without("parameters", app), tmp_path)
    assert explored.passed, explored.told
    assert not unseen(explored, POSTS)
    app.at_rest()


def test_queries_are_answered_as_described(app: App, tmp_path: Path) -> None:
    explored = tried(app, without("requestBody", app), tmp_path, "--include-method", "POST")
    assert explored.passed, explored.told
    assert not unseen(explored, HANDSHAKES)


def test_other_methods_are_refused(app: App) -> None:
    for path, operations in described("archive.yaml")["paths"].items():
        for method in ALL_METHODS - {name.upper() for name in operations}:
            answer = requests.request(method, f"{app.host.url}/api{path}", timeout=30)
            assert (answer.status_code, answer.content) in {(404, b""), (405, b"")}, (method, path)


def test_what_is_not_as_described_is_found(app: App, tmp_path: Path) -> None:
    """Two faults, in a copy of the description: an answer that is not in it, and a value of another type."""
    document = without("parameters", app)
    del document["paths"]["/status"]["get"]["responses"]["401"]
    document["components"]["schemas"]["Status"]["properties"]["conflicts"] = {"type": "string"}
    explored = tried(app, document, tmp_path, "--phases", "coverage", "--include-operation-id", "status")
    assert not explored.passed
    for found in ("Undocumented status code", "Response violates schema"):
        assert found in explored.told
