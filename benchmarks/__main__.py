"""`python -m benchmarks [SUBJECT ...]`: measures, and prints one table for each subject."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from rich.console import Console

from benchmarks.runner import ROUNDS, Row
from benchmarks.tables import make_table, save

SUBJECTS = ("imports", "first_call", "calls", "ledger", "streams", "kernel", "catalog", "search", "rendering")
OTHERS = ("soak", "comparisons")
"""Subjects that run only where they are named."""


def main() -> None:
    """Measure the subjects that the command line names, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="nbkit beside others, in one run.")
    known = SUBJECTS + OTHERS
    parser.add_argument(
        "subjects", nargs="*", metavar="SUBJECT", help=f"some of {', '.join(known)}; all but the last 2"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds of each measurement ({ROUNDS})")
    parser.add_argument(
        "--save", type=Path, metavar="FILE", help="write the figures of all subjects, for docs/tables.py"
    )
    arguments = parser.parse_args()
    subjects = arguments.subjects or SUBJECTS
    if arguments.save and arguments.subjects:
        parser.error("--save is for a run of all subjects")
    if unknown := set(subjects) - set(known):
        parser.error(f"unknown subject {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    with tempfile.TemporaryDirectory() as cache:
        os.environ |= {"NBKIT_OFFLINE": "1", "NBKIT_CACHE_DIR": cache, "NBKIT_LEDGER": "off"}  # before nbkit reads them
        tables = {subject: _measure(subject, max(1, arguments.rounds)) for subject in subjects}
    if arguments.save:
        save(arguments.save, tables)


def _measure(subject: str, rounds: int) -> list[Row]:
    """Measure a subject and print its table; standard error says what is at work."""
    rows: list[Row] = []
    try:
        with Console(stderr=True).status(f"measuring {subject} ..."):
            for row in import_module(f"benchmarks.{subject}").measure(rounds):
                rows.append(row)
    finally:  # what was measured before an error is printed, too
        Console(width=None if sys.stdout.isatty() else 180).print(make_table(subject, rows))
    return rows


if __name__ == "__main__":
    main()
