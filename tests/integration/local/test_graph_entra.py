import json
from pathlib import Path
from typing import Any

import certifi
import jwt
import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import (
    ClientAssertionCredential,
    ClientSecretCredential,
    CredentialUnavailableError,
    ManagedIdentityCredential,
)

from local.graph import ThreadedSimulator
from local.graph.entra import TOKEN_EXCHANGE
from local.graph.validation_tokens import CHANGE_TRACKING_APP_ID, TokenVersion, claims

pytest_plugins = ("tests.integration.local.graph_fixtures",)


@pytest.fixture(autouse=True)
def trust(lasting: ThreadedSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "REQUESTS_CA_BUNDLE": str(lasting.graph.ca_file),
        **lasting.graph.identity_environment(),
    }.items():
        monkeypatch.setenv(name, value)


def secret_credential(lasting: ThreadedSimulator, **changed: str) -> ClientSecretCredential:
    graph = lasting.graph
    who = {"tenant_id": graph.tenant_id, "client_id": graph.client_id, "client_secret": graph.client_secret, **changed}
    return ClientSecretCredential(authority=graph.authority_host, disable_instance_discovery=True, **who)


def scope(lasting: ThreadedSimulator) -> str:
    return f"{lasting.graph.graph_endpoint}/.default"


def unverified(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, options={"verify_signature": False}))


def test_client_secret_gets_a_token_with_roles(lasting: ThreadedSimulator) -> None:
    with secret_credential(lasting) as credential:
        found = unverified(credential.get_token(scope(lasting)).token)
    assert found["aud"] == lasting.graph.graph_endpoint
    assert found["iss"] == f"https://sts.windows.net/{lasting.graph.tenant_id}/"
    assert found["appid"] == lasting.graph.client_id
    assert "AiEnterpriseInteraction.Read.All" in found["roles"]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"client_secret": "guess"}, "AADSTS7000215"),
        ({"client_id": "00000000-0000-4000-8000-000000000000"}, "AADSTS700016"),
    ],
)
def test_a_wrong_credential_is_refused_in_entras_words(
    lasting: ThreadedSimulator, changed: dict[str, str], code: str
) -> None:
    with secret_credential(lasting, **changed) as credential, pytest.raises(ClientAuthenticationError, match=code):
        credential.get_token(scope(lasting))


@pytest.mark.parametrize(
    ("changed", "status", "error"),
    [
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"scope": "User.Read"}, 400, "invalid_scope"),
        ({"scope": "https://nobody.example/.default"}, 400, "invalid_resource"),
        ({"scope": None}, 400, "invalid_request"),
        ({"client_id": None}, 400, "invalid_request"),
        ({"client_secret": None}, 401, "invalid_client"),
        ({"client_secret": "x"}, 401, "invalid_client"),
        ({"client_secret": None, "client_assertion": "x"}, 400, "invalid_request"),
    ],
)
def test_token_endpoint_refuses(
    lasting: ThreadedSimulator, changed: dict[str, str | None], status: int, error: str
) -> None:
    graph = lasting.graph
    form = {
        "grant_type": "client_credentials",
        "client_id": graph.client_id,
        "client_secret": graph.client_secret,
        "scope": scope(lasting),
        **changed,
    }
    url = f"{graph.authority_host}/{graph.tenant_id}/oauth2/v2.0/token"
    answer = requests.post(url, data=form, timeout=5)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.json()["error_description"].startswith(f"AADSTS{answer.json()['error_codes'][0]}: ")


def test_managed_identity_federates_as_the_application(lasting: ThreadedSimulator) -> None:
    graph = lasting.graph
    with ManagedIdentityCredential() as identity:
        credential = ClientAssertionCredential(
            graph.tenant_id,
            graph.client_id,
            lambda: identity.get_token(TOKEN_EXCHANGE + "/.default").token,
            authority=graph.authority_host,
            disable_instance_discovery=True,
        )
        with credential:
            assert unverified(credential.get_token(scope(lasting)).token)["appid"] == graph.client_id


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        ({"sub": "somebody-else"}, 700213),
        ({"aud": "api://other"}, 700212),
        ({"iss": "https://issuer.example"}, 700211),
        ({"exp": 1}, 700024),
    ],
)
def test_an_assertion_must_match_the_federated_credential(
    lasting: ThreadedSimulator, spoil: dict[str, Any], code: int
) -> None:
    graph = lasting.graph
    genuine = graph.cloud.entra.access_token(graph.cloud.who.managed_identity, TOKEN_EXCHANGE)
    assertion = graph.cloud.keys.current.sign({**unverified(genuine), **spoil})
    form = {
        "grant_type": "client_credentials",
        "client_id": graph.client_id,
        "scope": scope(lasting),
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": assertion,
    }
    answer = requests.post(f"{graph.authority_host}/{graph.tenant_id}/oauth2/v2.0/token", data=form, timeout=5)
    assert answer.json()["error_codes"] == [code]


def test_managed_identity_by_client_id(lasting: ThreadedSimulator) -> None:
    known = lasting.graph.cloud.who.managed_identity.client_id
    with ManagedIdentityCredential(client_id=known) as credential:
        assert unverified(credential.get_token("https://vault.azure.net/.default").token)["appid"] == known
    with (
        ManagedIdentityCredential(client_id=lasting.graph.client_id) as credential,
        pytest.raises((ClientAuthenticationError, CredentialUnavailableError)),
    ):
        credential.get_token("https://vault.azure.net/.default")


@pytest.mark.parametrize(
    ("headers", "version", "status"),
    [({}, "2019-08-01", 401), ({"X-IDENTITY-HEADER": "no"}, "2019-08-01", 401), (None, "2017-09-01", 400)],
)
def test_identity_endpoint_is_guarded(
    lasting: ThreadedSimulator, headers: dict[str, str] | None, version: str, status: int
) -> None:
    environment = lasting.graph.identity_environment()
    if headers is None:
        headers = {"X-IDENTITY-HEADER": environment["IDENTITY_HEADER"]}
    asked = {"api-version": version, "resource": "https://vault.azure.net"}
    answer = requests.get(environment["IDENTITY_ENDPOINT"], params=asked, headers=headers, timeout=5)
    assert answer.status_code == status


@pytest.mark.parametrize(("path", "version"), [("", "1.0"), ("v2.0/", "2.0")])
def test_validation_tokens_verify_through_their_discovery_document(
    lasting: ThreadedSimulator, path: str, version: TokenVersion
) -> None:
    graph = lasting.graph
    token = graph.cloud.keys.current.sign(claims(graph.cloud.entra, version, graph.tenant_id, graph.client_id))
    url = f"{graph.authority_host}/{graph.tenant_id}/{path}.well-known/openid-configuration"
    document = requests.get(url, timeout=5).json()
    keys = jwt.PyJWKSet.from_dict(requests.get(document["jwks_uri"], timeout=5).json())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    found = jwt.decode(token, key, algorithms=["RS256"], audience=graph.client_id, issuer=document["issuer"])
    assert found["appid" if version == "1.0" else "azp"] == CHANGE_TRACKING_APP_ID


@pytest.mark.parametrize(
    ("path", "issuer"),
    [
        ("common/", "https://sts.windows.net/{tenantid}/"),
        ("common/v2.0/", "{authority}/{{tenantid}}/v2.0"),
    ],
)
def test_common_documents_have_a_template_for_issuer(lasting: ThreadedSimulator, path: str, issuer: str) -> None:
    base = lasting.graph.authority_host
    document = requests.get(f"{base}/{path}.well-known/openid-configuration", timeout=5).json()
    expected = issuer if issuer.startswith("https") else issuer.format(authority=base)
    assert document["issuer"] == expected


def test_unknown_tenant_is_refused(lasting: ThreadedSimulator) -> None:
    url = f"{lasting.graph.authority_host}/nowhere/v2.0/.well-known/openid-configuration"
    answer = requests.get(url, timeout=5)
    assert answer.status_code == 400
    assert answer.json()["error_codes"] == [90002]


def test_rotation_shows_the_new_key_takes_the_old_and_counts_who_asks(threaded: ThreadedSimulator) -> None:
    graph = threaded.graph
    url = f"{graph.authority_host}/{graph.tenant_id}/discovery/v2.0/keys"
    old, ca_file = graph.cloud.keys.current.kid, str(graph.ca_file)
    before = {key["kid"] for key in requests.get(url, timeout=5, verify=ca_file).json()["keys"]}
    new = threaded.call(lambda graph: graph.cloud.keys.rotate()).kid
    after = {key["kid"] for key in requests.get(url, timeout=5, verify=ca_file).json()["keys"]}
    assert old in before
    assert after == before - {old} | {new}
    assert len(after) > 1
    assert graph.asked["keys"] == 2


def test_the_authoritys_key_is_not_on_disk(threaded: ThreadedSimulator) -> None:
    folder: Path = threaded.graph.folder
    assert {path.name for path in folder.iterdir()} == {"ca.pem", "server.pem", "server-key.pem", "ledger.jsonl"}
    assert (folder / "server-key.pem").stat().st_mode & 0o077 == 0
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(threaded.graph.authority_host, timeout=5, verify=certifi.where())


def test_every_error_is_json(lasting: ThreadedSimulator) -> None:
    answer = requests.put(f"{lasting.graph.graph_endpoint}/v1.0/subscriptions/x", timeout=5)
    assert answer.status_code == 405
    assert json.loads(answer.text)["error"]["code"] == "MethodNotAllowed"
