from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from shared.core.errors import SigningKeysUnavailable
from shared.core.signing_keys import (
    COOL_DOWN,
    REFRESH_AFTER,
    STALE_AFTER,
    Discovery,
    Freshness,
    parse_discovery,
    parse_jwks,
)
from tests.fakes import NOW
from tests.graph_posts import KID, TENANT, V2_ISSUER, base64url, rsa_key

DISCOVERY = Discovery(issuer=V2_ISSUER, jwks_uri="https://login.example/keys")
SECOND = timedelta(seconds=1)


def jwk(kid: object = KID, key: rsa.RSAPrivateKey | None = None, **changes: object) -> dict[str, Any]:
    numbers = (key or rsa_key("entra")).public_key().public_numbers()
    size = (numbers.n.bit_length() + 7) // 8
    entry = {
        "kty": "RSA",
        "use": "sig",
        "kid": kid,
        "n": base64url(numbers.n.to_bytes(size, "big")),
        "e": "AQAB",
        **changes,
    }
    return {name: value for name, value in entry.items() if value is not ...}


def test_the_issuer_is_that_of_our_tenant() -> None:
    document = {"issuer": "https://login.example/{tenantid}/v2.0", "jwks_uri": "https://login.example/keys", "more": 1}

    assert parse_discovery(document, TENANT) == Discovery(
        f"https://login.example/{TENANT}/v2.0", "https://login.example/keys"
    )


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "x",
        {},
        {"issuer": V2_ISSUER},
        {"jwks_uri": "https://x/keys"},
        {"issuer": 5, "jwks_uri": "https://x/keys"},
        {"issuer": V2_ISSUER, "jwks_uri": "http://x/keys"},
        {"issuer": V2_ISSUER, "jwks_uri": "file:///etc/keys"},
        {"issuer": V2_ISSUER, "jwks_uri": ["https://x/keys"]},
    ],
)
def test_another_document_is_no_configuration(document: object) -> None:
    with pytest.raises(SigningKeysUnavailable):
        parse_discovery(document, TENANT)


def test_keys_are_told_by_issuer_and_id() -> None:
    keys = parse_jwks({"keys": [jwk("a"), jwk("b", rsa_key("stranger"))]}, DISCOVERY, TENANT)

    assert set(keys) == {(V2_ISSUER, "a"), (V2_ISSUER, "b")}
    assert keys[V2_ISSUER, "a"].public_numbers() == rsa_key("entra").public_key().public_numbers()


@pytest.mark.parametrize(
    "changes",
    [{"use": ...}, {"alg": "RS256"}, {"issuer": V2_ISSUER}, {"issuer": V2_ISSUER.replace(TENANT, "{tenantid}")}],
)
def test_variants_of_a_signing_key_are_taken(changes: dict[str, Any]) -> None:
    assert set(parse_jwks({"keys": [jwk(**changes)]}, DISCOVERY, TENANT)) == {(V2_ISSUER, KID)}


@pytest.mark.parametrize(
    "entry",
    [
        None,
        5,
        {},
        jwk(use="enc"),
        jwk(kty="EC"),
        jwk(kty="oct", k="AAAA"),
        jwk(kid=None),
        jwk(kid=5),
        jwk(n="!"),
        jwk(n=...),
        jwk(e="AA"),
        jwk(issuer="https://login.example/another"),
        jwk(key=rsa_key("small", 1024)),
    ],
    ids=lambda entry: str(entry)[:40],
)
def test_what_must_not_sign_is_left_out(entry: object) -> None:
    assert set(parse_jwks({"keys": [entry, jwk("good")]}, DISCOVERY, TENANT)) == {(V2_ISSUER, "good")}
    with pytest.raises(SigningKeysUnavailable):
        parse_jwks({"keys": [entry]}, DISCOVERY, TENANT)


@pytest.mark.parametrize("document", [None, [], {}, {"keys": None}, {"keys": {}}, {"keys": []}])
def test_an_empty_answer_is_no_answer(document: object) -> None:
    with pytest.raises(SigningKeysUnavailable):
        parse_jwks(document, DISCOVERY, TENANT)


def test_elliptic_keys_are_left_out() -> None:
    numbers = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
    entry = {
        "kty": "EC",
        "crv": "P-256",
        "kid": "ec",
        "use": "sig",
        "x": base64url(numbers.x.to_bytes(32, "big")),
        "y": base64url(numbers.y.to_bytes(32, "big")),
    }

    assert set(parse_jwks({"keys": [entry, jwk()]}, DISCOVERY, TENANT)) == {(V2_ISSUER, KID)}


LOADED = Freshness().attempted(NOW, for_unknown=False).loaded()
FAILED = LOADED.attempted(NOW + REFRESH_AFTER, for_unknown=False)


@pytest.mark.parametrize(
    ("freshness", "now", "due"),
    [
        (Freshness(), NOW, True),
        (LOADED, NOW, False),
        (LOADED, NOW + REFRESH_AFTER - SECOND, False),
        (LOADED, NOW + REFRESH_AFTER, True),
        (FAILED, NOW + REFRESH_AFTER + COOL_DOWN - SECOND, False),
        (FAILED, NOW + REFRESH_AFTER + COOL_DOWN, True),
    ],
)
def test_a_refresh_is_due_after_an_hour_and_not_again_right_after_a_failure(
    freshness: Freshness, now: datetime, due: bool
) -> None:
    assert freshness.due(now) == due


@pytest.mark.parametrize(
    ("freshness", "age", "usable"),
    [
        (Freshness(), timedelta(0), False),
        (LOADED, timedelta(0), True),
        (LOADED, STALE_AFTER - SECOND, True),
        (FAILED, STALE_AFTER - SECOND, True),
        (LOADED, STALE_AFTER, False),
    ],
)
def test_keys_stay_good_through_an_outage_of_days(freshness: Freshness, age: timedelta, usable: bool) -> None:
    assert freshness.usable(NOW + age) == usable


def test_the_first_unknown_key_is_asked_for_at_once_and_the_next_after_the_cool_down() -> None:
    assert Freshness().may_ask_for_unknown(NOW)
    assert LOADED.may_ask_for_unknown(NOW + SECOND)

    asked = LOADED.attempted(NOW + SECOND, for_unknown=True).loaded()

    assert not asked.may_ask_for_unknown(NOW + COOL_DOWN)
    assert asked.may_ask_for_unknown(NOW + SECOND + COOL_DOWN)


@pytest.mark.parametrize("before", [Freshness(), LOADED])
@pytest.mark.parametrize("for_unknown", [True, False])
def test_a_failure_starts_the_cool_down_too(before: Freshness, for_unknown: bool) -> None:
    failed = before.attempted(NOW + SECOND, for_unknown=for_unknown)

    assert not failed.may_ask_for_unknown(NOW + COOL_DOWN)
    assert failed.may_ask_for_unknown(NOW + SECOND + COOL_DOWN)


def test_a_load_vouches_for_posts_received_before_it_began() -> None:
    assert not Freshness().vouches_for(NOW, NOW)
    assert LOADED.vouches_for(NOW, NOW)
    assert not LOADED.vouches_for(NOW + SECOND, NOW + SECOND)
    assert not LOADED.attempted(NOW + SECOND, for_unknown=True).vouches_for(NOW + SECOND, NOW + SECOND), "it failed"


def test_a_load_from_before_the_clock_was_set_back_vouches_for_nothing() -> None:
    # A post that came after it, with a key that is newer, would seem to have come before it.
    assert not LOADED.vouches_for(NOW - SECOND, NOW - SECOND)


def test_a_clock_that_is_set_back_makes_no_cool_down_longer() -> None:
    failed = LOADED.attempted(NOW + SECOND, for_unknown=True)
    assert not failed.may_ask_for_unknown(NOW + SECOND)
    assert failed.may_ask_for_unknown(NOW)
