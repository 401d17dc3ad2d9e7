from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from nbkit import settings
from nbkit.demo import face, provider, server
from nbkit.protocols import PROTOCOLS


@pytest.fixture(scope="session", autouse=True)
def faces():
    """Serve the faces that only tests use, too."""
    here = {path.stem for path in (Path(__file__).parent / "faces").glob("*.py")}
    for protocol, row in PROTOCOLS.items():
        if row.module in here:
            face.add_face(protocol, face.import_face(protocol, "faces"))


@pytest.fixture(scope="module")
def address():
    yield provider.base_url()
    server.stop()


@pytest.fixture(scope="module")
def client(address):
    with httpx2.Client(base_url=address, timeout=120) as client:
        yield client


@pytest.fixture
def demo(client):
    """A client of the simulated provider, which answers at once."""
    with settings.override(demo_tokens_per_second=0):
        yield client
