"""The simulated models, as models.dev describes models: one value of its api.json. Prices in USD per million tokens."""

from __future__ import annotations

from typing import Any

# The npm packages whose rows name the protocols: each model speaks another one
CHAT, RESPONSES, ANTHROPIC = "@ai-sdk/openai-compatible", "@ai-sdk/openai", "@ai-sdk/anthropic"
GEMINI, COHERE = "@ai-sdk/google", "@ai-sdk/cohere"

_TEXT = {"input": ["text"], "output": ["text"]}
_VISION = {"input": ["text", "image", "pdf"], "output": ["text"]}


def _describe(name: str, description: str, released: str, **facts: Any) -> dict[str, Any]:
    return {
        "id": name.lower(),
        "name": f"{name} (simulated)",
        "description": f"Simulated model on this computer: {description}",
        "family": "nbkit-demo",
        "attachment": False,
        "reasoning": False,
        "tool_call": True,
        "structured_output": True,
        "temperature": True,
        "release_date": released,
        "last_updated": released,
        "modalities": _TEXT,
        "open_weights": False,
    } | facts


_MODELS = (
    _describe(
        "Swift",
        "brief, quick and cheap",
        "2026-03-10",
        limit={"context": 128_000, "output": 16_384},
        cost={"input": 0.1, "output": 0.4, "cache_read": 0.025},
    ),
    _describe(
        "Sage",
        "thinks before it answers, and takes images and PDFs",
        "2026-09-15",
        provider={"npm": ANTHROPIC},
        attachment=True,
        reasoning=True,
        reasoning_options=[{"type": "toggle"}],
        modalities=_VISION,
        knowledge="2026-03",
        limit={"context": 200_000, "output": 64_000},
        cost={"input": 3, "output": 15, "cache_read": 0.3, "cache_write": 3.75},
    ),
    _describe(
        "Scholar",
        "long, formal answers with derivations",
        "2026-06-01",
        provider={"npm": RESPONSES},
        reasoning=True,
        reasoning_options=[{"type": "effort", "values": ["none", "medium"]}],
        interleaved={"field": "reasoning_content"},
        knowledge="2025-12",
        limit={"context": 1_000_000, "output": 128_000},
        cost={
            "input": 1.25,
            "output": 10,
            "cache_read": 0.125,
            "tiers": [{"input": 2.5, "output": 15, "cache_read": 0.25, "tier": {"type": "context", "size": 200_000}}],
        },
    ),
    _describe(
        "Tortoise",
        "explains step by step, at a third of the pace",
        "2025-11-20",
        provider={"npm": GEMINI},
        limit={"context": 64_000, "output": 8_192},
        cost={"input": 0.8, "output": 4, "cache_read": 0.08, "cache_write": 1},
    ),
    _describe(
        "Brittle",
        "fails when the prompt says fail, rate limit or cut",
        "2026-01-31",
        provider={"npm": COHERE},
        limit={"context": 32_000, "output": 4_096},
        cost={"input": 0.05, "output": 0.2, "cache_read": 0.01},
    ),
)

PROVIDER: dict[str, Any] = {
    "id": "demo",
    "name": "nbkit demo (simulated)",
    "env": [],
    "npm": CHAT,
    "doc": "",
    "models": {model["id"]: model for model in _MODELS},
}
