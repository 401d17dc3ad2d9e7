"""`nbkit.on`: functions are called once at the begin and the end of every call, and cost it nothing."""

import asyncio
import logging
import threading

import pytest
from scripted_provider import piece, sse, streamed, whole
from test_calls import PRICED, both, four

import nbkit
from nbkit.errors import ArgumentError, BudgetExceededError, StreamError
from nbkit.settings import override

EVENTS = ("begin", "completion", "error")


@pytest.fixture
def notes():
    """What the functions are given while the test runs: event, arguments."""
    noted = []

    def note(event):
        return lambda *arguments: noted.append((event, *arguments))

    with override():
        for event in EVENTS:
            nbkit.on(event, note(event))
        yield noted


@four
def test_a_call_is_announced_at_its_begin_and_with_its_completion(provider, notes, call, good):
    provider.says(good())
    with nbkit.tag("experiment-3"):
        completion = call(provider.adapter(PRICED), "Hi")
    begin, end = notes
    assert [begin[0], end[0]] == ["begin", "completion"]
    assert begin[1] is end[1]
    facts = begin[1]
    assert (facts.model_id, facts.tags, facts.conversation.turns[0].text) == (PRICED, ("experiment-3",), "Hi")
    assert end[2] == completion
    assert "canary" not in repr(notes) + repr(facts.body)


@both
def test_a_stream_that_breaks_off_is_announced_as_an_error_with_its_part(provider, notes, call):
    provider.says(streamed(sse(piece("Hel"))))
    with pytest.raises(StreamError) as caught:
        call(provider.adapter(PRICED), "Hi")
    assert [note[0] for note in notes] == ["begin", "error"]
    assert notes[1][2] is caught.value
    assert notes[1][2].partial.text == "Hel"


def test_a_stream_that_is_left_is_announced_with_its_part(provider, notes):
    provider.says(streamed())
    with provider.adapter(PRICED).stream("Hi") as stream:
        next(iter(stream))
        assert [note[0] for note in notes] == ["begin"]
    assert [note[0] for note in notes] == ["begin", "completion"]
    assert (notes[1][2].text, notes[1][2].bill.source) == ("Hel", "partial")


@four
def test_a_call_that_a_budget_refuses_is_announced_as_an_error(provider, notes, call, good):
    provider.says(good())
    with nbkit.budget(usd=1e-9), pytest.raises(BudgetExceededError):
        call(provider.adapter(PRICED), "Hi")
    assert [(note[0], type(note[-1])) for note in notes[1:]] == [("error", BudgetExceededError)]
    assert provider.requests == []


def test_all_calls_of_a_comparison_are_announced(notes):
    nbkit.compare("Hi", ["demo/swift", "demo/sage"]).wait()
    assert sorted((note[0], note[1].model_id) for note in notes) == [
        ("begin", "demo/sage"),
        ("begin", "demo/swift"),
        ("completion", "demo/sage"),
        ("completion", "demo/swift"),
    ]


@four
def test_what_a_function_raises_is_logged_and_costs_nothing(provider, call, good, caplog):
    def fail(*_):
        raise ZeroDivisionError("mine")

    provider.says(good(), whole({"error": {"message": "no"}}, 400))
    after = []
    with (
        override(),
        nbkit.on("begin", fail),
        nbkit.on("completion", fail),
        nbkit.on("completion", lambda *_: after.append(1)),
    ):
        assert call(provider.adapter(), "Hi").text == "Hello"
    assert after == [1]
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.ERROR]
    assert "Hook failed before the call of lab/m1" in caplog.text
    assert "Hook failed after the call of lab/m1" in caplog.text


def test_a_subscription_ends_when_it_is_called_at_the_end_of_its_block_and_with_the_settings(provider):
    provider.says(*[whole() for _ in range(4)])
    noted = []
    adapter = provider.adapter()
    with override(max_retries=0):
        nbkit.on("completion", lambda *_: noted.append("settings"))
        unsubscribe = nbkit.on("completion", lambda *_: noted.append("called"))
        with nbkit.on("completion", lambda *_: noted.append("block")), override(max_retries=1):
            adapter.execute("Hi")
            assert noted == ["settings", "called", "block"]
        unsubscribe()
        unsubscribe()
        adapter.execute("Hi")
        assert noted[3:] == ["settings"]
        with override(max_retries=1):
            again = nbkit.on("begin", lambda *_: noted.append("inner"))
        again()
    adapter.execute("Hi")
    assert noted[4:] == []


def test_a_function_may_end_its_own_subscription(provider):
    provider.says(whole(), whole())
    noted = []
    with override():
        once = nbkit.on("completion", lambda *_: (noted.append(1), once()))
        nbkit.on("completion", lambda *_: noted.append(2))
        provider.adapter().execute("Hi")
        provider.adapter().execute("Hi")
    assert noted == [1, 2, 2]


def test_calls_of_many_threads_are_all_announced_while_others_subscribe_and_leave(provider):
    provider.says(*[whole() for _ in range(40)])
    adapter, noted = provider.adapter(), []

    def work():
        for _ in range(5):
            with nbkit.on("error", print):
                adapter.execute("Hi")

    with override(), nbkit.on("completion", lambda call, _: noted.append(call.id)):
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(set(noted)) == len(noted) == 40


async def wait_for_it(call):
    await asyncio.sleep(0)


class AlsoAsync:
    async def __call__(self, call):
        pass


@pytest.mark.parametrize(
    ("event", "function", "words"),
    [
        ("end", print, "event: expected one of begin, completion, error, got 'end'"),
        (["begin"], print, "event: expected one of begin"),
        ("begin", None, "function: expected a function, got None"),
        ("begin", wait_for_it, "got an async one"),
        ("begin", AlsoAsync(), "got an async one"),
    ],
)
def test_a_wrong_argument_is_named(event, function, words):
    with pytest.raises(ArgumentError, match=words.replace("(", r"\(")):
        nbkit.on(event, function)
