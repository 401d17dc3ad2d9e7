"""The command line. A further command is one function and one row of COMMANDS."""

from __future__ import annotations

import argparse
import gzip
import re
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from nbkit.errors import NbkitError
from nbkit.modelsdev import fetch, snapshot
from nbkit.settings import settings


@dataclass(frozen=True, slots=True)
class Command:
    """One subcommand: `run` prints, `arguments` are those of ArgumentParser.add_argument, by flag."""

    name: str
    help: str
    run: Callable[[argparse.Namespace], None]
    arguments: Mapping[str, Mapping[str, Any]]


def _snapshot(options: argparse.Namespace) -> None:
    """Build the bundled snapshot from models.dev, or from an api.json at hand."""
    url, day = settings().catalog_url, options.date
    if options.source is None:
        body = fetch.download(url, seconds=60).body or b""
    else:
        body = options.source.read_bytes()
        body = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
        dated = re.search(r"\d{4}-\d\d-\d\d", options.source.name)
        day = day or (dated[0] if dated else None)
    built = fetch.decode(body, url=url, day=day)
    snapshot.write(options.out, built, mode=0o644)
    providers = len(built.columns["provider"].values)
    size = options.out.stat().st_size
    sys.stdout.write(
        f"{options.out}: {len(built):,} models of {providers} providers, {built.meta.date}, {size / 1000:,.0f} kB\n"
    )


def _day(text: str) -> str:
    return date.fromisoformat(text).isoformat()


COMMANDS = (
    Command(
        "snapshot",
        "build the snapshot of models.dev that nbkit carries",
        _snapshot,
        {
            "--from": {"dest": "source", "type": Path, "metavar": "FILE", "help": "an api.json or api.json.gz"},
            "--out": {
                "type": Path,
                "metavar": "FILE",
                "default": snapshot.bundled(),
                "help": "default: the bundled file",
            },
            "--date": {"type": _day, "help": "day of the data, YYYY-MM-DD; default: that in FILE's name, else today"},
        },
    ),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. 0: done; 1: it failed and stderr says why; 2: it was not understood."""
    parser = argparse.ArgumentParser(prog="nbkit", description="Choose, compare and pay for language models.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        sub = commands.add_parser(command.name, help=command.help, description=command.run.__doc__)
        for flag, how in command.arguments.items():
            sub.add_argument(flag, **how)
        sub.set_defaults(run=command.run)
    options = parser.parse_args(argv)
    try:
        options.run(options)
    except (NbkitError, OSError, EOFError, zlib.error) as failed:
        sys.stderr.write(f"nbkit: {failed}\n")
        return 1
    return 0
