"""Adaptive cards, in which most answers of Copilot travel: JSON inside a string inside JSON."""

import json
import random
from typing import Any

from local.graph.content import words
from local.graph.randomness import chance

CONTENT_TYPE = "application/vnd.microsoft.card.adaptive"
BIG_CHARACTERS = 80_000


def card(text: str, rng: random.Random) -> str:
    """Return a card that shows a text, twice where it is cited, indented with CRLF as the service does."""
    blocks: list[dict[str, Any]] = [{"type": "TextBlock", "text": text, "wrap": True}]
    if chance(rng, 0.4):
        cited = f"{text} [^1^] [^2^]"
        blocks.append({"type": "TextBlock", "id": "MessageTextField", "text": cited, "isVisible": False})
    document = {"type": "AdaptiveCard", "version": "1.0", "body": blocks, "msteams": {"width": "full"}}
    return json.dumps(document, indent=2, ensure_ascii=chance(rng, 0.5)).replace("\n", "\r\n")


def big_card(rng: random.Random) -> str:
    """Return a card of some 80 KB, like an answer with a long table."""
    return card(words.long_text(rng, BIG_CHARACTERS), rng)
