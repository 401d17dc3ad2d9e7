"""Fields that nbkit adds by itself: left out where a server refuses them, never what the user has put there."""

import pytest
from scripted_provider import piece, sse, streamed, whole
from test_calls import FOUR, four

from nbkit import errors

RESPONSE = {
    "id": "r1",
    "object": "response",
    "status": "completed",
    "model": "m1",
    "output": [
        {"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]}
    ],
    "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15},
}
RESPONSES = {
    "whole": whole(RESPONSE),
    "streamed": streamed(
        sse(
            {"type": "response.output_text.delta", "item_id": "m", "output_index": 0, "delta": "Hello"},
            {"type": "response.completed", "response": RESPONSE},
        )
    ),
}
ENCRYPTED = "reasoning.encrypted_content"
INCLUDE = {"message": "Encrypted content is not supported with this model.", "param": "include", "code": None}


def refusal(error, status=400):
    return whole({"error": error} if isinstance(error, dict) else error, status)


def responses(provider, model="openai/gpt-6-luna", **more):
    return provider.adapter(model, protocol="openai-responses", **more)


@four
@pytest.mark.parametrize(
    "refused",
    [
        pytest.param(refusal(INCLUDE), id="S1-openai"),
        pytest.param(refusal({"message": "Invalid value.", "param": "include"}), id="S1-parameter"),
        pytest.param(refusal({"message": "Unknown parameter: 'include'."}), id="S1-unknown"),
        pytest.param(
            whole({"detail": [{"loc": ["body", "include"], "msg": "Extra inputs are not permitted"}]}, 422),
            id="S1-fastapi",
        ),
    ],
)
def test_a_refused_include_is_left_out_and_remembered_for_the_model(provider, call, good, refused):
    answer = RESPONSES[good.__name__]
    provider.says(refused, answer, answer, answer)
    completion = call(responses(provider), "Hi")
    assert (completion.text, completion.timing.attempts) == ("Hello", 2)
    assert call(responses(provider), "Hi").timing.attempts == 1
    call(responses(provider, "openai/gpt-6-sol"), "Hi")
    assert [body.get("include") for _, _, body in provider.requests] == [[ENCRYPTED], None, None, [ENCRYPTED]]


def test_the_rest_of_the_list_stays(provider):
    provider.says(refusal(INCLUDE), RESPONSES["whole"], RESPONSES["whole"])
    more = {"extra_body": {"top_logprobs": 1}, "logprobs": 1}
    for _ in range(2):
        responses(provider, "openai/gpt-5-chat-latest", same_as="openai/gpt-6-luna").execute("Hi", **more)
    included = [body.get("include") for _, _, body in provider.requests]
    assert all(ENCRYPTED not in items for items in included[1:])


@pytest.mark.parametrize("call", [call for call, good in FOUR if good is streamed])
@pytest.mark.parametrize("protocol", ["openai-chat", "openai-completions"])
def test_refused_stream_options_are_remembered_for_the_server(provider, call, protocol):
    body = sse(
        {"id": "c", "model": "m1", "choices": [{"index": 0, "text": "Hello", "finish_reason": "stop"}]}, b"[DONE]"
    )
    answer = streamed() if protocol == "openai-chat" else streamed(body)
    provider.says(refusal({"message": "Unknown parameter: stream_options"}), answer, answer)
    for model in ("lab/m1", "lab/m2"):
        assert call(provider.adapter(model, protocol=protocol), "Hi").text == "Hello"
    assert ["stream_options" in body for _, _, body in provider.requests] == [True, False, False]


@four
def test_a_refusal_that_stays_is_raised_and_not_remembered(provider, call, good):
    """The message names the field, but that is not what is wrong: the second refusal is the error."""
    refused = refusal({"message": "The encrypted content could not be verified.", "code": "invalid_encrypted_content"})
    provider.says(refused, refused, RESPONSES[good.__name__])
    with pytest.raises(errors.BadRequestError, match="could not be verified") as caught:
        call(responses(provider), "Hi")
    assert caught.value.attempts == 2
    call(responses(provider), "Hi")
    assert [ENCRYPTED in body.get("include", ()) for _, _, body in provider.requests] == [True, False, True]


@four
def test_it_is_not_a_retry(provider, call, good):
    provider.says(refusal(INCLUDE), RESPONSES[good.__name__])
    assert call(responses(provider, max_retries=0), "Hi").text == "Hello"
    provider.says(refusal({"message": "something else"}), RESPONSES[good.__name__])
    with pytest.raises(errors.BadRequestError):
        call(responses(provider, max_retries=0), "Hi")


@pytest.mark.parametrize("call", [call for call, good in FOUR if good is streamed])
def test_what_the_user_put_there_is_never_left_out(provider, call):
    wish = {"extra_body": {"stream_options": {"include_usage": True, "mine": 1}}}
    provider.says(refusal({"message": "Unknown parameter: stream_options"}), streamed())
    with pytest.raises(errors.BadRequestError):
        call(provider.adapter(), "Hi", **wish)
    provider.says(refusal({"message": "Unknown parameter: stream_options"}), streamed(), streamed())
    call(provider.adapter(), "Hi")
    call(provider.adapter(), "Hi", **wish)
    assert ["stream_options" in body for _, _, body in provider.requests] == [True, False, True]
    provider.says(refusal(INCLUDE))
    with pytest.raises(errors.BadRequestError):
        call(responses(provider), "Hi", extra_body={"include": ["file_search_call.results"]})


def test_a_stream_that_is_left_has_shown_that_the_server_answers(provider):
    provider.says(refusal({"message": "no stream_options"}), streamed(sse(piece("Hel"), piece("lo"))), streamed())
    with provider.adapter().stream("Hi") as chunks:
        next(iter(chunks))
    with provider.adapter().stream("Hi") as chunks:
        list(chunks)
    assert ["stream_options" in body for _, _, body in provider.requests] == [True, False, False]
