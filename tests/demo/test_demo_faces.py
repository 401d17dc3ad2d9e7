"""Every protocol end to end over HTTP: the simulated models answer the same in each, streamed or not."""

import json
from dataclasses import replace

import pytest

from nbkit import demo_models, errors, get_adapter
from nbkit.protocols import PROTOCOLS

WEATHER = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
PNG = "data:image/png;base64,iVBORw0KGgo="
ASKS = {
    "prose": ("swift", "Explain recursion", {}),
    "thoughts": ("scholar", "Explain recursion", {"reasoning_effort": "medium"}),
    "a limit": ("swift", "Explain recursion", {"max_tokens": 20}),
    "an image": ("sage", [{"role": "user", "content": ["Look", {"type": "image_url", "image_url": PNG}]}], {}),
    "tools": ("swift", "The weather in Oslo?", {"tools": [WEATHER]}),
}
faces = pytest.mark.parametrize("name", PROTOCOLS)


def adapter(model, protocol):
    return get_adapter(f"demo/{model}", protocol=protocol)


def told(completion):
    calls = [(call.name, json.loads(call.arguments)) for call in completion.tool_calls]
    return completion.text, calls, completion.finish_reason


def of_any_call(completion):
    """Without what belongs to one call: its ids and times, and its raw answer."""
    blocks = tuple(block.model_copy(update={"id": None}) for block in completion.reasoning_blocks)
    return replace(completion, id="", raw=None, timing=None, reasoning_blocks=blocks)


@faces
@pytest.mark.parametrize(("model", "said", "options"), ASKS.values(), ids=ASKS)
def test_a_model_answers_the_same_in_every_protocol(name, model, said, options):
    completion = adapter(model, name).execute(said, **options)
    assert told(completion) == told(adapter(model, "openai-chat").execute(said, **options))
    assert completion.usage.completion_tokens > 0
    assert completion.cost > 0


@faces
@pytest.mark.parametrize(("model", "said", "options"), ASKS.values(), ids=ASKS)
def test_streamed_is_whole(name, model, said, options):
    whole = adapter(model, name).execute(said, **options)
    with adapter(model, name).stream(said, **options) as stream:
        pieces = list(stream)
    streamed = stream.completion
    assert "".join(piece.text for piece in pieces) == whole.text
    assert len([piece for piece in pieces if piece.text]) > 5 or whole.tool_calls
    assert of_any_call(streamed) == of_any_call(whole)


@faces
def test_a_tools_output_goes_back(name):
    said = [{"role": "user", "content": "The weather in Oslo?"}]
    asked = adapter("scholar", name).execute(said, tools=[WEATHER])
    outputs = [{"role": "tool", "tool_call_id": call.id, "content": "3 C"} for call in asked.tool_calls]
    answer = adapter("scholar", name).execute([*said, asked, *outputs], tools=[WEATHER])
    assert "3 C" in answer.text
    assert answer.finish_reason == "stop"


@faces
def test_failures_are_told(name):
    with pytest.raises(errors.ProviderError, match="Simulated failure") as failed:
        adapter("brittle", name).execute("Please fail")
    assert (failed.value.status, failed.value.attempts) == (500, 3)
    with pytest.raises(errors.RateLimitError) as limited:
        get_adapter("demo/brittle", protocol=name, max_retries=0).execute("a rate limit, please")
    assert limited.value.retry_after == 1
    with pytest.raises(errors.StreamError) as cut, adapter("brittle", name).stream("cut it") as stream:
        list(stream)
    assert cut.value.partial.text
    assert cut.value.partial.bill.source == "partial"


def test_the_models_come_each_in_another_protocol():
    spoken = ["openai-chat", "anthropic-messages", "openai-responses", "gemini-generate", "cohere-v2"]
    assert list(demo_models().protocol) == spoken
