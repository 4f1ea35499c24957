"""An independent receiver with every rule: it takes all that is genuine, and nothing that is forged."""

import base64
import json
import re
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import hashes

from local.graph import FORGERIES, Simulator
from local.graph.content.change import Change
from local.graph.forgeries import BODIES, ITEMS, TOKENS, Forger
from local.graph.signing import SigningKey
from local.graph.times import utc_now
from tests.integration.local.graph_support import Receiver, decrypted, member

pytest_plugins = ("tests.integration.local.graph_fixtures",)
PUBLISHER = "0bf30f3b-4a52-48df-9a82-234910c4a086"
Item = dict[str, Any]


class Careful:
    """Keeps every rule of Microsoft's page and of the app's threat list; archives into `archived`."""

    def __init__(self, simulator: Simulator) -> None:
        self._graph = simulator
        self.archived: list[bytes] = []

    async def answer(self, request: web.Request) -> web.Response:
        if request.headers.get("Content-Encoding"):
            return web.Response(status=415)
        body: bytes = request["body"]
        return web.Response(status=self.receive(body))

    def receive(self, body: bytes) -> int:
        try:
            post = json.loads(body.decode("utf-8"), object_pairs_hook=_unique)
        except (ValueError, RecursionError):
            return 400
        items = post.get("value") if isinstance(post, dict) else None
        if not isinstance(items, list) or _depth(post) > 32:
            return 400
        if len(items) > 1000:
            return 413
        own = [item for item in items if member(item, "clientState") == self._graph.client_state]
        if not own:
            return 403
        tenants = self._tenants(post.get("validationTokens"))
        for item in own:
            self._archive(item, tenants)
        return 202

    def _tenants(self, tokens: object) -> set[str]:
        if not isinstance(tokens, list):
            return set()
        try:
            return {self._tenant(token) for token in tokens}
        except (jwt.InvalidTokenError, ValueError):
            return set()

    def _tenant(self, token: str) -> str:
        tenant = self._graph.tenant_id
        key = self._graph.cloud.keys.find(jwt.get_unverified_header(token)["kid"])
        if key is None:
            raise ValueError("unknown key")
        issuers = [f"https://sts.windows.net/{tenant}/", f"{self._graph.authority_host}/{tenant}/v2.0"]
        claims = jwt.decode(
            token,
            key.pair.private_key.public_key(),
            algorithms=["RS256"],
            audience=self._graph.client_id,
            issuer=issuers,
            options={"require": ["exp", "nbf", "aud", "iss"]},
        )
        if claims["appid" if claims["ver"] == "1.0" else "azp"] != PUBLISHER or claims["tid"] != tenant:
            raise ValueError("not from Graph, or not for us")
        return str(claims["tid"])

    def _archive(self, item: Item, tenants: set[str]) -> None:
        content = member(item, "encryptedContent")
        if content is None or member(item, "tenantId") not in tenants:
            return
        if not re.fullmatch("[0-9a-f]{32}", content["encryptionCertificateId"]):
            return
        version = self._graph.cloud.vault.find(self._graph.certificate_name, content["encryptionCertificateId"])
        if version is None or not _same_thumbprint(content, version.pair.certificate.fingerprint(hashes.SHA1())):  # noqa: S303 - a thumbprint
            return
        try:
            plaintext = decrypted(content, version.pair.private_key)
        except (KeyError, ValueError):
            return
        if json.loads(plaintext)["id"] == member(item, "resourceData")["id"]:
            self.archived.append(plaintext)


def _unique(pairs: list[tuple[str, Any]]) -> Item:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("duplicate keys")
    return made


def _depth(value: object) -> int:
    # Level by level: Python 3.13 parses what its own stack could not walk.
    depth, level = 0, [value]
    while level:
        depth += 1
        level = [
            child
            for each in level
            if isinstance(each, dict | list)
            for child in (each.values() if isinstance(each, dict) else each)
        ]
    return depth


def _same_thumbprint(content: Item, fingerprint: bytes) -> bool:
    return str(content["encryptionCertificateThumbprint"]).lower() == fingerprint.hex()


@pytest.mark.parametrize("family", [TOKENS, ITEMS, BODIES], ids=["tokens", "items", "bodies"])
async def test_a_careful_receiver_archives_nothing_forged(
    simulator: Simulator, receiver: Receiver, family: dict[str, Forger]
) -> None:
    await simulator.subscribe(receiver.url, receiver.lifecycle_url)
    careful = Careful(simulator)
    receiver.answer = careful.answer
    for kind in [*family, *family]:
        post = await simulator.forge(kind)
        assert (post.forged, len(post.attempts)) == (kind, 1)
        assert careful.archived == [], kind
    ledger = simulator.ledger()
    assert {content.forged for content in ledger.contents} == set(family)
    assert ledger.genuine() == ()


async def test_neighbours_of_forged_items_are_genuine(simulator: Simulator, receiver: Receiver) -> None:
    await simulator.subscribe(receiver.url, receiver.lifecycle_url)
    careful = Careful(simulator)
    receiver.answer = careful.answer
    genuine: list[Change] = []
    for kind in ITEMS:
        neighbours = [
            *simulator.cloud.content.conversation(utc_now()),
            *simulator.cloud.content.conversation(utc_now()),
        ]
        genuine += neighbours
        post = await simulator.forge(kind, neighbours=neighbours)
        assert post.acknowledged, kind
        assert sorted(careful.archived) == sorted(change.plaintext or b"" for change in genuine), kind
    assert simulator.ledger().acknowledged() == {change.ref for change in genuine}


async def test_the_careful_receiver_takes_all_that_is_genuine(simulator: Simulator, receiver: Receiver) -> None:
    await simulator.subscribe(receiver.url, receiver.lifecycle_url)
    changes = [change for _ in range(10) for change in simulator.cloud.content.conversation(utc_now())]
    await simulator.send(changes)
    simulator.cloud.keys.rotate(retire=False)
    careful = Careful(simulator)
    for body in receiver.bodies:
        careful.receive(body)
    assert sorted(careful.archived) == sorted(change.plaintext or b"" for change in changes)


async def test_forgeries_refuse_what_makes_no_sense(simulator: Simulator, receiver: Receiver) -> None:
    with pytest.raises(ValueError, match="no rich subscription"):
        await simulator.forge("garbage")
    await simulator.subscribe(receiver.url, receiver.lifecycle_url)
    with pytest.raises(ValueError, match="no such forgery"):
        await simulator.forge("mistake")
    with pytest.raises(ValueError, match="no neighbours"):
        await simulator.forge("garbage", neighbours=simulator.cloud.content.conversation(utc_now()))


async def test_token_forgeries_differ_from_genuine_posts_in_one_thing(simulator: Simulator, receiver: Receiver) -> None:
    await simulator.subscribe(receiver.url, receiver.lifecycle_url)
    for kind in ("unsigned-token", "hmac-with-public-key", "borrowed-kid", "unknown-key"):
        await simulator.forge(kind)
    headers = [jwt.get_unverified_header(json.loads(body)["validationTokens"][0]) for body in receiver.bodies]
    current = simulator.cloud.keys.current.kid
    assert [header["alg"] for header in headers] == ["none", "HS256", "RS256", "RS256"]
    assert [header["kid"] == current for header in headers] == [True, True, True, False]


def test_every_kind_belongs_to_one_family() -> None:
    assert len(FORGERIES) == len(TOKENS) + len(ITEMS) + len(BODIES) == 31
    assert base64.b64decode(SigningKey().jwk("issuer")["x5c"][0])
