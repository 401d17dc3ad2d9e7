"""What a subcommand is, and how it fails."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Command:
    """One subcommand: `run` prints and says whether there was anything to print.

    `arguments` are those of ArgumentParser.add_argument, by name or flag; of those that share a `group` one is given.
    """

    name: str
    help: str
    run: Callable[[argparse.Namespace], bool]
    arguments: Mapping[str, Mapping[str, Any]]
