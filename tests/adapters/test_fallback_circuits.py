"""A list of models and the circuits of their servers: which model is passed by, and what closes a circuit again."""

import contextlib

import pytest
from scripted_provider import streamed, whole
from test_calls import astream, stream
from test_fallback import BUSY, chain, failing

import nbkit
from nbkit import errors
from nbkit.adapters.fallback import FallbackAdapter
from nbkit.settings import override

pytestmark = pytest.mark.usefixtures("unregistered")


def test_a_server_that_has_failed_five_times_is_passed_by(provider, other):
    adapter = chain(provider, other)
    for _ in range(5):
        provider.says(BUSY)
        other.says(whole())
        assert adapter.execute("Hi").text == "Hello"
    for call, good in ((stream, streamed), (astream, streamed), (FallbackAdapter.execute, whole)):
        provider.says()
        other.says(good())
        (change,) = call(adapter, "Hi").changes
        assert change.why.startswith("lab/m1 was passed by: its circuit is open for ")
        assert change.why.endswith(" s (5 failures, the last: HTTP 503)")
        assert provider.requests == []
    other.says(failing(401))
    provider.says(whole())  # is asked where no other is left
    (change,) = adapter.execute("Hi").changes
    assert (change.what, change.why.count("den/m2 failed: bad")) == ("by lab/m1", 1)
    provider.says(whole())  # and has answered
    assert adapter.execute("Hi").changes == ()


def test_a_call_without_fallbacks_is_always_sent_and_counts(provider, other):
    alone = provider.adapter("lab/m1", max_retries=0)
    for _ in range(7):
        provider.says(BUSY)
        with pytest.raises(errors.ProviderError, match="busy"):
            alone.execute("Hi")
        assert len(provider.requests) == 1
    provider.says()
    other.says(whole())
    assert "circuit is open" in chain(provider, other).execute("Hi").changes[0].why
    other.says()
    provider.says(whole())
    other_model = nbkit.get_adapter([provider.adapter("lab/m9"), other.adapter()])
    assert other_model.execute("Hi").changes == ()  # each model has its own


@pytest.mark.parametrize("healed", [whole(), failing(429), failing(400), failing(401)])
def test_an_answer_of_any_kind_closes_the_circuit(provider, other, healed):
    alone = provider.adapter("lab/m1", max_retries=0)
    provider.says(*[BUSY] * 5, healed, whole())
    for _ in range(6):
        with contextlib.suppress(errors.AdapterError):
            alone.execute("Hi")
    assert chain(provider, other).execute("Hi").changes == ()


def test_a_circuit_that_was_opened_in_a_block_is_its_own(provider, other):
    with override():
        provider.says(*[BUSY] * 5)
        for _ in range(5):
            with contextlib.suppress(errors.ProviderError):
                provider.adapter("lab/m1", max_retries=0).execute("Hi")
    provider.says(whole())
    assert chain(provider, other).execute("Hi").changes == ()
