import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import GraphUnavailable
from shared.core.graph_subscription import creation, parse_subscription, renewal
from shared.core.subscription import ActualSubscription, Here
from shared.core.subscription_rules import DesiredSubscription

HERE = Here("https://archive.example/api/notifications", "https://archive.example/api/lifecycle", "v2", "secret")
EXPIRES = datetime(2026, 1, 8, 9, 30, tzinfo=UTC)
RICH = DesiredSubscription("chats/getAllMessages", frozenset({"deleted", "created"}), include_resource_data=True)
BASIC = DesiredSubscription("chats", frozenset({"created"}), include_resource_data=False)
# Shaped as https://learn.microsoft.com/graph/api/subscription-get shows it.
ANSWER: dict[str, object] = {
    "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#subscriptions/$entity",
    "id": "7F105C7D-2DC5-4530-97CD-4E7AE6534C07",
    "resource": "/chats/getAllMessages",
    "applicationId": "24d3b144-21ae-4080-943f-7067b395b913",
    "changeType": "Created, deleted",
    "clientState": None,
    "notificationUrl": HERE.notification_url,
    "lifecycleNotificationUrl": HERE.lifecycle_url,
    "expirationDateTime": "2026-01-08T10:30:00.0000000+01:00",
    "creatorId": "8ee44408-0679-472c-bc2a-692812af3437",
    "includeResourceData": True,
    "latestSupportedTlsVersion": "v1_2",
    "encryptionCertificate": "",
    "encryptionCertificateId": "v2",
}


def test_an_answer_of_graph_is_read() -> None:
    assert parse_subscription(ANSWER) == ActualSubscription(
        id="7f105c7d-2dc5-4530-97cd-4e7ae6534c07",
        resource="chats/getAllMessages",
        changes=frozenset({"created", "deleted"}),
        notification_url=HERE.notification_url,
        lifecycle_url=HERE.lifecycle_url,
        expires_at=EXPIRES,
        include_resource_data=True,
        certificate_id="v2",
    )


@pytest.mark.parametrize("value", [None, "", 5])
def test_what_graph_leaves_open_is_none(value: object) -> None:
    answer = {
        **ANSWER,
        "lifecycleNotificationUrl": value,
        "encryptionCertificateId": value,
        "includeResourceData": value,
    }
    actual = parse_subscription(answer)

    assert (actual.lifecycle_url, actual.certificate_id, actual.include_resource_data) == (None, None, False)


@pytest.mark.parametrize("name", ["id", "resource", "changeType", "notificationUrl", "expirationDateTime"])
@pytest.mark.parametrize("value", [None, 5, ["x"]])
def test_an_answer_without_what_it_must_have_is_no_subscription(name: str, value: object) -> None:
    with pytest.raises(GraphUnavailable, match="no subscription"):
        parse_subscription({**ANSWER, name: value})


@given(st.none() | st.integers() | st.text() | st.lists(st.integers()) | st.dictionaries(st.text(), st.text()))
def test_no_answer_is_taken_for_nothing(document: object) -> None:
    with pytest.raises(GraphUnavailable):
        parse_subscription(document)


def test_a_creation_says_all_that_graph_needs() -> None:
    body = creation(RICH, HERE, certificate=b"der", expires_at=EXPIRES)

    assert body == {
        "changeType": "created,deleted",
        "notificationUrl": HERE.notification_url,
        "lifecycleNotificationUrl": HERE.lifecycle_url,
        "resource": "/chats/getAllMessages",
        "expirationDateTime": "2026-01-08T09:30:00.000000Z",
        "clientState": "secret",
        "latestSupportedTlsVersion": "v1_2",
        "includeResourceData": True,
        "encryptionCertificate": base64.b64encode(b"der").decode(),
        "encryptionCertificateId": "v2",
    }


def test_a_creation_without_resource_data_takes_no_certificate_and_still_has_its_lifecycle_url() -> None:
    body = creation(BASIC, HERE, certificate=b"der", expires_at=EXPIRES)

    assert not [name for name in body if "ncryption" in name or name == "includeResourceData"]
    assert body["lifecycleNotificationUrl"] == HERE.lifecycle_url


@pytest.mark.parametrize(
    ("new_url", "new_certificate", "names"),
    [
        (False, False, {"expirationDateTime"}),
        (True, False, {"expirationDateTime", "notificationUrl"}),
        (False, True, {"expirationDateTime", "encryptionCertificate", "encryptionCertificateId"}),
        (True, True, {"expirationDateTime", "notificationUrl", "encryptionCertificate", "encryptionCertificateId"}),
    ],
)
def test_a_renewal_changes_what_has_to_change_and_always_the_expiry(
    new_url: bool,
    new_certificate: bool,
    names: set[str],
) -> None:
    body = renewal(HERE, new_url=new_url, new_certificate=new_certificate, certificate=b"der", expires_at=EXPIRES)

    assert set(body) == names


@given(
    desired=st.sampled_from([RICH, BASIC]),
    life=st.timedeltas(timedelta(minutes=45), timedelta(days=3)),
    certificate=st.binary(min_size=1),
)
def test_what_we_ask_for_is_what_we_read_back(
    desired: DesiredSubscription, life: timedelta, certificate: bytes
) -> None:
    body = creation(desired, HERE, certificate=certificate, expires_at=EXPIRES + life)
    actual = parse_subscription({**body, "id": "x"})

    assert (actual.key, actual.changes, actual.include_resource_data) == (
        desired.key,
        desired.changes,
        desired.include_resource_data,
    )
    assert actual.expires_at == EXPIRES + life
    assert actual.certificate_id == ("v2" if desired.include_resource_data else None)
