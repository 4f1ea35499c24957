import base64
import hashlib
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from shared.adapters.dashboard import dashboard

ROOT = Path(__file__).parents[3]


class Elements(HTMLParser):
    """The elements of a page: name and attributes, and the text of scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {"script": [], "style": []}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem in self.texts:
            self.texts[self.cdata_elem].append(data)


@pytest.fixture
def page() -> str:
    return dashboard().get_body().decode()


@pytest.fixture
def policy() -> dict[str, list[str]]:
    directives = dashboard().headers["Content-Security-Policy"].split("; ")
    return {name: values for name, *values in (directive.split() for directive in directives)}


def digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_it_is_a_page_that_nobody_stores_frames_or_learns_of() -> None:
    answer = dashboard()

    assert answer.status_code == 200
    assert (answer.mimetype, answer.charset) == ("text/html", "utf-8")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"


def test_the_policy_lets_nothing_in_but_what_is_named(policy: dict[str, list[str]]) -> None:
    assert policy["default-src"] == ["'none'"]
    assert policy["connect-src"] == ["'self'"]
    for closed in ("frame-ancestors", "base-uri", "form-action", "trusted-types"):
        assert policy[closed] == ["'none'"]
    assert policy["require-trusted-types-for"] == ["'script'"]
    everything = " ".join(value for values in policy.values() for value in values)
    assert "unsafe" not in everything
    assert "*" not in everything
    assert "http" not in everything


def test_the_digests_are_those_of_the_scripts_and_styles_and_of_no_others(
    page: str, policy: dict[str, list[str]]
) -> None:
    elements = Elements(page)
    assert policy["script-src"] == [digest(text) for text in elements.texts["script"]]
    assert policy["style-src"] == [digest(text) for text in elements.texts["style"]]
    assert len(elements.texts["script"]) == sum(tag == "script" for tag, _ in elements.found)


def test_the_document_stands_by_itself(page: str) -> None:
    for tag, attributes in Elements(page).found:
        assert "src" not in attributes, tag
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        assert (attributes.get("href") or "data:").startswith("data:"), tag
    assert not re.search(r"url\(|@import|\bimport\(", page)


def test_no_script_can_make_markup_of_a_text(page: str) -> None:
    scripts = "\n".join(Elements(page).texts["script"])
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc", scripts
    )


def test_it_holds_no_data_and_nothing_is_left_to_fill_in(page: str) -> None:
    assert page == dashboard().get_body().decode()
    assert not re.search(r"\{\{(runbook|style|scripts)\}\}", page)


def test_the_runbooks_address_is_an_attribute_and_nothing_more() -> None:
    for given in ("https://git.example/archive/blob/main", '"><script>alert(1)</script>', "{{scripts}}"):
        elements = Elements(dashboard(given).get_body().decode())
        metas = {
            attributes["name"]: attributes["content"] for tag, attributes in elements.found if attributes.get("name")
        }
        assert metas["runbook"] == given
        assert len(elements.texts["script"]) == len(Elements(dashboard().get_body().decode()).texts["script"])


def test_the_files_are_read_at_first_use_and_not_at_import() -> None:
    probe = """
import sys
opened = []
sys.addaudithook(lambda event, arguments: opened.append(str(arguments[0])) if event == "open" else None)
from shared.adapters import dashboard
assert not [name for name in opened if "shared/dashboard/" in name], opened
dashboard.dashboard()
assert [name for name in opened if name.endswith("shared/dashboard/page.html")], opened
first = len(opened)
dashboard.dashboard()
assert len(opened) == first
"""
    done = subprocess.run([sys.executable, "-B", "-c", probe], cwd=ROOT, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode()


def test_what_is_deployed_has_the_pages_files() -> None:
    ignored = (ROOT / ".funcignore").read_text(encoding="utf-8").splitlines()
    names = {path.name for path in (ROOT / "shared" / "dashboard").iterdir()}
    assert {"page.html", "style.css", "page.js"} <= names
    assert not {"shared", "*.html", "*.js", "*.css", "dashboard", *names} & set(ignored)
