"""What the calls do for single protocols: prompts that a server cut, images that it wants as data, its own words."""

import pytest
from scripted_provider import whole

from nbkit import errors

GEMINI_BUSY = {
    "error": {
        "code": 429,
        "message": "Quota exceeded",
        "status": "RESOURCE_EXHAUSTED",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "48s"}],
    }
}


def ollama(read):
    message = {"role": "assistant", "content": "Hello"}
    return whole({"model": "m1", "message": message, "done": True, "done_reason": "stop"} | read)


@pytest.mark.parametrize(
    ("prompt", "counted", "cut"),
    [(12_000, 4096, True), (4000, 5000, False), (100, 20, False), (12_000, None, False)],
)
def test_a_prompt_that_the_server_cut_is_told(provider, prompt, counted, cut):
    counts = {} if counted is None else {"prompt_eval_count": counted, "eval_count": 5}
    provider.says(ollama(counts))
    adapter = provider.adapter(protocol="ollama-chat")
    completion = adapter.execute("word " * prompt)
    why = "the model read 4096 of about 15000 tokens: a larger num_ctx reads more"
    assert [str(change) for change in completion.changes] == [f"dropped part of the prompt: {why}"] * cut


def test_the_addresses_of_images_are_fetched_where_a_model_wants_data_but_not_from_this_machine(provider):
    image = {"type": "image_url", "image_url": f"{provider.url}/secret.png"}
    said = [{"role": "user", "content": ["Look", image]}]
    adapter = provider.adapter(protocol="ollama-chat")
    for call in (adapter.execute, lambda said: list(adapter.stream(said))):
        with pytest.raises(errors.ConversationError, match=r"127\.0\.0\.1"):
            call(said)
    assert provider.requests == []


def test_the_body_may_say_when_to_try_again(provider):
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
