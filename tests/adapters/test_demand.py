"""The most that a call may use, read from the requests of all protocols."""

import pytest

from nbkit.adapters.demand import TOOL_CALLS, find_ceiling, read_demand
from nbkit.adapters.factory import get_adapter
from nbkit.adapters.prepare import prepare
from nbkit.conversation.media import attach
from nbkit.protocols import PROTOCOLS


def demand(model, conversation="Hi", base_url="https://lab.example/v1", protocol=None, **options):
    given = {"base_url": base_url, "api_key": "sk-canary-1234567890"} if base_url else {}
    adapter = get_adapter(model, protocol=protocol, **given)
    prepared = prepare(conversation, options, adapter.endpoint, stream=False)
    return read_demand(prepared, prepared.endpoint)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_limit_of_an_answer_in_every_protocol(protocol):
    assert demand("lab/m1", protocol=protocol, max_tokens=321).answer == 321


def test_several_answers():
    assert demand("lab/m1", max_tokens=321, n=3).answer == 963


def test_without_a_limit_the_models_own_counts():
    assert demand("google/gemini-flash-latest").answer == 65_536
    assert demand("google/gemini-flash-latest", max_tokens=500_000).answer == 65_536  # clamped
    assert demand("anthropic/claude-haiku-4-5").answer == 64_000  # what the encoder writes
    assert demand("lab/m1").answer is None


def test_what_the_body_says_counts():
    assert demand("lab/m1", max_tokens=10, extra_body={"max_completion_tokens": 900}).answer == 900
    assert demand("lab/m1", max_tokens=10, extra_body={"n": 4}).answer == 40
    assert (
        demand(
            "lab/m1", protocol="gemini-generate", max_tokens=10, extra_body={"generationConfig": {"candidateCount": 2}}
        ).answer
        == 20
    )
    assert (
        demand("lab/m1", protocol="ollama-chat", max_tokens=10, extra_body={"options": {"num_predict": -1}}).answer
        == 10
    )


def test_a_budget_of_reasoning_beside_the_limit():
    assert demand("alibaba/qwen-flash", max_tokens=100, reasoning_budget=4000).answer == 4100
    assert demand("alibaba/qwen-flash", max_tokens=100).answer == 100 + 32_768  # it may reason without being asked
    assert (
        demand(
            "lab/m1", protocol="anthropic-messages", max_tokens=100, extra_body={"thinking": {"budget_tokens": 8000}}
        ).answer
        == 8100
    )


def test_the_prompt_counts_at_the_upper_end_of_its_band():
    short, long = demand("lab/m1", "word " * 10).prompt, demand("lab/m1", "word " * 1000).prompt
    assert 10 <= short < 100
    assert 1000 <= long < 3000
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
    assert demand("lab/m1", tools=tools).prompt > demand("lab/m1").prompt + 500
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"description": "word " * 500}}}
    assert demand("lab/m1", response_format=schema).prompt > 500
    image = attach(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\4\0\0\0\4\0\x08\2\0\0\0")
    assert demand("google/gemini-flash-latest", ["Look", image]).prompt > 600


def test_tools_of_the_provider_and_other_models():
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
    used = demand("anthropic/claude-haiku-4-5", max_tokens=9, extra_body={"tools": [search]})
    assert (used.tool_calls, used.prompt) == (3, 4 * 200_000)
    assert demand("lab/m1", extra_body={"web_search_options": {}}).tool_calls == TOOL_CALLS
    assert demand("lab/m1", extra_body={"web_search_options": {}}).prompt is None
    function = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    for protocol in PROTOCOLS.keys() - {"openai-completions"}:  # which has no tools
        assert not demand("lab/m1", protocol=protocol, tools=[function]).tool_calls
    assert demand("lab/m1", extra_body={"models": ["a/b"]}).vague


def test_lanes():
    assert demand("google/gemini-flash-latest").lanes == ()
    assert demand("google/gemini-flash-latest", service_tier="default").lanes == ()
    assert demand("google/gemini-flash-latest", service_tier="priority").lanes == ("priority",)
    assert demand("google/gemini-flash-latest", service_tier="auto").lanes is None


def test_a_model_of_this_machine_without_a_price_is_free():
    for url, usd in (("http://127.0.0.1:9/v1", 0), ("https://lab.example/v1", None)):
        adapter = get_adapter("lab/m1", base_url=url, api_key="k" * 20)
        assert find_ceiling(prepare("Hi", {}, adapter.endpoint, stream=True), adapter.endpoint).usd == usd
