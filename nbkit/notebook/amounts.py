"""Rates and lengths as people read them."""

from __future__ import annotations

from typing import Any

import pandas as pd

from nbkit.billing.money import format_price


def format_rate(usd: float) -> str:
    """Format a price for people."""
    return format_price(None if pd.isna(usd) else usd)


def format_tokens(count: Any) -> str:
    """Format a length for people."""
    return "unknown" if pd.isna(count) else f"{count:,} tokens"
