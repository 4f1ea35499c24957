"""The page of ``/api/dashboard``: one HTML document without data, and the headers that keep it to itself.

Anybody may load it, so it holds nothing; it asks for the function key and reads ``status`` with it. The document is
put together from ``shared/dashboard/`` at first use and kept. Its policy names the digest of each style and script in
it, so that nothing else can run, whatever a status holds: https://www.w3.org/TR/CSP3/
"""

import base64
import hashlib
import html
import re
from functools import cache
from pathlib import Path

import azure.functions as func

# Where the docs can be read, such as https://git.example/archive/blob/main; without it, runbooks are named, not linked.
RUNBOOK = ""

_FOLDER = Path(__file__).parents[1] / "dashboard"
# In this order: each builds on those before it.
_SCRIPTS = (
    "reading",
    "words",
    "series",
    "rules",
    "headline",
    "elements",
    "pictures",
    "trends",
    "states",
    "page",
)
_PLACE = re.compile(r"\{\{(\w+)\}\}", re.ASCII)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def dashboard(runbook: str = RUNBOOK) -> func.HttpResponse:
    """The page for anybody. ``runbook`` is the https address below which the docs' paths lead somewhere."""
    page, policy = _document(runbook)
    headers = {**_HEADERS, "Content-Security-Policy": policy}
    return func.HttpResponse(page, headers=headers, mimetype="text/html", charset="utf-8")


@cache
def _document(runbook: str) -> tuple[str, str]:
    """The page and the policy that fits it."""
    style = _read("style.css")
    scripts = [_read(f"{name}.js") for name in _SCRIPTS]
    parts = {
        "runbook": html.escape(runbook),
        "style": f"<style>{style}</style>",
        "scripts": "\n".join(f"<script>{script}</script>" for script in scripts),
    }
    return _PLACE.sub(lambda place: parts[place[1]], _read("page.html")), _policy(style, scripts)


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _policy(style: str, scripts: list[str]) -> str:
    directives = (
        "default-src 'none'",
        f"script-src {' '.join(map(_digest, scripts))}",
        f"style-src {_digest(style)}",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
    return "; ".join(directives)


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
