"""Token counts, prices and what else decides about the cost, as real servers send them."""

import pytest
from answers import PLAIN, anthropic, chat, gemini, message, read, rows

from nbkit.conversation.completion import NO_CHARGES, Charges, Usage
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
     {"status": "completed", "output": [], "service_tier": "priority"}, ("priority", NO_CHARGES)),
    ("W7: chat", "openai-chat", "stream",
     [{"choices": [], "service_tier": "flex"}, *chat({"content": "a"})], ("flex", NO_CHARGES)),
    ("W7: Bedrock", "bedrock-converse", "stream",
     [("messageStop", {"stopReason": "end_turn"}), ("metadata", {"serviceTier": {"type": "priority"}})],
     ("priority", NO_CHARGES)),
    ("W7: Bedrock's latency", "bedrock-converse", "stream",
     [("messageStop", {"stopReason": "end_turn"}), ("metadata", {"performanceConfig": {"latency": "optimized"}})],
     ("optimized", NO_CHARGES)),
    ("W7: Anthropic's speed", "anthropic-messages", "stream",
     anthropic(started={"input_tokens": 1, "service_tier": "standard", "speed": "fast"}), ("fast", NO_CHARGES)),
    ("W7: Anthropic's searches, place and advisor", "anthropic-messages", "stream",
     anthropic(usage={"output_tokens": 5, "service_tier": "standard", "inference_geo": "us",
                      "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1},
                      "iterations": [
                          {"type": "advisor_message", "model": "wise", "input_tokens": 9, "output_tokens": 2},
                          {"type": "message", "input_tokens": 1, "output_tokens": 5},
                          {"type": "advisor_message", "model": "wise", "input_tokens": 1, "output_tokens": 1},
                          {"type": "advisor_message", "model": "mute"}]}),
     ("standard", Charges({"web_search": 2}, "us", (("wise", Usage(input=10, output=3)),),
                          notes=("mute: not in the price",)))),
    ("W7: several runs and a compaction", "anthropic-messages", "stream",
     anthropic(usage={"output_tokens": 5, "inference_geo": "global", "iterations": [
         {"type": "compaction", "input_tokens": 90, "output_tokens": 3},
         {"type": "message", "input_tokens": 5, "cache_read_input_tokens": 80, "cache_creation_input_tokens": 9,
          "output_tokens": 5}]}),
     (None, Charges(region="global", longest_prompt=94))),
    ("W7: code", "anthropic-messages", "whole",
     {"content": [{"type": "server_tool_use", "id": "s", "name": "bash_code_execution", "input": {}}],
      "stop_reason": "end_turn"}, (None, Charges({"code_execution": 1}))),
    ("W7: an answer of another model", "anthropic-messages", "stream",
     anthropic(usage={"output_tokens": 5, "iterations": [
         {"type": "message", "model": "first", "input_tokens": 7, "output_tokens": 1},
         {"type": "fallback_message", "model": "other", "input_tokens": 8, "output_tokens": 5}]}),
     (None, Charges(models=(("first", Usage(input=7, output=1)),), longest_prompt=8,
                    notes=("first declined: it may be credited",)))),
    ("W7: Gemini", "gemini-generate", "stream",
     gemini({"text": "a"}, usage={"promptTokenCount": 1, "serviceTier": "priority"}), ("priority", NO_CHARGES)),
    ("W7: Vertex", "gemini-generate", "stream",
     gemini({"text": "a"}, usage={"promptTokenCount": 1, "trafficType": "ON_DEMAND_FLEX"}),
     ("ON_DEMAND_FLEX", NO_CHARGES)),
    ("W7: Gemini's searches, images and cached audio", "gemini-generate", "whole",
     {"candidates": [{"finishReason": "STOP", "groundingMetadata": {
         "webSearchQueries": ["a", "b", "a", ""], "groundingChunks": [{"maps": {}}, {"web": {}}]}}],
      "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 1290,
                        "candidatesTokensDetails": [{"modality": "VIDEO", "tokenCount": 90}],
                        "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 4}]}},
     (None, Charges({"web_search": 2, "maps": 1}, notes=("90 tokens of video at the rate of text",)))),
    ("W7: OpenAI's own tools", "openai-responses", "whole",
     {"status": "completed", "output": [{"type": "web_search_call"}, {"type": "web_search_call"}]},
     (None, Charges({"web_search": 2}))),
    ("W7: OpenAI's pages and containers", "openai-responses", "whole",
     {"status": "completed", "output": [
         {"type": "web_search_call", "action": {"type": "search"}},
         {"type": "web_search_call", "action": {"type": "open_page"}},
         *({"type": "code_interpreter_call", "container_id": name} for name in "aab"),
         {"type": "file_search_call"}, {"type": "mcp_call"}]},
     (None, Charges({"web_search": 1, "code_interpreter": 2, "file_search": 1}))),
    ("W7: xAI's tools and sources", "openai-responses", "whole",
     {"status": "completed", "output": [{"type": "web_search_call"}], "usage": {
         "input_tokens": 90, "output_tokens": 4, "num_sources_used": 7, "context_details": {"input_tokens": 60},
         "server_side_tool_usage_details": {"web_search_calls": 2, "x_search_calls": 1, "mcp_calls": 0}}},
     (None, Charges({"web_search": 2, "x_search": 1}, longest_prompt=60))),
    ("W7: Perplexity's tools", "openai-responses", "whole",
     {"status": "completed", "output": [], "usage": {
         "input_tokens": 9, "output_tokens": 4, "tool_calls_details": {"search_web": {"invocation": 3}}}},
     (None, Charges({"web_search": 3}))),
    ("W7: Alibaba's search", "openai-chat", "whole",
     message("a") | {"usage": PLAIN | {"plugins": {"search": {"count": 1, "strategy": "turbo"}}}},
     (None, Charges({"web_search": 1}))),
    ("W7: xAI's live search", "openai-chat", "whole",
     message("a") | {"usage": PLAIN | {"num_sources_used": 3}}, (None, Charges({"sources": 3}))),
    ("W7: Bedrock's own tools", "bedrock-converse", "stream",
     [("messageStop", {"stopReason": "end_turn"}),
      ("metadata", {"usage": {"inputTokens": 1, "outputTokens": 1,
                              "serverToolUsage": {"nova_grounding": 2, "other": 0}}})],
     (None, Charges({"nova_grounding": 2}))),
    ("W7: a search in chat", "openai-chat", "whole",
     message("a", annotations=[{"type": "url_citation"}]), (None, Charges({"web_search": 1}))),
    ("W7: Cohere's search units", "cohere-v2", "whole",
     {"message": {"content": []}, "finish_reason": "COMPLETE", "usage": {"billed_units": {"search_units": 1}}},
     (None, Charges({"search_units": 1}))),
    ("W7: nothing", "openai-chat", "whole",
     message("a") | {"usage": PLAIN | {"server_tool_use": {"web_search_requests": 0}}}, (None, NO_CHARGES)),
]  # fmt: skip


@rows(FACTS)
def test_what_tokens_do_not_explain(name, how, answer, expected):
    completion = read(name, **{how: answer})
    assert (completion.service_tier, completion.charges) == expected


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
