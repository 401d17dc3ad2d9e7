"""A list of models, the circuits of their servers and kept answers: which model is passed by, and why."""

import contextlib

import pytest
from scripted_provider import streamed, whole
from test_calls import astream, four, stream
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


# ---- kept answers


@four
def test_a_run_that_is_replayed_asks_no_model_that_has_failed(provider, other, call, good, tmp_path):
    path = tmp_path / "demo.replay.jsonl"

    def ask(mode):
        with nbkit.replay(path, mode=mode) as keeper:
            done = [call(chain(provider, other), "Hi") for _ in range(3)]
        return keeper, [(one.model, [change.what for change in one.changes]) for one in done]

    provider.says(BUSY, good(), BUSY)
    other.says(good(), good())
    _, first = ask("auto")
    assert [changes for _, changes in first] == [["by den/m2"], [], ["by den/m2"]]
    for mode in ("auto", "only"):
        provider.says()
        other.says()
        keeper, again = ask(mode)
        assert (again, keeper.replayed, keeper.kept) == (first, 3, 0)
        assert provider.requests == other.requests == []


@four
def test_without_a_kept_answer_the_order_is_that_of_the_list(provider, other, call, good, tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    path = tmp_path / "demo.replay.jsonl"
    with nbkit.replay(path):
        other.says(good())
        keyless = nbkit.get_adapter(["openai/gpt-6-luna", other.adapter("den/m2")])
        (change,) = call(keyless, "Hi").changes
        assert change.why == "openai/gpt-6-luna failed: no API key for openai"
    with nbkit.replay(path, mode="refresh"):
        provider.says(good())
        assert call(chain(provider, other), "Hi").changes == ()
    with nbkit.replay(path, mode="only"), pytest.raises(errors.ReplayMissError, match="lab/m1"):
        call(chain(provider, other), "Another")
