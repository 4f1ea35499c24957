"""Seeded randomness: the same seed gives the same tenant, the same day and the same faults.

Every part of the simulator draws from a stream of its own, named by what it decides, so that one more draw in
one part does not change what another part does.
"""

import base64
import random
import uuid


def stream(seed: int, *names: str) -> random.Random:
    """Return the stream of `seed` that belongs to `names`."""
    return random.Random(":".join((str(seed), *names)))


def guid(rng: random.Random) -> str:
    """Return a version 4 GUID in lower case."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def opaque(rng: random.Random, length: int) -> str:
    """Return `length` characters of the URL-safe base64 alphabet, as in thread ids."""
    return base64.urlsafe_b64encode(rng.randbytes(length)).decode()[:length]


def chance(rng: random.Random, rate: float) -> bool:
    """Return true in `rate` of all draws; a rate of 0 never, a rate of 1 always."""
    return rng.random() < rate
