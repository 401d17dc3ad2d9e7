"""Models that answer in words: those to chat with, among models that embed, rank, transcribe, speak or draw."""

from __future__ import annotations

from typing import Any

import pandas as pd

# What models.dev says to write text, but it is numbers, scores or what somebody else said.
_OTHER = (
    r"embed|rerank|transcri|whisper|moderation|guardrail|\bocr\b|\btts\b|\bbge\b|\bgte\b|\be5\b|\bvoyage\b|mpnet|minilm"
)


def can_chat(rows: pd.DataFrame) -> Any:
    """Mark the rows of the catalog of models that read text and answer in text: a mask.

    models.dev has no field for it: besides the `text_in` and `text_out` columns, names and families tell.
    """
    names = rows["name"].fillna("") + " " + rows["model"].fillna("") + " " + rows["family"].fillna("")
    other = names.str.contains(_OTHER, case=False, regex=True)
    reads, writes = (rows[name].fillna(False).astype(bool) for name in ("text_in", "text_out"))
    return (reads & writes & ~other).to_numpy(bool)
