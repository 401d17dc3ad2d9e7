"""Rates and lengths as people read them."""

from __future__ import annotations

from typing import Any

import pandas as pd


def format_rate(usd: float) -> str:
    """Format a price for people."""
    return "unknown" if pd.isna(usd) else f"${usd:,.6g}"


def format_tokens(count: Any) -> str:
    """Format a length for people."""
    return "unknown" if pd.isna(count) else f"{count:,} tokens"
