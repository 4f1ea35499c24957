import base64
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import NotGenuine
from shared.core.validation_token import (
    MAX_TOKEN_CHARACTERS,
    TokenRules,
    UnverifiedToken,
    check_signature,
    check_times,
    read_claims,
)
from tests.fakes import NOW
from tests.graph_posts import (
    ANOTHER_TENANT,
    CLIENT,
    KID,
    PUBLISHER,
    TENANT,
    V1_ISSUER,
    V2_ISSUER,
    base64url,
    claims,
    rsa_key,
    signed,
    token,
)

RULES = TokenRules(audience=CLIENT, tenant_id=TENANT)
KEY = rsa_key("entra").public_key()
HEADER = {"alg": "RS256", "typ": "JWT", "kid": KID}


def judge(text: object, received_at: datetime = NOW) -> UnverifiedToken:
    read = read_claims(text, RULES)
    check_times(read, received_at)
    check_signature(read, KEY)
    return read


@pytest.mark.parametrize(("version", "issuer"), [("1.0", V1_ISSUER), ("2.0", V2_ISSUER)])
def test_a_genuine_token_of_either_version_passes(version: str, issuer: str) -> None:
    read = judge(token(version))

    assert (read.kid, read.issuer, read.tenant_id) == (KID, issuer, TENANT)


@pytest.mark.parametrize("name", ["aud", "tid", "azp"])
def test_guids_compare_without_case(name: str) -> None:
    changes: dict[str, Any] = {name: str(claims()[name]).upper()}

    assert judge(token(**changes)).tenant_id == TENANT


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ANOTHER_TENANT},
        {"aud": None},
        {"aud": ""},
        {"aud": 5},
        {"aud": [CLIENT]},
        {"aud": [CLIENT, "https://graph.microsoft.com"]},
        {"aud": {"x": CLIENT}},
        {"aud": f"api://{CLIENT}"},
        {"tid": ANOTHER_TENANT},
        {"tid": None},
        {"tid": [TENANT]},
        {"tid": "common"},
        {"azp": None},
        {"azp": CLIENT},
        {"azp": [PUBLISHER]},
        {"azp": PUBLISHER + " "},
        {"appid": CLIENT},
        {"azp": CLIENT, "appid": PUBLISHER},
        {"iss": None},
        {"iss": 5},
        {"iss": [V2_ISSUER]},
        {"nbf": None},
        {"nbf": "1767605401"},
        {"nbf": True},
        {"nbf": [1]},
        {"exp": None},
        {"exp": "never"},
        {"exp": True},
        {"exp": 10**30},
        {"exp": float("nan")},
        {"exp": float("inf")},
        {"nbf": -(10**30)},
    ],
    ids=str,
)
def test_each_claim_has_to_fit(changes: dict[str, Any]) -> None:
    with pytest.raises(NotGenuine):
        judge(token(**changes))


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "None"},
        {"alg": "HS256"},
        {"alg": "RS512"},
        {"alg": "PS256"},
        {"alg": "rs256"},
        {"alg": ["RS256"]},
        {"alg": None},
        {"kid": None},
        {"kid": ""},
        {"kid": 5},
        {"kid": "k" * 257},
        {"kid": "k" * 10_240},
        {"kid": ["x"]},
        {"crit": ["exp"]},
        {"b64": False, "crit": ["b64"]},
    ],
    ids=lambda header: str(header)[:40],
)
def test_the_header_has_to_fit(header: dict[str, Any]) -> None:
    with pytest.raises(NotGenuine):
        judge(signed({**HEADER, **header}, claims(), rsa_key("entra")))


@pytest.mark.parametrize("alg", ["none", "HS256", "RS512", "PS256", None])
def test_another_algorithm_is_refused_before_a_key_is_looked_up(alg: str | None) -> None:
    with pytest.raises(NotGenuine, match="RS256"):
        read_claims(signed({**HEADER, "alg": alg}, claims(), rsa_key("entra")), RULES)


@pytest.mark.parametrize(
    ("alg", "padded"),
    [
        ("RS512", (padding.PKCS1v15(), hashes.SHA512())),
        ("PS256", (padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())),
    ],
)
def test_another_algorithm_is_refused_also_where_its_signature_is_good(alg: str, padded: tuple[Any, Any]) -> None:
    head = f"{base64url(json.dumps({**HEADER, 'alg': alg}).encode())}.{base64url(json.dumps(claims()).encode())}"
    signature = rsa_key("entra").sign(head.encode(), *padded)
    with pytest.raises(NotGenuine):
        check_signature(replace(read_claims(token(), RULES), text=f"{head}.{base64url(signature)}"), KEY)


def test_a_kid_of_256_characters_fits() -> None:
    assert judge(token(kid="k" * 256)).kid == "k" * 256


def test_without_a_signature_a_token_proves_nothing() -> None:
    body = f"{base64url(json.dumps({**HEADER, 'alg': 'none'}).encode())}.{base64url(json.dumps(claims()).encode())}."
    with pytest.raises(NotGenuine):
        judge(body)
    with pytest.raises(NotGenuine):
        judge(token().rpartition(".")[0] + ".")


@pytest.mark.parametrize("said", ["HS256", "RS256"])
def test_the_public_key_is_no_secret_to_sign_with(said: str) -> None:
    signing_input = (
        f"{base64url(json.dumps({**HEADER, 'alg': said}).encode())}.{base64url(json.dumps(claims()).encode())}"
    )
    for encoded in (
        KEY.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        KEY.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    ):
        mac = hmac.digest(encoded, signing_input.encode(), "sha256")
        with pytest.raises(NotGenuine):
            judge(f"{signing_input}.{base64url(mac)}")


def test_a_key_brought_along_is_not_used() -> None:
    stranger = rsa_key("stranger")
    numbers = stranger.public_key().public_numbers()
    jwk = {"kty": "RSA", "n": base64url(numbers.n.to_bytes(256, "big")), "e": "AQAB"}
    with pytest.raises(NotGenuine):
        judge(signed({**HEADER, "jwk": jwk, "jku": "https://example.org/keys"}, claims(), stranger))


def test_another_key_signs_in_vain() -> None:
    with pytest.raises(NotGenuine):
        judge(token(owner="stranger"))


@pytest.mark.parametrize("part", [0, 1, 2])
def test_every_part_of_a_token_is_covered_by_its_signature(part: int) -> None:
    parts = token().split(".")
    other = token(uti="other").split(".") if part != 0 else token(kid="other").split(".")
    parts[part] = other[part]
    with pytest.raises(NotGenuine):
        judge(".".join(parts))


def test_every_corrupt_byte_of_the_signature_shows() -> None:
    head, _, signature = token().rpartition(".")
    sound = base64.urlsafe_b64decode(signature + "==")
    for position in range(0, len(sound), 16):
        corrupt = bytearray(sound)
        corrupt[position] ^= 1
        with pytest.raises(NotGenuine):
            judge(f"{head}.{base64url(bytes(corrupt))}")


FIVE_MINUTES = timedelta(minutes=5)
NOT_BEFORE = NOW
EXPIRES = NOW + timedelta(seconds=86_700)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    "received_at", [NOT_BEFORE - FIVE_MINUTES, NOT_BEFORE, EXPIRES, EXPIRES + FIVE_MINUTES - SECOND]
)
def test_a_token_in_force_when_its_post_was_received_passes(received_at: datetime) -> None:
    check_times(read_claims(token(), RULES), received_at)


@pytest.mark.parametrize("received_at", [NOT_BEFORE - FIVE_MINUTES - SECOND, EXPIRES + FIVE_MINUTES])
def test_a_token_not_in_force_when_its_post_was_received_does_not(received_at: datetime) -> None:
    with pytest.raises(NotGenuine):
        check_times(read_claims(token(), RULES), received_at)


def test_the_present_time_does_not_matter() -> None:
    long_ago = datetime(2001, 1, 1, tzinfo=UTC)

    judge(token(at=long_ago), long_ago)
    far_ahead = datetime(2101, 1, 1, tzinfo=UTC)
    judge(token(at=far_ahead), far_ahead)


# The first and the last second that a datetime can hold.
@pytest.mark.parametrize("changes", [{"exp": 253_402_300_799}, {"nbf": -62_135_596_800}])
def test_times_at_the_end_of_the_calendar_are_times(changes: dict[str, Any]) -> None:
    judge(token(**changes))


@pytest.mark.parametrize("changes", [{"nbf": 253_402_300_799}, {"exp": -62_135_596_800}])
def test_times_at_the_end_of_the_calendar_are_judged(changes: dict[str, Any]) -> None:
    with pytest.raises(NotGenuine):
        judge(token(**changes))


def test_times_may_have_fractions() -> None:
    judge(token(nbf=NOW.timestamp() + 0.5, exp=NOW.timestamp() + 10.5))


@pytest.mark.parametrize(
    "text",
    [
        None,
        5,
        [],
        {},
        b"a.b.c",
        "",
        ".",
        "..",
        "a.b.c",
        "a.b",
        "a.b.c.d.e",
        "\ud800.\ud800.\ud800",
        "ü.ü.ü",
        f"{base64url(b'[]')}.{base64url(b'{}')}.",
        f"{base64url(b'null')}.{base64url(b'{}')}.",
        f"{base64url(b'{')}.{base64url(b'{}')}.",
        f"{base64url(json.dumps(HEADER).encode())}.{base64url(b'[]')}.AAAA",
        f"{base64url(json.dumps(HEADER).encode())}.{base64url(b'null')}.AAAA",
        f"{base64url(json.dumps(HEADER).encode())}.{base64url(b'[' * 5000)}.AAAA",
        f"{base64url(json.dumps(HEADER).encode())}.{base64url(b'9' * 5000)}.AAAA",
        f"{base64url(b'[' * 5000)}.{base64url(b'{}')}.AAAA",
        f"{base64url(json.dumps(HEADER).encode())}.{base64url(bytes([255]))}.AAAA",
        f"{base64url(bytes([255]))}.{base64url(b'{}')}.AAAA",
    ],
    ids=lambda text: repr(text)[:30],
)
def test_what_is_no_token_is_not_genuine(text: object) -> None:
    with pytest.raises(NotGenuine):
        judge(text)


@given(st.text(st.characters(exclude_categories=())) | st.from_regex(r"\A[\w-]{0,40}\.[\w-]{0,40}\.[\w-]{0,40}\Z"))
def test_no_text_is_too_strange_to_be_refused(text: str) -> None:
    with pytest.raises(NotGenuine):
        judge(text)


@given(
    st.dictionaries(
        st.sampled_from(["alg", "kid", "typ", "crit", "b64", "x"]),
        st.none() | st.text() | st.integers() | st.lists(st.text()),
    ),
    st.dictionaries(
        st.sampled_from(["aud", "iss", "tid", "azp", "appid", "nbf", "exp"]),
        st.none() | st.text() | st.integers() | st.floats(),
    ),
)
def test_no_claims_bring_out_another_error(header: dict[str, Any], said: dict[str, Any]) -> None:
    parts = [json.dumps({**HEADER, **header}), json.dumps({**claims(), **said})]
    text = ".".join([*(base64url(part.encode()) for part in parts), "AAAA"])
    with pytest.raises(NotGenuine):
        judge(text)


def test_a_token_has_a_size() -> None:
    room = MAX_TOKEN_CHARACTERS - len(token(padding=""))

    assert judge(token(padding="x" * (room * 3 // 4 - 8)))
    with pytest.raises(NotGenuine, match="characters"):
        judge(token(padding="x" * room))


def test_an_oversized_token_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jwt.decode_complete", lambda *_, **__: pytest.fail("decoded"))
    with pytest.raises(NotGenuine):
        judge("x" * (MAX_TOKEN_CHARACTERS + 1))


def test_no_message_holds_a_value_of_the_token() -> None:
    canaries: list[dict[str, Any]] = [{name: "canary"} for name in ("aud", "tid", "azp", "nbf")]
    for changes in canaries:
        with pytest.raises(NotGenuine) as caught:
            judge(token(**changes))
        assert "canary" not in str(caught.value)
