"""The KeyRing port: the real SecretClient and credentials against the simulated vault over TLS."""

from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from local.graph.outages import Kind
from local.graph.threaded import ThreadedSimulator, run_in_thread
from local.graph.vault import PEM, PKCS12, ContentType
from shared.adapters.identity import managed_identity
from shared.adapters.key_vault import COOL_DOWN, REMEMBER_CURRENT, REMEMBER_REFUSAL, KeyVaultKeyRing, open_key_ring
from shared.core.errors import CertificateDisabled, KeyVaultUnavailable, UnknownCertificate
from tests.integration.adapters.credentials import app_credential

CERTIFICATE = "graph-notifications"


@dataclass
class Clock:
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadedSimulator]:
    with run_in_thread(folder=tmp_path_factory.mktemp("cloud")) as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ring(cloud: ThreadedSimulator, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeyVaultKeyRing]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(cloud.graph.ca_file))
    yield open_ring(cloud, clock)
    cloud.call(lambda graph: graph.cloud.outages.end_all())


def open_ring(cloud: ThreadedSimulator, clock: Clock) -> KeyVaultKeyRing:
    graph = cloud.graph
    return open_key_ring(
        graph.vault_url, CERTIFICATE, credential=app_credential(graph), verify_challenge_resource=False, clock=clock
    )


def rotate(cloud: ThreadedSimulator, content_type: ContentType = PKCS12) -> str:
    return cloud.call(lambda graph: graph.cloud.vault.rotate(CERTIFICATE, content_type=content_type).id)


@pytest.mark.parametrize("content_type", [PKCS12, PEM])
def test_a_version_gives_its_key_and_thumbprint(
    cloud: ThreadedSimulator, ring: KeyVaultKeyRing, content_type: ContentType
) -> None:
    version = rotate(cloud, content_type)
    key = ring.key(version)
    expected = cloud.graph.cloud.vault.find(CERTIFICATE, version)
    assert expected is not None
    # The vault's own name for it is the base64url form of the same SHA-1.
    assert urlsafe_b64encode(bytes.fromhex(key.thumbprint)).decode().rstrip("=") == expected.thumbprint()
    assert key.private_key.key_size == 2048


def test_an_older_version_still_opens(cloud: ThreadedSimulator, ring: KeyVaultKeyRing) -> None:
    older, newer = rotate(cloud), rotate(cloud)
    assert ring.key(older).thumbprint != ring.key(newer).thumbprint


def test_a_key_is_asked_for_once(cloud: ThreadedSimulator, ring: KeyVaultKeyRing) -> None:
    version = rotate(cloud)
    key = ring.key(version)
    cloud.call(lambda graph: graph.cloud.outages.begin("vault", "refuse"))
    assert ring.key(version) is key


@pytest.mark.parametrize("kind", ["403", "429", "503", "refuse"])
def test_a_vault_that_is_away_is_unavailable_and_asked_again_after_a_while(
    cloud: ThreadedSimulator, ring: KeyVaultKeyRing, clock: Clock, kind: Kind
) -> None:
    version = rotate(cloud)
    cloud.call(lambda graph: graph.cloud.outages.begin("vault", kind))
    with pytest.raises(KeyVaultUnavailable):
        ring.key(version)
    refused = cloud.graph.cloud.outages.refused["vault"]
    with pytest.raises(KeyVaultUnavailable, match="a moment ago"):
        ring.key(version)
    assert cloud.graph.cloud.outages.refused["vault"] == refused
    cloud.call(lambda graph: graph.cloud.outages.end("vault"))
    clock.now += COOL_DOWN + timedelta(seconds=1)
    assert ring.key(version)


@pytest.mark.parametrize(
    "certificate_id",
    ["", "../x", "a/b", "A" * 32, "0" * 31, "0" * 33, "0" * 32 + "\n", "?api-version=1", "..", "é" * 32],
)
def test_only_the_exact_version_pattern_reaches_the_vault(
    cloud: ThreadedSimulator, ring: KeyVaultKeyRing, certificate_id: str
) -> None:
    cloud.call(lambda graph: graph.cloud.outages.begin("vault", "503"))
    refused = cloud.graph.cloud.outages.refused["vault"]
    with pytest.raises(UnknownCertificate, match="is no version"):
        ring.key(certificate_id)
    assert cloud.graph.cloud.outages.refused["vault"] == refused


def test_a_version_that_is_not_there_is_unknown_until_it_is(
    cloud: ThreadedSimulator, ring: KeyVaultKeyRing, clock: Clock
) -> None:
    version = rotate(cloud)
    cloud.call(lambda graph: graph.cloud.vault.delete(CERTIFICATE, version))
    with pytest.raises(UnknownCertificate, match=f"no version {version}"):
        ring.key(version)
    cloud.call(lambda graph: graph.cloud.vault.restore(CERTIFICATE, version))
    with pytest.raises(UnknownCertificate):
        ring.key(version)
    clock.now += REMEMBER_REFUSAL + timedelta(seconds=1)
    assert ring.key(version)


def test_a_disabled_version_says_so(cloud: ThreadedSimulator, ring: KeyVaultKeyRing) -> None:
    version = rotate(cloud)
    cloud.call(lambda graph: graph.cloud.vault.disable(CERTIFICATE, version))
    with pytest.raises(CertificateDisabled, match=f"version {version} of the certificate is disabled"):
        ring.key(version)


def test_the_newest_version_is_told_and_remembered_for_a_while(
    cloud: ThreadedSimulator, ring: KeyVaultKeyRing, clock: Clock
) -> None:
    first = rotate(cloud)
    assert ring.current().version == first
    assert ring.current().expires_at > datetime.now(UTC)
    second = rotate(cloud)
    assert ring.current().version == first
    clock.now += REMEMBER_CURRENT + timedelta(seconds=1)
    assert ring.current().version == second


def test_the_managed_identity_reads_the_vault(
    cloud: ThreadedSimulator, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(cloud.graph.ca_file))
    for name, value in cloud.graph.identity_environment().items():
        monkeypatch.setenv(name, value)
    ring = open_key_ring(
        cloud.graph.vault_url,
        CERTIFICATE,
        credential=managed_identity(None),
        verify_challenge_resource=False,
        clock=clock,
    )
    assert ring.key(rotate(cloud))
