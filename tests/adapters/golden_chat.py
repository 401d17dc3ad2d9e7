"""Golden bills of chat completions and their many relatives; `golden_bills` says how a row reads."""

from golden_usage import (
    DEEPSEEK,
    FIREWORKS,
    GPT,
    GPT_41,
    GROK,
    GROQ,
    KIMI,
    MAX,
    MISTRAL,
    QWEN,
    ROUTER,
    VERCEL,
    VOXTRAL,
    chat,
)

CHAT = [
    # 1,200 x 0.15 + 80 x 0.6 = 180 + 48
    ("groq: plain", GROQ, chat(1_200, 80, queue_time=0.01, total_time=0.2), 0.000228, "catalog", {}),
    # (1,200 - 1,024) x 0.15 + 1,024 x 0.075 + 80 x 0.6 = 26.4 + 76.8 + 48; saved 1,024 x 0.075 = 76.8
    ("groq: cached", GROQ, chat(1_200, 80, read=1_024), 0.0001512, "catalog", {"saved": 0.0000768}),
    # reasoning is in the completion, at its rate: 500 x 0.15 + 900 x 0.6 = 75 + 540
    ("groq: reasoning within", GROQ, chat(500, 900, thought=700), 0.000615, "catalog", {}),
    # flex costs the same: 228
    ("groq: flex", GROQ, chat(1_200, 80), 0.000228, "catalog", {"body": {"service_tier": "flex"}}),
    # (2,000 - 1,920) x 0.15 + 1,920 x 0.003 + 300 x 0.6 = 12 + 5.76 + 180; saved 1,920 x 0.147 = 282.24
    (
        "deepseek: cache hits", DEEPSEEK, chat(2_000, 300, prompt_cache_hit_tokens=1_920, prompt_cache_miss_tokens=80),
        0.00019776, "catalog", {"saved": 0.00028224},
    ),
    # 100 x 0.15 + 50 x 0.6 + 350 x 0.6 = 15 + 30 + 210
    ("deepseek: reasoning has a rate", DEEPSEEK, chat(100, 400, thought=350), 0.000255, "catalog", {}),
    # (4,000 - 3,500) x 3 + 3,500 x 0.3 + 200 x 15 = 1,500 + 1,050 + 3,000
    ("moonshot: cached", KIMI, chat(4_000, 200, cached_tokens=3_500), 0.00555, "catalog", {"saved": 0.00945}),
    # (900 - 640) x 1.5 + 640 x 0.15 + 110 x 7.5 = 390 + 96 + 825
    ("mistral: cached", MISTRAL, chat(900, 110, num_cached_tokens=640), 0.001311, "catalog", {"saved": 0.000864}),
    # audio stands beside the prompt, and has no rate of its own: (9 + 375) x 0.1 + 201 x 0.3 = 38.4 + 60.3
    (
        "mistral: audio", VOXTRAL, chat(9, 201, total=585, read=0, audio=375, prompt_audio_seconds=4),
        0.0000987, "estimate", {},
    ),
    # 50 x 0.35 + 20 x 0.75 = 17.5 + 15
    ("cerebras: plain", "cerebras/gpt-oss-120b", chat(50, 20), 0.0000325, "catalog", {}),
    # no rate for what is cached: 150 x 0.35 + 20 x 0.75 = 52.5 + 15
    ("cerebras: cached", "cerebras/gpt-oss-120b", chat(150, 20, read=128), 0.0000675, "estimate", {"saved": 0.0}),
    # (3,000 - 2,500) x 0.4 + 2,000 x 0.04 + 500 x 0.5 + 100 x 1.6 = 200 + 80 + 250 + 160
    (
        "alibaba: read and written", QWEN,
        chat(3_000, 100) | {"prompt_tokens_details": {"cached_tokens": 2_000, "cache_creation_input_tokens": 500}},
        0.00069, "catalog", {"saved": 0.00067},
    ),
    # above 256,000: 300,000 x 1.2 + 1,000 x 4.8 = 360,000 + 4,800
    ("alibaba: a long prompt", QWEN, chat(300_000, 1_000), 0.3648, "catalog", {"tier": 256_000}),
    # a search without a known price: 100 x 0.4 + 10 x 1.6
    ("alibaba: a search", QWEN, chat(100, 10, plugins={"search": {"count": 1}}), 0.000056, "estimate", {}),
    # the provider's price wins; ours: 1,000 x 2.5 + 100 x 7.5 = 3,250
    (
        "deepinfra: its own price", MAX, chat(1_000, 100, estimated_cost=0.0031), 0.0031, "provider",
        {"difference": -0.00015},
    ),
    # above 32,000: 40,000 x 5 + 100 x 15 = 201,500
    ("deepinfra: the middle tier", MAX, chat(40_000, 100), 0.2015, "catalog", {"tier": 32_000}),
    # priority: (1,000 - 400) x 3.75 + 400 x 0.375 + 10 x 18.75 = 2,250 + 150 + 187.5
    (
        "fireworks: priority", FIREWORKS, chat(1_000, 10, read=400), 0.0025875, "catalog",
        {"body": {"service_tier": "priority"}, "lane": "priority"},
    ),
    # xAI reports USD x 10^10; ours: (90 - 60) x 2 + 60 x 0.5 + (20 + 200) x 6 = 60 + 30 + 1,320 = 1,410
    (
        "xai: reasoning beside the completion", GROK,
        chat(90, 20, total=310, read=60, thought=200, cost_in_usd_ticks=14_100_000),
        0.00141, "provider", {"difference": 0},
    ),
    # prompt_tokens without the cached ones: 7 x 2 + 163 x 0.5 + 1 x 6 = 14 + 81.5 + 6
    ("xai: cached beside the prompt", GROK, chat(7, 1, total=171, read=163), 0.0001015, "catalog", {}),
    # 4 sources x 0.025 = 100,000; 100 x 2 + 10 x 6 = 260
    ("xai: live search", GROK, chat(100, 10, num_sources_used=4), 0.10026, "estimate", {}),
    # above 200,000: 250,000 x 4 + 100 x 12 = 1,001,200
    ("xai: a long prompt", GROK, chat(250_000, 100), 1.0012, "catalog", {"tier": 200_000}),
    # OpenRouter's price; ours: (2,315 - 0) x 2.5 + 40 x 15 = 6,387.5, its search has no price of ours
    (
        "openrouter: a search", ROUTER, chat(2_315, 40, cost=0.0163875,
        server_tool_use_details={"web_search_requests": 1}),
        0.0163875, "provider", {"difference": None},
    ),
    # the fee and what the own key pays: 0.0018 + 0.036; ours: 10,000 x 2.5 + 700 x 15 = 35,500
    (
        "openrouter: one's own key", ROUTER,
        chat(10_000, 700, cost=0.0018, is_byok=True, cost_details={"upstream_inference_cost": 0.036}),
        0.0378, "provider", {"difference": 0.0023},
    ),
    # (5,000 - 4,500) x 3 + 3,000 x 0.3 + 1,500 x 3.75 + 10 x 15 = 1,500 + 900 + 5,625 + 150 = 8,175
    (
        "openrouter: cached, at Anthropic", "openrouter/anthropic/claude-sonnet-4.5",
        chat(5_000, 10, read=3_000, written=1_500, cost=0.008175),
        0.008175, "provider", {"difference": 0, "saved": 0.006975},
    ),
    # Vercel counts reasoning beside the completion: 700 x 2.5 + (31 + 64) x 15 = 1,750 + 1,425 = 3,175
    (
        "vercel: reasoning beside all", VERCEL, chat(700, 31, thought=64, cost=0.003175), 0.003175, "provider",
        {"difference": 0},
    ),
    # through chat completions: 100 x 2.5 + 50 x 15 = 250 + 750
    ("openai: chat", GPT, chat(100, 50, read=0, audio=0, thought=0), 0.001, "catalog", {"protocol": "openai-chat"}),
    # (2,000 - 1,024) x 2.5 + 1,024 x 0.25 + 600 x 15 = 2,440 + 256 + 9,000
    (
        "openai: chat, cached, reasoning", GPT, chat(2_000, 600, read=1_024, thought=500), 0.011696, "catalog",
        {"protocol": "openai-chat", "saved": 0.002304},
    ),
    # rejected predictions are part of the completion: 40 x 2 + 30 x 8 = 80 + 240
    (
        "openai: chat, predictions", GPT_41,
        chat(40, 30) | {"completion_tokens_details": {"accepted_prediction_tokens": 9,
        "rejected_prediction_tokens": 12}},
        0.00032, "catalog", {"protocol": "openai-chat"},
    ),
    # priority has its own rates: 1,000 x 3.5 + 100 x 14 = 3,500 + 1,400
    (
        "openai: chat, priority", GPT_41, chat(1_000, 100), 0.0049, "catalog",
        {"protocol": "openai-chat", "body": {"service_tier": "priority"}, "lane": "priority"},
    ),
    # only the total says that 15 tokens of thought are missing: 10 x 2 + (5 + 15) x 8 = 20 + 160
    (
        "a shim: thoughts in the total alone", GPT_41, chat(10, 5, total=30), 0.00018, "catalog",
        {"protocol": "openai-chat"},
    ),
    # the version that answered is not listed apart: 100 x 2 + 10 x 8 = 280
    (
        "openai: a dated version", GPT_41, chat(100, 10), 0.00028, "catalog",
        {"protocol": "openai-chat", "body": {"model": "gpt-4.1-2025-04-14"}, "model": ""},
    ),
    # another model answered: 1,000 x 0.25 + 100 x 2 = 250 + 200
    (
        "openai: another model answered", GPT, chat(1_000, 100), 0.00045, "catalog",
        {"protocol": "openai-chat", "body": {"model": "gpt-5-mini"}, "model": "gpt-5-mini"},
    ),
    # 30 x 0.15 + 12 x 0.6 = 4.5 + 7.2
    ("ollama-cloud: chat", "ollama-cloud/gpt-oss:120b", chat(30, 12), 0.0000117, "catalog", {}),
    # the same by its own protocol
    (
        "ollama: counts of the last event", "ollama-cloud/gpt-oss:120b",
        {"prompt_eval_count": 30, "eval_count": 12, "total_duration": 10**9}, 0.0000117, "catalog",
        {"protocol": "ollama-chat"},
    ),
    # (30 - 20) x 0.15 + 20 x 0.014 + 12 x 0.6 = 1.5 + 0.28 + 7.2
    (
        "ollama: cached", "ollama-cloud/gpt-oss:120b",
        {"prompt_eval_count": 30, "prompt_eval_cached_count": 20, "eval_count": 12}, 0.00000898, "catalog",
        {"protocol": "ollama-chat"},
    ),
    # a text completion: 12 x 0.15 + 8 x 0.6 = 1.8 + 4.8
    ("text completions", GROQ, chat(12, 8), 0.0000066, "catalog", {"protocol": "openai-completions"}),
]  # fmt: skip
