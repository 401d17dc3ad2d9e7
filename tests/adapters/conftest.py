import pytest
from scripted_provider import Provider


@pytest.fixture
def provider():
    one = Provider()
    yield one
    one.close()


@pytest.fixture
def other():
    """A second provider."""
    one = Provider()
    yield one
    one.close()
