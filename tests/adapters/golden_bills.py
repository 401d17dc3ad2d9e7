"""Usage objects in the shapes that providers send, each with its bill worked out by hand.

The sums are in millionths of a USD: tokens x USD per million tokens. The rates are those of the catalog, and of the
tables for what it does not list (`golden_usage.PRICES`, which `test_wire_bills` compares). A row: id, model, usage,
total in USD, source, and what else the answer holds (`protocol`, `body`, `output`, `grounding`) or the bill says.
"""

from golden_chat import CHAT
from golden_usage import (
    ASTRA,
    BEDROCK,
    COHERE,
    FLASH,
    FLASH_3,
    GPT,
    GPT_41,
    GROK,
    HAIKU,
    LITE,
    LUNA,
    NOVA,
    OPUS,
    PRO,
    ROUTED,
    SONNET,
    VERTEX,
    bedrock,
    claude,
    gemini,
    kinds,
    responses,
    run,
)

SEARCHES = [{"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "x"}}] * 2
CODE = [{"type": "code_interpreter_call", "container_id": name, "code": "1"} for name in ("c1", "c1", "c2")]

RESPONSES = [
    # 100 x 2.5 + 50 x 15 = 250 + 750
    ("responses: plain", GPT, responses(100, 50), 0.001, "catalog", {"body": {"service_tier": "default"}}),
    # (5,000 - 4,096) x 2.5 + 4,096 x 0.25 + 900 x 15 = 2,260 + 1,024 + 13,500
    (
        "responses: cached, reasoning within", GPT, responses(5_000, 900, read=4_096, thought=640), 0.016784, "catalog",
        {"saved": 0.009216},
    ),
    # above 272,000: (300,000 - 100,000) x 5 + 100,000 x 0.5 + 1,000 x 22.5 = 1,000,000 + 50,000 + 22,500
    ("responses: a long prompt", GPT, responses(300_000, 1_000, read=100_000), 1.0725, "catalog", {"tier": 272_000}),
    # exactly 272,000: 272,000 x 2.5 + 0 = 680,000
    ("responses: a prompt of the size", GPT, responses(272_000, 0), 0.68, "catalog", {"tier": None}),
    # priority: 1,000 x 5 + 100 x 30 = 5,000 + 3,000
    (
        "responses: priority", GPT, responses(1_000, 100), 0.008, "catalog",
        {"body": {"service_tier": "priority"}, "lane": "priority"},
    ),
    # flex at half: (2,500 + 1,500) / 2
    (
        "responses: flex", GPT, responses(1_000, 100),
        0.002, "estimate", {"body": {"service_tier": "flex"}, "lane": "flex"},
    ),
    # ultrafast: 1,000 x 60 + 100 x 300 = 60,000 + 30,000
    ("responses: ultrafast", ASTRA, responses(1_000, 100), 0.09, "catalog", {"body": {"service_tier": "ultrafast"}}),
    # a mode without a price of its own is not a lane: 1,000 x 10 + 100 x 50
    ("responses: auto", ASTRA, responses(1_000, 100), 0.015, "catalog", {"body": {"service_tier": "auto"}}),
    # (2,000 - 1,000 - 600) x 0.1 + 1,000 x 0.01 + 600 x 0.125 + 10 x 0.5 = 40 + 10 + 75 + 5;
    # saved 1,000 x 0.09 - 600 x 0.025 = 75
    (
        "responses: written to the cache", LUNA, responses(2_000, 10, read=1_000, written=600), 0.00013, "catalog",
        {"saved": 0.000075},
    ),
    # 500 for 30 minutes, 100 for 12 hours at 2.5 x 0.1: 400 x 0.1 + 500 x 0.125 + 100 x 0.25 = 40 + 62.5 + 25
    (
        "responses: written for 12 hours", LUNA,
        responses(1_000, 0) | {"input_tokens_details": {
            "cached_tokens": 0, "cache_write_tokens": 600,
            "cache_write_tokens_details": {"ttl_30m_tokens": 500, "ttl_12h_tokens": 100}}},
        0.0001275, "estimate", {"saved": -0.0000275},
    ),
    # 2 searches x 0.01 = 20,000; 8,000 x 2.5 + 100 x 15 = 21,500
    ("responses: searches", GPT, responses(8_000, 100), 0.0415, "catalog", {"output": SEARCHES}),
    # a page that is opened is not a search: 20,000 + 21,500
    (
        "responses: searches and pages", GPT, responses(8_000, 100), 0.0415, "catalog",
        {"output": [*SEARCHES, {"type": "web_search_call", "action": {"type": "open_page"}}]},
    ),
    # 2 searches of a model that does not reason x 0.025 = 50,000; 100 x 2 + 10 x 8 = 280
    ("responses: searches of gpt-4.1", GPT_41, responses(100, 10), 0.05028, "estimate", {"output": SEARCHES}),
    # 2 containers x 0.03 = 60,000; 100 x 2.5 + 10 x 15 = 400
    ("responses: code", GPT, responses(100, 10), 0.0604, "estimate", {"output": CODE}),
    # 1 x 0.0025 = 2,500; 400
    ("responses: files", GPT, responses(100, 10), 0.0029, "catalog", {"output": [{"type": "file_search_call"}]}),
    # an image that another model made, of which nothing is counted: 400
    (
        "responses: an image", GPT, responses(100, 10), 0.0004, "estimate",
        {"output": [{"type": "image_generation_call"}]},
    ),
    # calls of an MCP server cost their tokens: 400
    ("responses: MCP", GPT, responses(100, 10), 0.0004, "catalog", {"output": [{"type": "mcp_call"}]}),
    # a cheaper model answered: 1,000 x 0.25 + 100 x 2 = 450
    (
        "responses: another model", GPT, responses(1_000, 100), 0.00045, "catalog",
        {"body": {"model": "gpt-5-mini-2025-08-07"}, "model": "gpt-5-mini-2025-08-07"},
    ),
    # Azure: 1,000 x 2.5 + 100 x 15 = 4,000, and 2 searches x 0.014 = 28,000
    ("azure: searches", "azure/gpt-5.4", responses(1_000, 100), 0.032, "catalog", {"output": SEARCHES}),
    # xAI: the sum of the runs, of which the longest was below 200,000; ours: (210,000 - 150,000) x 2 + 150,000 x 0.5 +
    # 444 x 6 + 2 searches x 5,000 = 120,000 + 75,000 + 2,664 + 10,000 = 207,664
    (
        "xai: tools, several runs", GROK,
        responses(
            210_000, 444, read=150_000, thought=245, num_sources_used=0, cost_in_usd_ticks=2_076_640_000,
            context_details={"input_tokens": 104_640, "output_tokens": 353},
            server_side_tool_usage_details={"web_search_calls": 2, "x_search_calls": 0, "mcp_calls": 0},
        ),
        0.207664, "provider", {"protocol": "openai-responses", "difference": 0, "tier": None},
    ),
    # Perplexity reports the sum; ours: 1,000 x 2.5 + 100 x 15 + 3 x 2,500 = 2,500 + 1,500 + 7,500 = 11,500
    (
        "perplexity: searches", "perplexity-agent/openai/gpt-5.4",
        responses(1_000, 100, cost={"total_cost": 0.012}, tool_calls_details={"search_web": {"invocation": 3}}),
        0.012, "provider", {"difference": 0.0005},
    ),
]  # fmt: skip

ANTHROPIC = [
    # 25 x 5 + 150 x 25 = 125 + 3,750
    ("anthropic: plain", OPUS, claude(25, 150), 0.003875, "catalog", {"saved": 0.0}),
    # 10 x 5 + 2,000 x 6.25 + 8,000 x 0.5 + 100 x 25 = 50 + 12,500 + 4,000 + 2,500;
    # saved 8,000 x 4.5 - 2,000 x 1.25 = 33,500
    (
        "anthropic: read and written", OPUS, claude(10, 100, read=8_000, written=2_000), 0.01905, "catalog",
        {"saved": 0.0335},
    ),
    # the first call only writes: 10 x 5 + 2,000 x 6.25 + 0; saved -2,000 x 1.25
    ("anthropic: written", OPUS, claude(10, 0, written=2_000), 0.01255, "catalog", {"saved": -0.0025}),
    # 10 x 2 + 1,000 x 2.5 + 3,000 x 2 x 2 + 10 x 10 = 20 + 2,500 + 12,000 + 100
    (
        "anthropic: both lifetimes", SONNET, claude(10, 10, written=4_000, hour=3_000), 0.01462, "estimate",
        {"saved": -0.0065},
    ),
    # 100 x 1 + 600 x 5 = 100 + 3,000: thinking is in the output
    ("anthropic: thinking within", HAIKU, claude(100, 600, thought=450), 0.0031, "catalog", {}),
    # fast: 100 x 10 + 50 x 50 + 1,000 x 1 = 1,000 + 2,500 + 1,000
    ("anthropic: fast", OPUS, claude(100, 50, read=1_000, speed="fast"), 0.0045, "catalog", {"lane": "fast"}),
    # the United States: (100 x 5 + 50 x 25 + 1,000 x 0.5) x 1.1 = 2,250 x 1.1
    ("anthropic: us", OPUS, claude(100, 50, read=1_000, inference_geo="us"), 0.002475, "catalog", {}),
    # fast and there: 4,500 x 1.1
    (
        "anthropic: fast, us", OPUS, claude(100, 50, read=1_000, speed="fast", inference_geo="us"),
        0.00495, "catalog", {},
    ),
    # anywhere: 1,750
    ("anthropic: global", OPUS, claude(100, 50, inference_geo="global"), 0.00175, "catalog", {}),
    # a region that no price list has: 1,750
    ("anthropic: eu", OPUS, claude(100, 50, inference_geo="eu"), 0.00175, "estimate", {}),
    # a commitment: 1,750
    ("anthropic: priority", OPUS, claude(100, 50, service_tier="priority"), 0.00175, "estimate", {"lane": "priority"}),
    # a batch: 1,750 / 2
    ("anthropic: batch", OPUS, claude(100, 50, service_tier="batch"), 0.000875, "estimate", {"lane": "batch"}),
    # 3 searches x 0.01 = 30,000; pages cost their tokens; 9,000 x 2 + 200 x 10 = 20,000
    (
        "anthropic: searches", SONNET,
        claude(9_000, 200, server_tool_use={"web_search_requests": 3, "web_fetch_requests": 2}), 0.05, "catalog", {},
    ),
    # searches there: 20,000 x 1.1 + 30,000
    (
        "anthropic: searches, us", SONNET,
        claude(9_000, 200, inference_geo="us", server_tool_use={"web_search_requests": 3, "web_fetch_requests": 0}),
        0.052, "catalog", {},
    ),
    # a compaction by the same model: (5,000 + 100) x 2 + (20 + 300) x 10 = 10,200 + 3,200
    (
        "anthropic: a compaction", SONNET,
        claude(100, 20, iterations=[run("compaction", 5_000, 300), run("message", 100, 20)]), 0.0134, "catalog", {},
    ),
    # an advisor: 1,000 x 2 + 100 x 10 = 3,000, and at its rates 1,200 x 5 + 500 x 25 = 18,500
    (
        "anthropic: an advisor", SONNET,
        claude(1_000, 100, iterations=[
            run("message", 400, 50), run("advisor_message", 1_200, 500, "claude-opus-5"), run("message", 600, 50)]),
        0.0215, "catalog", {},
    ),
    # an advisor that is not listed: 3,000
    (
        "anthropic: an unknown advisor", SONNET,
        claude(1_000, 100, iterations=[run("advisor_message", 1_200, 500, "claude-oracle-9")]), 0.003, "estimate", {},
    ),
    # a fallback answered: 800 x 1 + 90 x 5 = 1,250, and what declined: 800 x 5 + 4 x 25 = 4,100
    (
        "anthropic: a fallback", OPUS,
        claude(800, 90, iterations=[
            run("message", 800, 4, "claude-opus-5"), run("fallback_message", 800, 90, "claude-haiku-4-5")]),
        0.00535, "estimate", {"model": "claude-haiku-4-5"},
    ),
    # 3 runs of 300,000 do not make a prompt of 900,000: 900,000 x 0.3 + 1,000 x 1.2 = 270,000 + 1,200
    (
        "minimax: several runs", "minimax/MiniMax-M3",
        claude(900_000, 1_000, iterations=[run("message", 300_000, 400), *[run("message", 300_000, 300)] * 2]),
        0.2712, "catalog", {"tier": None},
    ),
    # one prompt of 600,000: 600,000 x 0.6 + 1,000 x 2.4 = 360,000 + 2,400
    ("minimax: a long prompt", "minimax/MiniMax-M3", claude(600_000, 1_000), 0.3624, "catalog", {"tier": 512_000}),
    # Google Cloud's regions: (100 x 2 + 50 x 10) x 1.1 = 770; its global endpoint: 700
    ("vertex: a region", VERTEX, claude(100, 50, inference_geo="us-east5"), 0.00077, "catalog", {}),
    ("vertex: global", VERTEX, claude(100, 50, inference_geo="global"), 0.0007, "catalog", {}),
]  # fmt: skip

GEMINI = [
    # 1,000 x 0.3 + 100 x 2.5 = 300 + 250
    ("gemini: plain", FLASH, gemini(1_000, 100, serviceTier="standard"), 0.00055, "catalog", {}),
    # thoughts stand beside the candidates: 300 + (100 + 400) x 2.5
    ("gemini: thoughts beside", FLASH, gemini(1_000, 100, thoughtsTokenCount=400), 0.00155, "catalog", {}),
    # thoughts alone: 300 + 400 x 2.5
    ("gemini: thoughts alone", FLASH, gemini(1_000, 0, thoughtsTokenCount=400), 0.0013, "catalog", {}),
    # (427 + 771) x 0.3 + (122 + 447) x 2.5 = 359.4 + 1,422.5
    (
        "gemini: a tool's prompt", FLASH, gemini(427, 122, toolUsePromptTokenCount=771, thoughtsTokenCount=447),
        0.0017819, "catalog", {},
    ),
    # (3,000 - 2,000) x 0.3 + 2,000 x 0.03 + 10 x 2.5 = 300 + 60 + 25
    (
        "gemini: cached", FLASH, gemini(3_000, 10, cachedContentTokenCount=2_000), 0.000385, "catalog",
        {"saved": 0.00054},
    ),
    # 100 x 0.3 + 900 x 1 + 10 x 2.5 = 30 + 900 + 25
    (
        "gemini: audio", FLASH, gemini(1_000, 10, promptTokensDetails=kinds(text=100, audio=900)), 0.000955, "catalog",
        {},
    ),
    # text 100 x 0.1, audio 300 x 0.3, cached text 50 x 0.01, cached audio 600 x 0.03, 10 x 0.4: 10 + 90 + 0.5 + 18 + 4;
    # saved 50 x 0.09 + 600 x 0.27 = 166.5
    (
        "gemini: cached audio", LITE,
        gemini(1_050, 10, cachedContentTokenCount=650, promptTokensDetails=kinds(text=150, audio=900),
               cacheTokensDetails=kinds(text=50, audio=600)),
        0.0001225, "catalog", {"saved": 0.0001665},
    ),
    # above 200,000: 250,000 x 4 + (1,000 + 2,000) x 18 = 1,000,000 + 54,000
    (
        "gemini: a long prompt", PRO, gemini(250_000, 1_000, thoughtsTokenCount=2_000), 1.054, "catalog",
        {"tier": 200_000},
    ),
    # flex at half: 550 / 2; priority at 1.8: 550 x 1.8
    ("gemini: flex", FLASH, gemini(1_000, 100, serviceTier="flex"), 0.000275, "estimate", {"lane": "flex"}),
    ("gemini: priority", FLASH, gemini(1_000, 100, serviceTier="priority"), 0.00099, "estimate", {"lane": "priority"}),
    # on demand: 550; provisioned throughput is paid otherwise
    ("gemini: on demand", FLASH, gemini(1_000, 100, trafficType="ON_DEMAND"), 0.00055, "catalog", {"lane": None}),
    ("gemini: provisioned", FLASH, gemini(1_000, 100, trafficType="PROVISIONED_THROUGHPUT"), 0.00055, "estimate", {}),
    # once for an answer: 35,000 + 550
    (
        "gemini: searches of 2.5", FLASH, gemini(1_000, 100), 0.03555, "estimate",
        {"grounding": {"webSearchQueries": ["a", "b", "c"]}},
    ),
    # 3 queries, one of them twice x 0.014 = 28,000; 1,000 x 0.5 + 100 x 3 = 800
    (
        "gemini: searches of 3", FLASH_3, gemini(1_000, 100), 0.0288, "estimate",
        {"grounding": {"webSearchQueries": ["a", "b", "a"]}},
    ),
    # 14,000 + 800
    (
        "gemini: maps", FLASH_3, gemini(1_000, 100), 0.0148, "estimate",
        {"grounding": {"groundingChunks": [{"maps": {"placeId": "p"}}, {"maps": {"placeId": "q"}}]}},
    ),
    # text 10 x 2.5, an image 1,290 x 30, the prompt 20 x 0.3: 25 + 38,700 + 6
    (
        "gemini: an image", "google/gemini-2.5-flash-image",
        gemini(20, 1_300, candidatesTokensDetails=kinds(text=10, image=1_290)), 0.038731, "catalog", {},
    ),
    # thoughts at the rate of text: 1,120 x 120 + (200 + 30) x 12 + 50 x 2 = 134,400 + 2,760 + 100
    (
        "gemini: an image and thoughts", "google/gemini-3-pro-image",
        gemini(50, 1_150, thoughtsTokenCount=200, candidatesTokensDetails=kinds(text=30, image=1_120)),
        0.13726, "catalog", {},
    ),
]  # fmt: skip

OTHERS = [
    # what is billed, not what is counted: 265 x 2.5 + 141 x 10 = 662.5 + 1,410
    (
        "cohere: billed units", COHERE,
        {"billed_units": {"input_tokens": 265, "output_tokens": 141}, "tokens": {"input_tokens": 502,
             "output_tokens": 141},
         "cached_tokens": 480},
        0.0020725, "catalog", {},
    ),
    # thinking within: 30 x 2.5 + 200 x 10 = 75 + 2,000
    (
        "cohere: thinking within, doubles", COHERE,
        {"billed_units": {"input_tokens": 30.0, "output_tokens": 200.0},
         "tokens": {"input_tokens": 90, "output_tokens": 200, "reasoning_tokens": 120}}, 0.002075, "catalog", {},
    ),
    # no units: 90 x 2.5 + 20 x 10 = 225 + 200
    ("cohere: tokens alone", COHERE, {"tokens": {"input_tokens": 90, "output_tokens": 20}}, 0.000425, "catalog", {}),
    # a search unit without a known price: 75 + 200
    (
        "cohere: a search unit", COHERE,
        {"billed_units": {"input_tokens": 30, "output_tokens": 20, "search_units": 1}}, 0.000275, "estimate", {},
    ),
    # 433 x 3.3 + 2,752 x 0.33 + 16 x 16.5 = 1,428.9 + 908.16 + 264
    ("bedrock: cached", BEDROCK, bedrock(433, 16, read=2_752), 0.00260106, "catalog", {"saved": 0.00817344}),
    # 3 x 3.3 + 2,074 x 4.125 + 288 x 16.5 = 9.9 + 8,555.25 + 4,752
    (
        "bedrock: written", BEDROCK,
        bedrock(3, 288, written=2_074, cacheDetails=[{"inputTokens": 2_074, "ttl": "5m"}]), 0.01331715, "catalog", {},
    ),
    # 1,000 for an hour at 2 x 3.3: 3 x 3.3 + 500 x 4.125 + 1,000 x 6.6 = 9.9 + 2,062.5 + 6,600
    (
        "bedrock: written for an hour", BEDROCK,
        bedrock(3, 0, written=1_500, cacheDetails=[{"inputTokens": 1_000, "ttl": "1h"}, {"inputTokens": 500,
        "ttl": "5m"}]),
        0.0086724, "estimate", {},
    ),
    # 1,000 x 0.06 + 100 x 0.24 = 84; priority x 1.75, flex / 2
    (
        "bedrock: default", NOVA, bedrock(1_000, 100), 0.000084, "catalog",
        {"body": {"serviceTier": {"type": "default"}}},
    ),
    (
        "bedrock: priority", NOVA, bedrock(1_000, 100), 0.000147, "estimate",
        {"body": {"serviceTier": {"type": "priority"}}},
    ),
    ("bedrock: flex", NOVA, bedrock(1_000, 100), 0.000042, "estimate", {"body": {"serviceTier": {"type": "flex"}}}),
    (
        "bedrock: reserved", NOVA, bedrock(1_000, 100), 0.000084, "estimate",
        {"body": {"serviceTier": {"type": "reserved"}}},
    ),
    # faster machines, at a price that no list has
    (
        "bedrock: latency", NOVA, bedrock(1_000, 100), 0.000084, "estimate",
        {"body": {"performanceConfig": {"latency": "optimized"}}},
    ),
    # a router's choice: 1,000 x 0.06 + 100 x 0.24
    (
        "bedrock: a router", BEDROCK, bedrock(1_000, 100), 0.000084, "catalog",
        {"body": {"trace": {"promptRouter": {"invokedModelId": ROUTED}}}, "model": ROUTED},
    ),
]  # fmt: skip

ROWS = [*CHAT, *RESPONSES, *ANTHROPIC, *GEMINI, *OTHERS]
