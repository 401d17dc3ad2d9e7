import pytest
from exported_spans import Exported
from scripted_provider import Provider

from nbkit.settings import override


@pytest.fixture
def provider():
    one = Provider()
    yield one
    one.close()


@pytest.fixture
def exported():
    one = Exported()
    with override(), one.trace():
        yield one
    one.meter_provider.shutdown()
