"""The signing keys, over real TLS, from a key endpoint of our own."""

import datetime as dt
import ipaddress
import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from shared.adapters import signing_keys
from shared.adapters.signing_keys import EntraSigningKeys
from shared.core.errors import SigningKeysUnavailable
from tests.fakes import NOW, World
from tests.graph_posts import TENANT, base64url, rsa_key

V1 = f"https://sts.example/{TENANT}/"
V2 = f"https://login.example/{TENANT}/v2.0"
V1_CONFIGURATION = f"/{TENANT}/.well-known/openid-configuration"
V2_CONFIGURATION = f"/{TENANT}/v2.0/.well-known/openid-configuration"


class KeyEndpoint:
    """Entra's two configurations and their keys. ``answers`` may be changed, ``hang`` makes requests wait."""

    def __init__(self, certificate: Path) -> None:
        self.asked: Counter[str] = Counter()
        self.answers: dict[str, tuple[int, dict[str, str], object]] = {}
        self.hang = threading.Event()
        self.reached = threading.Event()
        self.release = threading.Event()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                endpoint.asked[self.path] += 1
                if endpoint.hang.is_set():
                    endpoint.reached.set()
                    endpoint.release.wait(30)
                status, headers, document = endpoint.answers.get(self.path, (404, {}, None))
                body = document if isinstance(document, bytes) else json.dumps(document).encode()
                try:
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    pass  # the caller gave up on a hanging endpoint

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.origin = f"https://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.publish("v1-key", "v2-key")

    def publish(self, v1: str, v2: str) -> None:
        """Have each configuration list one key."""
        self.answers = {
            V1_CONFIGURATION: self.configuration("https://sts.example/{tenantid}/", "/v1/keys"),
            V2_CONFIGURATION: self.configuration("https://login.example/{tenantid}/v2.0", "/v2/keys"),
            "/v1/keys": (200, {}, {"keys": [jwk(v1)]}),
            "/v2/keys": (200, {}, {"keys": [jwk(v2)]}),
        }

    def configuration(self, issuer: str, path: str) -> tuple[int, dict[str, str], object]:
        return 200, {}, {"issuer": issuer, "jwks_uri": self.origin + path}

    def go_away(self, *paths: str) -> None:
        """Answer 500 under the given paths, or under all."""
        for path in paths or self.answers:
            self.answers[path] = (500, {}, {})

    def close(self) -> None:
        self.release.set()
        join_refresh()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def jwk(kid: str) -> dict[str, object]:
    numbers = rsa_key("entra").public_key().public_numbers()
    return {"kty": "RSA", "use": "sig", "kid": kid, "n": base64url(numbers.n.to_bytes(256, "big")), "e": "AQAB"}


def join_refresh() -> None:
    """Wait for the refreshes in the background."""
    for thread in threading.enumerate():
        if thread.name == "signing-keys":
            thread.join(10)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A throw-away server certificate, trusted by itself."""
    key = rsa_key("tls")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + made.public_bytes(Encoding.PEM))
    return path


@pytest.fixture
def endpoint(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeyEndpoint]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    running = KeyEndpoint(certificate)
    yield running
    running.close()


@pytest.fixture
def keys(endpoint: KeyEndpoint, world: World) -> EntraSigningKeys:
    return EntraSigningKeys(endpoint.origin + "/", TENANT, world.clock)


def load(keys: EntraSigningKeys, world: World) -> None:
    """Have both configurations loaded."""
    assert keys.find(V2, "v2-key", world.now)
    assert keys.find(V1, "v1-key", world.now)


def test_nothing_is_asked_before_a_key_is_needed(keys: EntraSigningKeys, endpoint: KeyEndpoint) -> None:
    assert keys
    assert not endpoint.asked


def test_keys_of_both_versions_are_found(keys: EntraSigningKeys, world: World) -> None:
    for issuer, kid in ((V1, "v1-key"), (V2, "v2-key")):
        key = keys.find(issuer, kid, world.now)
        assert key is not None
        assert key.public_numbers() == rsa_key("entra").public_key().public_numbers()


def test_a_known_key_is_asked_for_once(keys: EntraSigningKeys, world: World, endpoint: KeyEndpoint) -> None:
    for _ in range(20):
        load(keys, world)
        world.pass_time(minutes=2)

    assert endpoint.asked == Counter({V1_CONFIGURATION: 1, V2_CONFIGURATION: 1, "/v1/keys": 1, "/v2/keys": 1})


@pytest.mark.parametrize(
    ("issuer", "kid"),
    [(V2, "unknown"), (V1, "v2-key"), (V2, "v1-key"), ("https://evil.example/", "v2-key"), (V2.upper(), "v2-key")],
)
def test_a_key_that_the_issuer_does_not_publish_is_unknown(
    keys: EntraSigningKeys, world: World, issuer: str, kid: str
) -> None:
    load(keys, world)

    assert keys.find(issuer, kid, world.now) is None


def test_another_issuers_tokens_cost_no_request(keys: EntraSigningKeys, world: World, endpoint: KeyEndpoint) -> None:
    load(keys, world)
    endpoint.asked.clear()
    world.pass_time(minutes=10)
    for number in range(20):
        assert keys.find("https://evil.example/", str(number), world.now) is None

    assert not endpoint.asked


def test_an_unknown_key_is_asked_for_once_per_cool_down(
    keys: EntraSigningKeys, world: World, endpoint: KeyEndpoint
) -> None:
    load(keys, world)
    world.pass_time(seconds=1)
    assert keys.find(V2, "unknown", world.now) is None
    assert endpoint.asked["/v2/keys"] == 2

    for number in range(20):
        world.pass_time(seconds=1)
        with pytest.raises(SigningKeysUnavailable):
            keys.find(V2, f"unknown-{number}", world.now)
    assert endpoint.asked["/v2/keys"] == 2
    assert endpoint.asked["/v1/keys"] == 1

    world.pass_time(seconds=10)
    assert keys.find(V2, "unknown", world.now) is None
    assert endpoint.asked["/v2/keys"] == 3


def test_a_post_received_before_the_last_load_is_answered_without_asking(
    keys: EntraSigningKeys, world: World, endpoint: KeyEndpoint
) -> None:
    received_at = world.now
    world.pass_time(seconds=5)
    load(keys, world)
    endpoint.asked.clear()
    for number in range(20):
        assert keys.find(V2, f"unknown-{number}", received_at) is None

    assert not endpoint.asked


def test_a_key_published_meanwhile_is_found_at_once(
    keys: EntraSigningKeys, world: World, endpoint: KeyEndpoint
) -> None:
    load(keys, world)
    endpoint.publish("v1-key", "new-key")
    world.pass_time(seconds=1)

    assert keys.find(V2, "new-key", world.now) is not None


def test_a_failure_counts_as_asked(keys: EntraSigningKeys, world: World, endpoint: KeyEndpoint) -> None:
    endpoint.go_away()
    for _ in range(20):
        with pytest.raises(SigningKeysUnavailable):
            keys.find(V2, "v2-key", world.now)
        world.pass_time(seconds=1)
    assert endpoint.asked == Counter({V1_CONFIGURATION: 1, V2_CONFIGURATION: 1})

    endpoint.publish("v1-key", "v2-key")
    world.pass_time(seconds=10)
    assert keys.find(V2, "v2-key", world.now) is not None


def test_a_failure_to_find_an_unknown_key_counts_as_asked(
    keys: EntraSigningKeys, world: World, endpoint: KeyEndpoint
) -> None:
    load(keys, world)
    endpoint.go_away()
    world.pass_time(seconds=1)
    for _ in range(20):
        with pytest.raises(SigningKeysUnavailable):
            keys.find(V2, "unknown", world.now)
        world.pass_time(seconds=1)

    assert endpoint.asked[V2_CONFIGURATION] == 2


def test_a_stampede_for_an_unknown_key_asks_once(keys: EntraSigningKeys, world: World, endpoint: KeyEndpoint) -> None:
    load(keys, world)
    endpoint.asked.clear()
    world.pass_time(seconds=1)
    found: list[object] = []

    def find() -> None:
        try:
            found.append(keys.find(V2, "unknown", world.now))
        except SigningKeysUnavailable as error:
            found.append(error)

    threads = [threading.Thread(target=find) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [None] * 8
    assert endpoint.asked["/v2/keys"] == 1


def test_a_hanging_endpoint_never_delays_a_post_whose_key_is_known(
    keys: EntraSigningKeys, world: World, endpoint: KeyEndpoint
) -> None:
    load(keys, world)
    endpoint.hang.set()
    world.pass_time(hours=2)
    before = time.monotonic()
    for _ in range(50):
        load(keys, world)  # starts refreshing in the background

    assert time.monotonic() - before < 2
    assert endpoint.reached.wait(10)


def test_not_even_while_another_post_waits_for_an_unknown_key(
    keys: EntraSigningKeys, world: World, endpoint: KeyEndpoint
) -> None:
    load(keys, world)
    endpoint.hang.set()
    world.pass_time(seconds=1)
    waiting = threading.Thread(target=lambda: keys.find(V2, "unknown", world.now))
    waiting.start()
    assert endpoint.reached.wait(10)
    before = time.monotonic()
    for _ in range(50):
        load(keys, world)
    took = time.monotonic() - before
    endpoint.release.set()
    waiting.join()

    assert took < 2


def test_an_endpoint_that_never_answers_is_given_up_on(
    keys: EntraSigningKeys, world: World, endpoint: KeyEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert max(signing_keys.TIMEOUT_SECONDS) <= 10
    monkeypatch.setattr(signing_keys, "TIMEOUT_SECONDS", (1, 0.2))
    endpoint.hang.set()
    with pytest.raises(SigningKeysUnavailable):
        keys.find(V2, "v2-key", world.now)


def test_keys_are_refreshed_every_hour_in_the_background(
    keys: EntraSigningKeys, world: World, endpoint: KeyEndpoint
) -> None:
    load(keys, world)
    endpoint.publish("v1-key", "new-key")
    world.pass_time(hours=1)
    assert keys.find(V2, "v2-key", world.now) is not None, "the one at hand, at once"
    join_refresh()

    assert keys.find(V2, "v2-key", world.now) is None, "withdrawn"
    assert keys.find(V2, "new-key", world.now) is not None
    assert endpoint.asked["/v2/keys"] == 2


def test_stale_keys_stay_good_while_the_endpoint_is_away(
    keys: EntraSigningKeys, world: World, endpoint: KeyEndpoint
) -> None:
    load(keys, world)
    endpoint.go_away()
    for _ in range(6):
        world.pass_time(days=1)
        load(keys, world)
        join_refresh()

    assert endpoint.asked[V2_CONFIGURATION] == 7


def test_a_refresh_that_failed_is_tried_again_after_the_cool_down(
    keys: EntraSigningKeys, world: World, endpoint: KeyEndpoint
) -> None:
    load(keys, world)
    endpoint.go_away()
    world.pass_time(hours=2)
    for _ in range(10):
        load(keys, world)
        join_refresh()
    assert endpoint.asked[V2_CONFIGURATION] == 2

    world.pass_time(seconds=30)
    load(keys, world)
    join_refresh()
    assert endpoint.asked[V2_CONFIGURATION] == 3


@pytest.mark.parametrize("received_days_ago", [0, 7.9, 8, 9])
def test_after_too_long_an_outage_nothing_is_certain(
    keys: EntraSigningKeys, world: World, endpoint: KeyEndpoint, received_days_ago: float
) -> None:
    load(keys, world)
    endpoint.go_away()
    world.pass_time(days=8)
    received_at = world.now - dt.timedelta(days=received_days_ago)

    with pytest.raises(SigningKeysUnavailable):
        keys.find(V2, "v2-key", received_at)


@pytest.mark.parametrize(
    ("away", "issuer", "kid"),
    [
        (V1_CONFIGURATION, V2, "v2-key"),
        (V2_CONFIGURATION, V1, "v1-key"),
        ("/v1/keys", V2, "v2-key"),
        ("/v2/keys", V1, "v1-key"),
    ],
)
def test_one_configuration_away_is_no_reason_to_do_without_the_other(
    keys: EntraSigningKeys, world: World, endpoint: KeyEndpoint, away: str, issuer: str, kid: str
) -> None:
    endpoint.go_away(away)
    other = (V1, "v1-key") if issuer == V2 else (V2, "v2-key")

    for _ in range(3):
        assert keys.find(issuer, kid, world.now) is not None
        with pytest.raises(SigningKeysUnavailable):
            keys.find(*other, world.now)


BAD_ANSWERS: dict[str, tuple[int, dict[str, str], object]] = {
    "no JSON": (200, {}, b"<html>"),
    "no UTF-8": (200, {}, b"\xff\xfe\xfd"),
    "a list": (200, {}, []),
    "no keys": (200, {}, {"keys": []}),
    "not found": (404, {}, {}),
    "throttled": (429, {"Retry-After": "5"}, {}),
    "no content": (204, {}, b""),
}


@pytest.mark.parametrize("path", [V2_CONFIGURATION, "/v2/keys"])
@pytest.mark.parametrize("answer", BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
def test_a_bad_answer_never_replaces_good_keys(
    keys: EntraSigningKeys, world: World, endpoint: KeyEndpoint, path: str, answer: tuple[int, dict[str, str], Any]
) -> None:
    load(keys, world)
    endpoint.answers[path] = answer
    world.pass_time(seconds=1)

    with pytest.raises(SigningKeysUnavailable):
        keys.find(V2, "unknown", world.now)
    assert keys.find(V2, "v2-key", world.now) is not None


@pytest.mark.parametrize("path", [V2_CONFIGURATION, "/v2/keys"])
@pytest.mark.parametrize("status", [203, 302, 404, 500])
def test_what_comes_with_another_status_is_not_believed(
    keys: EntraSigningKeys, world: World, endpoint: KeyEndpoint, path: str, status: int
) -> None:
    endpoint.answers[path] = (status, {}, endpoint.answers[path][2])

    with pytest.raises(SigningKeysUnavailable):
        keys.find(V2, "v2-key", world.now)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("path", [V2_CONFIGURATION, "/v2/keys"])
def test_redirects_are_refused(
    keys: EntraSigningKeys, world: World, endpoint: KeyEndpoint, path: str, status: int
) -> None:
    endpoint.answers["/elsewhere"] = endpoint.answers[path]
    endpoint.answers[path] = (status, {"Location": endpoint.origin + "/elsewhere"}, {})

    with pytest.raises(SigningKeysUnavailable):
        keys.find(V2, "v2-key", world.now)
    assert endpoint.asked["/elsewhere"] == 0


def test_keys_over_plain_http_are_refused(keys: EntraSigningKeys, world: World, endpoint: KeyEndpoint) -> None:
    document = {"issuer": V2, "jwks_uri": endpoint.origin.replace("https", "http") + "/v2/keys"}
    endpoint.answers[V2_CONFIGURATION] = (200, {}, document)

    with pytest.raises(SigningKeysUnavailable):
        keys.find(V2, "v2-key", world.now)
    assert endpoint.asked["/v2/keys"] == 0


def test_an_endpoint_that_is_not_trusted_is_not_believed(
    keys: EntraSigningKeys, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(SigningKeysUnavailable):
        keys.find(V2, "v2-key", world.now)


def test_a_post_received_just_now_by_another_clock_is_answered(keys: EntraSigningKeys, world: World) -> None:
    load(keys, world)

    assert keys.find(V2, "unknown", NOW + dt.timedelta(seconds=2)) is None
