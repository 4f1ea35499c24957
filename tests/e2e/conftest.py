"""Apps to test: real ``function_app.py`` on the functions host, once for each engine that this Python has."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.app import App, running_app

ENGINES = ["sdk", "runtime"] if sys.version_info >= (3, 13) else ["sdk"]


@pytest.fixture(params=ENGINES)
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[App]:
    """A fresh app with empty storage and a friendly cloud; timers by hand, subscriptions made by the test."""
    with running_app(tmp_path, engine=request.param) as running:
        yield running


@pytest.fixture(params=ENGINES)
def subscribing_app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[App]:
    """A fresh app that subscribes to Copilot interactions and to chats by itself, when ``renew_subscriptions`` runs."""
    wanted = ["copilot/interactionHistory/getAllEnterpriseInteractions", "/chats"]
    with running_app(tmp_path, engine=request.param, resources=wanted) as running:
        yield running


@pytest.fixture(params=ENGINES)
def secretless_app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[App]:
    """As on Azure: the managed identity opens storage and vault, and vouches for the app registration."""
    wanted = ["copilot/interactionHistory/getAllEnterpriseInteractions"]
    with running_app(tmp_path, engine=request.param, resources=wanted, by_identity=True) as running:
        yield running
