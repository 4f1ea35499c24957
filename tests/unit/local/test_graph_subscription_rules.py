import base64
import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.graph import resources
from local.graph.certificates import KeyPair, self_signed
from local.graph.entra import Principal
from local.graph.graph_errors import GraphError
from local.graph.resources import COPILOT_TENANT as TENANT_WIDE
from local.graph.subscription_rules import LIFECYCLE_REQUIRED, Caller, create

Body = dict[str, Any]
NOW = datetime(2026, 3, 1, tzinfo=UTC)
ROLES = frozenset({"AiEnterpriseInteraction.Read.All", "Chat.Read.All"})
APPLICATION = Principal("app", "oid", ROLES)
CERTIFICATE = self_signed("test")


def der(pair: KeyPair) -> str:
    return base64.b64encode(pair.der).decode()


def body(**changed: object) -> Body:
    made = {
        "changeType": "created,updated,deleted",
        "notificationUrl": "https://webhook.example/api/notifications",
        "lifecycleNotificationUrl": "https://webhook.example/api/lifecycle",
        "resource": TENANT_WIDE,
        "expirationDateTime": "2026-03-02T00:00:00.0000000Z",
        "clientState": "a secret",
        "includeResourceData": True,
        "encryptionCertificate": der(CERTIFICATE),
        "encryptionCertificateId": "version",
        **changed,
    }
    return {name: value for name, value in made.items() if value is not None}


def created(roles: frozenset[str] = ROLES, **changed: object) -> Any:  # noqa: ANN401 - read by attribute in tests
    return create(body(**changed), Caller("tenant", APPLICATION, roles), NOW)


REFUSED: list[tuple[Body, str]] = [
    ({"changeType": None}, "changeType is a required property"),
    ({"notificationUrl": None}, "notificationUrl is a required property"),
    ({"resource": None}, "resource is a required property"),
    ({"expirationDateTime": None}, "expirationDateTime is a required property"),
    ({"resource": "me/messages"}, "not supported"),
    ({"resource": 7}, "Edm.String"),
    ({"includeResourceData": "yes"}, "Edm.Boolean"),
    ({"notificationURL": "https://x.example"}, "does not exist on type"),
    ({"vapidPublicKey": "abc"}, "web push"),
    ({"changeType": "created,renamed"}, "renamed"),
    ({"changeType": "created;deleted"}, "created;deleted"),
    ({"resource": "/chats", "changeType": "deleted"}, "deleted"),
    ({"notificationUrl": "http://webhook.example/api"}, "must be https"),
    ({"notificationUrl": "webhook"}, "not a valid URL"),
    ({"notificationUrl": "https://[::1/api"}, "not a valid URL"),
    ({"lifecycleNotificationUrl": "ftp://webhook.example/api"}, "must be https"),
    ({"clientState": "x" * 129}, "128"),
    ({"expirationDateTime": "tomorrow"}, "Edm.DateTimeOffset"),
    ({"expirationDateTime": "2030-01-01T00:00:00"}, "Edm.DateTimeOffset"),
    ({"expirationDateTime": "2026-03-04T00:00:01Z"}, "is beyond allowed max '3.00:00:00'"),
    ({"lifecycleNotificationUrl": None}, LIFECYCLE_REQUIRED),
    ({"latestSupportedTlsVersion": "v0_9"}, "latestSupportedTlsVersion"),
    ({"encryptionCertificate": None}, "Certificate cannot be empty"),
    ({"encryptionCertificateId": None}, "encryptionCertificateId"),
    ({"encryptionCertificateId": "x" * 129}, "128"),
    ({"encryptionCertificate": "abc"}, "Certificate validation error: Invalid length"),
    ({"encryptionCertificate": "YWJj"}, "Certificate validation error: Cannot find the requested object"),
    ({"encryptionCertificate": der(self_signed("x", bits=1024))}, "between 2048 and 4096"),
    (
        {"resource": TENANT_WIDE + "?$filter=from/user/id eq 'x'"},
        "nested property",
    ),
    (
        {"resource": TENANT_WIDE + "?$filter=mood eq 'x'"},
        "Could not find a property",
    ),
    ({"resource": TENANT_WIDE + "?$select=id"}, r"\$select"),
    ({"resource": "/chats/19:x?notifyOnUserSpecificProperties=true"}, "user context"),
]


@pytest.mark.parametrize(("changed", "message"), REFUSED)
def test_refused(changed: Body, message: str) -> None:
    with pytest.raises(GraphError, match=message) as refused:
        created(**changed)
    assert refused.value.status == 400


def test_accepted() -> None:
    made = created()
    assert made.certificate == CERTIFICATE.certificate
    assert made.change_types == {"created", "updated", "deleted"}
    assert made.expires == datetime(2026, 3, 2, tzinfo=UTC)


def test_basic_needs_no_certificate() -> None:
    made = created(includeResourceData=None, encryptionCertificate=None, encryptionCertificateId=None)
    assert made.certificate is None
    assert not made.include_resource_data


@pytest.mark.parametrize(("minutes", "kept"), [(-60, 45), (1, 45), (44, 45), (45, 45), (46, 46), (4320, 4320)])
def test_expiry_is_raised_to_45_minutes_and_ends_at_three_days(minutes: int, kept: int) -> None:
    wanted = (NOW + timedelta(minutes=minutes)).isoformat()
    assert created(expirationDateTime=wanted).expires - NOW == timedelta(minutes=kept)


@pytest.mark.parametrize(("minutes", "accepted"), [(60, True), (61, False)])
def test_a_lifecycle_url_is_needed_beyond_an_hour(minutes: int, accepted: bool) -> None:
    wanted = (NOW + timedelta(minutes=minutes)).isoformat()
    changed: Body = {"expirationDateTime": wanted, "lifecycleNotificationUrl": None}
    if accepted:
        assert created(**changed)
    else:
        with pytest.raises(GraphError, match=LIFECYCLE_REQUIRED):
            created(**changed)


@pytest.mark.parametrize(
    ("resource", "role"),
    [
        ("copilot/interactionHistory/getAllEnterpriseInteractions", "AiEnterpriseInteraction.Read.All"),
        ("/copilot/users/u/interactionHistory/getAllEnterpriseInteractions", "AiEnterpriseInteraction.Read.User"),
        ("/chats", "Chat.ReadBasic.All"),
        ("chats/19:x@thread.v2", "ChatSettings.Read.Chat"),
        ("/users/u/chats", "Chat.ReadBasic.All"),
        ("/appCatalogs/teamsApps/a/installedToChats", "Chat.ReadBasic.WhereInstalled"),
        ("chats/getAllMessages?model=A", "Chat.Read.All"),
        ("/users/u/chats/getAllMessages", "Chat.Read.All"),
        ("chats/getAllMembers", "ChatMember.Read.All"),
    ],
)
def test_each_resource_has_its_least_role(resource: str, role: str) -> None:
    assert created(frozenset({role}), resource=resource, changeType="created,updated")
    with pytest.raises(GraphError, match="permissions") as refused:
        created(frozenset({"User.Read.All"}), resource=resource, changeType="created")
    assert refused.value.status == 403


@given(st.text())
def test_any_text_is_a_resource_or_refused(text: str) -> None:
    with contextlib.suppress(GraphError):
        assert resources.understand(text).type in resources.TYPES


@given(st.dictionaries(st.sampled_from(sorted(body())), st.none() | st.booleans() | st.integers() | st.text()))
def test_any_values_are_accepted_or_refused(changed: Body) -> None:
    with contextlib.suppress(GraphError):
        assert created(**changed).resource
