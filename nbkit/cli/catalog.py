"""`nbkit models`, `offers`, `estimate` and `changes`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbkit
from nbkit.choose.abilities import ABILITIES
from nbkit.cli.commands import Command

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
    "--vendor": {"metavar": "NAME", "help": "who made it, such as meta-llama"},
    "--limit": {"type": int, "default": 50, "metavar": "N", "help": "rows at most, 0 for all; default: 50"},
}
_JSON = {"--json": {"action": "store_true", "help": "all columns as JSON, null where unknown"}}
_SHOWN = ("input_cost", "output_cost", "context", "vision", "tools", "reasoning", "release_date", "has_key", "status")


def _filter(options: argparse.Namespace) -> pd.DataFrame:
    """Filter the catalog by the options; rank it by the words, or list the newest first if there are none."""
    frame = nbkit.catalog
    for name, ability in _FLAGS.items():
        if getattr(options, name.replace("-", "_")):
            frame = frame[frame[ability.column]]
    for column, most in (("input_cost", options.max_input_cost), ("output_cost", options.max_output_cost)):
        if most is not None:
            frame = frame[frame[column] <= most]
    if options.min_context is not None:
        frame = frame[frame["context"].ge(options.min_context).fillna(False)]
    for column in ("provider", "vendor"):
        if (name := getattr(options, column)) is not None:
            frame = frame[frame[column] == name]
    if options.words:
        return nbkit.search(" ".join(options.words), frame, limit=None)
    return frame.sort_values("release_date", ascending=False, kind="stable", na_position="last")


def _print(frame: pd.DataFrame, columns: tuple[str, ...], options: argparse.Namespace, none: str) -> bool:
    """Print rows, and say on standard error what is missing; return whether there were any. `none`: why there are not.

    Raises ValueError for a negative limit.
    """
    from nbkit.cli.table import print_rows

    limit = getattr(options, "limit", 0)
    if limit < 0:
        raise ValueError("--limit must not be negative")
    some = frame.head(limit) if limit else frame
    if len(some) or options.json:
        print_rows(some, columns, as_json=options.json)
    left = len(frame) - len(some)
    if left or not len(frame):
        sys.stderr.write(f"nbkit: {left:,} more; --limit 0 shows all\n" if left else f"nbkit: {none}\n")
    return bool(len(frame))


def _models(options: argparse.Namespace) -> bool:
    """Find models by words, by what they can do and by what they cost; prices are USD per million tokens."""
    return _print(_filter(options), (*_SHOWN, "name"), options, "no model fits")


def _offers(options: argparse.Namespace) -> bool:
    """List every provider that serves a model, and at what price."""
    return _print(
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
    rows = nbkit.estimate(
        _filter(options),
        input_tokens=options.input_tokens,
        output_tokens=options.output_tokens,
        cached_tokens=options.cached_tokens,
        reasoning_tokens=options.reasoning_tokens,
        calls=options.calls,
        prompt=prompt,
    )
    return _print(rows, ("cost", "note", "input_cost", "output_cost", "input_tokens"), options, "no model fits")


def _changes(options: argparse.Namespace) -> bool:
    """List what was added, removed, repriced or deprecated between two snapshots."""
    rows = nbkit.changes(*(snapshot for snapshot in (options.old, options.new) if snapshot is not None))
    return _print(rows, tuple(rows.columns), options, "no changes")


def _tokens(default: int | None, text: str, **more: Any) -> dict[str, Any]:
    return {"type": int, "default": default, "metavar": "N", "help": text, **more}


COMMANDS = (
    Command("models", "find models", _models, {**_FILTERS, **_JSON}),
    Command(
        "offers",
        "who else serves a model, and at what price",
        _offers,
        {"model": {"metavar": "MODEL", "help": "an id, a path or a name"}, **_JSON},
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
            **_JSON,
        },
    ),
    Command(
        "changes",
        "what changed between two snapshots of models.dev",
        _changes,
        {
            "old": {"nargs": "?", "metavar": "OLD", "help": "a snapshot; default: the one that came with nbkit"},
            "new": {"nargs": "?", "metavar": "NEW", "help": "a snapshot; default: the one in force"},
            **_JSON,
        },
    ),
)
