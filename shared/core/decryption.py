"""Unwrap the key, check the signature, decrypt; the private key is given.

https://learn.microsoft.com/graph/change-notifications-with-resource-data#decrypting-resource-data-from-change-notifications
"""

import base64
import hmac
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from shared.core.errors import DecryptionFailed, UnsignedContent
from shared.core.notification import EncryptedContent

SYMMETRIC_KEY_BYTES = 32
IV_BYTES = 16

# MGF1 with SHA-1 is what Graph encrypts with; neither use of SHA-1 here rests on its collision resistance.
_OAEP_SHA1 = padding.OAEP(mgf=padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)  # noqa: S303 - Graph's choice


@dataclass(frozen=True, slots=True)
class DecryptionKey:
    """One version of the encryption certificate. ``thumbprint`` is the certificate's SHA-1 in lower-case hex.

    Whether the certificate has expired does not matter: it still opens what was encrypted for it.
    """

    private_key: RSAPrivateKey
    thumbprint: str


def decrypt(content: EncryptedContent, key: DecryptionKey, *, allow_unsigned: bool) -> bytes:
    """The resource's JSON, byte for byte.

    Raises UnsignedContent where dataSignature is missing and not waived, DecryptionFailed for everything else that
    does not fit: thumbprint, base64, wrapped key, signature, padding.
    """
    if content.data_signature is None and not allow_unsigned:
        raise UnsignedContent("the encrypted content has no dataSignature; see ALLOW_UNSIGNED_CONTENT")
    try:
        return _decrypt(content, key)
    except ValueError:
        # cryptography and base64 raise ValueError for all that hostile input can do; the cause would be an oracle.
        raise DecryptionFailed(f"the content for certificate {key.thumbprint} does not open") from None


def _decrypt(content: EncryptedContent, key: DecryptionKey) -> bytes:
    if not _same_thumbprint(content.certificate_thumbprint, key.thumbprint):
        raise ValueError
    symmetric_key = key.private_key.decrypt(_from_base64(content.data_key), _OAEP_SHA1)
    if len(symmetric_key) != SYMMETRIC_KEY_BYTES:
        raise ValueError
    ciphertext = _from_base64(content.data)
    if content.data_signature is not None:
        expected = hmac.digest(symmetric_key, ciphertext, "sha256")
        if not hmac.compare_digest(expected, _from_base64(content.data_signature)):
            raise ValueError
    decryptor = Cipher(algorithms.AES256(symmetric_key), modes.CBC(symmetric_key[:IV_BYTES])).decryptor()
    unpadder = PKCS7(algorithms.AES256.block_size).unpadder()
    return unpadder.update(decryptor.update(ciphertext) + decryptor.finalize()) + unpadder.finalize()


def _same_thumbprint(given: str | None, ours: str) -> bool:
    # Graph's samples write it in upper case and Microsoft's own in lower; colons come from certificate viewers.
    return given is None or given.replace(":", "").lower() == ours


def _from_base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
