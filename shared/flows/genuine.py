"""Who sent this? Every validation token of a post is checked, and the tenants that they vouch for are told."""

import threading
from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from shared.core.errors import NotGenuine
from shared.core.validation_token import TokenRules, UnverifiedToken, check_signature, check_times, read_claims
from shared.ports import SigningKeys

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

# Graph uses one token for hours; a few tenants and versions fit many times over.
REMEMBERED_TOKENS = 512
MAX_TOKENS_PER_POST = 64


class Genuineness:
    """Judges tokens, and remembers those whose signature was good: one check costs a third of a decryption."""

    def __init__(self, keys: SigningKeys, rules: TokenRules) -> None:
        self._keys = keys
        self._rules = rules
        self._signed: OrderedDict[str, tuple[UnverifiedToken, RSAPublicKey]] = OrderedDict()
        self._lock = threading.Lock()

    def tenants(self, tokens: Iterable[object], received_at: datetime) -> frozenset[str]:
        """The tenants, in lower case, for which every token of the post vouches; empty where there is no token.

        Raises NotGenuine as soon as one does not pass, SigningKeysUnavailable while that can't be told.
        """
        distinct = dict.fromkeys(_text(token) for token in tokens)
        if len(distinct) > MAX_TOKENS_PER_POST:
            raise NotGenuine(f"a post with more than {MAX_TOKENS_PER_POST} validation tokens")
        # All claims before the first signature: a post that can't pass costs no look-up of a key.
        claimed = [self._claimed(token, received_at) for token in distinct]
        for token in claimed:
            self._check_signature(token, received_at)
        return frozenset(token.tenant_id for token in claimed)

    def _claimed(self, token: str, received_at: datetime) -> UnverifiedToken:
        remembered = self._signed.get(token)
        claimed = remembered[0] if remembered else read_claims(token, self._rules)
        check_times(claimed, received_at)
        return claimed

    def _check_signature(self, token: UnverifiedToken, received_at: datetime) -> None:
        # The key is looked up even for a remembered token, so that a key that Entra withdraws ends its tokens too.
        key = self._keys.find(token.issuer, token.kid, received_at)
        if key is None:
            raise NotGenuine("a validation token is signed with a key that its issuer does not publish")
        remembered = self._signed.get(token.text)
        if remembered and remembered[1] is key:
            return
        check_signature(token, key)
        with self._lock:
            self._signed[token.text] = (token, key)
            while len(self._signed) > REMEMBERED_TOKENS:
                self._signed.popitem(last=False)


def _text(token: object) -> str:
    if not isinstance(token, str):
        raise NotGenuine("a validation token is not text")
    return token
