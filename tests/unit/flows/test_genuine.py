from datetime import timedelta

import pytest

from shared.core.errors import NotGenuine, SigningKeysUnavailable
from shared.core.validation_token import TokenRules
from shared.flows.genuine import MAX_TOKENS_PER_POST, REMEMBERED_TOKENS, Genuineness
from tests.fakes import NOW, MemorySigningKeys, World
from tests.graph_posts import ANOTHER_TENANT, CLIENT, KID, TENANT, V1_ISSUER, V2_ISSUER, rsa_key, token


@pytest.fixture
def keys(world: World) -> MemorySigningKeys:
    key = rsa_key("entra").public_key()
    return MemorySigningKeys(world, {(V1_ISSUER, KID): key, (V2_ISSUER, KID): key})


@pytest.fixture
def genuineness(keys: MemorySigningKeys) -> Genuineness:
    return Genuineness(keys, TokenRules(audience=CLIENT, tenant_id=TENANT))


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_a_genuine_token_vouches_for_its_tenant(genuineness: Genuineness, version: str) -> None:
    assert genuineness.tenants([token(version, tid=TENANT.upper())], NOW) == {TENANT}


def test_without_tokens_nobody_vouches(genuineness: Genuineness) -> None:
    assert genuineness.tenants([], NOW) == frozenset()


@pytest.mark.parametrize(
    "bad",
    [
        token(aud=ANOTHER_TENANT),
        token(tid=ANOTHER_TENANT),
        token(azp=CLIENT),
        token(owner="stranger"),
        token(kid="unknown"),
        token(at=NOW - timedelta(days=3)),
        None,
        5,
        {},
        "",
        "\ud800",
    ],
    ids=["audience", "tenant", "publisher", "stranger", "key", "expired", "null", "number", "object", "empty", "half"],
)
@pytest.mark.parametrize("first", [True, False])
def test_one_bad_token_spoils_the_post(genuineness: Genuineness, bad: object, first: bool) -> None:
    good = token()

    with pytest.raises(NotGenuine):
        genuineness.tenants([bad, good] if first else [good, bad], NOW)


@pytest.mark.parametrize("issuer", [V1_ISSUER, V2_ISSUER.upper(), V2_ISSUER + "/", "https://example.org", ""])
def test_a_key_is_good_for_its_own_issuer_only(keys: MemorySigningKeys, genuineness: Genuineness, issuer: str) -> None:
    del keys.published[V1_ISSUER, KID]

    with pytest.raises(NotGenuine):
        genuineness.tenants([token(iss=issuer)], NOW)


def test_no_key_is_looked_up_for_a_post_whose_claims_do_not_fit(world: World, genuineness: Genuineness) -> None:
    with pytest.raises(NotGenuine):
        genuineness.tenants([token(), token(aud=ANOTHER_TENANT)], NOW)

    assert world.calls == []


def test_a_flood_of_tokens_costs_nothing(world: World, genuineness: Genuineness) -> None:
    tokens = [f"a.b.{number}" for number in range(MAX_TOKENS_PER_POST + 1)]
    with pytest.raises(NotGenuine, match="more than"):
        genuineness.tenants(tokens, NOW)

    assert world.calls == []


def test_a_repeated_token_is_one_token(world: World, genuineness: Genuineness) -> None:
    assert genuineness.tenants([token()] * 500, NOW) == {TENANT}
    assert world.called("signing-keys.find") == 1


def test_keys_out_of_reach_are_trouble_for_now(world: World, genuineness: Genuineness) -> None:
    world.fail("signing-keys.find", SigningKeysUnavailable("away"))
    with pytest.raises(SigningKeysUnavailable):
        genuineness.tenants([token()], NOW)


def test_a_signature_is_checked_once(genuineness: Genuineness, monkeypatch: pytest.MonkeyPatch) -> None:
    text = token()
    genuineness.tenants([text], NOW)
    monkeypatch.setattr("shared.flows.genuine.check_signature", lambda *_: pytest.fail("checked again"))

    assert genuineness.tenants([text], NOW) == {TENANT}


def test_a_remembered_token_still_expires(genuineness: Genuineness) -> None:
    text = token()
    genuineness.tenants([text], NOW)

    with pytest.raises(NotGenuine, match="expired"):
        genuineness.tenants([text], NOW + timedelta(days=2))
    with pytest.raises(NotGenuine, match="not valid yet"):
        genuineness.tenants([text], NOW - timedelta(days=2))
    assert genuineness.tenants([text], NOW) == {TENANT}


def test_a_key_that_entra_withdraws_ends_its_remembered_tokens(
    keys: MemorySigningKeys, genuineness: Genuineness
) -> None:
    text = token()
    genuineness.tenants([text], NOW)
    keys.published.clear()

    with pytest.raises(NotGenuine):
        genuineness.tenants([text], NOW)


def test_a_key_that_entra_replaces_does_too(keys: MemorySigningKeys, genuineness: Genuineness) -> None:
    text = token()
    genuineness.tenants([text], NOW)
    keys.published[V2_ISSUER, KID] = rsa_key("stranger").public_key()

    with pytest.raises(NotGenuine):
        genuineness.tenants([text], NOW)


def test_a_token_that_failed_is_not_remembered_as_good(genuineness: Genuineness) -> None:
    forged = token(owner="stranger")
    for _ in range(2):
        with pytest.raises(NotGenuine):
            genuineness.tenants([forged], NOW)


def test_memory_for_tokens_is_bounded(genuineness: Genuineness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.flows.genuine.REMEMBERED_TOKENS", 3)
    assert REMEMBERED_TOKENS > 3
    for number in range(5):
        genuineness.tenants([token(uti=str(number))], NOW)

    assert len(genuineness._signed) == 3


def test_no_message_holds_a_token(genuineness: Genuineness) -> None:
    forged = token(owner="stranger")
    with pytest.raises(NotGenuine) as caught:
        genuineness.tenants([forged], NOW)

    assert forged[:20] not in str(caught.value)
