import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web

from local.graph import Simulator, SubscriptionRefused
from local.graph.entra import Principal
from local.graph.subscription_rules import LIFECYCLE_REQUIRED
from local.graph.times import parse, utc_now
from tests.integration.local.graph_calls import Body, body, call, create, soon
from tests.integration.local.graph_support import Answer, Receiver

pytest_plugins = ("tests.integration.local.graph_fixtures",)
USER = "5c3cd8a4-1de5-4a1c-a81c-3f1c3d5f5a11"


@pytest.mark.parametrize("version", ["v1.0", "beta"])
async def test_create_answers_in_the_documented_shape(simulator: Simulator, receiver: Receiver, version: str) -> None:
    asked = body(simulator, receiver)
    status, made = await create(simulator, asked, version)
    assert status == 201
    assert made.pop("@odata.context") == f"{simulator.graph_endpoint}/{version}/$metadata#subscriptions/$entity"
    assert made.pop("id")
    assert made.pop("creatorId") == simulator.cloud.who.application.object_id
    assert abs(parse(made.pop("expirationDateTime")) - parse(asked["expirationDateTime"])) < timedelta(milliseconds=1)
    assert made == {
        "resource": asked["resource"],
        "applicationId": simulator.client_id,
        "changeType": "created,updated,deleted",
        "clientState": "a secret",
        "notificationUrl": receiver.url,
        "notificationQueryOptions": None,
        "lifecycleNotificationUrl": receiver.lifecycle_url,
        "includeResourceData": True,
        "latestSupportedTlsVersion": "v1_2",
        "encryptionCertificate": None,
        "encryptionCertificateId": asked["encryptionCertificateId"],
        "notificationUrlAppId": None,
        "notificationContentType": "application/json",
    }


async def test_both_urls_are_probed_with_tokens_of_their_own(simulator: Simulator, receiver: Receiver) -> None:
    await simulator.subscribe(receiver.url, receiver.url)
    tokens = [probe.query["validationToken"] for probe in receiver.probes]
    assert len(set(tokens)) == 2
    for probe, token in zip(receiver.probes, tokens, strict=True):
        assert token.startswith("Validation: Testing client application reachability for subscription Request-Id: ")
        assert probe.query["code"] == "a b"
        assert probe.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert probe.content_length == 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"lifecycleNotificationUrl": None}, LIFECYCLE_REQUIRED),
        ({"expirationDateTime": soon(minutes=4330)}, "is beyond allowed max '3.00:00:00'"),
        ({"encryptionCertificate": "YWJj"}, "Certificate validation error: Cannot find the requested object"),
    ],
)
async def test_create_refuses_before_it_probes(
    simulator: Simulator, receiver: Receiver, changed: Body, message: str
) -> None:
    status, answer = await create(simulator, body(simulator, receiver, **changed))
    assert status == 400
    assert answer["error"]["code"] == "BadRequest"
    assert message in answer["error"]["message"]
    assert not receiver.probes


@pytest.mark.parametrize("sent", [b"", b"[]", b"{", b'"x"'])
async def test_create_refuses_what_is_no_object(simulator: Simulator, sent: bytes) -> None:
    headers = {"Authorization": f"Bearer {await simulator.graph_token()}", "Content-Type": "application/json"}
    url = f"{simulator.graph_endpoint}/v1.0/subscriptions"
    async with simulator._session.post(url, data=sent, headers=headers) as answer:
        assert answer.status == 400


async def test_errors_carry_the_request_ids(simulator: Simulator) -> None:
    status, answer, response = await call(
        simulator, "POST", "/v1.0/subscriptions", {}, **{"client-request-id": "me", "Authorization": ""}
    )
    assert status == 401
    assert answer["error"]["code"] == "InvalidAuthenticationToken"
    assert answer["error"]["innerError"]["request-id"] == response.headers["request-id"]
    assert answer["error"]["innerError"]["client-request-id"] == response.headers["client-request-id"] == "me"


async def test_tokens_for_others_and_unsigned_ones_are_refused(simulator: Simulator) -> None:
    entra, who = simulator.cloud.entra, simulator.cloud.who
    vault = entra.access_token(who.application, "https://vault.azure.net")
    expired = entra.access_token(who.application, simulator.graph_endpoint, seconds=-1)
    for token in (vault, expired, "x.y.z", vault[:-9]):
        status, _, _ = await call(simulator, "GET", "/v1.0/subscriptions", token=token)
        assert status == 401


async def test_an_application_without_the_role_is_forbidden(simulator: Simulator, receiver: Receiver) -> None:
    entra, who = simulator.cloud.entra, simulator.cloud.who
    token = entra.access_token(who.managed_identity, simulator.graph_endpoint)
    status, answer, _ = await call(simulator, "POST", "/v1.0/subscriptions", body(simulator, receiver), token)
    assert status == 403
    assert "AiEnterpriseInteraction.Read.All" in answer["error"]["message"]


async def test_elliptic_curves_are_refused(simulator: Simulator, receiver: Receiver) -> None:
    pem = simulator.ca_file.read_text()
    text = "".join(line for line in pem.splitlines() if not line.startswith("-"))
    status, answer = await create(simulator, body(simulator, receiver, encryptionCertificate=text))
    assert (status, "RSA" in answer["error"]["message"]) == (400, True)


async def test_an_expiry_below_45_minutes_is_raised(simulator: Simulator, receiver: Receiver) -> None:
    asked = body(simulator, receiver, expirationDateTime=soon(minutes=1), lifecycleNotificationUrl=None)
    _, made = await create(simulator, asked)
    assert timedelta(minutes=44) < parse(made["expirationDateTime"]) - utc_now() <= timedelta(minutes=45)


async def test_the_same_again_conflicts_and_names_the_first(simulator: Simulator, receiver: Receiver) -> None:
    first = await simulator.subscribe(receiver.url, receiver.lifecycle_url)
    again = body(simulator, receiver, changeType="deleted, updated,created")
    again["resource"] = "/Copilot/InteractionHistory/getAllEnterpriseInteractions"
    status, answer = await create(simulator, again)
    assert status == 409
    assert answer["error"]["message"] == f"Subscription Id {first['id']} already exists for the requested combination"


@pytest.mark.parametrize("changed", [{"changeType": "created"}, {"resource": "{}?$filter=locale eq 'fi-fi'"}])
async def test_one_tenant_wide_subscription_per_app(simulator: Simulator, receiver: Receiver, changed: Body) -> None:
    await simulator.subscribe(receiver.url, receiver.lifecycle_url)
    asked = body(simulator, receiver)
    asked.update({name: value.replace("{}", asked["resource"]) for name, value in changed.items()})
    status, answer = await create(simulator, asked)
    assert (status, answer["error"]["code"]) == (403, "Forbidden")


async def test_one_subscription_per_user_and_app(simulator: Simulator, receiver: Receiver) -> None:
    resource = f"copilot/users/{USER}/interactionHistory/getAllEnterpriseInteractions"
    assert (await create(simulator, body(simulator, receiver, resource=resource)))[0] == 201
    other = body(simulator, receiver, resource=resource, changeType="created")
    assert (await create(simulator, other))[0] == 403
    other["resource"] = resource.replace(USER, USER[::-1])
    assert (await create(simulator, other))[0] == 201


async def say(text: str, status: int = 200, content_type: str = "text/plain") -> web.Response:
    return web.Response(text=text, status=status, content_type=content_type)


async def silence(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(5)
    return web.Response()


HANDSHAKES: list[tuple[Answer, str]] = [
    (lambda r: say(r.rel_url.raw_query_string.split("validationToken=")[1]), "must exactly match"),
    (lambda r: say(r.query["validationToken"] + "\n"), "must exactly match"),
    (lambda r: say(f'"{r.query["validationToken"]}"'), "must exactly match"),
    (lambda r: say(r.query["validationToken"], status=202), "must respond with 200 OK"),
    (lambda r: say(r.query["validationToken"], content_type="text/html"), "text/plain"),
    (silence, "timed out"),
]


@pytest.mark.parametrize(("handshake", "message"), HANDSHAKES)
async def test_a_failed_handshake_creates_nothing(
    simulator: Simulator,
    receiver: Receiver,
    handshake: Answer,
    message: str,
) -> None:
    receiver.handshake = handshake
    with pytest.raises(SubscriptionRefused, match=message) as refused:
        await simulator.subscribe(receiver.url, receiver.lifecycle_url)
    assert refused.value.status == 400
    assert not list(simulator.subscriptions)


async def test_an_unreachable_lifecycle_url_fails_the_handshake(simulator: Simulator, receiver: Receiver) -> None:
    with pytest.raises(SubscriptionRefused, match="could not be reached"):
        await simulator.subscribe(receiver.url, "http://127.0.0.1:9/lifecycle")


async def test_get_list_and_delete(simulator: Simulator, receiver: Receiver) -> None:
    made = await simulator.subscribe(receiver.url, receiver.lifecycle_url, client_state="a secret")
    path = f"/v1.0/subscriptions/{made['id']}"
    status, shown, _ = await call(simulator, "GET", path)
    assert (status, shown) == (200, made)
    _, listed, _ = await call(simulator, "GET", "/v1.0/subscriptions")
    assert [each["id"] for each in listed["value"]] == [made["id"]]
    assert listed["value"][0]["clientState"] is None
    assert (await call(simulator, "GET", "/v1.0/subscriptions?$top=5"))[0] == 400
    assert (await call(simulator, "DELETE", path))[0] == 204
    status, answer, _ = await call(simulator, "GET", path)
    assert (status, answer["error"]["code"]) == (404, "ResourceNotFound")


async def test_others_do_not_see_it(simulator: Simulator, receiver: Receiver) -> None:
    made = await simulator.subscribe(receiver.url, receiver.lifecycle_url)
    entra, stranger = simulator.cloud.entra, Principal("stranger", "oid", frozenset({"Chat.Read.All"}))
    entra.register(stranger)
    other = entra.access_token(stranger, simulator.graph_endpoint)
    assert (await call(simulator, "GET", f"/v1.0/subscriptions/{made['id']}", token=other))[0] == 404
    assert (await call(simulator, "GET", "/v1.0/subscriptions", token=other))[1]["value"] == []
    nobody = entra.access_token(simulator.cloud.who.managed_identity, simulator.graph_endpoint)
    assert (await call(simulator, "GET", "/v1.0/subscriptions", token=nobody))[0] == 403


async def test_https_only_refuses_http_on_loopback(tmp_path: Path, receiver: Receiver) -> None:
    async with Simulator(folder=tmp_path, allow_http_loopback=False) as strict:
        with pytest.raises(SubscriptionRefused, match="must be https"):
            await strict.subscribe(receiver.url, receiver.lifecycle_url)
