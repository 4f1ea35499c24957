"""The Graph port: the real client with real credentials against the simulated Graph over TLS, and worse ones."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler

import jwt
import pytest
from azure.core.credentials import TokenCredential
from azure.core.exceptions import ClientAuthenticationError
from cryptography.hazmat.primitives.serialization import Encoding

from local.graph import Limits, ThreadedSimulator, Timing, run_in_thread
from local.graph.outages import KINDS, Kind, Surface
from shared.adapters import graph_http, graph_users
from shared.adapters.graph_client import GraphClient
from shared.adapters.identity import federated_credential
from shared.core.clouds import GLOBAL
from shared.core.errors import GraphConflict, GraphNotFound, GraphRefused, GraphUnavailable
from shared.core.graph_subscription import creation, renewal
from shared.core.subscription import ActualSubscription, Here
from shared.core.subscription_rules import CHANGES, DesiredSubscription
from shared.ports import GraphCall
from tests.integration.adapters.credentials import OneToken, app_credential
from tests.serving import open_door, serving

USER = "copilot/users/{}/interactionHistory/getAllEnterpriseInteractions"
SECRET = "the-secret-clientState"
FAST = Timing(time_scale=3600, first_answer=1.0, retry_answer=5.0, handshake_answer=8.0)


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadedSimulator]:
    # Three on a page, so that a list has pages.
    with run_in_thread(folder=tmp_path_factory.mktemp("cloud"), timing=FAST, limits=Limits(page=3)) as running:
        yield running


@pytest.fixture(scope="module")
def here() -> Iterator[Here]:
    with open_door() as base:
        yield Here(f"{base}/api/notifications", f"{base}/api/lifecycle", "v1", SECRET)


@pytest.fixture(params=["secret", "federated"])
def credential(
    request: pytest.FixtureRequest, cloud: ThreadedSimulator, monkeypatch: pytest.MonkeyPatch
) -> TokenCredential:
    graph = cloud.graph
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(graph.ca_file))
    if request.param == "secret":
        return app_credential(graph)
    for name, value in graph.identity_environment().items():
        monkeypatch.setenv(name, value)
    return federated_credential(
        tenant_id=graph.tenant_id,
        client_id=graph.client_id,
        managed_identity_client_id=graph.cloud.who.managed_identity.client_id,
        exchange_audience=GLOBAL.exchange_audience,
        authority_host=graph.authority_host,
        instance_discovery=False,
    )


@pytest.fixture
def graph(cloud: ThreadedSimulator, credential: TokenCredential) -> Iterator[GraphClient]:
    yield GraphClient(cloud.graph.graph_endpoint, "v1.0", credential, now)
    cloud.call(lambda running: running.cloud.outages.end_all())
    for each in cloud.call(lambda running: running.subscriptions.living()):
        _remove(cloud, each.id)


def _remove(cloud: ThreadedSimulator, subscription_id: str) -> None:
    cloud.call(lambda running: running.subscriptions.remove(subscription_id))


def subscribe(cloud: ThreadedSimulator, here: Here, resource: str = "chats") -> GraphCall:
    """The call that creates a basic subscription, or a rich one for Copilot interactions."""
    rich = resource.startswith("copilot")
    changes = CHANGES if rich else frozenset({"created", "updated"})
    version = cloud.graph.cloud.vault.versions(cloud.graph.certificate_name)[-1]
    body = creation(
        DesiredSubscription(resource, changes, include_resource_data=rich),
        here,
        certificate=version.pair.certificate.public_bytes(Encoding.DER),
        expires_at=now() + timedelta(minutes=4300),
    )
    return GraphCall("POST", "subscriptions", f"subscribe to {resource}", body)


def made(graph: GraphClient, call: GraphCall) -> ActualSubscription:
    (answer,) = graph.send([call])
    assert isinstance(answer, ActualSubscription), answer
    return answer


def patch(subscription_id: str, here: Here) -> GraphCall:
    body = renewal(here, new_url=False, new_certificate=False, certificate=b"", expires_at=now() + timedelta(hours=50))
    return GraphCall("PATCH", f"subscriptions/{subscription_id}", "renew it", body)


def delete(subscription_id: str) -> GraphCall:
    return GraphCall("DELETE", f"subscriptions/{subscription_id}", "delete it")


# ---- as it should be


def test_created_with_a_handshake_it_can_be_looked_at_listed_renewed_and_deleted(
    graph: GraphClient, cloud: ThreadedSimulator, here: Here
) -> None:
    created = made(graph, subscribe(cloud, here, USER.format("8b081ef6-4792-4def-b2c9-c363a1bf41d5")))

    assert created.notification_url == here.notification_url
    assert created.include_resource_data
    assert created.certificate_id == "v1"
    assert graph.subscription(created.id) == created
    assert graph.subscriptions() == [created]

    (renewed,) = graph.send([patch(created.id, here)])
    assert isinstance(renewed, ActualSubscription)
    assert renewed.expires_at < created.expires_at

    assert graph.send([delete(created.id)]) == [None]
    assert graph.subscription(created.id) is None
    assert graph.subscriptions() == []


def test_a_list_has_as_many_pages_as_it_takes(graph: GraphClient, cloud: ThreadedSimulator, here: Here) -> None:
    answers = graph.send([subscribe(cloud, here, f"users/user-{number}/chats") for number in range(8)])

    assert {each.resource for each in graph.subscriptions()} == {f"users/user-{number}/chats" for number in range(8)}
    assert all(isinstance(answer, ActualSubscription) for answer in answers)


def test_many_changes_go_by_batches_of_twenty_and_each_has_its_own_answer(
    graph: GraphClient, cloud: ThreadedSimulator, here: Here
) -> None:
    before = cloud.graph.requests["BATCH"]
    calls = [subscribe(cloud, here, f"users/user-{number}/chats") for number in range(21)]
    calls[3] = GraphCall("PATCH", "subscriptions/00000000-0000-0000-0000-000000000000", "renew nothing", calls[3].body)
    calls[5] = calls[4]
    answers = graph.send(calls)

    assert cloud.graph.requests["BATCH"] - before == 2
    assert len(answers) == 21
    assert isinstance(answers[3], GraphNotFound)
    assert "renew nothing" in str(answers[3])
    # Of two that are the same, whichever comes first is made, and the other is told which one that is.
    pair = {type(answers[4]), type(answers[5])}
    assert pair == {ActualSubscription, GraphConflict}
    conflict = next(each for each in answers if isinstance(each, GraphConflict))
    created = next(each for each in answers[4:6] if isinstance(each, ActualSubscription))
    assert conflict.existing_id == created.id
    assert all(
        isinstance(answer, ActualSubscription) and answer.resource == f"users/user-{number}/chats"
        for number, answer in enumerate(answers)
        if number not in (3, 4, 5)
    )


def test_nothing_to_do_asks_graph_nothing(graph: GraphClient, cloud: ThreadedSimulator) -> None:
    before = sum(cloud.graph.requests.values())

    assert graph.send([]) == []
    assert sum(cloud.graph.requests.values()) == before


def test_the_tokens_roles_are_read(graph: GraphClient, cloud: ThreadedSimulator) -> None:
    assert graph.roles() == cloud.graph.cloud.who.application.roles


def test_licensed_users_are_found_by_their_plan(graph: GraphClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_users, "PAGE", 4)
    users = list(graph.licensed_users())

    assert len(users) == len(set(users)) == 25


# ---- as it should not be


def test_a_subscription_that_exists_is_in_the_way_by_its_id(
    graph: GraphClient, cloud: ThreadedSimulator, here: Here
) -> None:
    created = made(graph, subscribe(cloud, here))
    (answer,) = graph.send([subscribe(cloud, here)])

    assert isinstance(answer, GraphConflict)
    assert answer.existing_id == created.id


@pytest.mark.parametrize("call", [patch, lambda subscription_id, _: delete(subscription_id)], ids=["patch", "delete"])
def test_what_is_gone_is_told_as_such(graph: GraphClient, here: Here, call: Callable[[str, Here], GraphCall]) -> None:
    (answer,) = graph.send([call("00000000-0000-0000-0000-000000000000", here)])

    assert isinstance(answer, GraphNotFound)


def test_a_webhook_that_does_not_answer_is_a_refusal_without_graphs_words(
    graph: GraphClient, cloud: ThreadedSimulator, here: Here
) -> None:
    nobody = Here("http://127.0.0.1:9/api/notifications", here.lifecycle_url, "v1", SECRET)
    (answer,) = graph.send([subscribe(cloud, nobody)])

    assert isinstance(answer, GraphRefused)
    assert answer.status == 400
    assert "127.0.0.1" not in str(answer)


def test_consent_that_is_gone_is_a_refusal(graph: GraphClient, cloud: ThreadedSimulator, here: Here) -> None:
    created = made(graph, subscribe(cloud, here))
    cloud.run(lambda running: running.revoke_consent())
    try:
        with pytest.raises(GraphRefused) as refused:
            graph.subscriptions()
        (renewal_refused,) = graph.send([patch(created.id, here)])
    finally:
        cloud.call(lambda running: running.restore_consent())

    assert refused.value.status == 403
    assert isinstance(renewal_refused, GraphRefused)
    (answer,) = graph.send([patch(created.id, here)])
    assert isinstance(answer, ActualSubscription)


@pytest.mark.parametrize("kind", KINDS)
def test_graph_out_of_order_is_unavailable_or_a_refusal(
    kind: Kind, graph: GraphClient, cloud: ThreadedSimulator, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_http, "TIMEOUT_SECONDS", (1, 0.3))
    cloud.call(lambda running: running.cloud.outages.begin("graph", kind))
    error = GraphRefused if kind == "403" else GraphUnavailable
    with pytest.raises(error) as raised:
        graph.subscriptions()
    alone = graph.send([subscribe(cloud, here)])
    together = graph.send([subscribe(cloud, here), subscribe(cloud, here, "chats/getAllMembers")])
    cloud.call(lambda running: running.cloud.outages.end_all())

    assert [type(each) for each in (*alone, *together)] == [error] * 3
    if isinstance(raised.value, GraphUnavailable) and kind in ("429", "503"):
        assert raised.value.retry_after == timedelta(seconds=1)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(("part", "kind"), [("entra", "refuse"), ("identity", "403")])
def test_without_a_token_graph_is_unavailable_and_the_next_token_serves(
    part: Surface, kind: Kind, cloud: ThreadedSimulator, credential: TokenCredential, request: pytest.FixtureRequest
) -> None:
    if part == "identity" and "secret" in request.node.name:
        pytest.skip("a client secret asks no managed identity")
    graph = GraphClient(cloud.graph.graph_endpoint, "v1.0", credential, now)
    cloud.call(lambda running: running.cloud.outages.begin(part, kind))
    with pytest.raises(GraphUnavailable, match="gives no token") as raised:
        graph.subscriptions()
    cloud.call(lambda running: running.cloud.outages.end_all())

    assert raised.value.retry_after == timedelta(minutes=1)
    assert graph.subscriptions() == []


def test_a_lost_answer_leaves_open_what_was_done_and_the_list_tells(
    graph: GraphClient, cloud: ThreadedSimulator, here: Here
) -> None:
    cloud.call(lambda running: running.lose_answers("POST /subscriptions"))
    (answer,) = graph.send([subscribe(cloud, here)])

    assert isinstance(answer, GraphUnavailable)
    assert [each.resource for each in graph.subscriptions()] == ["chats"]


def test_throttled_the_list_says_for_how_long(graph: GraphClient, cloud: ThreadedSimulator) -> None:
    limits = cloud.graph.policy.limits
    cloud.call(lambda running: setattr(running.policy, "limits", Limits(list=1, window=30, page=3)))
    try:
        with suppress(GraphUnavailable):
            graph.subscriptions()
        with pytest.raises(GraphUnavailable) as raised:
            graph.subscriptions()
    finally:
        cloud.call(lambda running: setattr(running.policy, "limits", limits))

    assert timedelta(seconds=1) <= raised.value.retry_after <= timedelta(seconds=30)


# ---- a Graph that misbehaves, or somebody in between


@dataclass
class Script:
    """What to answer by path, and what was asked."""

    answers: dict[str, tuple[int, Mapping[str, str], bytes]] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    origin: str = ""

    def answer(self, path: str, document: object, status: int = 200, **headers: str) -> None:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.answers[path] = (status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


TOKEN = jwt.encode({"roles": ["Chat.Read.All"]}, "k" * 32, algorithm="HS256")


@contextmanager
def scripted() -> Iterator[Script]:
    script = Script()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            script.asked.append((self.path, self.headers.get("Authorization")))
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            # One answer for all queries of a path, where there is none for the very query.
            fallback = script.answers.get(self.path.partition("?")[0], (404, {}, b""))
            status, headers, body = script.answers.get(self.path, fallback)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as origin:
        script.origin = origin
        yield script


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted() as running:
        yield running


@pytest.fixture
def odd(script: Script) -> GraphClient:
    return GraphClient(script.origin, "v1.0", OneToken(TOKEN), now)


LIST = "/v1.0/subscriptions"
ONE: dict[str, object] = {
    "id": "s1",
    "resource": "/chats",
    "changeType": "created",
    "notificationUrl": "https://a.example",
    "expirationDateTime": "2026-01-05T09:30:00Z",
}


STRANGE = [{**ONE, "changeType": None}, {"id": "s2"}, None, "x", {**ONE, "expirationDateTime": "soon"}]


@pytest.mark.parametrize("strange", STRANGE)
def test_what_can_not_be_read_is_in_no_others_way(script: Script, odd: GraphClient, strange: object) -> None:
    script.answer(LIST, {"value": [strange, ONE, strange]})

    assert [each.id for each in odd.subscriptions()] == ["s1"]


def test_where_nothing_can_be_read_it_is_no_list(script: Script, odd: GraphClient) -> None:
    script.answer(LIST, {"value": STRANGE})
    with pytest.raises(GraphUnavailable):
        odd.subscriptions()


def test_a_next_page_at_another_host_is_not_followed_and_gets_no_token(script: Script, odd: GraphClient) -> None:
    with scripted() as other:
        script.answer(LIST, {"value": [ONE], "@odata.nextLink": f"{other.origin}/v1.0/subscriptions?$skiptoken=x"})
        with pytest.raises(GraphUnavailable, match="elsewhere"):
            odd.subscriptions()

        assert other.asked == []


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/v1.0/subscriptions",
        "{origin}.evil.example/v1.0/subscriptions",
        "{origin}@evil.example/v1.0/subscriptions",
        "{origin}/beta/subscriptions",
        "//evil.example/v1.0/",
        "/v1.0/subscriptions",
        "file:///etc/passwd",
        "",
        5,
        ["x"],
        "https://[",
    ],
)
def test_a_next_page_that_is_not_graphs_is_not_followed(script: Script, odd: GraphClient, link: object) -> None:
    where = link.format(origin=script.origin) if isinstance(link, str) else link
    script.answer(LIST, {"value": [ONE], "@odata.nextLink": where})
    with pytest.raises(GraphUnavailable, match="elsewhere"):
        odd.subscriptions()

    assert [path for path, _ in script.asked] == [LIST]


def test_pages_that_go_in_circles_end(script: Script, odd: GraphClient) -> None:
    script.answer(LIST, {"value": [ONE], "@odata.nextLink": f"{script.origin}{LIST}?$skiptoken=2"})
    script.answer(f"{LIST}?$skiptoken=2", {"value": [ONE], "@odata.nextLink": f"{script.origin}{LIST}?$skiptoken=2"})
    with pytest.raises(GraphUnavailable, match="circles"):
        odd.subscriptions()

    assert len(script.asked) == 2


def test_pages_without_end_end(script: Script, odd: GraphClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_http, "MAX_PAGES", 5)
    for number in range(10):
        path = LIST if number == 0 else f"{LIST}?$skiptoken={number}"
        script.answer(path, {"value": [], "@odata.nextLink": f"{script.origin}{LIST}?$skiptoken={number + 1}"})
    with pytest.raises(GraphUnavailable, match="circles"):
        odd.subscriptions()

    assert len(script.asked) == 5


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_takes_no_token_elsewhere(script: Script, odd: GraphClient, status: int) -> None:
    with scripted() as other:
        script.answer(LIST, b"", status, Location=f"{other.origin}{LIST}")
        with pytest.raises(GraphRefused):
            odd.subscriptions()

        assert other.asked == []


@pytest.mark.parametrize(
    "body", [b"", b"<html>please sign in</html>", b"null", b"[]", b"{}", b'{"value": null}', b'{"value": 5}']
)
def test_a_success_that_is_no_list_is_not_taken_for_an_empty_one(script: Script, odd: GraphClient, body: bytes) -> None:
    # Nothing would be worse than to believe that there is no subscription, or that nobody is licensed.
    script.answer(LIST, body)
    with pytest.raises(GraphUnavailable):
        odd.subscriptions()


@pytest.mark.parametrize("body", [b"<html>please sign in</html>", b"{}"])
def test_licensed_users_are_not_nobody_because_a_proxy_answers(script: Script, odd: GraphClient, body: bytes) -> None:
    script.answer("/v1.0/users", body)
    with pytest.raises(GraphUnavailable):
        list(odd.licensed_users())


@pytest.mark.parametrize(
    "answers",
    [
        [],
        None,
        [{"id": "0", "status": "200"}],
        ["x", 5],
        [{"id": "0"}],
        [{"id": "0", "status": 201, "body": {"id": "s1"}}],
        [{"id": "0", "status": 429, "headers": {"Retry-After": 17}}],
        [{"id": "0", "status": 429, "headers": {"Retry-After": "17"}}],
        [{"id": "0", "status": 503, "headers": None, "body": "x"}],
    ],
)
def test_a_batch_that_leaves_something_open_says_so_for_each(script: Script, odd: GraphClient, answers: object) -> None:
    script.answer("/v1.0/$batch", {"responses": answers})
    given = odd.send([delete("s1"), delete("s2")])

    assert [type(answer) for answer in given] == [GraphUnavailable] * 2


def test_a_batch_answers_in_any_order(script: Script, odd: GraphClient) -> None:
    script.answer(
        "/v1.0/$batch",
        {"responses": [{"id": "1", "status": 404, "body": {}}, {"id": "0", "status": 204, "body": None}]},
    )

    first, second = odd.send([delete("s1"), delete("s2")])
    assert first is None
    assert isinstance(second, GraphNotFound)


def test_an_inner_answer_carries_its_own_wait(script: Script, odd: GraphClient) -> None:
    script.answer("/v1.0/$batch", {"responses": [{"id": "0", "status": 429, "headers": {"retry-after": "17"}}]})
    answer = odd.send([delete("s1"), delete("s2")])[0]

    assert isinstance(answer, GraphUnavailable)
    assert answer.retry_after == timedelta(seconds=17)


def test_nobody_at_home_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_http, "TIMEOUT_SECONDS", (1, 1))
    graph = GraphClient("http://127.0.0.1:9", "v1.0", OneToken(TOKEN), now)
    with pytest.raises(GraphUnavailable, match="no answer"):
        graph.subscriptions()


def test_every_call_carries_the_token(script: Script, odd: GraphClient) -> None:
    script.answer(LIST, {"value": []})
    odd.subscriptions()

    assert script.asked == [(LIST, f"Bearer {TOKEN}")]


def test_a_refused_token_request_is_unavailable_and_says_what_to_check() -> None:
    graph = GraphClient(
        "http://127.0.0.1:9", "v1.0", OneToken(ClientAuthenticationError("AADSTS7000215: secret x")), now
    )
    with pytest.raises(GraphUnavailable, match="app registration's credential") as raised:
        graph.roles()

    assert "AADSTS" not in str(raised.value)


def test_roles_are_those_of_the_token() -> None:
    token = jwt.encode({"roles": ["a", "b"]}, "k" * 32, algorithm="HS256")

    assert GraphClient("http://127.0.0.1:9", "v1.0", OneToken(token), now).roles() == frozenset({"a", "b"})


@pytest.mark.parametrize(
    "token", ["opaque", *(jwt.encode(claims, "k" * 32, algorithm="HS256") for claims in ({}, {"roles": "a"}))]
)
def test_a_token_that_we_cannot_read_says_nothing_about_roles(token: str) -> None:
    assert GraphClient("http://127.0.0.1:9", "v1.0", OneToken(token), now).roles() is None
