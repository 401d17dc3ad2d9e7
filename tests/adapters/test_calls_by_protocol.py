"""Calls in every protocol over real HTTP: each answer of the vectors by all four calls, then what is special to one."""

import asyncio
import json

import pytest
from engines import on_engines
from scripted_provider import Answer, whole
from stream_writers import CONTENT_TYPES
from vector_files import load

from nbkit import errors
from nbkit.protocols import PROTOCOLS, protocol


def execute(adapter):
    return adapter.execute("Hi")


def aexecute(adapter):
    return asyncio.run(adapter.aexecute("Hi"))


def stream(adapter):
    with adapter.stream("Hi") as chunks:
        text = "".join(chunk.text for chunk in chunks)
    assert text == chunks.completion.text
    return chunks.completion


def astream(adapter):
    async def pump():
        async with adapter.astream("Hi") as chunks:
            text = "".join([chunk.text async for chunk in chunks])
        assert text == chunks.completion.text
        return chunks.completion

    return asyncio.run(pump())


# A dialect belongs to a provider of the tables: the server here is one of the user's own.
ANSWERS = [(name, vector) for name in PROTOCOLS for vector in load(name).decode if not vector.dialect]


@on_engines("call", execute, aexecute, stream, astream)
@pytest.mark.parametrize(("name", "vector"), ANSWERS, ids=[f"{name}: {vector.name}" for name, vector in ANSWERS])
def test_all_four_calls_give_the_completion(provider, name, vector, call):
    framing = protocol(name).FRAMING
    streamed = Answer(200, vector.body(framing), CONTENT_TYPES[framing])
    provider.says(streamed if call in (stream, astream) else whole(vector.whole))
    completion = call(provider.adapter(protocol=name))
    assert vector.completion.describe(completion) == vector.completion
    [(path, _, body)] = provider.requests
    assert path.startswith("/v1/")
    assert "Hi" in json.dumps(body)


@pytest.mark.parametrize("call", [execute, stream])
@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_refused_call_is_an_error_in_every_protocol(provider, name, call):
    provider.says(whole({"error": {"message": "no such model", "code": "model_not_found"}}, 404))
    with pytest.raises(errors.BadRequestError, match="lab/m1: no such model"):
        call(provider.adapter(protocol=name))


PICTURE = {"type": "image_url", "image_url": "data:image/png;base64,iVBORw0KGgo="}
GEMINI_BUSY = {
    "error": {
        "code": 429,
        "message": "Quota exceeded",
        "status": "RESOURCE_EXHAUSTED",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "48s"}],
    }
}


def ollama(counts):
    message = {"role": "assistant", "content": "Hello"}
    return whole({"model": "m1", "message": message, "done": True, "done_reason": "stop"} | counts)


@pytest.mark.parametrize(
    ("prompt", "counted", "cut"),
    [(12_000, 4096, True), (4000, 5000, False), (100, 20, False), (12_000, None, False)],
)
def test_a_prompt_that_the_server_cut_is_listed_in_the_changes(provider, prompt, counted, cut):
    counts = {} if counted is None else {"prompt_eval_count": counted, "eval_count": 5}
    provider.says(ollama(counts))
    adapter = provider.adapter(protocol="ollama-chat")
    completion = adapter.execute("word " * prompt)
    why = "the model read 4096 of about 15000 tokens: a larger num_ctx reads more"
    assert [str(change) for change in completion.changes] == [f"dropped part of the prompt: {why}"] * cut


def test_the_addresses_of_images_are_fetched_where_a_model_wants_data_but_not_from_this_machine(provider):
    image = {"type": "image_url", "image_url": f"{provider.url}/secret.png"}
    conversation = [{"role": "user", "content": ["Look", image]}]
    adapter = provider.adapter(protocol="ollama-chat")
    for call in (adapter.execute, lambda conversation: list(adapter.stream(conversation))):
        with pytest.raises(errors.ConversationError, match=r"127\.0\.0\.1"):
            call(conversation)
    assert provider.requests == []


def test_the_body_may_have_the_seconds_to_wait(provider):
    provider.says(whole(GEMINI_BUSY, 429))
    with pytest.raises(errors.RateLimitError, match="Quota exceeded") as caught:
        provider.adapter(protocol="gemini-generate", max_retries=0).execute("Hi")
    assert caught.value.retry_after == 48


def test_several_answers_to_one_prompt(provider):
    choices = [
        {"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        for index, text in enumerate(("one", "two"))
    ]
    provider.says(whole({"id": "c1", "model": "m1", "choices": choices}))
    completion = provider.adapter().execute("Hi", n=2)
    assert provider.requests[0][2]["n"] == 2
    assert completion.text == "one"
    assert [choice.text for choice in completion.choices] == ["one", "two"]


def test_a_protocol_without_tools_images_and_reasoning_refuses_them_before_sending(provider):
    """Even where the model has them all in the catalog; how much to reason is dropped, and listed."""
    adapter = provider.adapter("openai/gpt-6-luna", protocol="openai-completions")
    for conversation, options, message in (
        ("Hi", {"tools": [{"name": "f"}]}, "does not call tools"),
        ([{"role": "user", "content": [PICTURE]}], {}, "does not read images"),
    ):
        with pytest.raises(errors.UnsupportedFeatureError, match=message):
            adapter.execute(conversation, **options)
    assert provider.requests == []
    provider.says(whole(load("openai-completions").decode[0].whole))
    completion = adapter.execute("Hi", reasoning_effort="low")
    assert [change.what for change in completion.changes] == ["reasoning_effort"]
    assert provider.requests[0][2] == {"model": "gpt-6-luna", "prompt": "Hi", "max_tokens": 1024}
