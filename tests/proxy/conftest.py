import pytest
from gateway import run_proxy


@pytest.fixture(scope="session")
def proxy():
    with run_proxy() as url:
        yield url
