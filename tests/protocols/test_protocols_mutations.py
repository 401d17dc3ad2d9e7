"""Every decoder takes whatever comes: `python tests/protocols/mutations.py 100000` tries more, and takes the time."""

import os

import pytest
from mutations import try_inputs

from nbkit.protocols import PROTOCOLS

EXAMPLES = int(os.environ.get("NBKIT_EXAMPLES", "500"))


@pytest.mark.parametrize("name", PROTOCOLS)
def test_whatever_comes_is_a_completion_or_an_adapter_error(name):
    outcomes = {outcome for outcome, _ in try_inputs(name, EXAMPLES)}
    assert {"answer", "ProviderError", "StreamError"} <= outcomes  # not all of them are far from an answer
