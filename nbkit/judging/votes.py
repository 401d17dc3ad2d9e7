"""Votes: one judgement of a pair of answers each, by a person or by a judge model, in one plain frame."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from nbkit.arguments import describe
from nbkit.errors import ArgumentError

COLUMNS = ("prompt", "left", "right", "winner", "voter", "left_cost", "right_cost")
"""What a frame of votes has: the models that answered, who won, who says so, and what the two answers cost in USD."""
WINNERS = ("left", "right", "tie", "bad")
"""`bad`: neither answer is good. It counts as a tie where models are compared."""
TEXTS = ("left_answer", "right_answer")
"""The two answers, where the frame has them: `write_pairs` needs them."""
_REQUIRED = ("left", "right", "winner")
_EXAMPLE = '{"left": "demo/swift", "right": "demo/sage", "winner": "left"}'


def read_votes(votes: Any) -> pd.DataFrame:
    """Read votes: a DataFrame, a list of dicts, or the path of a JSONL file, each with `left`, `right` and `winner`.

    A winner is "left", "right", "tie", "bad", or the id of one of the two models. Returns a new frame with the columns
    COLUMNS first, "human" where no voter is named. Raises ArgumentError, which names the first row that is not a vote.
    """
    frame = _build_frame(votes)
    missing = [name for name in _REQUIRED if name not in frame.columns]
    if missing:
        raise ArgumentError(f"votes: no column {missing[0]!r}: a vote has left, right and winner, as in {_EXAMPLE}")
    for name in COLUMNS:
        if name not in frame.columns:
            frame[name] = "human" if name == "voter" else "" if name == "prompt" else float("nan")
    frame["voter"] = frame["voter"].fillna("human")
    for side in ("left", "right"):
        frame["winner"] = frame["winner"].mask((frame["winner"] == frame[side]).fillna(False), side)
    _check_rows(frame)
    return frame[[*COLUMNS, *(name for name in frame.columns if name not in COLUMNS)]].reset_index(drop=True)


def write_pairs(votes: Any) -> str:
    """Write what was preferred as JSONL, a line for each vote that has a winner: `prompt`, `chosen`, `rejected`.

    This is what training by preferences (DPO) reads. Ties are left out. Raises ArgumentError where the votes lack the
    answers, as columns `left_answer` and `right_answer`.
    """
    frame = read_votes(votes)
    missing = [name for name in TEXTS if name not in frame.columns]
    if missing and len(frame):
        raise ArgumentError(f"votes: no column {missing[0]!r}: the answers are needed to write the chosen one")
    lines = []
    for row in frame.to_dict("records"):
        if row["winner"] in ("left", "right"):
            answers = row["left_answer"], row["right_answer"]
            chosen, rejected = answers if row["winner"] == "left" else answers[::-1]
            lines.append(json.dumps({"prompt": row["prompt"], "chosen": chosen, "rejected": rejected}))
    return "".join(f"{line}\n" for line in lines)


def _build_frame(votes: Any) -> pd.DataFrame:
    if isinstance(votes, pd.DataFrame):
        return votes.copy()
    if isinstance(votes, str | Path):
        return pd.DataFrame(_read_lines(Path(votes)))
    if isinstance(votes, Iterable) and not isinstance(votes, Mapping | bytes):
        rows = list(votes)
        if all(isinstance(row, Mapping) for row in rows):
            return pd.DataFrame(rows, columns=None if rows else list(COLUMNS))
    raise ArgumentError(
        f"votes: expected a DataFrame, a list of dicts or the path of a JSONL file, got {describe(votes)}"
    )


def _read_lines(path: Path) -> list[Any]:
    try:
        lines = path.read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines if line.strip()]
    except OSError as failed:
        reason = failed.strerror or str(failed)
    except UnicodeDecodeError:
        reason = "it is not UTF-8"
    except (ValueError, RecursionError):
        reason = "a line is not JSON"
    raise ArgumentError(f"votes: {str(path)!r} cannot be read: {reason}")


def _check_rows(frame: pd.DataFrame) -> None:
    wrong = ~frame["winner"].isin(WINNERS) | (frame["left"] == frame["right"])
    for side in ("left", "right"):
        wrong |= ~frame[side].map(lambda name: isinstance(name, str)).astype(bool)
    if wrong.any():
        number = int(wrong.to_numpy().argmax())
        ((left, right, winner),) = frame.iloc[[number]][["left", "right", "winner"]].astype(object).to_numpy().tolist()
        raise ArgumentError(
            f"votes: row {number} is not a vote: {left!r} against {right!r}, winner {winner!r}; expected two models, "
            f"and {', '.join(WINNERS)} or one of the two"
        )
