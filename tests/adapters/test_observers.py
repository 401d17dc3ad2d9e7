"""Observers are told once of every call's begin and end, in all four calls; they may refuse a call, or answer it."""

import asyncio
import logging

import pytest
from engines import engines
from scripted_provider import piece, sse, streamed, whole
from test_calls import PRICED, both, four

from nbkit.adapters import observers
from nbkit.conversation.completion import Bill, ChatCompletion
from nbkit.errors import BadRequestError, ConfigError, StreamError

KEPT = ChatCompletion("kept", finish_reason="stop", bill=Bill(0.0, "provider"))


class Notes:
    """An observer that writes down what it is told; `answer` is what its begin gives or raises."""

    def __init__(self, answer=None, fault=None):
        self.answer, self.fault = answer, fault
        self.begins, self.ends = [], []

    def begin(self, call):
        self.begins.append(call)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def end(self, call, completion, error):
        self.ends.append((call, completion, error))
        if self.fault:
            raise self.fault


@pytest.fixture
def observe(monkeypatch):
    def put(*new):
        monkeypatch.setattr(observers, "OBSERVERS", new)
        return new

    return put


@four
def test_a_whole_answer_ends_its_call_once(provider, observe, call, good):
    (notes,) = observe(Notes())
    provider.says(good())
    completion = call(provider.adapter(PRICED), "Hi")
    ((first_facts,), ((last_facts, outcome, error),)) = notes.begins, notes.ends
    assert first_facts is last_facts
    assert (first_facts.model_id, first_facts.protocol, first_facts.cell) == (PRICED, "openai-chat", None)
    assert first_facts.stream == (good is streamed)
    assert (outcome, error) == (completion, None)


@four
def test_a_refused_request_ends_its_call_with_the_error(provider, observe, call, good):
    (notes,) = observe(Notes())
    provider.says(whole({"error": {"message": "no"}}, 400))
    with pytest.raises(BadRequestError) as caught:
        call(provider.adapter(), "Hi")
    assert [end[1:] for end in notes.ends] == [(None, caught.value)]


@four
def test_retries_are_one_call(provider, observe, call, good):
    (notes,) = observe(Notes())
    provider.says(whole({}, 503), whole({}, 503), good())
    call(provider.adapter(), "Hi")
    assert (len(provider.requests), len(notes.begins), len(notes.ends)) == (3, 1, 1)


@both
def test_a_stream_that_breaks_off_ends_with_its_part(provider, observe, call):
    (notes,) = observe(Notes())
    provider.says(streamed(sse(piece("Hel"))))
    with pytest.raises(StreamError) as caught:
        call(provider.adapter(PRICED), "Hi")
    assert [end[1:] for end in notes.ends] == [(caught.value.partial, caught.value)]
    assert caught.value.partial.cost > 0


def test_reading_the_completion_early_tells_nobody_and_leaving_tells_once(provider, observe):
    (notes,) = observe(Notes())
    provider.says(streamed())
    with provider.adapter(PRICED).stream("Hi") as stream:
        next(iter(stream))
        assert stream.completion.text == stream.completion.text == "Hel"
        assert notes.ends == []
    assert [end[1:] for end in notes.ends] == [(stream.completion, None)]
    assert stream.completion.bill.source == "partial"
    stream.close()
    assert len(notes.ends) == 1


@engines
def test_cancelling_an_async_stream_ends_its_call(provider, observe):
    (notes,) = observe(Notes())
    provider.says(streamed())

    async def main():
        async with provider.adapter(PRICED).astream("Hi") as stream:
            async for _ in stream:
                break
        return stream.completion

    completion = asyncio.run(main())
    assert [end[1:] for end in notes.ends] == [(completion, None)]


def test_a_stream_that_was_never_read_is_not_a_call(provider, observe):
    (notes,) = observe(Notes())
    provider.says()
    with provider.adapter(PRICED).stream("Hi") as stream:
        pass
    assert (notes.begins, notes.ends, provider.requests) == ([], [], [])
    assert stream.completion.cost == 0


@four
def test_an_observer_may_answer_and_nothing_is_sent(provider, observe, call, good):
    first, second, third = observe(Notes(), Notes(KEPT), Notes())
    provider.says()
    assert call(provider.adapter(), "Hi") is KEPT
    assert provider.requests == []
    assert [len(notes.begins) for notes in (first, second, third)] == [1, 1, 0]
    for notes in (first, second, third):
        assert [end[1:] for end in notes.ends] == [(KEPT, None)]


@four
def test_an_observer_may_refuse_and_nothing_is_sent(provider, observe, call, good):
    refusal = ConfigError("the budget is spent")
    first, second = observe(Notes(), Notes(refusal))
    provider.says()
    with pytest.raises(ConfigError, match="the budget is spent"):
        call(provider.adapter(), "Hi")
    assert provider.requests == []
    for notes in (first, second):
        assert [end[1:] for end in notes.ends] == [(None, refusal)]


@four
def test_a_fault_in_an_end_is_logged_and_costs_nothing(provider, observe, call, good, caplog):
    _, healthy = observe(Notes(fault=ZeroDivisionError("full disk")), Notes())
    provider.says(good())
    with caplog.at_level(logging.ERROR, "nbkit"):
        assert call(provider.adapter(), "Hi").text == "Hello"
    assert len(healthy.ends) == 1
    assert "Notes failed after the call of lab/m1" in caplog.text
