"""`nbkit models`, `offers`, `estimate` and `changes`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbkit
from nbkit.choose.abilities import ABILITIES
from nbkit.cli.commands import JSON, Command, print_frame
from nbkit.providers.spelling import find_vendor
from nbkit.providers.tables import table

if TYPE_CHECKING:
    import pandas as pd

_FLAGS = {ability.option: ability for ability in ABILITIES.values() if ability.option}
_FILTERS: Mapping[str, Mapping[str, Any]] = {
    "words": {
        "nargs": "*",
        "metavar": "WORD",
        "help": "words of a name, a vendor, an ability, a price: as for nbkit.search",
    },
    **{f"--{name}": {"action": "store_true", "help": ability.explanation} for name, ability in _FLAGS.items()},
    "--max-input-cost": {"type": float, "metavar": "USD", "help": "per million tokens of the prompt"},
    "--max-output-cost": {"type": float, "metavar": "USD", "help": "per million tokens of the answer"},
    "--min-context": {"type": int, "metavar": "TOKENS", "help": "tokens of prompt and answer together"},
    "--provider": {"metavar": "NAME", "help": "who serves it, such as groq"},
    "--vendor": {"metavar": "NAME", "help": "who made it, such as meta"},
    "--limit": {"type": int, "default": 50, "metavar": "N", "help": "rows at most, 0 for all; default: 50"},
}
_SHOWN = ("input_cost", "output_cost", "context", "vision", "tools", "reasoning", "release_date", "has_key", "status")


def _filter(options: argparse.Namespace) -> tuple[pd.DataFrame, str]:
    """Filter the catalog by the options; rank it by the words, or list the newest first if there are none.

    Returns the rows, and what to say where there are none.
    """
    frame, none = nbkit.catalog, "no model fits"
    for name, ability in _FLAGS.items():
        if getattr(options, name.replace("-", "_")):
            frame = frame[frame[ability.column].fillna(False)]
    for column, most in (("input_cost", options.max_input_cost), ("output_cost", options.max_output_cost)):
        if most is not None:
            frame = frame[frame[column] <= most]
    if options.min_context is not None:
        frame = frame[frame["context"].ge(options.min_context).fillna(False)]
    for column in ("provider", "vendor"):
        if (name := getattr(options, column)) is not None:
            known, unknown = _find_name(column, name)
            frame, none = frame[frame[column] == known], unknown or none
    if options.words:
        return nbkit.search(" ".join(options.words), frame, limit=None), none
    return frame.sort_values("release_date", ascending=False, kind="stable", na_position="last"), none


def _find_name(column: str, typed: str) -> tuple[str, str]:
    """Find the provider or vendor that a person means, whatever its case and as other libraries and hosts spell it.

    Returns its name in the catalog, and a sentence where no row has that name.
    """
    from difflib import get_close_matches

    rows, word = nbkit.catalog, typed.strip().lower()
    names = dict.fromkeys(rows[column])
    titles = dict(zip(rows["provider_name"].str.lower(), rows["provider"], strict=True)) if column == "provider" else {}
    alias = table("aliases")["providers"].get(word, word) if column == "provider" else find_vendor(word)
    if known := next((name for name in (word, alias, titles.get(word)) if name in names), None):
        return known, ""
    near = get_close_matches(word, names, 3, cutoff=0.7)
    hint = f"did you mean {', '.join(near)}?" if near else f"`nbkit models WORD` finds models by any part of a {column}"
    return typed, f"the catalog has no {column} {typed!r}; {hint}"


def _models(options: argparse.Namespace) -> bool:
    """Find models by words, by what they can do and by what they cost; prices are USD per million tokens."""
    rows, none = _filter(options)
    return print_frame(rows, (*_SHOWN, "name"), options, none)


def _offers(options: argparse.Namespace) -> bool:
    """List every provider that serves a model, and at what price."""
    return print_frame(
        nbkit.offers(options.model),
        ("input_cost", "output_cost", "extra", "plan", "context", "cache_read_cost", "match", "has_key", "status"),
        options,
        "no provider serves it",
    )


def _estimate(options: argparse.Namespace) -> bool:
    """List what a workload costs at each model, in USD for all calls, cheapest first."""
    prompt = None
    if options.prompt is not None:
        data = sys.stdin.buffer.read() if options.prompt == "-" else Path(options.prompt).read_bytes()
        prompt = data.decode("utf-8", "replace")
    frame, none = _filter(options)
    rows = nbkit.estimate(
        frame,
        input_tokens=options.input_tokens,
        output_tokens=options.output_tokens,
        cached_tokens=options.cached_tokens,
        reasoning_tokens=options.reasoning_tokens,
        calls=options.calls,
        prompt=prompt,
    )
    return print_frame(rows, ("cost", "note", "input_cost", "output_cost", "input_tokens"), options, none)


def _changes(options: argparse.Namespace) -> bool:
    """List what was added, removed, repriced or deprecated between two snapshots."""
    rows = nbkit.changes(*(snapshot for snapshot in (options.old, options.new) if snapshot is not None))
    return print_frame(rows, tuple(rows.columns), options, "no changes")


def _tokens(default: int | None, text: str, **more: Any) -> dict[str, Any]:
    return {"type": int, "default": default, "metavar": "N", "help": text, **more}


COMMANDS = (
    Command("models", "find models", _models, {**_FILTERS, **JSON}),
    Command(
        "offers",
        "who else serves a model, and at what price",
        _offers,
        {"model": {"metavar": "MODEL", "help": "an id, a path or a name"}, **JSON},
    ),
    Command(
        "estimate",
        "what a workload costs at each model",
        _estimate,
        {
            **_FILTERS,
            "--input-tokens": _tokens(None, "tokens of the prompt of one call", group="prompt"),
            "--prompt": {
                "metavar": "FILE",
                "help": "a text to count instead; - is standard input",
                "group": "prompt",
            },
            "--output-tokens": _tokens(None, "tokens of the answer", required=True),
            "--cached-tokens": _tokens(0, "tokens of the prompt that are read from a cache"),
            "--reasoning-tokens": _tokens(0, "tokens of reasoning, on top of those of the answer"),
            "--calls": _tokens(1, "how many calls; default: 1"),
            **JSON,
        },
    ),
    Command(
        "changes",
        "what changed between two snapshots of models.dev",
        _changes,
        {
            "old": {"nargs": "?", "metavar": "OLD", "help": "a snapshot; default: the one that came with nbkit"},
            "new": {"nargs": "?", "metavar": "NEW", "help": "a snapshot; default: the one in force"},
            **JSON,
        },
    ),
)
