"""The app keeps its subscriptions alive against the simulated Graph, over TLS, with real tokens and handshakes."""

from datetime import UTC, datetime

from tests.e2e.app import App

COPILOT = "copilot/interactionHistory/getAllEnterpriseInteractions"


def conversation_is_archived(app: App) -> bool:
    """Whether what people ask now arrives in the archive."""
    before = app.verdict().archived
    changes = app.cloud.call(lambda graph: graph.cloud.content.conversation(datetime(2026, 11, 20, 9, 30, tzinfo=UTC)))
    app.send(changes)
    app.at_rest()
    verdict = app.verdict()
    return verdict.archived == before + len(changes) and not verdict.lost


def test_it_subscribes_and_captures(subscribing_app: App) -> None:
    app = subscribing_app
    app.renew()
    assert {resource: each["live"] for resource, each in app.subscriptions().items()} == {COPILOT: True, "chats": True}
    assert conversation_is_archived(app)
    asked = app.cloud.graph.requests["POST /subscriptions"]
    app.renew()
    assert app.cloud.graph.requests["POST /subscriptions"] == asked
    assert app.gaps() == []


def test_the_certificate_is_rotated_and_older_content_still_opens(subscribing_app: App) -> None:
    app = subscribing_app
    app.renew()
    before = app.subscriptions()[COPILOT]
    version = app.cloud.call(lambda graph: graph.rotate_certificate().id)
    app.host.restart()  # the newest version is remembered for five minutes
    app.renew()
    after = app.subscriptions()[COPILOT]
    assert after["encryptionCertificateId"] == version != before["encryptionCertificateId"]
    assert after["id"] == before["id"]
    assert conversation_is_archived(app)
    assert app.gaps() == []


def test_a_graph_that_takes_no_certificate_in_a_patch_gets_a_new_subscription(subscribing_app: App) -> None:
    app = subscribing_app
    app.renew()
    before = app.subscriptions()[COPILOT]
    app.cloud.call(lambda graph: setattr(graph.policy, "strict_patch", True))
    version = app.cloud.call(lambda graph: graph.rotate_certificate().id)
    app.host.restart()
    app.renew()
    after = app.subscriptions()[COPILOT]
    assert after["encryptionCertificateId"] == version
    assert after["id"] != before["id"]
    assert {gap["resource"] for gap in app.gaps()} == {COPILOT, "chats"}
    assert conversation_is_archived(app)


def test_a_removed_subscription_is_made_again_and_the_gap_is_to_be_exported(subscribing_app: App) -> None:
    app = subscribing_app
    app.renew()
    gone = str(app.subscriptions()[COPILOT]["id"])
    app.cloud.run(lambda graph: graph.remove_subscription(gone))
    app.at_rest()
    now = app.subscriptions()[COPILOT]
    assert now["live"]
    assert now["id"] != gone
    (gap,) = app.gaps()
    assert gap["resource"] == COPILOT
    assert gap["from"] < gap["to"]
    assert conversation_is_archived(app)


def test_a_challenge_is_answered_by_a_renewal(subscribing_app: App) -> None:
    app = subscribing_app
    app.renew()
    challenged = str(app.subscriptions()[COPILOT]["id"])
    expiry = str(app.subscriptions()[COPILOT]["expirationDateTime"])
    for _ in range(5):
        app.cloud.run(lambda graph: graph.emit_lifecycle("reauthorizationRequired", challenged))
    app.at_rest()
    assert str(app.subscriptions()[COPILOT]["expirationDateTime"]) > expiry
    # A storm is one look, and never a reauthorize beside a PATCH.
    assert app.cloud.graph.requests["PATCH"] == 1
    assert app.cloud.graph.violations == []
    assert app.gaps() == []


def test_missed_notifications_are_a_gap_and_an_unknown_event_is_a_dead_letter(subscribing_app: App) -> None:
    app = subscribing_app
    app.renew()
    about = str(app.subscriptions()[COPILOT]["id"])
    app.cloud.run(lambda graph: graph.emit_lifecycle("missed", about))
    app.cloud.run(lambda graph: graph.emit_lifecycle("somethingNew", about))
    app.at_rest()
    assert [gap["reason"] for gap in app.gaps()] == ["Graph missed notifications"]
    assert app.call("GET", "status").json()["deadLetters"]["byReason"] == {"unknown-lifecycle-event": 1}


def test_revoked_consent_is_told_and_healed(subscribing_app: App) -> None:
    app = subscribing_app
    app.renew()
    app.cloud.run(lambda graph: graph.revoke_consent())
    app.at_rest()
    app.renew()
    told = app.call("GET", "status").json()["subscriptions"]["resources"]
    assert any("forbids" in str(each["problem"]) for each in told)
    app.cloud.call(lambda graph: graph.restore_consent())
    app.host.restart()  # with a token that knows of it
    app.renew()
    assert conversation_is_archived(app)
    assert {gap["resource"] for gap in app.gaps()} == {COPILOT, "chats"}


def test_a_lost_answer_makes_no_second_subscription(subscribing_app: App) -> None:
    app = subscribing_app
    app.cloud.call(lambda graph: graph.lose_answers("BATCH"))
    app.renew()
    app.renew()
    assert all(each["live"] for each in app.subscriptions().values())
    assert len(app.cloud.graph.subscriptions.living()) == 2
