"""A chart that can be read everywhere, and the look that all charts share.

A chart leaves three readings in the notebook: Plotly's JSON for JupyterLab and VS Code, a small table in `text/html`
for GitHub and nbconvert, and the same table as text. plotly's own figures leave only the first, blank on GitHub.
Catalog text is hostile: plotly reads a few HTML tags in titles, ticks and hover texts, so whatever goes there is
escaped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

PLOTLY_MIME = "application/vnd.plotly.v1+json"
# 4.4:1 on white and 4.3:1 on JupyterLab's dark #111: one grey that can be read on both, as a saved chart must.
GREY, _GRID = "#787878", "rgba(128,128,128,0.25)"
COLORS = ("#3b82d0", "#d9772b", "#2f9e62", "#c8504b", "#8f6bc7", "#a0704f", "#c95f9f", "#9a9a20", "#1f9fae")
_LOOK = {
    "template": "none",  # plotly's default template adds 6.5 kB to every saved chart
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"color": GREY, "size": 12},
    "hoverlabel": {"align": "left"},
}
_UNSEEN = {"visible": False}
MAX_DOTS = 400  # about 60 kB of JSON, and drawn at once


@dataclass(frozen=True, slots=True, repr=False)
class Chart:
    """A chart that displays itself. `figure` is the plotly Figure, `table` what readers without plotly see."""

    figure: go.Figure
    table: pd.DataFrame
    title: str

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        # Where MathJax is loaded, "in $1, out $2" would become a formula.
        drawn = json.loads(self.figure.to_json()) | {"config": {"displaylogo": False, "typesetMath": False}}
        return {PLOTLY_MIME: drawn, "text/html": self._repr_html_(), "text/plain": repr(self)}

    def _repr_html_(self) -> str:
        return f"<p><b>{escape(self.title)}</b></p>" + self.table.to_html(index=False, border=0, escape=True)

    def __repr__(self) -> str:
        return f"{self.title}\n{self.table.to_string(index=False)}"


def chart(
    title: str, left_out: Mapping[str, int], traces: Sequence[Any], table: pd.DataFrame, *, height: int, **layout: Any
) -> Chart:
    """Put a chart together. Below its title it says what is not drawn and, where that is everything, that it is empty.

    `left_out`: how many models, by the reason; `height` in pixels, without the title.
    """
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in left_out.items() if count)
    omitted = f"not drawn: {reasons}" if reasons else ""
    first, second = ("<br>".join(map(escaped, wrap(*text))) for text in ((title, 85), (omitted, 120)))
    lines = 1 + first.count("<br>") + bool(second) + second.count("<br>")
    margin = {"l": 10, "r": 20, "t": 0, "b": 45} | layout.pop("margin", {})
    margin["t"] += 30 + 18 * lines
    heading = {
        "text": first + (f'<br><span style="font-size:12px">{second}</span>' if second else ""),
        "font": {"size": 14},
        "x": 0,
        "xanchor": "left",
        "y": 1,
        "yanchor": "top",
        "pad": {"l": 12, "t": 12 if lines == 1 else 22},  # plotly.js anchors the first of several lines by its middle
    }
    if table.empty:
        note = {"text": "nothing to draw", "showarrow": False, "x": 0, "y": 0, "xref": "paper", "yref": "paper"}
        traces, height, layout = [], 40, {"annotations": [note], "xaxis": _UNSEEN, "yaxis": _UNSEEN}
    height += margin["t"] + margin["b"]
    figure = go.Figure(traces, _LOOK | {"title": heading, "margin": margin, "height": height} | layout)
    return Chart(figure, table, f"{title} ({omitted})" if omitted else title)


def axis(title: str, **more: Any) -> dict[str, Any]:
    """An axis that reads on light and dark and leaves room for its labels."""
    return {
        "title": {"text": escaped(title), "standoff": 12},
        "gridcolor": _GRID,
        "linecolor": _GRID,
        "zeroline": False,
        "automargin": True,
    } | more


def money_axis(title: str, values: pd.Series, *, log: bool = True) -> dict[str, Any]:
    """An axis of USD."""
    return log_axis(title, values, "$,~r") if log else axis(title, tickformat="$,~r")


def log_axis(title: str, values: pd.Series, tickformat: str) -> dict[str, Any]:
    """A logarithmic axis with ticks at 1, 2, 5, 10 ... or, where these were too many, at the powers of ten.

    Plotly's own choice is good for less than a decade, and crowded for one or two.
    """
    decades = np.log10(values.max() / values.min()) if len(values) else 0.0
    steps = {} if 0 < decades < 0.8 else {"dtick": "D2" if decades < 4.5 else 1}
    return axis(title, type="log", tickformat=tickformat, **steps)


def date_axis(title: str, values: pd.Series) -> dict[str, Any]:
    """An axis of days. Left alone, plotly draws a single day in milliseconds."""
    room = max((values.max() - values.min()) * 0.04, pd.Timedelta(days=20)) if len(values) else pd.Timedelta(0)
    return axis(title, type="date", range=plain(pd.Series([values.min() - room, values.max() + room])))


def split(frame: pd.DataFrame, reasons: Mapping[str, Any]) -> tuple[pd.DataFrame, dict[str, int]]:
    """The rows that none of the masks in `reasons` marks, and how many rows are left out for which reason first."""
    kept, counts = np.ones(len(frame), bool), {}
    for reason, mask in reasons.items():
        hit = kept & np.asarray(mask, bool)
        counts[reason] = int(hit.sum())
        kept &= ~hit
    return frame[kept], counts


def unpriced(frame: pd.DataFrame, *columns: str) -> dict[str, Any]:
    """Why rows cannot be drawn: a logarithm of 0 does not exist, bars of 0 say nothing, and no price is no 0."""
    lowest = frame[list(columns)].astype("float64").min(axis=1, skipna=False)
    return {"priced at 0": lowest == 0, "of unknown price": lowest.isna()}


def need(frame: pd.DataFrame, *columns: str) -> None:
    """Raise ValueError where a chart's columns are missing."""
    if missing := [name for name in columns if name not in frame.columns]:
        hint = "nbkit.estimate adds the cost; " if "cost" in missing else ""
        raise ValueError(f"no column {', '.join(missing)} to draw: {hint}take rows of the catalog with all columns")


def escaped(text: str) -> str:
    """Text as plotly reads it: a few tags and entities, but not those of quotes."""
    return escape(text, quote=False)


def short(text: str, limit: int) -> str:
    """Catalog text as a label: cut, then escaped."""
    return escaped(text if len(text) <= limit else text[: limit - 1] + "…")


def labels(frame: pd.DataFrame, limit: int = 44) -> list[str]:
    """Each row's name and provider, in so many letters."""
    return [
        f"{short(name, limit - 3 - min(len(provider), 18))} · {short(provider, 18)}"
        for name, provider in zip(frame["name"], frame["provider"], strict=True)
    ]


def clouds(
    drawn: pd.DataFrame, x: str, y: str, by: str, *, keep: Any = False, by_context: bool = False
) -> tuple[list[go.Scatter], dict[str, int]]:
    """A cloud of dots for each of the largest groups of the column `by`, one for the others, and what is left out.

    A dot is a place where a group has models, however many, with some of them in its hover text. Above MAX_DOTS the
    places of most models are drawn, and those of the rows in the mask `keep`.
    """
    groups = words(drawn[by])
    named = [group for group in groups.value_counts().index if group != "unknown"][: len(COLORS)]
    rows = drawn.assign(group=groups.where(groups.isin(named), "other"), keep=keep, id=drawn.index)
    places = rows.groupby(["group", x, y], observed=True, sort=False)
    dots = places.agg(models=("id", "size"), keep=("keep", "any"), longest=("context", "max"), ids=("id", _listed))
    dots = dots.sort_values(["keep", "models"], ascending=False, kind="stable").head(MAX_DOTS).reset_index()
    left_out = {"in less common places": len(drawn) - int(dots["models"].sum())}
    colors = {"other": GREY} | dict(zip(named, COLORS, strict=False))  # what comes later lies on top
    traces = (
        _cloud(name, color, x, y, dots[dots["group"] == name], by_context=by_context) for name, color in colors.items()
    )
    return [trace for trace in traces if trace.x], left_out


def _cloud(name: str, color: str, x: str, y: str, dots: pd.DataFrame, *, by_context: bool) -> go.Scatter:
    # The area of a dot grows with the context: 1M tokens make 16 pixels, what is below 64k 4.
    sizes = [min(30.0, max(4.0, round((count / 4000) ** 0.5, 1))) for count in dots["longest"].fillna(0)]
    rows = zip(dots[x], dots[y], dots["longest"], dots["ids"], strict=True)
    return go.Scatter(
        x=plain(dots[x]),
        y=plain(dots[y]),
        mode="markers",
        name=short(name, 24),
        legendrank=2000 if name == "other" else 1000,
        marker={"color": color, "opacity": 0.4 if name == "other" else 0.75, "size": sizes if by_context else 7},
        hovertext=[
            f"<b>{in_words(x, left)}, {in_words(y, right)}</b><br>context up to {tokens(longest)}<br>{ids}"
            for left, right, longest, ids in rows
        ],
        hoverinfo="text+name",
    )


def _listed(ids: pd.Series) -> str:
    more = f"<br>and {len(ids) - 3:,} more" if len(ids) > 3 else ""
    return "<br>".join(short(str(model), 70) for model in ids[:3]) + more


def in_words(column: str, value: Any) -> str:
    """A value in words."""
    if column == "context":
        return tokens(value)
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d}"
    what, rated, _ = column.partition("_cost")
    return f"{what.replace('_', ' ')} {rate(value)}" + ("/M" if rated else "")


def plain(values: pd.Series) -> list[Any]:
    """A column as JSON has it: dates as YYYY-MM-DD."""
    return (values.dt.strftime("%Y-%m-%d") if values.dtype.kind == "M" else values).tolist()


def words(values: pd.Series) -> pd.Series:
    """A column as names of groups; those that are unknown are drawn among the others."""
    return values.astype("str").fillna("unknown")


def legend(title: str) -> dict[str, Any]:
    """A legend beside the chart, which covers nothing. Its title is already escaped."""
    return {"title": {"text": title, "side": "top"}, "x": 1.01, "itemsizing": "constant"}


def rate(usd: float) -> str:
    """A price to read."""
    return "unknown" if pd.isna(usd) else f"${usd:,.6g}"


def tokens(count: Any) -> str:
    """A length to read."""
    return "unknown" if pd.isna(count) else f"{count:,} tokens"
