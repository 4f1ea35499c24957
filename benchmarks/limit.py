"""The limit of all opening: the RSA private-key operation that no notification can do without."""

from itertools import cycle

from benchmarks.rounds import Variant, spend
from benchmarks.tenant import OAEP, Tenant

LIMIT = "limit: the RSA operation alone"
_KEYS = 100


def limit(tenant: Tenant, cpu_seconds: float = 0.1) -> Variant:
    """The operation over and over, on one wrapped key after the other."""
    wrapped = cycle([tenant.wrapped_key() for _ in range(_KEYS)])

    def step() -> int:
        tenant.private_key.decrypt(next(wrapped), OAEP)
        return 1

    return Variant(LIMIT, lambda: spend(step, cpu_seconds))
