"""Token counts as Anthropic's messages report them (docs.claude.com/en/api/messages; the SDK's `BetaUsage`).

`input_tokens` count neither the tokens that were read from a cache nor those that were written to one; `output_tokens`
include thinking. The counts are the sums of all runs of the model that answered. `iterations` lists the runs, and those
that the sums leave out: of a compaction, by the same model; of an advisor, and of a model that declined before another
one answered in its place (`fallback_message`), at the prices of those models.
"""

from __future__ import annotations

from typing import Any

from nbkit.conversation.completion import Usage
from nbkit.protocols.reading import first_count, mapping, objects, string, sum_counts

_PROMPT = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
_COUNTS = ("output_tokens", *_PROMPT)


def read_usage(usage: dict[str, Any]) -> Usage | None:
    """Read a `usage` object; None where one of the two main counts is missing or absurd."""
    if usage.get("input_tokens") is None or usage.get("output_tokens") is None:
        return None
    billed = [usage] + [one for one in objects(usage.get("iterations")) if one.get("type") == "compaction"]
    written, long_lived = 0, 0
    for one in billed:
        by_life = mapping(one.get("cache_creation"))
        an_hour = first_count(by_life.get("ephemeral_1h_input_tokens"))
        all_written = first_count(one.get("cache_creation_input_tokens"))
        short = first_count(by_life.get("ephemeral_5m_input_tokens"))
        written += max(all_written - an_hour, short)  # relatives of the API send one of the two forms alone
        long_lived += an_hour
    sums = [sum_counts(*[one.get(key) for one in billed]) for key in _COUNTS]
    output, prompt, read, _ = sums
    if prompt is None or output is None or read is None or None in sums:
        return None
    thinking = min(first_count(mapping(usage.get("output_tokens_details")).get("thinking_tokens")), output)
    return Usage(
        input=prompt,
        output=output - thinking,
        cache_read=read,
        cache_write=written,
        cache_write_1h=long_lived,
        reasoning=thinking,
    )


def find_longest_prompt(runs: list[dict[str, Any]]) -> int | None:
    """Find the longest prompt of the runs of the model that answered; None where there was but one run."""
    own = [one for one in runs if one.get("type") != "advisor_message"]
    prompts = [sum_counts(*(one.get(key) for key in _PROMPT)) for one in own]
    known = [tokens for tokens in prompts if tokens is not None]
    return max(known) if len(known) > 1 and len(known) == len(prompts) else None


def read_other_models(
    runs: list[dict[str, Any]], answered: str
) -> tuple[tuple[tuple[str, Usage], ...], tuple[str, ...]]:
    """Read the tokens of other models than the one that answered, and what of their price is not certain, in words."""
    models: dict[str, Usage] = {}
    notes = []
    declined = any(one.get("type") == "fallback_message" for one in runs)
    for one in runs:
        kind, name = one.get("type"), string(one.get("model"))
        if kind == "advisor_message" or (kind == "message" and declined and name and name != answered):
            usage = read_usage({key: value for key, value in one.items() if key != "iterations"})
            name = name or "another model"
            if usage is None:
                notes.append(f"{name}: not in the price")
            else:
                models[name] = models.get(name, Usage()) + usage
            if kind == "message":
                notes.append(f"{name} declined: it may be credited")
    return tuple(models.items()), tuple(dict.fromkeys(notes))
