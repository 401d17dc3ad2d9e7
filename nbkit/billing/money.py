"""Amounts of USD: added, blended, written for people."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from math import floor, log10
from typing import Any


def sum_usd(amounts: Iterable[float | None]) -> float | None:
    """The sum of some USD, decimal like a bill; None where one is unknown."""
    exact = [None if usd is None else Decimal(str(usd)) for usd in amounts]
    known = [usd for usd in exact if usd is not None]
    return float(sum(known)) if len(known) == len(exact) else None


def blend_prices(input_cost: Any, output_cost: Any) -> Any:
    """USD per million tokens where three are read for each that is written, as is usual; numbers or columns."""
    return (3 * input_cost + output_cost) / 4


def format_usd(usd: float | Decimal | None) -> str:
    """An amount of USD to read: "$0.00012", "$1.23", "unknown". Never "$0.00" for what did cost something."""
    if usd is None:
        return "unknown"
    if usd == 0:
        return "$0"
    size = int(f"{usd:.1e}".partition("e")[2])  # of the power of ten, when it is rounded
    return f"${usd:,.{max(2, 1 - size)}f}"  # cents, or two digits that are not zero


def format_price(usd: float | Decimal | None) -> str:
    """A price in USD to read, per million tokens or per use: "$0.40", "$0.0375", "$3.00", "unknown".

    Two decimals, and more where the first four digits need them. `write` of the picker's pick_rows.js writes the same.
    """
    if usd is None:
        return "unknown"
    places = max(2, 3 - floor(log10(usd))) if usd > 0 else 2
    exact = Decimal(usd).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    whole, _, rest = f"{exact:,f}".partition(".")
    return f"${whole}.{rest.rstrip('0'):0<2}"
