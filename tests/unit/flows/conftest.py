"""What several tests of flows begin with."""

import pytest

from tests.unit.flows.capture import Capture


@pytest.fixture
def capture() -> Capture:
    return Capture()
