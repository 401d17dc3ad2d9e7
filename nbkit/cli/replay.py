"""`nbkit replay`: the answers that are kept to be given again: what is there, what may go, and a copy to publish."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from nbkit.cli.commands import JSON, Command, print_frame
from nbkit.errors import ArgumentError

if TYPE_CHECKING:
    import pandas as pd

    from nbkit.bookkeeping.recording import Recording
    from nbkit.bookkeeping.recordings import Recordings


def _replay(options: argparse.Namespace) -> bool:
    """Look after the answers that nbkit.replay() keeps: in the cache directory, or in a file.

    `stats` counts them by model: bytes, and what they cost (USD). `prune` removes those that are older than --days, or
    all of a --model. `export` copies them into a new file of lines, to be published beside a notebook.
    """
    import sqlite3

    from nbkit.bookkeeping.recordings import open_recordings

    source = Path(options.file) if options.file else None
    if source and not source.exists():
        raise ArgumentError(f"{options.file}: no such file")
    if bool(options.to) != (options.action == "export"):
        raise ArgumentError("--to FILE.jsonl says where `export` writes, and only there")
    store = open_recordings(source)
    try:
        return _look_after(options, store)
    except sqlite3.Error as error:
        problem = f"{store}: {error}"
    raise OSError(problem)


def _look_after(options: argparse.Namespace, store: Recordings) -> bool:
    chosen = [one for one in store.list_all() if options.model in (None, one.model)]
    if options.days is not None:
        end = datetime.now(UTC) - timedelta(days=options.days)
        chosen = [one for one in chosen if one.kept < end]
    if options.action == "stats":
        columns = ("model", "answers", "bytes", "cost", "oldest", "newest")
        return print_frame(_add_up(chosen), columns, options, "no answers are kept there")
    if options.action == "prune":
        if options.days is None and options.model is None:
            raise ArgumentError("prune: expected --days or --model; --days 0 removes all")
        store.remove([one.key for one in chosen])
        sys.stdout.write(f"{_count(len(chosen))} removed, {store.count():,} left\n")
        return True
    from nbkit.bookkeeping.recordings import write_copy

    sys.stdout.write(f"{_count(write_copy(chosen, Path(options.to)))} in {options.to}\n")
    return True


def _count(answers: int) -> str:
    return f"{answers:,} {'answer' if answers == 1 else 'answers'}"


def _add_up(recordings: Iterable[Recording]) -> pd.DataFrame:
    """Add up answers by model."""
    import pandas as pd

    rows = pd.DataFrame(
        [
            (one.model, len(one.write()) + 1, (one.completion.get("bill") or {}).get("total"), one.kept)
            for one in recordings
        ],
        columns=["model", "bytes", "cost", "kept"],
    )
    sums = rows.groupby("model", as_index=False).agg(
        answers=("bytes", "size"),
        bytes=("bytes", "sum"),
        cost=("cost", "sum"),
        oldest=("kept", "min"),
        newest=("kept", "max"),
    )
    return sums.sort_values("bytes", ascending=False, ignore_index=True)


COMMANDS = (
    Command(
        "replay",
        "the answers that are kept to be replayed: stats, prune, export",
        _replay,
        {
            "action": {"choices": ("stats", "prune", "export"), "help": "what to do with them"},
            "file": {"nargs": "?", "metavar": "FILE", "help": "default: those in the cache directory"},
            "--days": {"type": float, "metavar": "N", "help": "only what is older than so many days"},
            "--model": {"metavar": "ID", "help": "only one model's"},
            "--to": {"metavar": "FILE.jsonl", "help": "the new file of an export"},
            **JSON,
        },
    ),
)
