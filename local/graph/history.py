"""What became of each subscription, and when: for tests that ask in which hours none was live."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Fate = Literal["created", "changed", "deleted", "removed", "expired"]


@dataclass(frozen=True)
class Event:
    """`deleted` by its app, `removed` by Graph, `expired` by itself at `at`; `expires` is what held from then on."""

    fate: Fate
    subscription_id: str
    at: datetime
    expires: datetime
