"""A Graph that answers oddly: one server for a file's tests, without answers and memories at the start of each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.adapters.odd_graph import OddGraph, odd_graph


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[OddGraph, Path]]:
    with odd_graph(tmp_path_factory.mktemp("tls")) as running:
        yield running


@pytest.fixture
def graph(served: tuple[OddGraph, Path], monkeypatch: pytest.MonkeyPatch) -> OddGraph:
    graph, authority = served
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
    graph.asked.clear()
    graph.answers.clear()
    return graph
