"""Every protocol with a face, end to end over HTTP: the simulated models answer the same in each, streamed or not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from nbkit import demo_models, errors, get_adapter
from nbkit.demo.face import FACES
from nbkit.protocols import PROTOCOLS
from nbkit.providers.capabilities import tolerance_of
from nbkit.providers.tables import protocol_defaults

WEATHER = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
CITY = {"type": "object", "properties": {"name": {"type": "string"}, "people": {"type": "integer"}}}
PNG = "data:image/png;base64,iVBORw0KGgo="
CASES = {  # what a protocol needs for it -> model, conversation, options
    "prose": ("", "swift", "Explain recursion", {}),
    "thoughts": ("reasoning", "scholar", "Explain recursion", {"reasoning_effort": "medium"}),
    "a limit": ("", "swift", "Explain recursion", {"max_tokens": 20}),
    "an image": (
        "vision",
        "sage",
        [{"role": "user", "content": ["Look", {"type": "image_url", "image_url": PNG}]}],
        {},
    ),
    "tools": ("tools", "swift", "The weather in Oslo?", {"tools": [WEATHER]}),
    "a form": ("json_schema", "swift", "The largest city of Norway?", {"response_format": CITY}),
}
TESTS_OWN = {path.stem for path in (Path(__file__).parent / "faces").glob("*.py")}
FACED = [name for name, row in PROTOCOLS.items() if name in FACES or row.module in TESTS_OWN]


def offers(name, need):
    """Whether a protocol has what a case needs, by its row in protocol_defaults.toml."""
    tolerance = tolerance_of(None, [protocol_defaults(name)])
    if need == "reasoning":
        return tolerance.reasoning is not None and bool(tolerance.reasoning.kinds)
    return need not in tolerance.capabilities.list_missing()


ASKED = [(name, case) for name in FACED for case, (need, *_) in CASES.items() if offers(name, need)]
cases = pytest.mark.parametrize(("name", "case"), ASKED, ids=[f"{name}: {case}" for name, case in ASKED])
faces = pytest.mark.parametrize("name", FACED)


def adapter(model, protocol):
    return get_adapter(f"demo/{model}", protocol=protocol)


def essence(completion):
    calls = [(call.name, json.loads(call.arguments)) for call in completion.tool_calls]
    return completion.text, calls, completion.finish_reason


def of_any_call(completion):
    """Without what belongs to one call: its ids and times, and its raw answer."""
    blocks = tuple(block.model_copy(update={"id": None}) for block in completion.reasoning_blocks)
    return replace(completion, id="", created=None, raw=None, timing=None, reasoning_blocks=blocks)


@cases
def test_a_model_answers_the_same_in_every_protocol(name, case):
    _, model, conversation, options = CASES[case]
    completion = adapter(model, name).execute(conversation, **options)
    assert essence(completion) == essence(adapter(model, "openai-chat").execute(conversation, **options))
    assert completion.usage.completion_tokens > 0
    assert completion.cost > 0
    assert case != "a form" or json.loads(completion.text) == {"name": "Norway", "people": 1}


@cases
def test_streamed_is_whole(name, case):
    _, model, conversation, options = CASES[case]
    whole = adapter(model, name).execute(conversation, **options)
    with adapter(model, name).stream(conversation, **options) as stream:
        pieces = list(stream)
    streamed = stream.completion
    assert "".join(piece.text for piece in pieces) == whole.text
    assert len([piece for piece in pieces if piece.text]) > 5 or whole.tool_calls
    assert of_any_call(streamed) == of_any_call(whole)


@pytest.mark.parametrize("name", [name for name in FACED if offers(name, "tools")])
def test_a_tools_output_goes_back(name):
    conversation = [{"role": "user", "content": "The weather in Oslo?"}]
    calling = adapter("scholar", name).execute(conversation, tools=[WEATHER])
    outputs = [{"role": "tool", "tool_call_id": call.id, "content": "3 C"} for call in calling.tool_calls]
    answer = adapter("scholar", name).execute([*conversation, calling, *outputs], tools=[WEATHER])
    assert "3 C" in answer.text
    assert answer.finish_reason == "stop"


@faces
def test_failures_are_errors_of_their_kind(name):
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


def test_the_models_speak_each_another_protocol():
    spoken = ["openai-chat", "anthropic-messages", "openai-responses", "gemini-generate", "cohere-v2"]
    assert list(demo_models().protocol) == spoken


def test_the_demo_alone_serves_the_protocols_of_its_models():
    code = "from nbkit.demo.face import FACES; print(*sorted(FACES))"
    served = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert served.split() == sorted(demo_models().protocol)
