"""Runs with tools over real HTTP: who calls what, what the model gets, where it ends, and what it costs."""

import asyncio
import json
import pickle
import threading
from functools import partial

import pytest
from engines import engines, on_engines
from scripted_provider import USAGE, piece, sse, streamed, whole

from nbkit import ChatCompletionChunk, Tool, get_adapter
from nbkit.adapters import observers
from nbkit.adapters.run import ToolResult
from nbkit.errors import BadRequestError, ConfigError, ConversationError, RateLimitError, StreamError, ToolLoopError
from nbkit.protocols import openai_chat


def priced(provider):
    """0.1 in, 0.5 out USD per million tokens: 0.000125 for one answer."""
    return provider.adapter("openai/gpt-6-luna", protocol="openai-chat")


def asks(*calls, text=""):
    """A streamed answer that calls tools: (name, arguments)."""
    deltas = [
        {"index": n, "id": f"call_{n}", "function": {"name": name, "arguments": json.dumps(given)}}
        for n, (name, given) in enumerate(calls)
    ]
    choice = {"index": 0, "delta": {"content": text or None, "tool_calls": deltas}, "finish_reason": "tool_calls"}
    return streamed(sse({"id": "c1", "model": "m1", "choices": [choice]}, {"choices": [], "usage": USAGE}, b"[DONE]"))


def nothing(event):
    pass


def sync_run(adapter, *args, watch=nothing, **options):
    run = adapter.run(*args, **options)
    return [watch(event) or event for event in run], run


def async_run(adapter, *args, watch=nothing, **options):
    async def main():
        async with adapter.arun(*args, **options) as run:
            return [watch(event) or event async for event in run], run

    return asyncio.run(main())


both = on_engines("drive", sync_run, async_run)


def double(number: int) -> int:
    """Twice the number."""
    return 2 * number


async def halve(number: float):
    """Half the number."""
    await asyncio.sleep(0.01)
    return {"half": number / 2}


def explode(number: int):
    """Fails."""
    raise ZeroDivisionError(f"not {number}")


def outputs(provider, request=-1):
    """The contents of the tools' turns of a request."""
    return [message["content"] for message in provider.requests[request][2]["messages"] if message["role"] == "tool"]


@both
def test_sync_and_async_functions_are_called_and_their_values_sent(provider, drive):
    provider.says(asks(("double", {"number": "21"}), ("halve", {"number": 5}), text="Let me see."), streamed())
    events, run = drive(priced(provider), "Do", tools=[double, halve], extra_body={"x": 1})
    assert "".join(event.text for event in events if isinstance(event, ChatCompletionChunk)) == "Let me see.Hello"
    results = [event for event in events if isinstance(event, ToolResult)]
    assert sorted(results, key=lambda result: result.call.id) == [
        ToolResult(run.completions[0].tool_calls[0], "42"),
        ToolResult(run.completions[0].tool_calls[1], '{"half":2.5}'),
    ]
    assert run.results == results
    assert outputs(provider) == ["42", '{"half":2.5}']
    assert run.completion.text == "Hello"
    assert [turn.role for turn in run.conversation] == ["user", "assistant", "tool", "tool", "assistant"]
    assert run.cost == 0.00025
    assert run.usage.total_tokens == 2100
    first, second = (body for _, _, body in provider.requests)
    assert first["tools"] == second["tools"]
    assert first["x"] == second["x"] == 1
    assert first["tools"][0]["function"]["parameters"]["properties"]["number"] == {"type": "integer"}


@engines
def test_the_last_completion_drives_the_run(provider):
    provider.says(asks(("double", {"number": 1})), streamed(), asks(("halve", {"number": 1})), streamed())
    assert provider.adapter().run("Do", tools=[double]).completion.text == "Hello"

    async def cell():
        """A cell of a notebook: a loop runs already, and a sync run has to get along."""
        return provider.adapter().run("Do", tools=[halve]).completion.text

    assert asyncio.run(cell()) == "Hello"
    assert outputs(provider) == ['{"half":0.5}']


@both
def test_the_calls_of_one_answer_are_made_in_parallel_and_sent_in_order(provider, drive):
    meeting = threading.Barrier(3, timeout=60)
    turns = [threading.Event() for _ in range(3)]
    turns[2].set()  # the last of the calls is done first

    def meet(place: int) -> int:
        """Waits for the others, then for its turn."""
        meeting.wait()
        turns[place].wait(60)
        return place

    def watch(event):
        if isinstance(event, ToolResult):
            turns[int(event.content) - 1].set()

    provider.says(asks(*[("meet", {"place": place}) for place in range(3)]), streamed())
    _, run = drive(provider.adapter(), "Do", tools=[meet], watch=watch)
    assert outputs(provider) == ["0", "1", "2"]
    assert [result.content for result in run.results] == ["2", "1", "0"]  # as they were done


@both
def test_failures_are_sent_to_the_model_and_kept(provider, drive):
    calls = [("explode", {"number": 3}), ("double", {"number": "many"}), ("drop_tables", {}), ("double", {"number": 4})]
    provider.says(asks(*calls), streamed())
    _, run = drive(provider.adapter(), "Do", tools=[double, explode])
    assert outputs(provider) == [
        "Error: ZeroDivisionError: not 3",
        "Error: number: Input should be a valid integer, unable to parse string as an integer",
        "Error: unknown tool 'drop_tables'; the tools are double, explode",
        "8",
    ]
    errors = {result.call.id: type(result.error) for result in run.results if result.error}
    assert errors == {"call_0": ZeroDivisionError, "call_1": ConversationError, "call_2": ConversationError}


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_is_no_exception_ends_the_run(provider, error):
    def leave():
        """Ends it."""
        raise error

    provider.says(asks(("leave", {})), streamed())
    run = provider.adapter().run("Do", tools=[leave])
    with pytest.raises(error):
        list(run)
    assert (len(provider.requests), len(run.completions)) == (1, 1)


@both
def test_tools_without_a_function_end_the_run_with_their_calls(provider, drive):
    calls = [("double", {"number": 1}), ("described", {})]
    provider.says(asks(*calls))
    _, run = drive(provider.adapter(), "Do", tools=[double, {"name": "described"}])
    assert [call.name for call in run.completion.tool_calls] == ["double", "described"]
    assert run.results == []
    assert run.conversation[-1] == run.completion.turn


@both
def test_without_tools_it_is_one_call(provider, drive):
    provider.says(streamed())
    _, run = drive(priced(provider), "Hi")
    assert (run.completion.text, run.cost, "tools" in provider.requests[0][2]) == ("Hello", 0.000125, False)


@both
def test_the_limit_of_turns_is_an_error_that_holds_the_run_which_can_go_on(provider, drive):
    provider.says(*[asks(("double", {"number": 1}))] * 3, streamed())
    adapter = priced(provider)
    with pytest.raises(ToolLoopError, match=r"not done after 3 answers \(max_turns\); .* asks for double") as caught:
        drive(adapter, "Do", tools=[double], max_turns=3)
    error = pickle.loads(pickle.dumps(caught.value))  # noqa: S301
    assert (str(error), error.conversation) == (str(caught.value), caught.value.conversation)
    assert (len(error.completions), error.cost) == (3, 0.000375)
    assert len(outputs(provider)) == 2  # the last calls were not made
    _, run = drive(adapter, error.conversation, tools=[double])
    assert (run.completion.text, len(run.completions), len(outputs(provider))) == ("Hello", 1, 3)


@both
def test_the_limit_of_cost_is_checked_before_each_further_turn(provider, drive):
    provider.says(*[asks(("double", {"number": 1}))] * 4)
    with pytest.raises(ToolLoopError, match=r"cost so far is \$0.00025 \(max_cost=\$0.0002\)"):
        drive(priced(provider), "Do", tools=[double], max_cost=0.0002)
    assert len(provider.requests) == 2
    with pytest.raises(ToolLoopError, match="cost so far is unknown"):
        drive(provider.adapter("lab/unpriced"), "Do", tools=[double], max_cost=1)
    assert len(provider.requests) == 3


@both
@pytest.mark.parametrize("choice", ["required", "double", {"type": "function", "function": {"name": "double"}}])
def test_a_call_is_forced_only_once(provider, drive, choice):
    provider.says(asks(("double", {"number": 1})), streamed())
    drive(provider.adapter(), "Do", tools=[double], tool_choice=choice)
    assert ["tool_choice" in body for _, _, body in provider.requests] == [True, False]


def test_wrong_options_raise_before_anything_is_sent(provider):
    adapter = provider.adapter()
    for options, problem in (
        ({"tools": [double, Tool(name="double")]}, "two tools have the same name"),
        ({"tools": [lambda number: 1]}, "has no type hint"),
        ({"tols": []}, "did you mean tools"),
    ):
        for begin in (adapter.run, adapter.arun):
            with pytest.raises(ConfigError, match=problem):
                begin("Hi", **options)
    assert provider.requests == []


@both
def test_an_error_in_a_later_turn_leaves_the_conversation_so_far(provider, drive):
    provider.says(asks(("double", {"number": 1})), whole({"error": {"message": "quota"}}, 400))
    run = []
    adapter = priced(provider)
    keep = adapter.run if drive is sync_run else adapter.arun
    adapter.run = adapter.arun = lambda *args, **options: run.append(keep(*args, **options)) or run[0]
    with pytest.raises(Exception, match="quota"):
        drive(adapter, "Do", tools=[double])
    assert [turn.role for turn in run[0].conversation] == ["user", "assistant", "tool"]
    assert run[0].cost == 0.000125


def test_a_stream_that_breaks_off_is_booked_but_not_in_the_conversation(provider):
    provider.says(asks(("double", {"number": 1})), streamed(sse(piece("Hel"))))
    run = priced(provider).run("Do", tools=[double])
    with pytest.raises(StreamError):
        list(run)
    assert [completion.text for completion in run.completions] == ["", "Hel"]
    assert run.completion.bill.source == "partial"
    assert run.conversation[-1].role == "tool"
    assert run.cost > 0.000125


def test_leaving_a_run_closes_the_socket_and_books_the_part(provider):
    provider.says(asks(("double", {"number": 1})), streamed(sse(piece("Hello there")), hold=threading.Event()))
    with priced(provider).run("Do", tools=[double]) as run:
        for event in run:
            if getattr(event, "text", ""):
                break
    assert provider.hung_up.wait(60)
    assert (run.completion.text, run.completion.bill.source) == ("Hello there", "partial")
    assert run.cost == pytest.approx(0.000125 + run.completion.cost)
    never = provider.adapter().run("Do")
    never.close()
    with pytest.raises(RuntimeError, match="before its first answer"):
        _ = never.completion


@both
def test_what_a_fault_of_nbkit_itself_leaves_is_booked_and_listed(provider, drive, monkeypatch):
    """An error that nobody foresaw, in the middle of an answer: what was booked of it is in the run, too."""
    booked, runs = [], []

    class Notes:
        def begin(self, call):
            return None

        def end(self, call, completion, error):
            booked.append(completion)

    def feed(self, event, data, feed=openai_chat.Decoder.feed):
        if b"Do not read this" in data:
            raise ZeroDivisionError("a fault")
        return feed(self, event, data)

    monkeypatch.setattr(observers, "OBSERVERS", (Notes(),))
    monkeypatch.setattr(openai_chat.Decoder, "feed", feed)
    adapter = priced(provider)

    def keep(make, *args, **options):
        runs.append(make(*args, **options))
        return runs[-1]

    for name in ("run", "arun"):
        monkeypatch.setattr(adapter, name, partial(keep, getattr(adapter, name)))
    provider.says(asks(("double", {"number": 1})), streamed(sse(piece("Hel"), piece("Do not read this"))))
    with pytest.raises(ZeroDivisionError):
        drive(adapter, "Do", tools=[double])
    assert [completion.text for completion in booked] == ["", "Hel"]
    assert runs[0].completions == booked
    assert runs[0].completion.bill.source == "partial"
    assert runs[0].cost == sum(completion.cost for completion in booked)


def test_a_second_loop_over_a_run_says_that_it_was_read(provider):
    adapter = provider.adapter()

    async def read_again(run):
        return [event async for event in run]

    async def prepare(how):
        run = adapter.arun("Hi")
        await (run.aclose() if how == "close" else run)
        return run

    for how in ("read", "close"):
        provider.says(streamed(), streamed())
        run = adapter.run("Hi")
        list(run) if how == "read" else run.close()
        with pytest.raises(StreamError, match=r"lab/m1: the run was read or closed before: .* in \.completions"):
            list(run)
        with pytest.raises(StreamError, match="the run was read or closed before"):
            asyncio.run(read_again(asyncio.run(prepare(how))))
    provider.says(whole({"error": {"message": "no"}}, 400))
    run = adapter.run("Hi")
    with pytest.raises(BadRequestError):
        list(run)
    with pytest.raises(StreamError, match="the run was read or closed before"):
        list(run)


def test_a_run_that_was_left_goes_on_where_it_was(provider):
    provider.says(streamed())
    run = provider.adapter().run("Hi")
    first = next(event.text for event in run if event.text)
    assert first + "".join(event.text for event in run) == run.completion.text == "Hello"


@engines
def test_cancelling_waits_for_no_thread(provider):
    started, go_on = threading.Event(), threading.Event()

    def slow():
        """Takes its time."""
        started.set()
        go_on.wait(60)

    async def main():
        run = priced(provider).arun("Do", tools=[slow])
        task = asyncio.ensure_future(run)
        while not started.is_set():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return run

    provider.says(asks(("slow", {})), streamed())
    run = asyncio.run(main())  # comes back although the function still waits
    assert not go_on.is_set()
    go_on.set()
    assert (len(provider.requests), run.cost) == (1, 0.000125)


def test_a_format_is_read_from_the_last_answer(provider):
    provider.says(asks(("double", {"number": 1})), streamed(sse(piece('{"x": 1}', "stop"), b"[DONE]")))
    run = provider.adapter().run("Do", tools=[double], response_format="json_object")
    assert run.completion.parsed == {"x": 1}
    assert [body["response_format"] for _, _, body in provider.requests] == [{"type": "json_object"}] * 2
    provider.says(whole(), whole({"error": {"message": "no"}}, 429, x_should_retry="false"))
    assert provider.adapter().execute("Hi").parsed is None
    with pytest.raises(RateLimitError):
        provider.adapter().execute("Hi", tools=[double])
    assert provider.requests[-1][2]["tools"][0]["function"]["name"] == "double"


@pytest.mark.parametrize("model", ["demo/swift", "demo/sage"])
@both
def test_the_demo_models_use_tools(drive, model):
    def get_weather(city: str) -> str:
        """The weather of a city."""
        return f"21 °C in {city}"

    _, run = drive(get_adapter(model), "What is the weather in Paris?", tools=[get_weather])
    assert "21 °C in Paris" in run.completion.text
    assert run.cost > 0
