import base64
from collections.abc import Iterator

import pytest
import requests
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.identity import ManagedIdentityCredential
from azure.keyvault.secrets import SecretClient
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from local.graph import ThreadedSimulator
from local.graph.outages import Kind
from local.graph.vault import PEM

pytest_plugins = ("tests.integration.local.graph_fixtures",)
NAME = "graph-notifications"


@pytest.fixture
def client(threaded: ThreadedSimulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[SecretClient]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(threaded.graph.ca_file))
    for name, value in threaded.graph.identity_environment().items():
        monkeypatch.setenv(name, value)
    with (
        ManagedIdentityCredential() as credential,
        SecretClient(
            threaded.graph.vault_url, credential, verify_challenge_resource=False, retry_total=0, read_timeout=0.5
        ) as made,
    ):
        yield made


def test_secret_client_reads_the_newest_version_as_pkcs12(client: SecretClient, threaded: ThreadedSimulator) -> None:
    secret = client.get_secret(NAME)
    key, certificate, _ = pkcs12.load_key_and_certificates(base64.b64decode(secret.value or ""), None)
    newest = threaded.graph.cloud.vault.versions(NAME)[-1]
    assert secret.properties.content_type == "application/x-pkcs12"
    assert secret.properties.version == newest.id
    assert certificate == newest.pair.certificate
    assert isinstance(key, rsa.RSAPrivateKey)
    assert key.key_size == 2048
    assert secret.properties.expires_on == certificate.not_valid_after_utc.replace(microsecond=0)


def test_rotation_keeps_the_old_version_readable(client: SecretClient, threaded: ThreadedSimulator) -> None:
    old = client.get_secret(NAME)
    threaded.call(lambda graph: graph.rotate_certificate(content_type=PEM))
    new = client.get_secret(NAME)
    assert new.properties.version != old.properties.version
    assert new.properties.content_type == "application/x-pem-file"
    serialization.load_pem_private_key((new.value or "").encode(), None)
    x509.load_pem_x509_certificate((new.value or "").encode())
    assert client.get_secret(NAME, old.properties.version).value is not None
    listed = [each.version for each in client.list_properties_of_secret_versions(NAME)]
    assert listed == [old.properties.version, new.properties.version]


def test_missing_disabled_deleted_and_restored(client: SecretClient, threaded: ThreadedSimulator) -> None:
    version = threaded.graph.cloud.vault.versions(NAME)[0].id
    with pytest.raises(ResourceNotFoundError, match="SecretNotFound"):
        client.get_secret("nothing-here")
    threaded.call(lambda graph: graph.cloud.vault.disable(NAME, version))
    with pytest.raises(HttpResponseError, match="not allowed on a disabled secret") as refused:
        client.get_secret(NAME, version)
    assert refused.value.status_code == 403
    threaded.call(lambda graph: graph.cloud.vault.enable(NAME, version))
    threaded.call(lambda graph: graph.cloud.vault.delete(NAME, version))
    with pytest.raises(ResourceNotFoundError):
        client.get_secret(NAME, version)
    threaded.call(lambda graph: graph.cloud.vault.restore(NAME, version))
    assert client.get_secret(NAME, version).value


@pytest.mark.parametrize("kind", ["403", "429", "500", "503"])
def test_outages_by_status(client: SecretClient, threaded: ThreadedSimulator, kind: Kind) -> None:
    threaded.call(lambda graph: graph.cloud.outages.begin("vault", kind, requests=1))
    with pytest.raises(HttpResponseError) as failed:
        client.get_secret(NAME)
    assert failed.value.status_code == int(kind)
    assert client.get_secret(NAME).value
    assert threaded.graph.cloud.outages.refused["vault"] == 1


@pytest.mark.parametrize("kind", ["hang", "refuse"])
def test_outages_of_the_line(client: SecretClient, threaded: ThreadedSimulator, kind: Kind) -> None:
    client.get_secret(NAME)
    threaded.call(lambda graph: graph.cloud.outages.begin("vault", kind))
    with pytest.raises((ServiceRequestError, ServiceResponseError)):
        client.get_secret(NAME)
    threaded.call(lambda graph: graph.cloud.outages.end("vault"))
    assert client.get_secret(NAME).value


def test_an_outage_of_the_identity_endpoint_reaches_the_sdk(client: SecretClient, threaded: ThreadedSimulator) -> None:
    threaded.call(lambda graph: graph.cloud.outages.begin("identity", "403"))
    with pytest.raises(AzureError):
        client.get_secret(NAME)


def token(threaded: ThreadedSimulator, resource: str) -> dict[str, str]:
    entra, who = threaded.graph.cloud.entra, threaded.graph.cloud.who
    return {"Authorization": f"Bearer {entra.access_token(who.application, resource)}"}


@pytest.mark.parametrize("tail", ["", "/"])
def test_a_caller_without_a_token_is_challenged(threaded: ThreadedSimulator, tail: str) -> None:
    url = f"{threaded.graph.vault_url}/secrets/{NAME}{tail}?api-version=2026-04-01"
    answer = requests.get(url, timeout=5, verify=str(threaded.graph.ca_file))
    assert answer.status_code == 401
    expected = (
        f'Bearer authorization="{threaded.graph.authority_host}/{threaded.graph.tenant_id}", '
        'resource="https://vault.azure.net"'
    )
    assert answer.headers["WWW-Authenticate"] == expected


def test_a_token_for_graph_opens_no_vault(threaded: ThreadedSimulator) -> None:
    url = f"{threaded.graph.vault_url}/secrets/{NAME}?api-version=2026-04-01"
    headers = token(threaded, threaded.graph.graph_endpoint)
    answer = requests.get(url, timeout=5, verify=str(threaded.graph.ca_file), headers=headers)
    assert answer.status_code == 401


def test_api_version_is_mandatory(threaded: ThreadedSimulator) -> None:
    url, headers = f"{threaded.graph.vault_url}/secrets/{NAME}", token(threaded, "https://vault.azure.net")
    answer = requests.get(url, timeout=5, verify=str(threaded.graph.ca_file), headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadParameter")


def test_the_certificate_has_no_private_key(threaded: ThreadedSimulator) -> None:
    url = f"{threaded.graph.vault_url}/certificates/{NAME}/?api-version=2026-04-01"
    headers = token(threaded, "https://vault.azure.net")
    answer = requests.get(url, timeout=5, verify=str(threaded.graph.ca_file), headers=headers).json()
    version = threaded.graph.cloud.vault.versions(NAME)[-1]
    assert x509.load_der_x509_certificate(base64.b64decode(answer["cer"])) == version.pair.certificate
    assert answer["id"].endswith(f"/certificates/{NAME}/{version.id}")
    assert answer["policy"]["key_props"]["key_size"] == 2048
    assert version.thumbprint() == answer["x5t"]
