"""The tokens that come with rich notifications: one for each app and tenant in a post.

Version 1.0 and 2.0 differ in issuer and in the claim that names the publisher; the lifetimes are those of published
samples. https://learn.microsoft.com/graph/change-notifications-with-resource-data#how-to-validate
"""

import random
import uuid
from typing import Any, Literal

from local.graph.entra import Entra
from local.graph.randomness import chance
from local.graph.times import utc_now

CHANGE_TRACKING_APP_ID = "0bf30f3b-4a52-48df-9a82-234910c4a086"
TokenVersion = Literal["1.0", "2.0"]
LIFETIME_SECONDS: dict[TokenVersion, int] = {"1.0": 29_100, "2.0": 86_700}
_SKEW_SECONDS = 300


def claims(entra: Entra, version: TokenVersion, tenant_id: str, audience: str) -> dict[str, Any]:
    """Return the claims of a genuine token, issued now."""
    now = int(utc_now().timestamp())
    issuer = entra.issuer(version, tenant_id)
    common = {
        "aud": audience,
        "iss": issuer,
        "iat": now,
        "nbf": now,
        "exp": now + LIFETIME_SECONDS[version] - _SKEW_SECONDS,
        "aio": uuid.uuid4().hex,
        "tid": tenant_id,
        "uti": uuid.uuid4().hex[:22],
        "ver": version,
    }
    if version == "1.0":
        return {**common, "appid": CHANGE_TRACKING_APP_ID, "appidacr": "2", "idp": issuer}
    subject = str(uuid.uuid5(uuid.NAMESPACE_URL, tenant_id + CHANGE_TRACKING_APP_ID))
    return {**common, "azp": CHANGE_TRACKING_APP_ID, "azpacr": "2", "oid": subject, "sub": subject, "rh": "0."}


def genuine(entra: Entra, rng: random.Random, tenant_id: str, audience: str) -> str:
    """Return a token of either version, signed with the current key."""
    version: TokenVersion = "1.0" if chance(rng, 0.5) else "2.0"
    return entra.keys.current.sign(claims(entra, version, tenant_id, audience))
