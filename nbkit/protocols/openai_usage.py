"""Token counts as OpenAI's chat and text completions report them, and as their many relatives do instead.

`prompt_tokens` includes cached and audio tokens, `completion_tokens` includes reasoning. Where they do not (xAI,
Gemini's shim), `total_tokens` shows it: what it counts beyond prompt and completion is added to the bucket that it
matches, and reasoning that is larger than the completion stands beside it. Any other detail larger than the count that
it is a part of is not a part of it, and is ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nbkit.conversation.completion import Usage
from nbkit.protocols.reading import count, first_count, mapping


def read_usage(usage: dict[str, Any]) -> Usage | None:
    """Read a `usage` object; None where one of the two main counts is missing or absurd."""
    prompt, completion = _read_sizes(usage)
    if prompt is None or completion is None:
        return None
    of_prompt = mapping(usage.get("prompt_tokens_details"))
    of_completion = mapping(usage.get("completion_tokens_details"))
    cached, written = _read_cache(usage, of_prompt)
    audio, audio_out = first_count(of_prompt.get("audio_tokens")), first_count(of_completion.get("audio_tokens"))
    reasoning = first_count(of_completion.get("reasoning_tokens"))
    beyond = first_count(usage.get("total_tokens")) - prompt - completion
    if beyond > 0:  # a count leaves something out, which the total includes
        if beyond == cached:  # xAI: prompt_tokens without the cached ones
            prompt += cached
        elif beyond == reasoning:  # xAI, Perplexity, DeepInfra's Gemini: completion_tokens without reasoning
            completion += reasoning
        elif beyond == audio:  # Mistral: prompt_tokens without audio
            prompt += audio
        elif not (reasoning or audio or cached):  # Gemini's shim: thoughts that no field names
            completion, reasoning = completion + beyond, beyond
    elif cached > prompt and "total_tokens" not in usage:  # without a total, only the sizes show what is left out
        prompt += cached
    if reasoning > completion:  # Vercel: neither the completion nor the total includes it
        completion += reasoning
    cached, written, audio = _fit_parts(prompt, cached, written, audio)
    image_out = first_count(of_completion.get("image_tokens"))
    reasoning, audio_out, image_out = _fit_parts(completion, reasoning, audio_out, image_out)
    return Usage(
        input=prompt - cached - written - audio,
        output=completion - reasoning - audio_out - image_out,
        cache_read=cached,
        cache_write=written,
        reasoning=reasoning,
        input_audio=audio,
        output_audio=audio_out,
        output_image=image_out,
    )


def _read_sizes(usage: dict[str, Any]) -> tuple[int | None, int | None]:
    """Read the two main counts; where one is missing, the total tells it."""
    prompt, completion = count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))
    total = first_count(usage.get("total_tokens"))
    if prompt is None and usage.get("prompt_tokens") is None and completion is not None and total > completion:
        prompt = total - completion
    if completion is None and usage.get("completion_tokens") is None and prompt is not None and total > prompt:
        completion = total - prompt
    return prompt, completion


def _read_cache(usage: dict[str, Any], of_prompt: dict[str, Any]) -> tuple[int, int]:
    """Read the tokens that were read from a cache and written to one, under whichever key the provider uses."""
    read = first_count(
        of_prompt.get("cached_tokens"),
        usage.get("prompt_cache_hit_tokens"),  # DeepSeek
        usage.get("cached_tokens"),  # Moonshot
        usage.get("num_cached_tokens"),  # Mistral
        usage.get("cache_read_input_tokens"),  # Databricks
    )
    written = first_count(
        of_prompt.get("cache_write_tokens"),
        of_prompt.get("cache_creation_input_tokens"),  # Alibaba
        usage.get("cache_creation_input_tokens"),  # Databricks
    )
    return read, written


def _fit_parts(whole: int, *parts: int) -> Sequence[int]:
    """Return the parts as far as they fit into the whole; 0 for one that does not, for it is not a part of it."""
    if sum(parts) <= whole:
        return parts
    fitting = []
    for part in parts:
        fitting.append(part if part <= whole else 0)
        whole -= fitting[-1]
    return fitting
