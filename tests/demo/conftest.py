from __future__ import annotations

import httpx2
import pytest

from nbkit import settings
from nbkit.demo import provider, server


@pytest.fixture(scope="session")
def address():
    yield provider.base_url()
    server.stop()


@pytest.fixture(scope="session")
def client(address):
    with httpx2.Client(base_url=address, timeout=20) as client:
        yield client


@pytest.fixture
def demo(client):
    """A client of the simulated provider, which answers at once."""
    with settings.override(demo_tokens_per_second=0):
        yield client
