"""What people ask, and what they are told: made of a few parts, so that no two days read the same."""

import random

_ASKS = (
    "Summarise the last {n} messages about {topic}.",
    "What did we decide about {topic}, and who takes care of it?",
    "Draft a short note to {who} on {topic}, friendly but firm.",
    "Which open questions on {topic} should I raise before noon?",
    "Compare our plan for {topic} with what {who} proposed.",
    "Turn my notes on {topic} into {n} slides.",
    "Is anything about {topic} overdue?\nList it with owners.",
    "Explain the figures behind {topic} as if I were new here.",
)
_TOPICS = (
    "the harbour crane inspection", "the spring catalogue", "invoice 2291", "the move to the new depot",
    "tender “Nordlicht”", "the on-call rota", "the Q3 forecast", "bicycle leasing", "the museum app",
    "the cold-chain sensors", "the supplier audit in Łódź", "the works council’s letter",
)  # fmt: skip
_WHO = ("the finance team", "our auditors", "Mirja", "the night shift", "the board", "Tariq’s group")
_ANSWERS = (
    "Here is what I found on {topic}: {n} threads mention it, the latest from {who}.",
    "On {topic}, {who} asked for a decision by Thursday. Two points are still open.",
    "I could not find anything recent on {topic}. Try naming a file or a person.",
    "Three things stand out about {topic}:\n1. the date has moved\n2. {who} must agree\n3. the cost is up {n} %.",
    "{who} answered on {topic} this morning; the figures differ from ours by {n} in the last column.",
)


def prompt(rng: random.Random) -> str:
    """Return something a person asks."""
    return _filled(rng.choice(_ASKS), rng)


def answer(rng: random.Random) -> str:
    """Return something Copilot says."""
    return _filled(rng.choice(_ANSWERS), rng)


def long_text(rng: random.Random, characters: int) -> str:
    """Return answers on end, at least so many characters."""
    parts: list[str] = []
    length = 0
    while length < characters:
        parts.append(answer(rng))
        length += len(parts[-1]) + 1
    return " ".join(parts)


def _filled(text: str, rng: random.Random) -> str:
    return text.format(topic=rng.choice(_TOPICS), who=rng.choice(_WHO), n=rng.randint(2, 40))
