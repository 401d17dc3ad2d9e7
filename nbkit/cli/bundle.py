"""`nbkit snapshot`."""

from __future__ import annotations

import argparse
import gzip
import re
import sys
from datetime import date
from pathlib import Path

from nbkit.cli.commands import Command
from nbkit.modelsdev import fetch, snapshot
from nbkit.settings import settings


def _snapshot(options: argparse.Namespace) -> bool:
    """Build the bundled snapshot from models.dev, or from an api.json at hand."""
    url, day = settings().catalog_url, options.date
    if options.source is None:
        body = fetch.download(url, seconds=30).body or b""
    else:
        body = options.source.read_bytes()
        body = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
        dated = re.search(r"\d{4}-\d\d-\d\d", options.source.name)
        day = day or (dated[0] if dated else None)
    built = fetch.decode(body, url=url, day=day)
    snapshot.write(options.out, built, mode=0o644)
    providers = len(built.distinct("provider"))
    size = options.out.stat().st_size
    sys.stdout.write(
        f"{options.out}: {len(built):,} models of {providers} providers, {built.meta.date}, {size / 1000:,.0f} kB\n"
    )
    return True


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
                "default": snapshot.BUNDLED,
                "help": "default: the bundled file",
            },
            "--date": {"type": _day, "help": "day of the data, YYYY-MM-DD; default: that in FILE's name, else today"},
        },
    ),
)
