"""The parts that subcommands share: their description, and how they print rows."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    import pandas as pd

JSON: Mapping[str, Mapping[str, Any]] = {
    "--json": {"action": "store_true", "help": "all columns as JSON, null where unknown"}
}


class Command(Struct, frozen=True):
    """One subcommand."""

    name: str
    help: str
    run: Callable[[argparse.Namespace], bool]
    """Prints, and returns whether there was anything to print. Its docstring is the subcommand's description."""
    arguments: Mapping[str, Mapping[str, Any]]
    """By name or flag, the arguments of `ArgumentParser.add_argument`; of those that share a `group` exactly one is
    given."""


def print_frame(frame: pd.DataFrame, columns: tuple[str, ...], options: argparse.Namespace, none: str) -> bool:
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
