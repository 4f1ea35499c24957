"""What opening notifications costs, against the one thing that nobody can save: the RSA private-key operation.

Run ``.venv/bin/python -m benchmarks.pipeline``. Figures are parts of the limit per CPU second: 0.90 means that all of
the parsing, checking and decrypting around the RSA operation takes a tenth of the time. Then the whole worker, with
the archive on Azurite.
"""

import hmac
import json
import statistics
import sys
from base64 import b64decode
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from benchmarks.limit import LIMIT, limit
from benchmarks.report import Report, print_machine, read_options
from benchmarks.rounds import Variant, interleave, spend
from benchmarks.serving import serving
from benchmarks.tenant import CLIENT_STATE, OAEP, Tenant
from benchmarks.worker import measure_worker
from shared.core.archive_path import archive_path
from shared.core.decryption import DecryptionKey, decrypt
from shared.core.notification import ChangeNotification, parse_item, parse_post
from shared.core.resources import digest, kind_of, parse_resource
from shared.core.webhook import carries
from shared.flows.genuine import Genuineness
from shared.parts import utc_now

SIZES = (1, 10, 100)
# Enough different items that no processor cache flatters a row, whatever the size of a post.
ITEMS = 400
# Rounds, turns in a round, and CPU seconds of a turn, by bits and items per post: short turns, so that what else the
# machine does meets every row alike, and long enough for a post.
PLANS = {
    (2048, 1): (15, 40, 0.01),
    (2048, 10): (15, 20, 0.02),
    (2048, 100): (15, 4, 0.1),
    (4096, 1): (7, 8, 0.05),
    (4096, 10): (7, 4, 0.1),
    (4096, 100): (5, 1, 0.6),
}
LEAST_OF_LIMIT = {1: 0.85, 10: 0.90, 100: 0.90}
LEAST_OF_NAIVE = 40.0

LIBRARIES = "the bare libraries: no check but the HMAC"
OURS = "ours: verify, decrypt, parse"
FULL = "ours, with clientState, name and digest"
FORGETFUL = "ours, forgetting verified tokens"
KEY_EACH = "ours, loading the key for each item"
NAIVE = "naive: PEM and JWKS for each item"


class Opener:
    """The app's own code, in the order of ``flows/store.py`` and ``flows/archive.py``."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._signing_keys = tenant.signing_keys()
        self._genuineness = Genuineness(self._signing_keys, tenant.rules)
        self._key_ring = tenant.key_ring()
        self._pem = tenant.pem

    def open(self, body: bytes) -> int:
        """Verify, decrypt and parse a post's items; tells how many."""
        return self._each(body, self._genuineness, self._key_ring.key, lambda *_: None)

    def open_and_place(self, body: bytes) -> int:
        """The same, and what the archive needs before it writes: whose, where, and what it says."""
        return self._each(body, self._genuineness, self._key_ring.key, self._place)

    def open_forgetful(self, body: bytes) -> int:
        """The same as ``open`` if no verified token were remembered from one post to the next."""
        return self._each(
            body, Genuineness(self._signing_keys, self._tenant.rules), self._key_ring.key, lambda *_: None
        )

    def open_loading_keys(self, body: bytes) -> int:
        """The same as ``open`` if the key were loaded for each item, though not validated."""
        thumbprint = self._key_ring.key(self._tenant.certificate_id).thumbprint

        def load(_: str) -> DecryptionKey:
            key = load_pem_private_key(self._pem, None, unsafe_skip_rsa_key_validation=True)
            assert isinstance(key, RSAPrivateKey)
            return DecryptionKey(key, thumbprint)

        return self._each(body, self._genuineness, load, lambda *_: None)

    def _each(
        self,
        body: bytes,
        genuineness: Genuineness,
        key: Callable[[str], DecryptionKey],
        then: Callable[[object, ChangeNotification, dict[str, object]], None],
    ) -> int:
        post = parse_post(body)
        tenants = genuineness.tenants(post.validation_tokens, utc_now())
        for item in post.items:
            notification = parse_item(item)
            encrypted = notification.encrypted_content
            assert encrypted is not None
            assert (notification.tenant_id or "").lower() in tenants
            resource = parse_resource(decrypt(encrypted, key(encrypted.certificate_id), allow_unsigned=False))
            then(item, notification, resource)
        return len(post.items)

    def _place(self, item: object, notification: ChangeNotification, resource: dict[str, object]) -> None:
        assert carries(item, (CLIENT_STATE,))
        kind = kind_of(notification.resource_type, notification.resource)
        archive_path(kind, self._tenant.tenant_id, resource)
        digest(resource)


def open_barely(private_key: RSAPrivateKey, body: bytes) -> int:
    """What json, base64, hmac and cryptography take for a post with no code of ours around them: no token, no types."""
    items = json.loads(body)["value"]
    for item in items:
        sealed = item["encryptedContent"]
        key = private_key.decrypt(b64decode(sealed["dataKey"], validate=True), OAEP)
        data = b64decode(sealed["data"], validate=True)
        signature = b64decode(sealed["dataSignature"], validate=True)
        assert hmac.compare_digest(hmac.digest(key, data, "sha256"), signature)
        decryptor = Cipher(algorithms.AES256(key), modes.CBC(key[:16])).decryptor()
        unpadder = PKCS7(128).unpadder()
        json.loads(unpadder.update(decryptor.update(data) + decryptor.finalize()) + unpadder.finalize())
    return len(items)


def naive_items(tenant: Tenant, jwks_url: str, bodies: list[bytes]) -> Iterator[int]:
    """What a first version does, item by item: fetch the key document, check the token, load the PEM, decrypt."""
    pem, thumbprint = tenant.pem, tenant.thumbprint
    for body in cycle(bodies):
        post = json.loads(body)
        for item in post["value"]:
            for token in post["validationTokens"]:
                key = jwt.PyJWKClient(jwks_url, cache_jwk_set=False).get_signing_key_from_jwt(token)
                jwt.decode(token, key, algorithms=["RS256"], audience=tenant.client_id)
            private_key = load_pem_private_key(pem, None)
            assert isinstance(private_key, RSAPrivateKey)
            encrypted = parse_item(item).encrypted_content
            assert encrypted is not None
            json.loads(decrypt(encrypted, DecryptionKey(private_key, thumbprint), allow_unsigned=False))
            yield 1


def variants(tenant: Tenant, jwks_url: str, items: int, seconds: float) -> list[Variant]:
    """The rows of one table."""
    opener = Opener(tenant)
    bodies = [tenant.post(items) for _ in range(ITEMS // items)]
    naive = naive_items(tenant, jwks_url, bodies)

    def each_post(name: str, open_post: Callable[[bytes], int]) -> Variant:
        turn = cycle(bodies)
        return Variant(name, lambda: spend(lambda: open_post(next(turn)), seconds))

    return [
        limit(tenant, seconds),
        each_post(LIBRARIES, partial(open_barely, tenant.private_key)),
        each_post(OURS, opener.open),
        each_post(FULL, opener.open_and_place),
        each_post(FORGETFUL, opener.open_forgetful),
        each_post(KEY_EACH, opener.open_loading_keys),
        Variant(NAIVE, lambda: spend(lambda: next(naive), seconds)),
    ]


def measure_opening(report: Report, tenant: Tenant, jwks_url: str, *, quick: bool) -> None:
    """One table for each size of post."""
    for items in SIZES:
        rounds, turns, seconds = PLANS[tenant.bits, items]
        measured = interleave(variants(tenant, jwks_url, items, seconds), 3 if quick else rounds, turns)
        report.table(
            f"Opening notifications, {tenant.bits} bit, {items} per post",
            ["", "items per CPU second", "of the limit", "of the bare libraries", "times the naive"],
            [
                (
                    name,
                    measured.per_cpu_second(name),
                    measured.cpu_ratio(name, LIMIT),
                    measured.cpu_ratio(name, LIBRARIES),
                    measured.cpu_ratio(name, NAIVE),
                )
                for name in measured.samples
            ],
        )
        if tenant.bits == 2048:
            what = f"{items} per post, 2048 bit, of the limit"
            report.target(what, measured.cpu_ratio(OURS, LIMIT), LEAST_OF_LIMIT[items])
            what = f"{items} per post, 2048 bit, times the naive"
            report.target(what, measured.cpu_ratio(OURS, NAIVE), LEAST_OF_NAIVE)


def describe_content(report: Report, tenant: Tenant) -> None:
    """What the posts are made of, because the size of the content moves the figures."""
    contents = sorted(len(tenant.interaction()[1]) for _ in range(2000))
    bodies = [(items, sorted(len(tenant.post(items)) for _ in range(ITEMS // items))) for items in SIZES]
    rows = [("interactions", contents), *((f"posts of {items}", sizes) for items, sizes in bodies)]
    report.table(
        f"Sizes in bytes, {tenant.bits} bit: half prompts, a fifth answers, a quarter cards, one in twenty a long card",
        ["", "mean", "median", "largest"],
        [(name, round(statistics.mean(sizes)), statistics.median_low(sizes), sizes[-1]) for name, sizes in rows],
    )


def main() -> int:
    """Measure, print, and say whether the targets are met."""
    options = read_options(__doc__ or "")
    report = Report()
    print_machine()
    for bits in (2048, 4096):
        tenant = Tenant(bits)
        describe_content(report, tenant)
        with serving(tenant.jwks()) as jwks_url:
            measure_opening(report, tenant, jwks_url, quick=options.quick)
        measure_worker(report, tenant, quick=options.quick)
    return report.finish(options)


if __name__ == "__main__":
    sys.exit(main())
