"""The description of a subcommand."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Command:
    """One subcommand."""

    name: str
    help: str
    run: Callable[[argparse.Namespace], bool]
    """Prints, and returns whether there was anything to print. Its docstring is the subcommand's description."""
    arguments: Mapping[str, Mapping[str, Any]]
    """By name or flag, the arguments of `ArgumentParser.add_argument`; of those that share a `group` exactly one is
    given."""
