"""A gateway in between: LiteLLM's proxy, called in four protocols, sync and async, streamed or not."""

import asyncio
import json
from collections.abc import Callable

import pytest
from engines import on_engines
from gateway import KEY, PROGRAM

import nbkit
from nbkit import errors

if not PROGRAM:
    pytest.skip("no LiteLLM proxy: tests/proxy.sh installs one and runs these tests", allow_module_level=True)

PATHS = {
    "openai-chat": "/v1",
    "openai-responses": "/v1",
    "anthropic-messages": "/v1",
    "gemini-generate": "/v1beta",
}
MODELS = ("swift", "sage", "scholar", "tortoise")  # behind the proxy each speaks another protocol
PRICES = {"input": 2, "output": 5}  # of swift, in proxy.yaml as USD per token
each_protocol = pytest.mark.parametrize("protocol", PATHS)


@pytest.fixture
def get_adapter(proxy):
    def get(model, protocol="openai-chat", api_key=KEY, **more):
        base_url = proxy + PATHS[protocol]
        name = model if "/" in model else f"gateway/{model}"
        return nbkit.get_adapter(name, base_url=base_url, protocol=protocol, api_key=api_key, max_retries=0, **more)

    return get


def execute(adapter, prompt, **options):
    return adapter.execute(prompt, **options)


def stream(adapter, prompt, **options):
    with adapter.stream(prompt, **options) as pieces:
        text = "".join(chunk.text for chunk in pieces)
    assert pieces.completion.text == text
    return pieces.completion


def aexecute(adapter, prompt, **options):
    return asyncio.run(adapter.aexecute(prompt, **options))


def astream(adapter, prompt, **options):
    async def read():
        async with adapter.astream(prompt, **options) as pieces:
            text = "".join([chunk.text async for chunk in pieces])
        assert pieces.completion.text == text
        return pieces.completion

    return asyncio.run(read())


each_call = on_engines("ask", execute, stream, aexecute, astream)
streamed_or_not: Callable = pytest.mark.parametrize("ask", [execute, stream])


def weather(city: str) -> str:
    """The weather in a city."""
    return f"3 degrees in {city}"


@each_protocol
@each_call
def test_each_kind_of_call_gives_the_whole_answer(get_adapter, protocol, ask):
    direct = nbkit.get_adapter("demo/swift").execute("Explain recursion")
    completion = ask(get_adapter("swift", protocol), "Explain recursion")
    assert completion.text == direct.text
    assert completion.finish_reason == "stop"
    assert completion.usage.completion_tokens == direct.usage.completion_tokens
    assert completion.usage.prompt_tokens == direct.usage.prompt_tokens


@each_protocol
@streamed_or_not
@pytest.mark.parametrize("model", MODELS)
def test_models_that_speak_another_protocol_behind_the_proxy(get_adapter, protocol, ask, model):
    direct = nbkit.get_adapter(f"demo/{model}").execute("Explain recursion")
    completion = ask(get_adapter(model, protocol), "Explain recursion", max_tokens=8000)
    assert (completion.text, completion.finish_reason) == (direct.text, "stop")


@each_protocol
@pytest.mark.parametrize("model", MODELS)
def test_tools_are_called_and_their_outputs_come_back(get_adapter, protocol, model):
    run = get_adapter(model, protocol).run("weather in Oslo", tools=[weather])
    assert "3 degrees in Oslo" in run.completion.text
    assert len(run.results) == 1


@each_protocol
@streamed_or_not
def test_one_tool_call(get_adapter, protocol, ask):
    (call,) = ask(get_adapter("swift", protocol), "weather in Oslo", tools=[weather]).tool_calls
    assert (call.name, json.loads(call.arguments)) == ("weather", {"city": "Oslo"})


@each_protocol
@streamed_or_not
def test_a_wrong_key(get_adapter, protocol, ask):
    wrong = "sk-wrong-canary-0123456789"
    with pytest.raises(errors.AuthenticationError) as caught:
        ask(get_adapter("swift", protocol, api_key=wrong), "Hi")
    assert (caught.value.provider, caught.value.model, caught.value.status) == ("gateway", "swift", 400)
    assert "master key" in str(caught.value)
    assert wrong not in repr(vars(caught.value))


@each_protocol
@streamed_or_not
def test_a_model_that_the_proxy_does_not_have(get_adapter, protocol, ask):
    with pytest.raises(errors.BadRequestError, match=r"Invalid model name .*model=nope\. Call `/v1/models`") as caught:
        ask(get_adapter("nope", protocol), "Hi")
    assert (caught.value.status, caught.value.attempts) == (400, 1)


@each_protocol
@streamed_or_not
@pytest.mark.parametrize(
    ("prompt", "error", "status"),
    [("hit the rate limit", errors.RateLimitError, 429), ("please fail", errors.ProviderError, 500)],
)
def test_failures_behind_the_proxy(get_adapter, protocol, ask, prompt, error, status):
    with pytest.raises(error) as caught:
        ask(get_adapter("brittle", protocol), prompt)
    assert (caught.value.provider, caught.value.model, caught.value.status) == ("gateway", "brittle", status)
    assert KEY not in repr(vars(caught.value))


@pytest.mark.parametrize("protocol", ["openai-chat", "anthropic-messages"])
@pytest.mark.parametrize(("model", "status"), [("limited", 429), ("broken", 500)])
def test_litellms_own_mock_failures(get_adapter, protocol, model, status):
    with pytest.raises(errors.AdapterError, match="mock") as caught:
        execute(get_adapter(model, protocol), "Hi")
    assert caught.value.status == status


@pytest.mark.parametrize("protocol", ["openai-chat", "anthropic-messages", "gemini-generate"])
@streamed_or_not
def test_litellms_own_mock_answers(get_adapter, protocol, ask):
    assert ask(get_adapter("mock", protocol), "Hi").text == "Hello from the gateway."


@each_protocol
@streamed_or_not
def test_the_price_that_the_proxy_reports(get_adapter, protocol, ask):
    completion = ask(get_adapter("swift", protocol, cost=PRICES), "Explain recursion")
    exact = (completion.usage.prompt_tokens * 2 + completion.usage.completion_tokens * 5) / 1e6
    assert completion.cost == pytest.approx(exact, rel=1e-12)
    by_proxy = "openai" in protocol or (ask is execute and protocol == "anthropic-messages")
    assert completion.bill.source == ("provider" if by_proxy else "user")


@each_protocol
@streamed_or_not
def test_a_price_that_the_proxy_does_not_know_is_unknown_or_that_of_the_same_model(get_adapter, protocol, ask):
    assert ask(get_adapter("scholar", protocol), "Explain recursion").cost is None
    like = ask(get_adapter("scholar", protocol, same_as="openai/gpt-5-mini"), "Explain recursion")
    listed = nbkit.catalog.loc["openai/gpt-5-mini"]
    usage = like.usage
    exact = (usage.prompt_tokens * listed.input_cost + usage.completion_tokens * listed.output_cost) / 1e6
    assert like.cost == pytest.approx(exact, rel=1e-12)
    assert like.bill.source == "catalog"


def test_a_known_provider_goes_through_the_proxy_by_its_base_url(proxy):
    adapter = nbkit.get_adapter("openai/scholar", base_url=f"{proxy}/v1", api_key=KEY, max_retries=0)
    assert adapter.endpoint.protocol == "openai-responses"
    assert (
        adapter.execute("Explain recursion").text == nbkit.get_adapter("demo/scholar").execute("Explain recursion").text
    )
