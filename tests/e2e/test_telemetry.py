"""What the app tells of itself: enough to follow a post, and nothing that anybody wrote or must keep secret."""

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueClient, TextBase64EncodePolicy
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from local.azurite import Azurite
from local.graph.content.change import Change
from local.graph.export_policy import ExportPolicy
from local.graph.faults import Faults
from local.telemetry.records import Told
from shared.core import metrics
from tests.e2e.app import FUNCTION_KEY, App, running_app
from tests.e2e.conftest import ENGINES

YESTERDAY = date(2026, 11, 20)
PREVIOUS = "canary-previous-client-state"
# Where people, apps and files are named, and where words are.
WORDS = {"content", "displayName", "name", "topic", "text", "contentUrl", "linkUrl", "mentionText", "email", "webUrl"}
SECRET_KEYS = {"data", "dataKey", "dataSignature", "clientState", "validationTokens"}
TOKEN = re.compile(r"eyJ[\w-]{10,}\.[\w-]{10,}")


@dataclass
class Listening:
    """The app, and what it has told by now."""

    app: App
    file: Path

    @property
    def told(self) -> Told:
        """Read again at each look."""
        return Told.read(self.file)

    def at_rest(self) -> None:
        """Wait until nothing is in the inbox. On a loaded machine a post may be kept, and acknowledged too late."""
        self.app.host.run_function("sweep_inbox")
        self.app.at_rest()

    def everything(self) -> str:
        """All that left the app's process but for what it stored: its output and its telemetry."""
        return self.app.host.log_text + self.file.read_text(encoding="utf-8")


@pytest.fixture(params=ENGINES)
def listening(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Listening]:
    """A fresh app at its most talkative, which subscribes by itself."""
    file = tmp_path / "telemetry.jsonl"
    with running_app(
        tmp_path,
        engine=request.param,
        resources=["copilot/interactionHistory/getAllEnterpriseInteractions", "/chats"],
        previous_client_state=PREVIOUS,
        host_arguments=["--telemetry", str(file), "--log-level", "DEBUG"],
    ) as app:
        app.renew()
        yield Listening(app, file)


def marked(changes: list[Change]) -> list[Change]:
    """The same changes, with a canary in everything that a person has written or is called."""
    return [replace(each, plaintext=_marked(each.plaintext)) if each.plaintext else each for each in changes]


def _marked(plaintext: bytes) -> bytes:
    try:
        return json.dumps(_with_canaries(json.loads(plaintext))).encode()
    except RecursionError:
        return plaintext


def _with_canaries(value: object, name: str = "") -> object:
    if isinstance(value, dict):
        return {key: _with_canaries(member, key) for key, member in value.items()}
    if isinstance(value, list):
        return [_with_canaries(member, name) for member in value]
    return f"canary-{name} {value}" if isinstance(value, str) and name in WORDS else value


def secrets(listening: Listening) -> Iterator[str]:
    """Whatever must not be told, as it stands in settings, in the vault and among the dead letters."""
    app, graph = listening.app, listening.app.cloud.graph
    yield from ("canary", graph.client_state, PREVIOUS, graph.client_secret, FUNCTION_KEY)
    yield from re.findall(r"AccountKey=([^;]+)", app.azurite.connection_string)
    for version in graph.cloud.vault.versions(graph.certificate_name):
        yield version.secret_value()[:100]
        yield from _key_lines(version.pair.private_key)
    with BlobServiceClient.from_connection_string(app.azurite.connection_string) as storage:
        for name in app.names("dead-letters"):
            yield from _held(json.loads(storage.get_blob_client("dead-letters", name).download_blob().readall()))


def _key_lines(private_key: RSAPrivateKey) -> Iterator[str]:
    encoding, plain = serialization.Encoding.DER, serialization.NoEncryption()
    for kind in (serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL):
        text = base64.b64encode(private_key.private_bytes(encoding, kind, plain)).decode()
        yield from (text[start : start + 64] for start in range(64, len(text) - 64, 64))
    yield str(private_key.private_numbers().d)[:40]


def _held(value: object, name: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, member in value.items():
            yield from _held(member, key)
    elif isinstance(value, list):
        for member in value:
            yield from _held(member, name)
    elif isinstance(value, str) and name in SECRET_KEYS and len(value) >= 12:
        yield value[:200]


def play(listening: Listening) -> None:
    """A day with all that tempts an app to talk: forgeries, an outage, nonsense at every door, a replay."""
    app = listening.app
    app.cloud.call(lambda graph: setattr(graph.traffic, "faults", Faults(duplicate=0.2, forged=1.0)))
    day = marked(app.cloud.graph.day(YESTERDAY, interactions=60, users=8, chats=4))
    app.cloud.call(lambda graph: graph.cloud.outages.begin("vault", "503", requests=2))
    app.send(day[: len(day) // 2])
    app.cloud.call(lambda graph: graph.cloud.outages.begin("signing_keys", "500", requests=1))
    app.host.restart()
    app.send(day[len(day) // 2 :])
    for body in (b"canary: no JSON", b'{"value": [{"clientState": "canary-of-a-stranger"}]}', b'{"value": "canary"}'):
        assert app.post(body).status_code in (400, 403)
    odd = {
        "value": [{"clientState": PREVIOUS, "resource": "canary-resource"}, "canary-item", {"clientState": "canary"}]
    }
    assert app.post(json.dumps(odd).encode()).status_code == 202
    hint = {"value": [{"clientState": PREVIOUS, "lifecycleEvent": "canary-event", "subscriptionId": "canary"}]}
    assert app.post(json.dumps(hint).encode(), route="lifecycle").status_code == 202
    assert app.post(b"", route="notifications?validationToken=canary-handshake").status_code == 200
    with QueueClient.from_connection_string(
        app.azurite.connection_string, "notifications", message_encode_policy=TextBase64EncodePolicy()
    ) as queue:
        queue.send_message("canary-message")
    listening.at_rest()
    export(app, marked(app.cloud.graph.day(YESTERDAY - timedelta(days=3), interactions=30, users=8, chats=0)))
    app.call("POST", "dead-letters/replay")
    app.call("POST", "dead-letters/replay?reason=canary-reason")
    app.call("GET", "status")
    app.host.run_function("sweep_inbox")
    app.renew()


def export(app: App, changes: list[Change]) -> None:
    """The export brings what nobody was notified of, from a Graph that refuses one user and talks nonsense at times."""
    refused, *_ = app.cloud.graph.cloud.content.people(25)
    app.cloud.call(lambda graph: setattr(graph.policy, "export", ExportPolicy()))
    app.cloud.call(lambda graph: graph.trouble(refused.oid, "403"))
    app.cloud.call(lambda graph: graph.happen(changes))
    app.plan()
    app.until(lambda: "export" in {each["source"] for each in app.archived().values()}, "the export has brought some")
    app.until(lambda: "is not exported" in app.host.log_text, "the refusal is told")
    with QueueClient.from_connection_string(
        app.azurite.connection_string, "exports", message_encode_policy=TextBase64EncodePolicy()
    ) as queue:
        queue.send_message("canary-window")


def test_nothing_that_anybody_wrote_or_must_keep_secret_is_told(listening: Listening) -> None:
    play(listening)
    app = listening.app
    dead = app.call("GET", "status").json()["deadLetters"]["byReason"]
    assert {"not-genuine", "decryption-failed", "client-state-mismatch"} <= set(dead)
    listening.app.host.stop()
    told, everything = listening.told, listening.everything()
    # Told it has: a test that hears nothing finds nothing.
    assert len(told.spans()) > 100
    assert len(told.logs()) > 100
    assert metrics.DEAD_LETTERS_PARKED.name in told.metrics()
    leaked = {secret for secret in secrets(listening) if secret in everything}
    assert {secret: _around(everything, secret) for secret in leaked} == {}
    assert TOKEN.findall(everything) == []
    app.host.start()


def _around(text: str, secret: str) -> str:
    where = text.index(secret)
    return text[max(where - 200, 0) : where + len(secret) + 100]


def test_a_post_is_one_trace_from_its_receipt_to_the_archive(listening: Listening) -> None:
    app = listening.app
    day = app.cloud.graph.day(YESTERDAY, interactions=4, users=1, chats=0)
    app.send([change for change in day if change.change_type == "created"][:1])
    listening.at_rest()
    app.until(lambda: bool(listening.told.spans("store")), "the worker's span has ended")
    spans = listening.told.spans()
    (receive,) = [span for span in spans if span.name == "receive" and "post" in span.attributes]
    # The sweeper may have rung as well: then there are two, of one trace.
    store, *_ = [span for span in spans if span.name == "store"]
    assert store.trace_id == receive.trace_id
    assert store.parent_id == receive.span_id
    assert store.attributes["post"] == receive.attributes["post"]
    below = {span.name: span for span in spans if span.trace_id == receive.trace_id}
    assert {"receive", "blob keep", "store", "key vault get", "signing keys fetch", "blob write"} <= set(below)
    for name in ("blob keep", "blob write", "key vault get"):
        assert below[name].client
        assert below[name].attributes["client_request_id"], "an id by which Microsoft finds the request"
    assert below["blob write"].attributes["request_id"]
    assert app.names("interactions")


def test_a_day_is_counted(listening: Listening) -> None:
    app = listening.app
    sent = app.send(app.cloud.graph.day(YESTERDAY, interactions=20, users=3, chats=2))
    assert app.post(b"no JSON").status_code == 400
    listening.at_rest()
    app.host.run_function("sweep_inbox")
    app.until(lambda: metrics.SUBSCRIPTIONS_LIVE.name in listening.told.metrics(), "the gauges were told")
    told = listening.told
    answers = told.values(metrics.POSTS_RECEIVED.name)
    answers.pop(("503", "notifications"), None)  # on a loaded machine; Graph sent those again
    assert answers == {("202", "notifications"): len(sent), ("400", "notifications"): 1}
    assert told.counts(metrics.ACKNOWLEDGEMENT_TIME.name)[("202", "notifications")] == len(sent)
    assert told.values(metrics.SUBSCRIPTIONS_WANTED.name) == {(): 2}
    assert told.values(metrics.SUBSCRIPTIONS_LIVE.name) == {(): 2}
    assert told.values(metrics.INBOX_POSTS.name) == {("lifecycle",): 0, ("notifications",): 0}
    assert told.values(metrics.CERTIFICATE_DAYS_LEFT.name)[()] > 300
    archived = told.values(metrics.INTERACTIONS_ARCHIVED.name)
    assert 0 < sum(archived.values()) <= len(app.names("interactions")) + len(app.names("chats"))
    assert {key[-1] for key in archived} == {"notification"}


def test_an_outage_is_counted_as_what_was_away(listening: Listening) -> None:
    app, azurite = listening.app, listening.app.azurite
    app.cloud.call(lambda graph: graph.cloud.outages.begin("vault", "503"))
    app.send(app.cloud.graph.day(YESTERDAY, interactions=4, users=1, chats=0)[:1])
    counted = metrics.DEPENDENCY_FAILURES.name
    app.until(lambda: ("key-vault",) in listening.told.values(counted), "the vault's failure is told")
    app.cloud.call(lambda graph: graph.cloud.outages.end("vault"))
    listening.at_rest()
    _without_storage(app, azurite)
    app.until(lambda: ("storage",) in listening.told.values(counted), "the storage's failure is told")
    assert ("503", "notifications") in listening.told.values(metrics.POSTS_RECEIVED.name)


def _without_storage(app: App, azurite: Azurite) -> None:
    azurite.stop()
    body = json.dumps({"value": [{"clientState": PREVIOUS}]}).encode()
    assert app.post(body).status_code == 503
    azurite.start()
