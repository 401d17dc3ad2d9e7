"""Texts, finish reasons and other content as real servers send them, not as the documentation has them."""

import pytest
from answers import anthropic, block, chat, delta, message, read, responses, rows

TEXTS = [  # (text, reasoning)
    ("A10: the text of a text completion", "openai-chat", "whole",
     {"choices": [{"text": "hello", "finish_reason": "stop"}]}, ("hello", "")),
    ("A10: in a stream", "openai-chat", "stream",
     [{"choices": [{"text": "hel"}]}, {"choices": [{"text": "lo", "finish_reason": "stop"}]}], ("hello", "")),
    ("A10: the message is text", "openai-chat", "whole",
     {"choices": [{"message": "hello", "finish_reason": "stop"}]}, ("hello", "")),
    ("A10: the only choice is number 1", "openai-chat", "stream",
     [{"choices": [{"index": 1, "delta": {"content": "hello"}, "finish_reason": "stop"}]}], ("hello", "")),
    ("A10: Anthropic's content is text", "anthropic-messages", "whole",
     {"content": "hello", "stop_reason": "end_turn"}, ("hello", "")),
    ("A10: Cohere's content is text", "cohere-v2", "whole",
     {"message": {"content": "hello"}, "finish_reason": "COMPLETE"}, ("hello", "")),
    ("A10: Responses' output is text", "openai-responses", "whole",
     {"status": "completed", "output": "hello"}, ("hello", "")),
    ("A10: Responses' output_text alone", "openai-responses", "whole",
     {"status": "completed", "output": [], "output_text": "hello"}, ("hello", "")),
    ("A10: Responses' content is text", "openai-responses", "whole",
     {"status": "completed", "output": [{"type": "message", "content": "hello"}]}, ("hello", "")),
    ("W2: the content is an object", "openai-chat", "whole", message({"name": "Ann", "age": 5}),
     ('{"name":"Ann","age":5}', "")),
    ("W2: the content is a list", "openai-chat", "whole", message([{"name": "Ann"}]), ('[{"name":"Ann"}]', "")),
    ("W2: the content is a number", "openai-chat", "whole", message(7), ("7", "")),
    ("W2: an object with the keys of a part", "openai-chat", "whole", message({"text": "a", "type": "cat"}),
     ('{"text":"a","type":"cat"}', "")),
    ("W2: parts stay parts", "openai-chat", "whole",
     message([{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "a"}, "b"]), ("ab", "Hm.")),
    ("W2: Ollama", "ollama-chat", "whole", {"message": {"content": {"a": 1}}, "done": True}, ('{"a":1}', "")),
    ("W11: the transcript of audio", "openai-chat", "whole",
     message(audio={"id": "a", "data": "AAAA", "transcript": "hello"}), ("hello", "")),
    ("W11: the transcript in a stream", "openai-chat", "stream",
     chat({"audio": {"transcript": "hel"}}, {"audio": {"transcript": "lo"}}, {"audio": {"data": "AAAA"}}),
     ("hello", "")),
    ("A36: half an emoji", "openai-chat", "stream",
     [rb'{"choices":[{"delta":{"content":"a \ud83d"}}]}', rb'{"choices":[{"delta":{"content":"\ude00 b"}}]}',
      *chat()], ("a 😀 b", "")),
    ("A36: in reasoning, with text between", "openai-chat", "stream",
     [rb'{"choices":[{"delta":{"reasoning_content":"a \ud83d"}}]}', *chat({"content": "x"}, finish=None, done=False),
      rb'{"choices":[{"delta":{"reasoning_content":"\ude00 b"}}]}', *chat()], ("x", "a 😀 b")),
    ("A36: half the bytes", "openai-chat", "stream",
     [b'{"choices":[{"delta":{"content":"a \xf0\x9f"}}]}', b'{"choices":[{"delta":{"content":"\x98\x80 b"}}]}',
      *chat()], ("a 😀 b", "")),
    ("A36: a half that stays one", "openai-chat", "stream",
     [rb'{"choices":[{"delta":{"content":"a \ud83d"}}]}', *chat({"content": "b"})], ("a �b", "")),
    ("A36: Anthropic", "anthropic-messages", "stream",
     anthropic(block(0, "text", text=""), rb'{"type":"content_block_delta","index":0,"delta":{"text":"a \ud83d"}}',
               {"type": "ping"}, rb'{"type":"content_block_delta","index":0,"delta":{"text":"\ude00 b"}}'),
     ("a 😀 b", "")),
    ("A36: Gemini", "gemini-generate", "stream",
     [rb'{"candidates":[{"content":{"parts":[{"text":"a \ud83d"}]}}]}',
      rb'{"candidates":[{"content":{"parts":[{"text":"\ude00 b"}]},"finishReason":"STOP"}]}'], ("a 😀 b", "")),
    ("A40: a delta without its start", "anthropic-messages", "stream",
     anthropic(delta(0, "text", text="hel"), delta(0, "text", text="lo")), ("hello", "")),
    ("A40: reasoning, then text, at one place", "anthropic-messages", "stream",
     anthropic(delta(0, "thinking", thinking="Hm."), delta(0, "text", text="hello")), ("hello", "Hm.")),
    ("A40: text in a block of reasoning", "anthropic-messages", "stream",
     anthropic(block(0, "thinking", thinking=""), delta(0, "text", text="hello")), ("hello", "")),
    ("J: Bedrock's blocks of reasoning have one number", "bedrock-converse", "stream",
     [*(("contentBlockDelta", {"delta": {"reasoningContent": piece}}) for piece in (
         {"text": "Let "}, {"text": "me."}, {"signature": "c2ln"}, {"redactedContent": "eA=="}, {"text": " Hm."})),
      ("messageStop", {"stopReason": "end_turn"})], ("", "Let me. Hm.")),
    ("W1: parts numbered from 1", "openai-responses", "stream",
     responses({"type": "response.output_text.delta", "output_index": 0, "content_index": 1, "delta": "hello"},
               {"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": "hello"},
               output=[{"type": "message", "content": [{"type": "output_text", "text": "hello"}]}]), ("hello", "")),
    ("W1: two parts, the first of which comes whole only", "openai-responses", "stream",
     responses({"type": "response.output_text.delta", "output_index": 0, "content_index": 1, "delta": "lo"},
               output=[{"type": "message", "content": [{"type": "output_text", "text": "hel"},
                                                       {"type": "output_text", "text": "lo"}]}]), ("lohel", "")),
    ("R2: reasoning typed as text", "openai-responses", "whole",
     {"status": "completed", "output": [
         {"type": "reasoning", "id": "rs", "content": [{"type": "output_text", "text": "Hm."}]},
         {"type": "message", "content": [{"type": "output_text", "text": "hello"}]}]}, ("hello", "Hm.")),
    ("R2: in a stream, as a summary before", "openai-responses", "stream",
     responses({"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "id": "m"}},
               {"type": "response.reasoning_summary_text.delta", "output_index": 0, "item_id": "m", "delta": "Hm."},
               {"type": "response.output_text.delta", "output_index": 0, "item_id": "m", "delta": "hello"},
               output=[{"type": "reasoning", "id": "rs", "content": [{"type": "output_text", "text": "Hm."}]},
                       {"type": "message", "id": "x", "content": [{"type": "output_text", "text": "hello"}]}]),
     ("hello", "Hm.")),
    ("R2: in a stream, as text of an item of reasoning", "openai-responses", "stream",
     responses({"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "id": "rs"}},
               {"type": "response.output_text.delta", "output_index": 0, "item_id": "rs", "delta": "Hm."},
               {"type": "response.output_item.added", "output_index": 1, "item": {"type": "message", "id": "m"}},
               {"type": "response.output_text.delta", "output_index": 1, "item_id": "m", "delta": "hello"},
               output=[{"type": "reasoning", "id": "rs", "content": [{"type": "output_text", "text": "Hm."}]},
                       {"type": "message", "id": "m", "content": [{"type": "output_text", "text": "hello"}]}]),
     ("hello", "Hm.")),
]  # fmt: skip


@rows(TEXTS)
def test_texts(name, how, answer, expected):
    completion = read(name, **{how: answer})
    assert (completion.text, completion.reasoning) == expected


FINISHES = [
    *((f"A35: {word}", "openai-chat", word, reason) for word, reason in [
        ("tool_use", "tool_calls"), ("STOP", "stop"), ("MAX_TOKENS", "length"), ("tool-calls", "tool_calls"),
        ("FinishReason.STOP", "stop"), ("FINISH_REASON_MAX_TOKENS", "length"), ("end_turn", "stop"), ("eos", "stop"),
        ("SAFETY", "content_filter"), ("recitation", "content_filter"), ("Length", "length"), ("toolUse", "tool_calls"),
        ("max_output_tokens", "length"), ("COMPLETE", "stop"), ("insufficient_system_resource",) * 2]),
    ("A35: in text completions", "openai-completions", "MAX_TOKENS", "length"),
    ("A35: stop in Anthropic's messages", "anthropic-messages", "stop", "stop"),
    ("A35: length in Anthropic's messages", "anthropic-messages", "length", "length"),
    ("A35: stop in Cohere's", "cohere-v2", "stop", "stop"),
    ("A35: stop in Bedrock's", "bedrock-converse", "stop", "stop"),
    ("A35: max_tokens in Gemini's", "gemini-generate", "max_tokens", "length"),
    ("A35: length in Ollama's", "ollama-chat", "LENGTH", "length"),
]  # fmt: skip
ENDINGS = {
    "openai-chat": lambda word: {"choices": [{"message": {"content": "a"}, "finish_reason": word}]},
    "openai-completions": lambda word: {"choices": [{"text": "a", "finish_reason": word}]},
    "anthropic-messages": lambda word: {"content": [{"type": "text", "text": "a"}], "stop_reason": word},
    "cohere-v2": lambda word: {"message": {"content": [{"text": "a"}]}, "finish_reason": word},
    "bedrock-converse": lambda word: {"output": {"message": {"content": [{"text": "a"}]}}, "stopReason": word},
    "gemini-generate": lambda word: {"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": word}]},
    "ollama-chat": lambda word: {"message": {"content": "a"}, "done": True, "done_reason": word},
}


@pytest.mark.parametrize(("name", "word", "reason"), [row[1:] for row in FINISHES], ids=[row[0] for row in FINISHES])
def test_finish_reasons(name, word, reason):
    assert read(name, whole=ENDINGS[name](word)).finish_reason == reason


@pytest.mark.parametrize("reason", ["steered", "max_messages"])
def test_w11_reasons_of_responses_that_stay_openais_own(reason):
    body = {"status": "incomplete", "incomplete_details": {"reason": reason}, "output": []}
    assert read("openai-responses", whole=body).finish_reason == reason


def test_w11_blocks_that_a_completion_has_no_place_for_stay_in_raw():
    search = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"q": 1}}
    results = {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"title": "x"}]}
    completion = read(
        "anthropic-messages",
        anthropic(
            block(0, **{"kind": "server_tool_use", "id": "s", "name": "web_search", "input": {}}),
            delta(0, "input_json", partial_json='{"q"'),
            delta(0, "input_json", partial_json=":1}"),
            {"type": "content_block_start", "index": 1, "content_block": results},
            block(2, "compaction", content=""),
            delta(2, "compaction", content="Summary.", encrypted_content="x"),
            stop="pause_turn",
        ),
    )
    compaction = {"type": "compaction", "content": "Summary.", "encrypted_content": "x"}
    assert completion.raw["content"] == [search, results, compaction]
    assert (completion.text, completion.tool_calls, completion.finish_reason) == ("", (), "pause_turn")


def test_w11_bedrocks_images_and_results_of_tools_stay_in_raw():
    completion = read(
        "bedrock-converse",
        [
            ("contentBlockStart", {"contentBlockIndex": 0, "start": {"image": {"format": "png"}}}),
            ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"image": {"source": {"bytes": "AAAA"}}}}),
            ("contentBlockStart", {"contentBlockIndex": 1, "start": {"toolResult": {"toolUseId": "t"}}}),
            ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolResult": [{"text": "3"}]}}),
            ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"text": "a"}}),
            ("messageStop", {"stopReason": "end_turn"}),
        ],
    )
    assert completion.text == "a"
    assert completion.raw["output"]["message"]["content"] == [
        {"image": {"format": "png", "content": [{"source": {"bytes": "AAAA"}}]}},
        {"toolResult": {"toolUseId": "t", "content": [{"text": "3"}]}},
    ]
