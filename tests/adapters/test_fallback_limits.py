"""A list of models and rate limits: which model is waited for, and which is asked in its place."""

from math import inf

import pytest
from scripted_provider import WHOLE, whole
from test_calls import four
from test_fallback import COST, OTHER_KEY

import nbkit
from nbkit.errors import RateLimitError

pytestmark = pytest.mark.usefixtures("unregistered")
LONG, SHORT = {"retry_after": "30"}, {"retry_after_ms": "30"}


def chain(provider, other, **more):
    second = other.adapter("den/m2", cost=COST, api_key=OTHER_KEY, **more)
    return nbkit.get_adapter(provider.adapter("lab/m1", cost=COST, **more), fallback=second)


def limited(**headers):
    return whole({"error": {"message": "slow down"}}, 429, **headers)


@four
def test_a_long_pause_is_not_waited_for_where_the_next_model_is_free(provider, other, call, good):
    provider.says(limited(**LONG))
    other.says(good(), good())
    adapter = chain(provider, other)
    for _ in range(2):  # the first call is refused, the second one finds the pause
        completion = call(adapter, "Hi")
        assert completion.text == "Hello"
        assert len(provider.requests) == 1
        (change,) = completion.changes
        assert change.what == "by den/m2"
        assert (
            "lab/m1 failed: waited 0 s for its turn: rate limited by lab (nothing is sent for 30 s more" in change.why
        )
    assert completion.timing.waited == 0


@four
def test_a_short_pause_is_waited_for(provider, other, call, good):
    provider.says(limited(**SHORT), good())
    assert call(chain(provider, other), "Hi").changes == ()
    assert (len(provider.requests), other.requests) == (2, [])


@pytest.mark.parametrize(("pauses", "answers"), [((200, 60_000), "m1"), ((60_000, 200), "m2"), ((200, 100), "m1")])
def test_where_all_are_paused_the_one_that_is_free_much_earlier_is_waited_for(provider, other, pauses, answers):
    adapter = chain(provider, other, max_retries=0)
    for server, one, milliseconds in zip((provider, other), adapter.adapters, pauses, strict=True):
        server.says(limited(retry_after_ms=str(milliseconds)), whole({**WHOLE, "model": one.name}))
        with pytest.raises(RateLimitError):
            one.execute("Hi")
    completion = adapter.execute("Hi")
    assert completion.model == answers
    assert len(completion.changes) == (answers == "m2")


def test_a_model_without_a_key_is_never_free(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert nbkit.get_adapter("openai/gpt-6-luna")._count_pause() == inf
    assert nbkit.get_adapter("openai/gpt-6-luna", api_key=OTHER_KEY)._count_pause() == 0
