"""Token counts, prices and what else decides about the cost, as real servers send them."""

import pytest
from answers import PLAIN, anthropic, chat, gemini, message, read, rows

from nbkit.conversation.completion import Usage
from nbkit.protocols.wire import Dialect

USAGES = [
    ("A5: Anthropic's prompt count falls to 0", "anthropic-messages", "stream",
     anthropic(started={"input_tokens": 50_000, "output_tokens": 1}, usage={"input_tokens": 0, "output_tokens": 5}),
     Usage(input=50_000, output=5)),
    ("A5: cached counts fall too", "anthropic-messages", "stream",
     anthropic(started={"input_tokens": 9, "cache_read_input_tokens": 7},
               usage={"input_tokens": 9, "cache_read_input_tokens": 0, "output_tokens": 5}),
     Usage(input=9, cache_read=7, output=5)),
    ("A5: zeros at the end", "openai-chat", "stream",
     [*chat({"content": "a"}, usage=PLAIN, done=False),
      {"choices": [], "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}}, b"[DONE]"],
     Usage(input=10, output=5)),
    ("A5: a part is missing at the end", "openai-chat", "stream",
     [{"choices": [{"delta": {"content": "a"}}], "usage": {"prompt_tokens": 10}},
      *chat(usage={"completion_tokens": 5})], Usage(input=10, output=5)),
    ("A5: zeros behind the marker", "openai-chat", "stream",
     [*chat({"content": "a"}, usage=PLAIN), {"choices": [], "usage": {"prompt_tokens": 0, "completion_tokens": 0}}],
     Usage(input=10, output=5)),
    ("F2: counts behind the marker", "openai-chat", "stream",
     [*chat({"content": "a"}), {"choices": [], "usage": PLAIN}], Usage(input=10, output=5)),
    ("A5: Gemini", "gemini-generate", "stream",
     [*gemini({"text": "a"}, usage={"promptTokenCount": 10, "candidatesTokenCount": 5}),
      {"usageMetadata": {"promptTokenCount": 0, "candidatesTokenCount": 0}}], Usage(input=10, output=5)),
    ("A5: Bedrock", "bedrock-converse", "stream",
     [("messageStop", {"stopReason": "end_turn"}), ("metadata", {"usage": {"inputTokens": 10, "outputTokens": 5}}),
      ("metadata", {"usage": {"inputTokens": 0, "outputTokens": 0}})], Usage(input=10, output=5)),
    ("A5: Ollama", "ollama-chat", "stream",
     [{"message": {"content": "a"}, "prompt_eval_count": 10},
      {"message": {}, "done": True, "prompt_eval_count": 0, "eval_count": 5}], Usage(input=10, output=5)),
    ("A6: doubles", "cohere-v2", "whole",
     {"message": {"content": []}, "finish_reason": "COMPLETE",
      "usage": {"billed_units": {"input_tokens": 5.0, "output_tokens": 2.0}}}, Usage(input=5, output=2)),
    ("A6: doubles elsewhere", "openai-chat", "whole",
     message("a") | {"usage": {"prompt_tokens": 10.0, "completion_tokens": 5.0}}, Usage(input=10, output=5)),
    ("A6: half a token is not a count", "openai-chat", "whole",
     message("a") | {"usage": {"prompt_tokens": 10.5, "completion_tokens": 5}}, None),
    ("U: the total tells what is missing", "openai-chat", "whole",
     message("a") | {"usage": {"prompt_tokens": 10, "total_tokens": 15}}, Usage(input=10, output=5)),
    ("U: counts in the choice", "openai-chat", "stream",
     [*chat({"content": "a"}, finish=None, done=False),
      {"choices": [{"delta": {}, "finish_reason": "stop", "usage": PLAIN}]}], Usage(input=10, output=5)),
    *((f"F9: Gemini counts {value!r}", "gemini-generate", "whole",
       {"candidates": [{"finishReason": "STOP"}], "usageMetadata": {
           "promptTokenCount": 10, "candidatesTokenCount": 5} | {key: value}}, None)
      for value in ("many", 1e30, -1) for key in ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount")),
    ("F9: Anthropic", "anthropic-messages", "whole",
     {"content": [], "stop_reason": "end_turn", "usage": {
         "input_tokens": 1, "output_tokens": 1, "cache_read_input_tokens": "many"}}, None),
    ("F9: Bedrock", "bedrock-converse", "whole",
     {"output": {"message": {"content": []}}, "stopReason": "end_turn",
      "usage": {"inputTokens": 1, "outputTokens": 1, "cacheReadInputTokens": -1}}, None),
    ("W6: reasoning beside the completion", "openai-chat", "whole",
     message("a") | {"usage": {"prompt_tokens": 57, "completion_tokens": 10, "total_tokens": 67,
                               "completion_tokens_details": {"reasoning_tokens": 37}}},
     Usage(input=57, output=10, reasoning=37)),
    ("W7: audio beside the prompt", "openai-chat", "whole",
     message("a") | {"usage": {"prompt_tokens": 9, "completion_tokens": 248, "total_tokens": 632,
                               "prompt_tokens_details": {"audio_tokens": 375}}},
     Usage(input=9, input_audio=375, output=248)),
]  # fmt: skip


@rows(USAGES)
def test_usages(name, how, answer, expected):
    assert read(name, **{how: answer}).usage == expected


FACTS = [  # (service tier, what is not in the price)
    ("A8: Responses", "openai-responses", "whole",
     {"status": "completed", "output": [], "service_tier": "priority"}, ("priority", ())),
    ("W7: chat", "openai-chat", "stream",
     [{"choices": [], "service_tier": "flex"}, *chat({"content": "a"})], ("flex", ())),
    ("W7: Bedrock", "bedrock-converse", "stream",
     [("messageStop", {"stopReason": "end_turn"}), ("metadata", {"serviceTier": {"type": "priority"}})],
     ("priority", ())),
    ("W7: Bedrock's latency", "bedrock-converse", "stream",
     [("messageStop", {"stopReason": "end_turn"}), ("metadata", {"performanceConfig": {"latency": "optimized"}})],
     ("optimized", ())),
    ("W7: Anthropic's speed", "anthropic-messages", "stream",
     anthropic(started={"input_tokens": 1, "service_tier": "standard", "speed": "fast"}), ("fast", ())),
    ("W7: Anthropic's searches, place and advisor", "anthropic-messages", "stream",
     anthropic(usage={"output_tokens": 5, "service_tier": "standard", "inference_geo": "us",
                      "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1},
                      "iterations": [{"type": "advisor_message", "model": "wise"}]}),
     ("standard", ("2 web search requests", "advisor message of wise", "inference_geo us"))),
    ("W7: an answer of another model", "anthropic-messages", "stream",
     anthropic(usage={"output_tokens": 5, "iterations": [{"type": "fallback_message", "model": "other"}]}),
     (None, ("fallback message of other",))),
    ("W7: Gemini", "gemini-generate", "stream",
     gemini({"text": "a"}, usage={"promptTokenCount": 1, "serviceTier": "priority"}), ("priority", ())),
    ("W7: Vertex", "gemini-generate", "stream",
     gemini({"text": "a"}, usage={"promptTokenCount": 1, "trafficType": "ON_DEMAND_FLEX"}), ("ON_DEMAND_FLEX", ())),
    ("W7: Gemini's searches, images and cached audio", "gemini-generate", "whole",
     {"candidates": [{"finishReason": "STOP", "groundingMetadata": {"webSearchQueries": ["a", "b"]}}],
      "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 1290,
                        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1290}],
                        "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 4}]}},
     (None, ("2 web searches", "1290 image output tokens", "4 cached audio tokens"))),
    ("W7: OpenAI's own tools", "openai-responses", "whole",
     {"status": "completed", "output": [{"type": "web_search_call"}, {"type": "web_search_call"}]},
     (None, ("2 web search calls",))),
    ("W7: a search in chat", "openai-chat", "whole",
     message("a", annotations=[{"type": "url_citation"}]), (None, ("web search",))),
    ("W7: Cohere's search units", "cohere-v2", "whole",
     {"message": {"content": []}, "finish_reason": "COMPLETE", "usage": {"billed_units": {"search_units": 1}}},
     (None, ("1 search units",))),
    ("W7: nothing", "openai-chat", "whole",
     message("a") | {"usage": PLAIN | {"server_tool_use": {"web_search_requests": 0}}}, (None, ())),
]  # fmt: skip


@rows(FACTS)
def test_what_tokens_do_not_explain(name, how, answer, expected):
    completion = read(name, **{how: answer})
    assert (completion.service_tier, completion.unpriced) == expected


@pytest.mark.parametrize(
    ("usage", "usd"),
    [
        ({"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.036}}, 0.036),
        ({"cost": 0.0018, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.036}}, 0.0378),
        ({"cost": 0.036, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.036}}, 0.036),
        ({"cost": 0.036}, 0.036),
    ],
    ids=["A7: one's own key", "A7: with a fee", "A7: the gateway's key", "A7: plain"],
)
def test_reported_costs(usage, usd):
    dialect = Dialect(
        reported_cost="usage.cost", own_key="usage.is_byok", own_key_cost="usage.cost_details.upstream_inference_cost"
    )
    assert read("openai-chat", whole=message("a") | {"usage": usage}, dialect=dialect).reported_cost == usd
    streamed = read("openai-chat", chat({"content": "a"}, usage=usage), dialect=dialect)
    assert streamed.reported_cost == usd
