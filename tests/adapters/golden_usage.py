"""The prices that the golden bills are worked out with, and usage objects in the shapes that providers send."""

# Model -> input, output, and what else is used below; USD per million tokens
PRICES = {
    "openai/gpt-5.4": {"input": 2.5, "output": 15, "cache_read": 0.25},  # above 272,000: 5, 22.5, 0.5; priority: 5, 30
    "openai/gpt-6-luna": {"input": 0.1, "output": 0.5, "cache_read": 0.01, "cache_write": 0.125},
    "openai/gpt-6-astra": {"input": 10, "output": 50, "cache_read": 1},  # ultrafast: 60, 300
    "openai/gpt-4.1": {"input": 2, "output": 8, "cache_read": 0.5},
    "openai/gpt-5-mini": {"input": 0.25, "output": 2, "cache_read": 0.025},
    "anthropic/claude-opus-5": {"input": 5, "output": 25, "cache_read": 0.5, "cache_write": 6.25},  # fast: 10, 50
    "anthropic/claude-sonnet-5": {"input": 2, "output": 10, "cache_read": 0.2, "cache_write": 2.5},
    "anthropic/claude-haiku-4-5": {"input": 1, "output": 5, "cache_read": 0.1, "cache_write": 1.25},
    "minimax/MiniMax-M3": {"input": 0.3, "output": 1.2, "cache_read": 0.06},  # above 512,000: 0.6, 2.4
    "google-vertex/claude-sonnet-5@default": {"input": 2, "output": 10, "cache_read": 0.2, "cache_write": 2.5},
    "google/gemini-2.5-flash": {"input": 0.3, "output": 2.5, "cache_read": 0.03, "input_audio": 1},
    "google/gemini-2.5-flash-lite": {"input": 0.1, "output": 0.4, "cache_read": 0.01, "input_audio": 0.3},
    "google/gemini-3.1-pro-preview": {"input": 2, "output": 12, "cache_read": 0.2},  # above 200,000: 4, 18, 0.4
    "google/gemini-3-flash-preview": {"input": 0.5, "output": 3, "cache_read": 0.05, "input_audio": 1},
    "google/gemini-2.5-flash-image": {"input": 0.3, "output": 2.5, "output_image": 30},
    "google/gemini-3-pro-image": {"input": 2, "output": 12, "output_image": 120},
    "xai/grok-4.6": {"input": 2, "output": 6, "cache_read": 0.5},  # above 200,000: 4, 12, 1
    "groq/openai/gpt-oss-120b": {"input": 0.15, "output": 0.6, "cache_read": 0.075},
    "deepseek/deepseek-v4-flash": {"input": 0.15, "output": 0.6, "cache_read": 0.003, "reasoning": 0.6},
    "moonshotai/kimi-k3": {"input": 3, "output": 15, "cache_read": 0.3},
    "mistral/mistral-medium-latest": {"input": 1.5, "output": 7.5, "cache_read": 0.15},
    "mistral/voxtral-small-latest": {"input": 0.1, "output": 0.3},
    "cohere/command-a-03-2025": {"input": 2.5, "output": 10},
    "alibaba/qwen3.7-plus": {"input": 0.4, "output": 1.6, "cache_read": 0.04, "cache_write": 0.5},  # 256,000: 1.2, 4.8
    "deepinfra/Qwen/Qwen3.7-Max": {"input": 2.5, "output": 7.5, "cache_read": 0.5},  # above 32,000: 5, 15; 128,000
    "fireworks-ai/accounts/fireworks/models/kimi-k3": {"input": 3, "output": 15},  # priority: 3.75, 18.75, 0.375
    "cerebras/gpt-oss-120b": {"input": 0.35, "output": 0.75},
    "ollama-cloud/gpt-oss:120b": {"input": 0.15, "output": 0.6, "cache_read": 0.014},
    "openrouter/anthropic/claude-sonnet-4.5": {"input": 3, "output": 15, "cache_read": 0.3, "cache_write": 3.75},
    "openrouter/openai/gpt-5.4": {"input": 2.5, "output": 15, "cache_read": 0.25},
    "vercel/openai/gpt-5.4": {"input": 2.5, "output": 15, "cache_read": 0.25},
    "perplexity-agent/openai/gpt-5.4": {"input": 2.5, "output": 15},
    "azure/gpt-5.4": {"input": 2.5, "output": 15, "cache_read": 0.25},
    "amazon-bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0": {
        "input": 3.3, "output": 16.5, "cache_read": 0.33, "cache_write": 4.125,
    },
    "amazon-bedrock/amazon.nova-lite-v1:0": {"input": 0.06, "output": 0.24, "cache_read": 0.015, "cache_write": 0.06},
}  # fmt: skip


def chat(prompt, completion, *, total=None, read=None, written=None, audio=None, thought=None, spoken=None, **more):
    """A usage object of chat completions, with its details."""
    parts = {"cached_tokens": read, "cache_write_tokens": written, "audio_tokens": audio}
    made = {"reasoning_tokens": thought, "audio_tokens": spoken, "image_tokens": more.pop("drawn", None)}
    usage = {"prompt_tokens": prompt, "completion_tokens": completion}
    usage["total_tokens"] = prompt + completion if total is None else total
    details = {"prompt_tokens_details": parts, "completion_tokens_details": made}
    kept = {name: {key: value for key, value in part.items() if value is not None} for name, part in details.items()}
    return usage | {name: part for name, part in kept.items() if part} | more


def responses(prompt, completion, *, read=0, written=None, thought=0, **more):
    """A usage object of the Responses API."""
    parts = {"cached_tokens": read} | ({} if written is None else {"cache_write_tokens": written})
    return {
        "input_tokens": prompt,
        "input_tokens_details": parts,
        "output_tokens": completion,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": prompt + completion,
    } | more


def claude(prompt, completion, *, read=0, written=0, hour=0, thought=None, **more):
    """A usage object of Anthropic's messages; `written` includes what is kept for an hour."""
    return (
        {
            "input_tokens": prompt,
            "cache_creation_input_tokens": written,
            "cache_read_input_tokens": read,
            "cache_creation": {"ephemeral_5m_input_tokens": written - hour, "ephemeral_1h_input_tokens": hour},
            "output_tokens": completion,
            "service_tier": "standard",
            "inference_geo": "not_available",
        }
        | ({} if thought is None else {"output_tokens_details": {"thinking_tokens": thought}})
        | more
    )


def run(kind, prompt, completion, model=None, **more):
    """One of `usage.iterations`."""
    return claude(prompt, completion, **more) | {"type": kind} | ({"model": model} if model else {})


def gemini(prompt, answer, **more):
    """A usage object of Gemini; 0 is left out, as by protocol buffers."""
    counts = {"promptTokenCount": prompt, "candidatesTokenCount": answer}
    counts["totalTokenCount"] = prompt + answer + more.get("thoughtsTokenCount", 0)
    return {name: tokens for name, tokens in counts.items() if tokens} | more


def kinds(**tokens):
    """Counts by modality."""
    return [{"modality": kind.upper(), "tokenCount": count} for kind, count in tokens.items()]


def bedrock(prompt, completion, *, read=0, written=0, **more):
    """A usage object of Bedrock's Converse."""
    return {
        "inputTokens": prompt,
        "outputTokens": completion,
        "totalTokens": prompt + completion + read + written,
        "cacheReadInputTokens": read,
        "cacheWriteInputTokens": written,
        "serverToolUsage": {},
    } | more


GPT, LUNA, ASTRA, GPT_41, MINI = (
    f"openai/{name}" for name in ("gpt-5.4", "gpt-6-luna", "gpt-6-astra", "gpt-4.1", "gpt-5-mini")
)
OPUS, SONNET, HAIKU = (f"anthropic/claude-{name}" for name in ("opus-5", "sonnet-5", "haiku-4-5"))
FLASH, LITE, PRO, FLASH_3 = (
    f"google/gemini-{name}" for name in ("2.5-flash", "2.5-flash-lite", "3.1-pro-preview", "3-flash-preview")
)
GROK, GROQ, KIMI = "xai/grok-4.6", "groq/openai/gpt-oss-120b", "moonshotai/kimi-k3"
DEEPSEEK = "deepseek/deepseek-v4-flash"
BEDROCK, NOVA = "amazon-bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0", "amazon-bedrock/amazon.nova-lite-v1:0"
COHERE, MISTRAL, VOXTRAL = "cohere/command-a-03-2025", "mistral/mistral-medium-latest", "mistral/voxtral-small-latest"
QWEN, MAX = "alibaba/qwen3.7-plus", "deepinfra/Qwen/Qwen3.7-Max"
ROUTED = "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0"
ROUTER, VERCEL = "openrouter/openai/gpt-5.4", "vercel/openai/gpt-5.4"
FIREWORKS, VERTEX = "fireworks-ai/accounts/fireworks/models/kimi-k3", "google-vertex/claude-sonnet-5@default"
