"""No secret exists: storage, vault and Graph by the managed identity, over TLS, with the real azure-identity."""

from datetime import UTC, datetime

from tests.e2e.app import App


def test_it_subscribes_captures_and_reports_without_any_secret(secretless_app: App) -> None:
    app = secretless_app
    app.renew()
    (subscription,) = app.subscriptions().values()
    assert subscription["live"]
    changes = app.cloud.call(lambda graph: graph.cloud.content.conversation(datetime(2026, 11, 20, 9, 30, tzinfo=UTC)))
    app.send(changes)
    app.until(lambda: app.host.log_text.count("archived=1") == len(changes), "all of it is archived")
    status = app.call("GET", "status").json()
    assert status["inbox"]["notifications"]["posts"] == 0
    assert status["deadLetters"]["total"] == 0
    assert status["certificate"]["secondsToExpiry"] > 0
