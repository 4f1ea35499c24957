"""What a forger has to hand."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from local.graph import envelope
from local.graph.entra import Entra
from local.graph.envelope import Item, Message, Notice


@dataclass(frozen=True)
class Materials:
    """A subscription to imitate with two contents for it, and the tenant's genuine `neighbours` in the same post."""

    entra: Entra
    rng: random.Random
    notices: tuple[Notice, Notice]
    foreign_tenant_id: str
    neighbours: tuple[Notice, ...] = ()

    @property
    def notice(self) -> Notice:
        """The content that most forgeries carry."""
        return self.notices[0]

    def item(self) -> Item:
        """Return a flawless item, for a forger to spoil."""
        return envelope.item(self.notice, self.rng, 0)

    def genuine_tokens(self) -> list[str]:
        """Return the tokens that a genuine post would have."""
        return envelope.tokens([self.notice, *self.neighbours], self.entra, self.rng)

    def among_neighbours(self, items: Sequence[Item]) -> bytes:
        """Return a post with genuine tokens, in which forged items stand among genuine ones."""
        together = [*items, *(envelope.item(each, self.rng, 0) for each in self.neighbours)]
        self.rng.shuffle(together)
        return envelope.body(together, self.genuine_tokens())


Forger = Callable[[Materials], Message]
