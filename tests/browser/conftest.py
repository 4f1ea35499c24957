"""One browser for the whole run, a fresh tab for each test; and Node, for the rules without a browser."""

import shutil
from collections.abc import AsyncIterator, Iterator

import pytest

from local import azurite_install
from tests.browser import chromium


@pytest.fixture(scope="session")
def node() -> str:
    """Node.js: this machine's, else the one that the storage emulator runs on."""
    return shutil.which("node") or azurite_install.install()[0]


@pytest.fixture(scope="session")
def browser() -> Iterator[str]:
    """The DevTools address of a running browser; tests are skipped where there is none to run."""
    program = chromium.find()
    if program is None:
        pytest.skip("no chromium on this machine: the page's rules are tested with Node, its looks are not")
    with chromium.running(program) as address:
        yield address


@pytest.fixture
async def tab(browser: str) -> AsyncIterator[chromium.Tab]:
    """A fresh tab. Whatever the page, nothing may have been complained of at its end."""
    async with chromium.tab(browser) as opened:
        yield opened
    assert opened.complaints == []
