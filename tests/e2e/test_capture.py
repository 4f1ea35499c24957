"""From Graph's post to a blob, and back from every trouble on the way."""

import json
from datetime import UTC, date, datetime

from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueClient

from local.graph.content.change import Change
from local.graph.faults import Faults
from tests.e2e.app import App

YESTERDAY = date(2026, 11, 20)


def conversation(app: App) -> list[Change]:
    """One prompt and its answers."""
    return app.cloud.call(lambda graph: graph.cloud.content.conversation(datetime(2026, 11, 20, 9, 30, tzinfo=UTC)))


def test_a_nasty_day_is_archived_once_and_nothing_forged(app: App) -> None:
    app.subscribe()
    app.subscribe("/chats")
    app.cloud.call(lambda graph: setattr(graph.traffic, "faults", Faults(duplicate=0.2, forged=1.0)))
    app.send(app.cloud.graph.day(YESTERDAY, interactions=120, users=12, chats=6))
    app.at_rest()
    verdict = app.verdict()
    assert verdict.good, verdict
    assert verdict.archived > 100
    assert verdict.tombstones > 0
    assert verdict.duplicates_dropped > 0
    assert verdict.forged_posts > 10
    # What is forged beyond the webhook's checks is told to an operator, by reason.
    assert {"not-genuine", "decryption-failed", "identity-mismatch", "unknown-certificate"} <= set(verdict.dead_letters)
    status = app.call("GET", "status").json()
    assert status["deadLetters"]["byReason"] == dict(verdict.dead_letters)
    assert status["inbox"]["notifications"] == {"posts": 0, "oldestReceivedAt": None, "oldestAgeSeconds": None}
    assert status["certificate"]["secondsToExpiry"] > 0


def test_an_archived_interaction_is_where_the_contract_says(app: App) -> None:
    subscription_id = app.subscribe()
    prompt = conversation(app)[0]
    app.send([prompt])
    app.at_rest()
    (name,) = app.names("interactions")
    session = (prompt.session_id or "").replace(":", "=3A").replace("@", "=40").replace("/", "=2F")
    assert (
        name == f"{app.cloud.graph.tenant_id}/2026/11/20/{session}/{prompt.request_id}/{prompt.id}.{prompt.etag}.json"
    )
    with BlobServiceClient.from_connection_string(app.azurite.connection_string) as storage:
        download = storage.get_blob_client("interactions", name).download_blob()
        assert download.readall() == prompt.plaintext
        metadata = download.properties.metadata
    assert metadata["source"] == "notification"
    assert metadata["changetype"] == "created"
    assert metadata["subscriptionid"] == subscription_id
    assert metadata["tenantid"] == app.cloud.graph.tenant_id
    assert metadata["userid"] in prompt.user_ids
    assert metadata["sha256"] == prompt.sha256
    assert datetime.fromisoformat(metadata["receivedat"]).tzinfo is not None


def test_a_vault_outage_delays_and_loses_nothing(app: App) -> None:
    app.subscribe()
    app.cloud.call(lambda graph: graph.cloud.outages.begin("vault", "503"))
    changes = conversation(app)
    app.send(changes)
    app.until(lambda: app.cloud.graph.cloud.outages.refused["vault"] > 0, "the vault was asked")
    assert app.names("dead-letters") == []
    assert app.names("inbox")
    assert "error" in app.call("GET", "status").json()["certificate"]
    app.cloud.call(lambda graph: graph.cloud.outages.end("vault"))
    app.at_rest()
    assert app.verdict().archived == len(changes)


def test_signing_keys_out_of_reach_delay_and_lose_nothing(app: App) -> None:
    app.subscribe()
    app.cloud.call(lambda graph: graph.cloud.outages.begin("signing_keys", "503"))
    changes = conversation(app)
    app.send(changes)
    app.until(lambda: app.cloud.graph.cloud.outages.refused["signing_keys"] > 0, "the keys were asked for")
    assert app.names("dead-letters") == []
    app.cloud.call(lambda graph: graph.cloud.outages.end("signing_keys"))
    # The keys are asked for again after the cool-down of half a minute, by one of the host's five tries.
    app.at_rest()
    assert app.verdict().archived == len(changes)


def test_a_killed_worker_loses_nothing(app: App) -> None:
    app.subscribe()
    app.cloud.call(lambda graph: graph.cloud.outages.begin("vault", "hang"))
    changes = conversation(app)
    app.send(changes)
    app.until(lambda: app.cloud.graph.cloud.outages.refused["vault"] > 0, "the worker is in the middle of its work")
    app.host.kill()
    app.cloud.call(lambda graph: graph.cloud.outages.end("vault"))
    app.host.start()
    # Its queue messages stay hidden for ten minutes; the posts are in the inbox, and the sweeper looks there.
    assert app.host.run_function("sweep_inbox") == 202
    app.at_rest()
    assert app.verdict().archived == len(changes)


def test_a_doorbell_that_was_lost_is_rung_again(app: App) -> None:
    app.subscribe()
    app.cloud.call(lambda graph: graph.cloud.outages.begin("vault", "503"))
    changes = conversation(app)
    app.send(changes)
    app.until(lambda: app.cloud.graph.cloud.outages.refused["vault"] > 0, "the posts are in the inbox")
    with QueueClient.from_connection_string(app.azurite.connection_string, "notifications") as queue:
        queue.clear_messages()
    app.cloud.call(lambda graph: graph.cloud.outages.end("vault"))
    assert app.host.run_function("sweep_inbox") == 202
    app.at_rest()
    assert app.verdict().archived == len(changes)


def test_dead_letters_of_a_deleted_certificate_are_replayed_after_its_return(app: App) -> None:
    app.subscribe()
    vault, name = app.cloud.graph.cloud.vault, app.cloud.graph.certificate_name
    version = vault.versions(name)[-1].id
    app.cloud.call(lambda graph: graph.cloud.vault.delete(name, version))
    changes = conversation(app)
    app.send(changes)
    app.at_rest()
    assert app.call("GET", "status").json()["deadLetters"]["byReason"] == {"unknown-certificate": len(changes)}
    app.cloud.call(lambda graph: graph.cloud.vault.restore(name, version))
    # Another process than the one that remembers the refusal for half a minute.
    app.host.restart()
    assert app.call("POST", "dead-letters/replay?reason=not-genuine").json()["archived"] == 0
    assert app.call("POST", "dead-letters/replay?reason=unknown-certificate").json() == {
        "archived": len(changes),
        "duplicates": 0,
        "conflicts": 0,
        "stillDead": {},
        "unreadable": 0,
        "postponed": None,
        "complete": True,
    }
    assert app.names("dead-letters") == []
    assert app.call("POST", "dead-letters/replay").json()["archived"] == 0
    assert app.verdict().archived == len(changes)


def test_a_new_signing_key_is_found_when_it_is_first_used(app: App) -> None:
    app.subscribe()
    first, second = conversation(app), conversation(app)
    app.send(first)
    app.at_rest()
    app.cloud.call(lambda graph: graph.cloud.entra.keys.rotate())
    app.send(second)
    app.at_rest()
    assert app.verdict().archived == len(first) + len(second)
    assert app.names("dead-letters") == []


def test_a_whole_post_of_garbage_with_our_client_state_becomes_dead_letters(app: App) -> None:
    secret = app.cloud.graph.client_state
    items: list[object] = [
        {"clientState": secret},
        {"clientState": secret, "subscriptionId": 1, "changeType": [], "resource": {}},
        {"clientState": secret, "subscriptionId": "s", "changeType": "created", "resource": "r"},
        {"clientState": "wrong"},
        "text",
        None,
        [[[]]],
    ]
    assert app.post(json.dumps({"value": items, "validationTokens": None}).encode()).status_code == 202
    app.at_rest()
    by_reason = app.call("GET", "status").json()["deadLetters"]["byReason"]
    assert by_reason == {"malformed-notification": 2, "no-resource-data": 1, "client-state-mismatch": 4}


def test_the_log_holds_no_content_and_no_secret(app: App) -> None:
    app.subscribe()
    app.cloud.call(lambda graph: setattr(graph.traffic, "faults", Faults(forged=1.0)))
    day = app.cloud.graph.day(YESTERDAY, interactions=40, users=5, chats=0)
    app.send(day)
    app.at_rest()
    log = app.host.log_text
    graph = app.cloud.graph
    assert graph.client_state not in log
    assert graph.client_secret not in log
    assert "eyJ" not in log  # how every JSON Web Token begins
    assert "PRIVATE KEY" not in log
    texts = [json.loads(change.plaintext)["body"]["content"] for change in day if change.plaintext]
    assert not [text for text in texts if len(text) > 20 and text[:20] in log]
