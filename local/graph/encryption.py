"""Encryption of resource data, as Microsoft Graph does it.

Per item a new 32-byte key; RSA-OAEP with SHA-1 for the key, AES-256-CBC with PKCS#7 padding for the content with the
key's first 16 bytes as initialization vector, HMAC-SHA256 over the ciphertext as signature.
https://learn.microsoft.com/graph/change-notifications-with-resource-data#decrypting-resource-data-from-change-notifications
"""

import base64
import hashlib
import hmac
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from local.graph.certificates import thumbprint

Encrypted = dict[str, str]


def encrypt(plaintext: bytes, certificate: x509.Certificate, certificate_id: str, *, lower: bool = False) -> Encrypted:
    """Return `encryptedContent` for a plaintext; `lower` writes the thumbprint in lower case."""
    key = os.urandom(32)
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES256(key), modes.CBC(key[:16])).encryptor()
    data = encryptor.update(padder.update(plaintext) + padder.finalize()) + encryptor.finalize()
    print_ = thumbprint(certificate)
    return {
        "data": base64.b64encode(data).decode(),
        "dataSignature": base64.b64encode(hmac.digest(key, data, hashlib.sha256)).decode(),
        "dataKey": base64.b64encode(_wrap(key, certificate)).decode(),
        "encryptionCertificateId": certificate_id,
        "encryptionCertificateThumbprint": print_.lower() if lower else print_,
    }


def _wrap(key: bytes, certificate: x509.Certificate) -> bytes:
    public_key = certificate.public_key()
    if not isinstance(public_key, rsa.RSAPublicKey):
        raise TypeError("subscriptions are created with RSA certificates only")
    sha1 = hashes.SHA1()  # noqa: S303 - Graph prescribes it, for the mask generation function as well
    return public_key.encrypt(key, rsa_padding.OAEP(rsa_padding.MGF1(sha1), sha1, None))
