import base64
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core.decryption import DecryptionKey, decrypt
from shared.core.errors import CannotArchive, DecryptionFailed, UnsignedContent
from shared.core.notification import EncryptedContent, parse_item
from tests.graph_posts import THUMBPRINT, encrypted, rsa_key

KEY = DecryptionKey(rsa_key("vault"), THUMBPRINT)
CONTENT = '{"id":"1","body":"港 \\u0000 text"}'.encode()
VECTOR = Path(__file__).parents[4] / "shared" / "vectors" / "graph-sdk-rich-notification"


def content_of(fields: dict[str, Any]) -> EncryptedContent:
    return EncryptedContent(
        data=fields["data"],
        data_key=fields["dataKey"],
        data_signature=fields.get("dataSignature"),
        certificate_id=fields["encryptionCertificateId"],
        certificate_thumbprint=fields.get("encryptionCertificateThumbprint"),
    )


def failure(content: EncryptedContent, key: DecryptionKey = KEY, *, allow_unsigned: bool = False) -> DecryptionFailed:
    """The one error, and nothing about its cause."""
    with pytest.raises(DecryptionFailed) as caught:
        decrypt(content, key, allow_unsigned=allow_unsigned)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    return caught.value


def resigned(fields: dict[str, Any], symmetric_key: bytes, data: bytes) -> EncryptedContent:
    """Ciphertext with a signature that fits it."""
    signature = base64.b64encode(hmac.digest(symmetric_key, data, "sha256")).decode()
    return content_of({**fields, "data": base64.b64encode(data).decode(), "dataSignature": signature})


@settings(max_examples=30)
@given(st.binary(max_size=200))
def test_what_graph_encrypts_is_opened_byte_for_byte(content: bytes) -> None:
    assert decrypt(content_of(encrypted(content)), KEY, allow_unsigned=False) == content


def test_a_card_of_eighty_kilobytes_is_opened() -> None:
    content = b'{"card":"' + b"x" * 80_000 + b'"}'

    assert decrypt(content_of(encrypted(content)), KEY, allow_unsigned=False) == content


@pytest.mark.parametrize("field", ["data", "dataKey", "dataSignature"])
def test_every_corrupt_byte_fails_with_one_error_and_one_message(field: str) -> None:
    fields = encrypted(CONTENT)
    sound = base64.b64decode(fields[field])
    messages = set()
    for position in range(len(sound)):
        corrupt = bytearray(sound)
        corrupt[position] ^= 0x01
        messages.add(str(failure(content_of({**fields, field: base64.b64encode(corrupt).decode()}))))

    assert messages == {f"the content for certificate {THUMBPRINT} does not open"}


@pytest.mark.parametrize("field", ["data", "dataKey", "dataSignature"])
@pytest.mark.parametrize("text", ["", "A", "====", "not base64!", "AA AA", "AAAA\n", "ü", "\ud800", "AAAA", "A" * 4096])
def test_whatever_stands_in_a_field_the_error_is_the_same(field: str, text: str) -> None:
    error = failure(content_of({**encrypted(CONTENT), field: text}))

    assert str(error) == f"the content for certificate {THUMBPRINT} does not open"


def test_other_alphabets_and_stray_characters_are_no_base64() -> None:
    fields = encrypted(CONTENT)
    for field in ("data", "dataKey", "dataSignature"):
        failure(content_of({**fields, field: " " + fields[field]}))
        failure(content_of({**fields, field: fields[field][:8] + "\n" + fields[field][8:]}))


@pytest.mark.parametrize("field", ["data", "dataKey", "dataSignature"])
def test_a_field_of_another_item_does_not_open(field: str) -> None:
    failure(content_of({**encrypted(CONTENT), field: encrypted(CONTENT + b" ")[field]}))


@pytest.mark.parametrize("cut", [1, 15, 16, 31])
def test_a_truncated_ciphertext_fails_even_with_a_signature_that_fits(cut: int) -> None:
    key = bytes(range(32))
    fields = encrypted(b"x" * 40, symmetric_key=key)
    data = base64.b64decode(fields["data"])

    failure(resigned(fields, key, data[:-cut]))


def test_the_signature_is_checked_before_anything_is_decrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = encrypted(CONTENT)
    monkeypatch.setattr("shared.core.decryption.Cipher", lambda *_: pytest.fail("decrypted unchecked content"))

    failure(content_of({**fields, "dataSignature": base64.b64encode(bytes(32)).decode()}))


def test_the_signature_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(len(one))
        return one == other

    monkeypatch.setattr("hmac.compare_digest", compare)

    assert decrypt(content_of(encrypted(CONTENT)), KEY, allow_unsigned=False) == CONTENT
    assert compared == [32]


@pytest.mark.parametrize("length", [0, 1, 16, 24, 31, 33, 48, 64])
def test_a_symmetric_key_has_32_bytes(length: int) -> None:
    failure(content_of(encrypted(CONTENT, symmetric_key=bytes(length))), allow_unsigned=True)


@pytest.mark.parametrize("length", [16, 24])
def test_a_shorter_aes_key_that_would_work_is_refused(length: int) -> None:
    # AES-128 and AES-192 would decrypt with these; Graph's keys are AES-256's.
    fields = encrypted(CONTENT, symmetric_key=b"k" * length)

    failure(resigned(fields, b"k" * length, bytes(32)))


@pytest.mark.parametrize(
    "thumbprint",
    [THUMBPRINT, THUMBPRINT.upper(), ":".join(THUMBPRINT.upper()[at : at + 2] for at in range(0, 40, 2)), None],
)
def test_the_thumbprint_is_compared_without_case_and_colons(thumbprint: str | None) -> None:
    fields = {**encrypted(CONTENT), "encryptionCertificateThumbprint": thumbprint}

    assert decrypt(content_of(fields), KEY, allow_unsigned=False) == CONTENT


@pytest.mark.parametrize("thumbprint", [THUMBPRINT[:-1], THUMBPRINT[:-1] + "e", " " + THUMBPRINT, "0" * 40, "x"])
def test_another_thumbprint_does_not_open(thumbprint: str) -> None:
    failure(content_of({**encrypted(CONTENT), "encryptionCertificateThumbprint": thumbprint}))


def test_another_key_does_not_open() -> None:
    failure(content_of(encrypted(CONTENT)), replace(KEY, private_key=rsa_key("stranger")))


@pytest.mark.parametrize("unsigned", [{"dataSignature": None}, {"dataSignature": ""}])
def test_unsigned_content_opens_only_where_that_is_allowed(unsigned: dict[str, object]) -> None:
    item = {
        "subscriptionId": "s",
        "changeType": "created",
        "resource": "r",
        "encryptedContent": {**encrypted(CONTENT), **unsigned},
    }
    content = parse_item(item).encrypted_content
    assert content is not None

    with pytest.raises(UnsignedContent):
        decrypt(content, KEY, allow_unsigned=False)
    assert decrypt(content, KEY, allow_unsigned=True) == CONTENT


def test_a_wrong_signature_is_refused_also_where_unsigned_content_is_allowed() -> None:
    failure(
        content_of({**encrypted(CONTENT), "dataSignature": base64.b64encode(bytes(32)).decode()}), allow_unsigned=True
    )


def test_unsigned_content_that_does_not_open_fails_like_any_other() -> None:
    fields = {**encrypted(CONTENT), "dataSignature": None}

    failure(content_of({**fields, "data": base64.b64encode(bytes(15)).decode()}), allow_unsigned=True)
    failure(content_of({**fields, "data": ""}), allow_unsigned=True)


@settings(max_examples=40)
@given(st.binary(max_size=64), st.binary(max_size=300), st.none() | st.binary(max_size=40), st.booleans())
def test_no_bytes_bring_out_another_error(data: bytes, key: bytes, signature: bytes | None, allow: bool) -> None:
    def text(raw: bytes) -> str:
        return base64.b64encode(raw).decode()

    content = EncryptedContent(text(data), text(key), None if signature is None else text(signature), "c", None)
    with pytest.raises(CannotArchive):
        decrypt(content, KEY, allow_unsigned=allow)


@pytest.mark.skipif(not VECTOR.is_dir(), reason="the genuine vector is not on this machine")
class TestGenuineVector:
    """A notification that Microsoft Graph itself encrypted: RSA 4096, its certificate expired in 2023."""

    CONTENT = "encryptedContent.json"

    def key(self) -> DecryptionKey:
        loaded = load_pem_private_key((VECTOR / "private-key.pem").read_bytes(), None)
        assert isinstance(loaded, RSAPrivateKey)
        return DecryptionKey(loaded, self.certificate().fingerprint(hashes.SHA1()).hex())  # noqa: S303 - a thumbprint

    def certificate(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate((VECTOR / "certificate.pem").read_bytes())

    def fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = json.loads((VECTOR / self.CONTENT).read_bytes())
        return fields

    def test_it_opens_although_its_certificate_has_expired(self) -> None:
        assert self.certificate().not_valid_after_utc < datetime(2026, 1, 1, tzinfo=UTC)

        opened = decrypt(content_of(self.fields()), self.key(), allow_unsigned=False)

        assert json.loads(opened) == json.loads((VECTOR / "expected-plaintext.json").read_bytes())

    def test_the_pfx_holds_the_same_key(self) -> None:
        loaded, _, _ = pkcs12.load_key_and_certificates((VECTOR / "certificate.pfx").read_bytes(), b"rich")
        assert isinstance(loaded, RSAPrivateKey)

        assert decrypt(content_of(self.fields()), replace(self.key(), private_key=loaded), allow_unsigned=False)

    def test_one_bit_more_and_it_does_not_open(self) -> None:
        fields = self.fields()
        data = bytearray(base64.b64decode(fields["data"]))
        data[-1] ^= 1

        failure(content_of({**fields, "data": base64.b64encode(data).decode()}), self.key())
