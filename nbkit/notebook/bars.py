"""Bars of money over time, and the table of what they add up to."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from nbkit.billing.money import format_usd, sum_usd
from nbkit.notebook.charts import COLORS, GREY, ink, shorten

_STEPS = {
    "minute": ("min", 60),
    "hour": ("h", 3600),
    "day": ("D", 86_400),
    "week": ("W", 7 * 86_400),
    "month": ("M", 30 * 86_400),
}
"""How long a bar may be: pandas' name of it, and seconds."""
_MOST_BARS = 60
_FEWEST_BARS = 12
_TABLE_ROWS = 10


def add_bars(rows: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Add the column `bar`, the begin of the bar that a call belongs to; also return how long a bar is."""
    times = rows["time"].dt.tz_localize(None)
    step = next((step for step in _STEPS if _count_bars(times, step) <= _MOST_BARS), "month")
    return rows.assign(bar=times.dt.to_period(_STEPS[step][0]).dt.start_time), step


def _count_bars(times: pd.Series, step: str) -> int:
    bars = times.dt.to_period(_STEPS[step][0])
    return int((bars.max() - bars.min()).n) + 1 if len(bars) else 0


def find_span(rows: pd.DataFrame, step: str) -> list[str] | None:
    """Find the ends of the time that is shown: room for a dozen bars, so that a single one is not a wall."""
    if rows.empty:
        return None
    first, last, length = rows["bar"].min(), rows["bar"].max(), pd.Timedelta(seconds=_STEPS[step][1])
    spare = max((_FEWEST_BARS * length - (last - first)) / 2, length)
    return [(first - spare).isoformat(), (last + spare).isoformat()]


def draw_bars(rows: pd.DataFrame, sums: pd.DataFrame, step: str) -> list[go.Bar]:
    """Draw the bars of the dearest groups, and those of all others as one."""
    named = list(sums.index[: len(COLORS)])
    groups = rows[sums.index.name]
    layers = [(name, color, groups == name) for name, color in zip(named, COLORS, strict=False)]
    traces = []
    for name, color, mask in [*layers, ("other", GREY, ~groups.isin(named))]:
        costs = rows[mask].groupby("bar")["cost"].agg(sum_usd)
        costs = costs[costs > 0]
        traces.append(
            go.Bar(
                x=costs.index.strftime("%Y-%m-%d %H:%M").tolist(),
                y=[float(f"{usd:.6g}") for usd in costs],
                width=_STEPS[step][1] * 850,  # milliseconds; plotly draws a single bar hardly visible
                name=ink(shorten(name, 32)),
                marker={"color": color},
                customdata=[format_usd(usd) for usd in costs],
                hovertemplate=f"%{{customdata}}<br>%{{x|%Y-%m-%d %H:%M}}<extra>{shorten(name, 32)}</extra>",
            )
        )
    return [trace for trace in traces if trace.x]


def tabulate_sums(sums: pd.DataFrame) -> pd.DataFrame:
    """Write the sums of the dearest groups, and that of all others."""
    whole = sum_usd(sums["cost"])
    rows = [(name, calls, usd) for name, calls, usd in sums.head(_TABLE_ROWS).itertuples(name=None)]
    if len(rest := sums.iloc[_TABLE_ROWS:]):
        rows.append((f"{len(rest):,} others", rest["calls"].sum(), sum_usd(rest["cost"])))
    return pd.DataFrame(
        {
            sums.index.name: [name for name, _, _ in rows],
            "calls": [f"{calls:,}" for _, calls, _ in rows],
            "cost (USD)": [format_usd(usd) for _, _, usd in rows],
            "share": [f"{usd / whole:.0%}" if whole else "" for _, _, usd in rows],
        }
    )
