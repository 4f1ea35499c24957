"""The simulator as people start it: a process, with its control API over TLS."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from local.graph import Ledger
from tests.serving import open_door

ROOT = Path(__file__).parents[3]
Json = dict[str, Any]


@dataclass
class Running:
    folder: Path
    process: "subprocess.Popen[str]"
    session: requests.Session
    url: str

    def get(self, path: str = "") -> Json:
        return dict(self.session.get(f"{self.url}/_simulator{path}", timeout=30).json())

    def send(self, path: str, method: str = "POST", status: int = 200, **values: object) -> Json:
        answer = self.session.request(method, f"{self.url}/_simulator/{path}", json=values, timeout=30)
        assert answer.status_code == status, answer.text
        return dict(answer.json())


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("graph")
    command = [sys.executable, "-m", "local.graph", "--port", "0", "--folder", str(folder), "--time-scale", "3600"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    settings = folder / "settings.json"
    deadline = time.monotonic() + 30
    while not settings.exists() or not settings.read_text():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with requests.Session() as session:
        session.trust_env = False  # or else REQUESTS_CA_BUNDLE wins over verify
        session.verify = str(folder / "ca.pem")
        yield Running(folder, process, session, json.loads(settings.read_text())["GRAPH_ENDPOINT"])
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "GRAPH_CLIENT_SECRET" in output


@pytest.fixture(scope="module")
def webhook() -> Iterator[str]:
    with open_door() as door:
        yield f"{door}/api"


@pytest.fixture(scope="module")
def subscription(running: Running, webhook: str) -> Json:
    return running.send("subscriptions", notificationUrl=webhook, lifecycleNotificationUrl=webhook)


def test_overview(running: Running, subscription: Json) -> None:
    overview = running.get()
    assert overview["settings"]["GRAPH_ENDPOINT"] == running.url
    assert set(overview["identity"]) == {"IDENTITY_ENDPOINT", "IDENTITY_HEADER"}
    assert [each["id"] for each in overview["subscriptions"]] == [subscription["id"]]
    assert overview["subscriptions"][0]["clientState"] is None


def test_a_day_an_interaction_and_forgeries_end_in_the_ledger(running: Running, subscription: Json) -> None:
    assert subscription
    started = running.send("days", date="2026-03-02", interactions=40, users=5, chats=0, seconds=0.5)
    assert started["changes"] >= 40
    assert started["posts"] > 0
    assert len(running.send("interactions")["interactions"]) >= 2
    assert running.send("forgeries", kind="expired-token")["answers"] == {"expired-token": 202}
    assert len(running.send("forgeries", kind="all")["answers"]) == 31
    assert running.get("/idle?seconds=30") == {"idle": True}
    summary = running.get("/ledger")
    assert summary["contents"] == summary["acknowledged"] >= 42
    assert summary == Ledger.read(running.folder).summary()


def test_a_refused_subscription_shows_graphs_error(running: Running, subscription: Json, webhook: str) -> None:
    answer = running.send("subscriptions", status=409, notificationUrl=webhook, lifecycleNotificationUrl=webhook)
    assert subscription["id"] in answer["error"]["message"]


def test_certificates_and_keys_rotate(running: Running) -> None:
    version = running.send("certificates")["version"]
    assert running.get()["certificates"][-1] == version
    for what in ("disable", "enable", "delete", "restore"):
        running.send(f"certificates/{version}/{what}")
    assert running.send("signing-keys", retire=False)["kid"]


def test_faults_and_outages(running: Running) -> None:
    assert running.send("faults", "PUT", duplicate=1, forged=0)["duplicate"] == 1
    assert running.get()["faults"]["forged"] == 0
    running.send("outages/vault", "PUT", kind="503")
    assert running.get()["outages"] == {"vault": "503"}
    assert running.session.get(f"{running.url}/secrets/x", timeout=5).status_code == 503
    running.send("outages/vault", "DELETE")
    assert running.session.get(f"{running.url}/secrets/x", timeout=5).status_code == 401


def test_limits_and_policy(running: Running) -> None:
    assert running.send("limits", "PUT", list=7, per_user=3)["list"] == 7
    assert running.get()["limits"]["per_user"] == 3
    assert running.send("limits", "PUT")["list"] == 25
    assert running.send("policy", "PUT", strictPatch=True, patience=60)["strictPatch"] is True
    assert running.send("policy", "PUT", licensedUsers=3) == {"strictPatch": True, "patience": 60, "licensedUsers": 3}
    running.send("policy", "PUT", strictPatch=False)
    running.send("lost-answers", "PUT", verb="LIST", count=0)


def test_what_happens_unnoticed_and_how_it_is_exported(running: Running) -> None:
    assert running.send("export", "PUT", friendly=True, short=0.25)["short"] == 0.25
    assert running.get()["export"]["empty"] == 0
    day = running.send("happen", date="2026-03-05", interactions=12, users=2, chats=0)
    assert day["changes"] == len(day["refs"]) >= 12
    assert running.send("happen", users=2)["changes"] >= 2
    ledger = Ledger.read(running.folder)
    assert {ledger.notified(each) for each in ledger.contents if each.ref in day["refs"]} == {"silent"}
    assert running.send("faults", "PUT", dropped=1, forged=0)["dropped"] == 1
    running.send("faults", "PUT", forged=0)


def test_people_and_groups(running: Running) -> None:
    user = next(each["id"] for each in running.get("/users")["users"] if each["licensed"])
    changed = running.send(f"users/{user}", "PUT", licensed=False, enabled=False, trouble="503")
    assert changed == {"id": user, "licensed": False, "enabled": False}
    assert running.get()["troubles"] == {user: "503"}
    assert running.send(f"users/{user}", "PUT", licensed=True, trouble=None)["licensed"] is True
    assert running.send("groups", members=[user])["id"]
    running.send(f"users/{user}", "DELETE")
    assert user not in {each["id"] for each in running.get("/users")["users"]}


def test_what_graph_does_to_subscriptions(running: Running, webhook: str, subscription: Json) -> None:
    assert running.send("lifecycle", event="missed", subscription=subscription["id"]) == {"answers": [202]}
    assert running.send("lifecycle", event="reauthorizationRequired") == {"answers": [202]}
    assert running.send(f"subscriptions/{subscription['id']}", "DELETE", tell=True) == {"answers": [202]}
    assert running.get()["subscriptions"] == []
    again = running.send("subscriptions", notificationUrl=webhook, lifecycleNotificationUrl=webhook)
    assert running.send("consent", "DELETE", roles=["AiEnterpriseInteraction.Read.All"]) == {"answers": [202]}
    refused = running.send("subscriptions", status=403, notificationUrl=webhook, lifecycleNotificationUrl=webhook)
    assert refused["error"]["code"] == "Forbidden"
    running.send("consent", "PUT")
    assert running.send("clock", seconds=3600) == {"advanced": 3600}
    assert [each["id"] for each in running.get()["subscriptions"]] == [again["id"]]
    assert running.send("clock", seconds=86400) == {"advanced": 90000}
    overview = running.get()
    assert overview["subscriptions"] == []
    assert overview["requests"]["POST /subscriptions"] >= 3
    assert overview["violations"] == []


@pytest.mark.parametrize(
    ("path", "method", "values"),
    [
        ("days", "POST", {"date": "tomorrow"}),
        ("days", "POST", {"hours": 3}),
        ("forgeries", "POST", {}),
        ("forgeries", "POST", {"kind": "mistake"}),
        ("faults", "PUT", {"duplicate": 2}),
        ("faults", "PUT", {"weather": 1}),
        ("outages/moon", "PUT", {"kind": "503"}),
        ("outages/vault", "PUT", {"kind": "fire"}),
        ("certificates/none/disable", "POST", {}),
        ("certificates/none/eat", "POST", {}),
        ("limits", "PUT", {"list": 0}),
        ("limits", "PUT", {"lists": 1}),
        ("policy", "PUT", {"strictPatch": "yes"}),
        ("policy", "PUT", {"strict": True}),
        ("lost-answers", "PUT", {"verb": "PUT"}),
        ("lifecycle", "POST", {"event": "missed", "subscription": "none"}),
        ("subscriptions/none", "DELETE", {}),
        ("clock", "POST", {"seconds": -1}),
        ("export", "PUT", {"short": 2}),
        ("export", "PUT", {"weather": 1}),
        ("happen", "POST", {"date": "tomorrow"}),
        ("happen", "POST", {"hours": 1}),
        ("users/somebody", "PUT", {"licensed": True}),
        ("users/x", "PUT", {"licensed": "yes"}),
        ("users/x", "PUT", {"trouble": "rain"}),
        ("groups", "POST", {}),
        ("groups", "POST", {"members": [1]}),
    ],
)
def test_nonsense_is_refused(running: Running, path: str, method: str, values: Json) -> None:
    assert running.send(path, method, 400, **values)["error"]


def test_a_web_page_cannot_drive_it(running: Running) -> None:
    answer = running.session.post(f"{running.url}/_simulator/signing-keys", data="{}", timeout=5)
    assert answer.status_code == 415


def test_a_taken_port_is_told(running: Running, tmp_path: Path) -> None:
    port = str(urlsplit(running.url).port)
    command = [sys.executable, "-m", "local.graph", "--port", port, "--folder", str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 1
    assert "cannot start" in result.stderr
