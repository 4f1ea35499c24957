"""Posts that Microsoft Graph did not send, or not to this app: nothing of them may be archived.

Each kind breaks one rule and keeps all others, so that a receiver which lacks just that check is found out. The
attacker is given everything that could leak: the clientState, the public certificate, genuine tokens of an old post.
"""

from local.graph.forgeries.bodies import BODIES
from local.graph.forgeries.items import ITEMS
from local.graph.forgeries.materials import Forger, Materials
from local.graph.forgeries.tokens import TOKENS

FORGERIES: dict[str, Forger] = {**TOKENS, **ITEMS, **BODIES}

__all__ = ["BODIES", "FORGERIES", "ITEMS", "TOKENS", "Forger", "Materials"]
