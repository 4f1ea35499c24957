"""The people of the tenant."""

import random
from dataclasses import dataclass

from local.graph.randomness import guid

_FIRST = (
    "Aino", "Bela", "Chidi", "Dagny", "Emeka", "Fatima", "Goran", "Hanne", "Ines", "Jomo", "Kaia", "Leif", "Mirja",
    "Noor", "Oskar", "Priya", "Quentin", "Rania", "Sigrid", "Tariq", "Ulla", "Vikram", "Wanda", "Xenia", "Yusuf", "Zoë",
)  # fmt: skip
_LAST = (
    "Aalto", "Brandt", "Castell", "Dvořák", "Eriksen", "Fofana", "Grünwald", "Haddad", "Ivanova", "Jansen", "Korhonen",
    "Łukasik", "Moreau", "Nkosi", "O’Brien", "Petrović", "Quist", "Rossi", "Şahin", "Tanaka", "Ueda", "Virtanen",
)  # fmt: skip


@dataclass(frozen=True)
class Person:
    """Someone with an account: `oid` is the object id, a GUID in lower case."""

    oid: str
    name: str


def people(count: int, rng: random.Random) -> tuple[Person, ...]:
    """Return `count` people."""
    return tuple(Person(guid(rng), f"{rng.choice(_FIRST)} {rng.choice(_LAST)}") for _ in range(count))
