"""Self-signed RSA certificates, as an app makes them for rich notifications and Entra ID for signing tokens."""

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from local.graph.times import utc_now


@dataclass(frozen=True)
class KeyPair:
    """An RSA private key with its certificate."""

    private_key: rsa.RSAPrivateKey
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        """The certificate in DER, public key only."""
        return self.certificate.public_bytes(serialization.Encoding.DER)


def self_signed(
    common_name: str,
    *,
    bits: int = 2048,
    not_before: datetime | None = None,
    lifetime: timedelta = timedelta(days=365),
) -> KeyPair:
    """Make a key of `bits` and a certificate for it, valid from `not_before` (default: now) for `lifetime`."""
    start = not_before or utc_now() - timedelta(minutes=5)
    private_key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + lifetime)
        .sign(private_key, hashes.SHA256())
    )
    return KeyPair(private_key, certificate)


def thumbprint(certificate: x509.Certificate) -> str:
    """Return the SHA-1 of the DER in hex, upper case, as Windows and Graph show it (40 characters)."""
    return certificate.fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303 - an identifier that Graph prescribes


def base64url(raw: bytes) -> str:
    """Return base64url without padding, as JOSE writes it (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
