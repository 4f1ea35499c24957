"""How long a siege lasts, and how often a call is spoilt in it."""

import random
from dataclasses import dataclass

from tests.endurance.feed import population
from tests.endurance.misfortunes import BACK
from tests.endurance.proxy import Call, Effect, Fault, Plan

EFFECTS = (
    *[Fault(Effect.REFUSE), Fault(Effect.LOSE), Fault(Effect.CUT)] * 3,
    *[Fault(Effect.STATUS, status) for status in (503, 429, 507, 500)],
    Fault(Effect.DELAY, seconds=2.0),
    Fault(Effect.HANG),
)
# Answers of the app to Graph: a cut one is a lost one to whoever waits for its end.
FRONT = (Fault(Effect.LOSE), Fault(Effect.REFUSE), Fault(Effect.CUT), Fault(Effect.DELAY, seconds=4.0))


@dataclass(frozen=True, slots=True)
class Extent:
    """How long, and how much: until so many interactions and faults, or, where there are, for so many minutes.

    ``rate``: changes a second. ``one_in``: one call in so many is spoilt; a post takes about ten. ``back``: by how many
    seconds the clock may be slow.
    """

    interactions: int = 400
    faults: int = 300
    minutes: float | None = None
    rate: float = 20.0
    one_in: int = 25
    back: float = BACK

    @property
    def users(self) -> int:
        """How many people that takes."""
        return population(self.interactions if self.minutes is None else self.minutes * 60 * self.rate)

    def left(self, interactions: int, faults: int, seconds: float) -> float:
        """How many seconds are left, at the pace so far; 0 at the end."""
        if self.minutes is not None:
            return max(0.0, self.minutes * 60 - seconds)
        to_go = max((self.interactions - interactions) / max(interactions, 1), (self.faults - faults) / max(faults, 1))
        return max(0.0, to_go) * seconds


def spoil(rng: random.Random, one_in: int) -> Plan:
    """Spoil calls as the dice fall."""

    def plan(call: Call) -> Fault | None:
        if rng.randrange(one_in):
            return None
        return rng.choice(FRONT if call.gate == "front" else EFFECTS)

    return plan
