"""The decryption keys: the secret behind each version of the certificate in Key Vault.

A certificate's secret holds its private key where the policy lets it be exported:
https://learn.microsoft.com/azure/key-vault/certificates/about-certificates#composition-of-a-certificate.
Key material stays in this process' memory.
"""

import base64
import re
import threading
from datetime import datetime, timedelta
from functools import partial

from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError
from azure.keyvault.secrets import KeyVaultSecret, SecretClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key, pkcs12

from shared.adapters.request_ids import note_request_ids
from shared.core.decryption import DecryptionKey
from shared.core.errors import CannotArchive, CertificateDisabled, KeyVaultUnavailable, UnknownCertificate
from shared.core.metrics import DEPENDENCY_FAILURES
from shared.ports import SILENCE, CertificateVersion, Clock, Telemetry

# https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#object-identifiers
_VERSION = re.compile(r"[0-9a-f]{32}", re.ASCII)
_PEM = "application/x-pem-file"
# A vault that is away is asked again after this long, and not by each of a post's thousand items.
COOL_DOWN = timedelta(seconds=5)
# A version that is missing or disabled may be restored any time.
REMEMBER_REFUSAL = timedelta(seconds=30)
REMEMBER_CURRENT = timedelta(minutes=5)
MAX_REFUSALS = 1024


def open_key_ring(
    vault_url: str,
    certificate: str,
    *,
    credential: TokenCredential,
    verify_challenge_resource: bool,
    clock: Clock,
    telemetry: Telemetry = SILENCE,
) -> "KeyVaultKeyRing":
    """The key ring of one certificate. Nothing is asked of the vault yet."""
    client = SecretClient(
        vault_url,
        credential,
        verify_challenge_resource=verify_challenge_resource,
        connection_timeout=3,
        read_timeout=5,
        retry_total=1,
        retry_backoff_factor=0.2,
        raw_response_hook=partial(note_request_ids, telemetry),
    )
    return KeyVaultKeyRing(client, certificate, clock, telemetry)


class KeyVaultKeyRing:
    """The KeyRing port on one SecretClient. A key is fetched once per process; it never changes."""

    def __init__(self, client: SecretClient, certificate: str, clock: Clock, telemetry: Telemetry = SILENCE) -> None:
        self._client = client
        self._certificate = certificate
        self._clock = clock
        self._telemetry = telemetry
        self._asking = threading.Lock()
        self._keys: dict[str, DecryptionKey] = {}
        self._refusals: dict[str, tuple[CannotArchive, datetime]] = {}
        self._away_until: datetime | None = None
        self._current: tuple[CertificateVersion, datetime] | None = None

    def key(self, certificate_id: str) -> DecryptionKey:
        """See the port. Only ids of the exact version pattern reach the vault: an id is no path."""
        known = self._keys.get(certificate_id)
        if known is not None:
            return known
        if not _VERSION.fullmatch(certificate_id):
            raise UnknownCertificate("the encryptionCertificateId is no version of a Key Vault certificate")
        with self._asking:
            if certificate_id not in self._keys:
                self._raise_remembered(certificate_id)
                self._keys[certificate_id] = self._fetch(certificate_id)
            return self._keys[certificate_id]

    def current(self) -> CertificateVersion:
        """See the port."""
        with self._asking:
            if self._current is None or self._clock() >= self._current[1]:
                secret = self._get(None)
                certificate = _open(secret)[1]
                version = CertificateVersion(
                    version=secret.properties.version or "",
                    thumbprint=_thumbprint(certificate),
                    expires_at=certificate.not_valid_after_utc,
                    der=certificate.public_bytes(Encoding.DER),
                )
                self._current = (version, self._clock() + REMEMBER_CURRENT)
            return self._current[0]

    def _fetch(self, version: str) -> DecryptionKey:
        try:
            private_key, certificate = _open(self._get(version))
        except CannotArchive as refusal:
            # Remembered for half a minute, so that a thousand items of one version ask once.
            if len(self._refusals) >= MAX_REFUSALS:
                self._refusals.clear()
            self._refusals[version] = (refusal, self._clock() + REMEMBER_REFUSAL)
            raise
        return DecryptionKey(private_key=private_key, thumbprint=_thumbprint(certificate))

    def _raise_remembered(self, version: str) -> None:
        refusal = self._refusals.get(version)
        if refusal is not None and self._clock() < refusal[1]:
            raise type(refusal[0])(str(refusal[0]))

    def _get(self, version: str | None) -> KeyVaultSecret:
        if self._away_until is not None and self._clock() < self._away_until:
            raise KeyVaultUnavailable("Key Vault did not answer a moment ago; it is asked again in seconds")
        try:
            with self._telemetry.span("key vault get", dependency="key-vault", version=version or "current"):
                secret = self._client.get_secret(self._certificate, version)
        except ResourceNotFoundError as error:
            raise UnknownCertificate(
                f"Key Vault has no version {version} of the certificate; restore it and replay"
            ) from error
        except AzureError as error:
            if _is_disabled(error):
                raise CertificateDisabled(
                    f"version {version} of the certificate is disabled; enable it and replay"
                ) from error
            self._away_until = self._clock() + COOL_DOWN
            self._telemetry.measure(DEPENDENCY_FAILURES, 1, dependency="key-vault")
            raise KeyVaultUnavailable(f"Key Vault: {_reason(error)}; it is asked again") from error
        self._away_until = None
        return secret


def _open(secret: KeyVaultSecret) -> tuple[RSAPrivateKey, x509.Certificate]:
    """Private key and certificate of a certificate's secret, of either content type."""
    read = _read_pem if secret.properties.content_type == _PEM else _read_pkcs12
    try:
        key, certificate = read(secret.value or "")
    except (ValueError, TypeError) as error:
        raise UnknownCertificate("the certificate's secret holds neither PKCS #12 nor PEM") from error
    if not isinstance(key, RSAPrivateKey) or certificate is None:
        raise UnknownCertificate("the certificate's secret holds no RSA key; its policy must make the key exportable")
    return key, certificate


def _read_pkcs12(value: str) -> tuple[object, x509.Certificate | None]:
    key, certificate, _ = pkcs12.load_key_and_certificates(base64.b64decode(value), None)
    return key, certificate


def _read_pem(value: str) -> tuple[object, x509.Certificate | None]:
    pem = value.encode()
    # Key Vault made this key. Checking it again takes longer than fifty decryptions, at each start.
    key = load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)
    certificates = x509.load_pem_x509_certificates(pem)
    return key, next((each for each in certificates if each.public_key() == key.public_key()), None)


def _thumbprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA1()).hex()  # noqa: S303 - the name that Graph and Azure give a certificate


def _is_disabled(error: AzureError) -> bool:
    details = error.error if isinstance(error, HttpResponseError) else None
    return details is not None and (details.innererror or {}).get("code") == "SecretDisabled"


def _reason(error: AzureError) -> str:
    status = error.status_code if isinstance(error, HttpResponseError) else None
    return f"answered {status}" if status else type(error).__name__
