"""Errors in an answer of 200, and where an answer ends."""

import json

import pytest
from answers import PLAIN, WHOLE, anthropic, block, call, chat, feed, gemini, message, read, responses, rows
from msgspec.structs import replace

from nbkit import errors
from nbkit.conversation.completion import Usage
from nbkit.protocols import PROTOCOLS

TOO_LONG = "This model's maximum context length is 8192 tokens"
ERRORS = [  # (class, message, code)
    ("A3: error_type and error_message", "openai-chat", "stream",
     [{"choices": None, "error_type": "BadRequestError", "error_message": TOO_LONG}],
     ("ContextLengthError", TOO_LONG, "BadRequestError")),
    ("A3: whole", "openai-chat", "whole",
     {"choices": None, "error_type": "BadRequestError", "error_message": TOO_LONG},
     ("ContextLengthError", TOO_LONG, "BadRequestError")),
    ("A3: vLLM", "openai-chat", "stream",
     [*chat({"content": "a"}, finish=None, done=False),
      {"object": "error", "message": TOO_LONG, "type": "BadRequestError", "code": 400}],
     ("ContextLengthError", TOO_LONG, "BadRequestError")),
    ("A3: MiniMax", "openai-chat", "whole",
     {"choices": None, "base_resp": {"status_code": 1004, "status_msg": "login fail"}},
     ("ProviderError", "login fail", "1004")),
    ("A3: a list", "openai-chat", "stream", [[{"error": {"code": 429, "message": "Slow down"}}]],
     ("RateLimitError", "Slow down", "429")),
    ("A3: FastAPI", "openai-chat", "stream", [{"detail": "Model is loading"}],
     ("ProviderError", "Model is loading", None)),
    ("A3: Cloudflare", "openai-chat", "stream", [{"success": False, "errors": [{"code": 7009, "message": "No route"}]}],
     ("ProviderError", "No route", "7009")),
    ("A3: with the finish reason", "openai-chat", "stream",
     [{"choices": [{"delta": {}, "finish_reason": "error"}], "error_message": "Overloaded"}],
     ("ProviderError", "Overloaded", None)),
    ("A3: Apigee", "openai-chat", "whole", {"fault": {"faultstring": "Quota", "detail": {"errorcode": "x"}}},
     ("ProviderError", "Quota", None)),
    ("A3: details in an object", "openai-chat", "stream", [{"detail": {"error": "Model is loading"}}],
     ("ProviderError", "Model is loading", None)),
    ("A3: an event named error, as text", "openai-chat", "stream", [("error", b"upstream timed out")],
     ("ProviderError", "upstream timed out", None)),
    ("A3: a name with JSON text", "anthropic-messages", "stream", [("error", b'"overloaded"')],
     ("ProviderError", "overloaded", None)),
    ("A3: Anthropic's relative", "anthropic-messages", "stream", [{"message": "Slow down", "code": 429}],
     ("RateLimitError", "Slow down", "429")),
    ("A3: Responses", "openai-responses", "stream", [{"message": "Slow down", "code": 429}],
     ("RateLimitError", "Slow down", "429")),
    ("A3: Gemini", "gemini-generate", "stream", [{"message": "Slow down", "code": 429}],
     ("RateLimitError", "Slow down", "429")),
    ("A3: Ollama", "ollama-chat", "stream", [{"message": "Slow down", "code": 429}],
     ("RateLimitError", "Slow down", "429")),
    ("A3: Bedrock", "bedrock-converse", "stream", [("", {"message": "Slow down", "code": 429})],
     ("RateLimitError", "Slow down", "429")),
    ("A9: another API's answer", "openai-chat", "whole", {"result": {"response": "hello"}, "success": True},
     ("ProviderError", 'the answer is not a chat completion: it has no choices: '
                       '{"result":{"response":"hello"},"success":true}', None)),
    ("A9: Responses", "openai-responses", "whole", {"choices": []},
     ("ProviderError", 'the answer is not a response: it has no output: {"choices":[]}', None)),
    ("A9: Gemini", "gemini-generate", "whole", {"choices": []},
     ("ProviderError", 'the answer is not an answer of Gemini: it has no candidates: {"choices":[]}', None)),
    ("A10: a choice of another kind", "openai-chat", "whole", {"choices": [{"output": "hello"}]},
     ("ProviderError", 'the answer is not a chat completion: it has no message: {"choices":[{"output":"hello"}]}',
      None)),
]  # fmt: skip


@rows(ERRORS)
def test_errors(name, how, answer, expected):
    with pytest.raises(errors.AdapterError) as caught:
        read(name, **{how: answer})
    error = caught.value
    assert (type(error).__name__, error.message, error.code) == expected


def test_a_remark_beside_an_answer_is_not_an_error():
    answer = message("a") | {"message": "success", "code": 0, "error": None, "errors": []}
    assert read("openai-chat", whole=answer).text == "a"
    pong = {"choices": [], "message": "ok", "code": 200}
    assert read("openai-chat", [pong, *chat({"content": "a"})]).text == "a"


BILLED = [
    ("W4: Gemini's tool call", "gemini-generate", "whole",
     {"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "UNEXPECTED_TOOL_CALL"}],
      "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5}}, "a"),
    ("W4: in a stream", "gemini-generate", "stream",
     gemini({"text": "a"}, finish="MALFORMED_FUNCTION_CALL",
            usage={"promptTokenCount": 10, "candidatesTokenCount": 5}), "a"),
    ("W4: a call without a name", "openai-chat", "whole",
     message("a", tool_calls=[{"id": "a", "function": {"arguments": "{}"}}]) | {"usage": PLAIN}, "a"),
    ("W4: Anthropic", "anthropic-messages", "whole",
     {"content": [{"type": "text", "text": "a"}, {"type": "tool_use"}],
      "usage": {"input_tokens": 10, "output_tokens": 5}}, "a"),
    ("W4: a router's error", "openai-chat", "whole",
     message("a", finish="error") | {"usage": PLAIN}, "a"),
    ("W4: a failed response", "openai-responses", "whole",
     {"status": "failed", "output": [], "error": {"code": "server_error", "message": "x"},
      "usage": {"input_tokens": 10, "output_tokens": 5}}, ""),
    ("W4: Cohere", "cohere-v2", "whole",
     {"message": {"content": [{"text": "a"}]}, "finish_reason": "ERROR",
      "usage": {"tokens": {"input_tokens": 10, "output_tokens": 5}}}, "a"),
]  # fmt: skip


@rows(BILLED)
def test_an_error_of_a_billed_answer_keeps_its_counts(name, how, answer, expected):
    with pytest.raises(errors.AdapterError) as caught:
        read(name, **{how: answer})
    assert caught.value.partial.usage == Usage(input=10, output=5)
    assert caught.value.partial.text == expected


ENDS = [  # finish reason of the completion, None for a StreamError
    ("W3: counts, then [DONE]", "openai-chat", "stream", chat({"content": "a"}, finish=None, usage=PLAIN), "stop"),
    ("W3: a whole call, then [DONE]", "openai-chat", "stream",
     chat(call(WHOLE, "f", 0, id="a"), finish=None), "tool_calls"),
    ("W3: counts behind [DONE]", "openai-chat", "stream",
     [*chat({"content": "a"}, finish=None), {"choices": [], "usage": PLAIN}], "stop"),
    ("W3: text completions", "openai-completions", "stream",
     [{"choices": [{"text": "a"}]}, {"choices": [], "usage": PLAIN}, b"[DONE]"], "stop"),
    ("W3: text completions, whole", "openai-completions", "whole",
     {"choices": [{"text": "a"}], "usage": PLAIN}, "stop"),
    ("W3: a whole answer with empty fields", "openai-chat", "whole",
     message("a", finish="", tool_calls=[{"custom": {"name": ""}} | call(WHOLE, "f", id="a")["tool_calls"][0]])
     | {"usage": PLAIN}, "tool_calls"),
    ("W3: [DONE] alone", "openai-chat", "stream", chat({"content": "a"}, finish=None), None),
    ("W3: counts alone", "openai-chat", "stream", chat({"content": "a"}, finish=None, usage=PLAIN, done=False), None),
    ("W3: zeros, then [DONE]", "openai-chat", "stream",
     chat({"content": "a"}, finish=None, usage={"prompt_tokens": 0, "completion_tokens": 0}), None),
    ("W3: a cut call, then [DONE]", "openai-chat", "stream",
     chat(call('{"q":', "f", 0, id="a"), finish=None, usage=PLAIN), None),
    ("F12: a second answer that nobody requested", "openai-chat", "stream",
     [{"choices": [{"index": 1, "delta": {"content": "x"}}, {"index": 0, "delta": {"content": "a"}}]},
      *chat()], "stop"),
    ("F12: Anthropic without message_stop", "anthropic-messages", "stream",
     anthropic(block(0, "text", text="a"), ended=False), "stop"),
    ("F12: nor counts", "anthropic-messages", "stream",
     anthropic(block(0, "text", text="a"), usage={"input_tokens": 3}, ended=False), None),
]  # fmt: skip


@rows(ENDS)
def test_ends(name, how, answer, expected):
    if expected is None:
        with pytest.raises(errors.StreamError) as caught:
            read(name, answer)
        assert caught.value.partial is not None
    else:
        assert read(name, **{how: answer}).finish_reason == expected


def test_f12_a_second_answer_that_never_ends_is_left_out():
    first = {"choices": [{"index": 0, "delta": {"content": "a"}}, {"index": 1, "delta": {"content": "x"}}]}
    completion = read("openai-chat", [first, *chat()])
    assert (completion.text, completion.choices) == ("a", ())
    with pytest.raises(errors.StreamError):  # without the marker it may have been cut
        read("openai-chat", [first, *chat(done=False)])


DONE = {
    "openai-chat": chat({"content": "a"}),
    "openai-completions": [{"choices": [{"text": "a", "finish_reason": "stop"}]}, b"[DONE]"],
    "anthropic-messages": anthropic(block(0, "text", text="a")),
    "anthropic-vertex": anthropic(block(0, "text", text="a")),
    "gemini-generate": gemini({"text": "a"}, usage={"promptTokenCount": 1, "candidatesTokenCount": 1}),
    "openai-responses": responses({"type": "response.output_text.delta", "delta": "a"}),
    "cohere-v2": [
        {"type": "content-delta", "delta": {"message": {"content": {"text": "a"}}}},
        {"type": "message-end", "delta": {"finish_reason": "COMPLETE"}},
    ],
    "ollama-chat": [{"message": {"content": "a"}, "done": False}, {"message": {}, "done": True}],
    "bedrock-converse": [
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "a"}}),
        ("messageStop", {"stopReason": "end_turn"}),
        ("metadata", {"usage": {"inputTokens": 1, "outputTokens": 1}}),
    ],
}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_f2_a_decoder_knows_its_end_and_takes_no_text_behind_it(name):
    events = DONE[name]
    for length in range(len(events)):
        assert not feed(name, events[:length])[0].done
    decoder, _ = feed(name, events)
    assert decoder.done
    answer = replace(decoder.finish(), raw=None)
    for late in (events[0], events[-2], {"error": {"message": "late"}}, b"junk", ("error", b"late")):
        label, data = late if isinstance(late, tuple) else ("", late)
        assert decoder.feed(label, data if isinstance(data, bytes) else json.dumps(data).encode()) == []
    assert replace(decoder.finish(), raw=None) == answer
