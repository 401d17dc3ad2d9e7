"""`python -m benchmarks [SUBJECT ...]`: measures and prints one table."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from importlib import import_module

from rich.console import Console
from rich.markup import escape
from rich.table import Table

SUBJECTS = ("imports", "catalog", "search", "calls", "rendering")


def main() -> None:
    """Measure the subjects that the command line names, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="CPU time of nbkit beside a baseline.")
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=f"some of {', '.join(SUBJECTS)}; all by default")
    subjects = parser.parse_args().subjects or SUBJECTS
    if unknown := set(subjects) - set(SUBJECTS):
        parser.error(f"unknown subject {', '.join(sorted(unknown))}; there are {', '.join(SUBJECTS)}")
    with tempfile.TemporaryDirectory() as cache:
        os.environ |= {"NBKIT_OFFLINE": "1", "NBKIT_CACHE_DIR": cache}  # before nbkit reads them
        table = measure(subjects)
    Console(width=None if sys.stdout.isatty() else 150).print(table)


def measure(subjects: list[str] | tuple[str, ...]) -> Table:
    """Measure the subjects, and say on standard error which is at work."""
    table = Table(title="CPU time, medians of interleaved rounds", title_justify="left")
    for name in ("subject", "what", "CPU", "baseline", "CPU", "ratio", "aim"):
        table.add_column(name, justify="right" if name in ("CPU", "ratio") else "left")
    progress = Console(stderr=True)
    for subject in subjects:
        with progress.status(f"measuring {subject} ..."):
            rows = list(import_module(f"benchmarks.{subject}").measure())
        for row in rows:
            cells = row.what, format_seconds(row.seconds), row.baseline, format_seconds(row.baseline_seconds)
            table.add_row(subject, *map(escape, cells), f"{row.ratio:.3g}", row.aim)
        table.add_section()
    return table


def format_seconds(seconds: float) -> str:
    """Write seconds with a fitting unit."""
    for unit, factor in (("s", 1), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


if __name__ == "__main__":
    main()
