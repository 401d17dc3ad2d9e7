"""A chart that can be read everywhere, and the look that all charts share.

A chart leaves three versions in the notebook: Plotly's JSON for JupyterLab and VS Code, a small table in `text/html`
for GitHub and nbconvert, and the same table as text. Plotly's own figures leave only the first, which GitHub shows
blank. Catalog text is hostile: plotly reads a few HTML tags in titles, ticks and hover texts, so all text for these is
escaped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from math import ceil, floor
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from msgspec import Struct

from nbkit.billing.money import format_price
from nbkit.errors import ArgumentError
from nbkit.notebook.amounts import format_rate, format_tokens
from nbkit.notebook.outputs import person_in_front

PLOTLY_MIME = "application/vnd.plotly.v1+json"
# 4.4:1 on white and 4.3:1 on JupyterLab's dark #111: one grey for both, where a picture of the chart is shown. Plotly
# reads no variables of a page where it wants a color, but keeps the style of a piece of text: `ink`.
GREY, _GRID = "#787878", "rgba(128,128,128,0.25)"
_INK = f'<span style="color:var(--vscode-editor-foreground,var(--jp-ui-font-color1,{GREY}))">'
COLORS = ("#3b82d0", "#d9772b", "#2f9e62", "#c8504b", "#8f6bc7", "#a0704f", "#c95f9f", "#9a9a20", "#1f9fae")
_LOOK = {
    "template": "none",  # plotly's default template adds 6.5 kB to every saved chart
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"color": GREY, "size": 12},
    "hoverlabel": {"align": "left"},
    "meta": "nbkit",  # for the widget that names the charts in a page
}
_UNSEEN = {"visible": False}
_NARROW, _WIDE = 0.8, 1.5  # decades of a logarithmic axis
_LONGEST = 70  # letters of a name in a hover text
MAX_DOTS = 400  # about 60 kB of JSON, and drawn at once


class Chart(Struct, frozen=True):
    """A chart that displays itself. `figure` is the plotly Figure, `table` what readers without plotly see."""

    figure: go.Figure
    table: pd.DataFrame
    title: str

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        if person_in_front():
            from nbkit.notebook.widgets.chart_names import name_charts

            name_charts()
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
    """Make a chart with the common look. Below its title stands what is not drawn, and why.

    `left_out`: how many models are not drawn, by reason. `table`: what is drawn; without rows the chart is empty and
    says so. `height`: in pixels, without the title.
    """
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in left_out.items() if count)
    omitted = f"not drawn: {reasons}" if reasons else ""
    first, second = ("<br>".join(map(escape_text, wrap(*text))) for text in ((title, 64), (omitted, 75)))
    lines = 1 + first.count("<br>") + bool(second) + second.count("<br>")
    margin = {"l": 10, "r": 20, "t": 0, "b": 45} | layout.pop("margin", {})
    margin["t"] += 30 + 18 * lines
    heading = {
        "text": ink(first + (f'<br><span style="font-size:12px">{second}</span>' if second else "")),
        "font": {"size": 14},
        "x": 0,
        "xanchor": "left",
        "y": 1,
        "yanchor": "top",
        "pad": {"l": 12, "t": 12 if lines == 1 else 22},  # plotly.js anchors the first of several lines by its middle
    }
    if table.empty:
        note = {"text": ink("nothing to draw"), "showarrow": False, "x": 0, "y": 0, "xref": "paper", "yref": "paper"}
        traces, height, layout = [], 40, {"annotations": [note], "xaxis": _UNSEEN, "yaxis": _UNSEEN}
    height += margin["t"] + margin["b"]
    figure = go.Figure(traces, _LOOK | {"title": heading, "margin": margin, "height": height} | layout)
    return Chart(figure, table, f"{title} ({omitted})" if omitted else title)


def axis(title: str, **more: Any) -> dict[str, Any]:
    """Make an axis that can be read on light and dark and leaves room for its labels."""
    labels = {"ticktext": [ink(text) for text in more.pop("ticktext")]} if "ticktext" in more else {}
    return {
        "title": {"text": ink(escape_text(title)), "standoff": 12} if title else None,
        "tickprefix": _INK,
        "ticksuffix": "</span>",
        "gridcolor": _GRID,
        "linecolor": _GRID,
        "zeroline": False,
        "automargin": True,
    } | (more | labels)


def money_axis(title: str, values: pd.Series, *, log: bool = True) -> dict[str, Any]:
    """Make an axis of USD, with whole dollars, or two decimals and more where they are needed."""
    decades = _count_decades(values) if log else 0.0
    if log and not 0 < decades < _NARROW:
        digits, low = (1, 2, 5) if decades < _WIDE else (1,), floor(np.log10(values.min())) if len(values) else 0
        ticks = [digit * 10.0**power for power in range(low, low + ceil(decades) + 2) for digit in digits]
        texts = [format_price(usd).removesuffix(".00") for usd in ticks]
        return axis(title, type="log", tickvals=ticks, ticktext=texts)
    steps = (None, *(10.0**-places for places in range(6, 1, -1)), 1.0, None)  # the smallest step of each format
    formats = ("$,~f", *(f"$,.{places}f" for places in range(6, 1, -1)), "$,.0f")
    ranges = pairwise(f"L{step:f}" if log and step else step for step in steps)
    stops = [{"dtickrange": pair, "value": text} for pair, text in zip(ranges, formats, strict=True)]
    return axis(title, tickformatstops=stops, **{"type": "log"} if log else {})


def log_axis(title: str, values: pd.Series, tickformat: str) -> dict[str, Any]:
    """Make a logarithmic axis with ticks at 1, 2, 5, 10 ... or, where these were too many, at the powers of ten.

    Plotly's own choice is good for less than a decade, and crowded for more, in a narrow window even those at 2 and 5.
    """
    decades = _count_decades(values)
    steps = {} if 0 < decades < _NARROW else {"dtick": "D2" if decades < _WIDE else 1}
    return axis(title, type="log", tickformat=tickformat, **steps)


def _count_decades(values: pd.Series) -> float:
    return float(np.log10(values.max() / values.min())) if len(values) else 0.0


def date_axis(title: str, values: pd.Series) -> dict[str, Any]:
    """Make an axis of days, with room around them: plotly draws a single day in milliseconds."""
    room = max((values.max() - values.min()) * 0.04, pd.Timedelta(days=20)) if len(values) else pd.Timedelta(0)
    return axis(title, type="date", range=to_plain(pd.Series([values.min() - room, values.max() + room])))


def split(frame: pd.DataFrame, reasons: Mapping[str, Any]) -> tuple[pd.DataFrame, dict[str, int]]:
    """Leave out the rows that a mask in `reasons` marks; count them by the first reason that applies."""
    kept, counts = np.ones(len(frame), bool), {}
    for reason, mask in reasons.items():
        hit = kept & np.asarray(mask, bool)
        counts[reason] = int(hit.sum())
        kept &= ~hit
    return frame[kept], counts


def mark_unpriced(frame: pd.DataFrame, *columns: str) -> dict[str, Any]:
    """Mark the rows that cannot be drawn, by reason: 0 has no logarithm, and an unknown price is not 0."""
    lowest = frame[list(columns)].astype("float64").min(axis=1, skipna=False)
    return {"priced at 0": lowest == 0, "of unknown price": lowest.isna()}


def require_columns(frame: pd.DataFrame, *columns: str) -> None:
    """Raise ValueError for a frame that lacks columns of a chart."""
    if missing := [name for name in columns if name not in frame.columns]:
        hint = "nbkit.estimate adds the cost; " if "cost" in missing else ""
        raise ArgumentError(f"no column {', '.join(missing)} to draw: {hint}take rows of the catalog with all columns")


def escape_text(text: str) -> str:
    """Escape text as plotly reads it: it knows a few tags and entities, but not those of quotes."""
    return escape(text, quote=False)


def ink(text: str) -> str:
    """Color a label, of escaped text, by the page's theme; an empty one needs none."""
    return f"{_INK}{text}</span>" if text else ""


def shorten(text: str, limit: int) -> str:
    """Make a label of catalog text: cut, then escaped."""
    return escape_text(text if len(text) <= limit else text[: limit - 1] + "…")


def label_rows(frame: pd.DataFrame, limit: int = 44) -> list[str]:
    """Make a label of each row, of its name and provider, with at most `limit` letters, or more, lest two be alike."""
    rows = list(zip(frame["name"], frame["provider"], map(str, frame.index), strict=True))
    short = [f"{_cut_middle(name, limit - 3 - min(len(at), 18))} · {_cut_middle(at, 18)}" for name, at, _ in rows]
    whole = [f"{_cut_middle(name, _LONGEST)} · {at}" for name, at, _ in rows]
    labels = [first if short.count(first) == 1 else second for first, second in zip(short, whole, strict=True)]
    return [
        escape_text(label if labels.count(label) == 1 else _cut_middle(model, _LONGEST))
        for label, (_, _, model) in zip(labels, rows, strict=True)
    ]


def _cut_middle(text: str, limit: int) -> str:
    """Cut the middle of a text, where names of models differ least."""
    half = (limit - 1) // 2
    return text if len(text) <= limit else f"{text[: limit - 1 - half]}…{text[-half:]}"


def draw_clouds(
    drawn: pd.DataFrame, x: str, y: str, by: str, *, keep: Any = False, by_context: bool = False
) -> tuple[list[go.Scatter], dict[str, int]]:
    """Draw a cloud of dots for each of the largest groups of the column `by` and one for the others.

    Returns the clouds, and how many models are left out, by reason. A dot is a place where a group has models, however
    many, with some of them in its hover text. Above MAX_DOTS only the places with most models are drawn, and those of
    the rows in the mask `keep`.
    """
    groups = name_groups(drawn[by])
    named = [group for group in groups.value_counts().index if group != "unknown"][: len(COLORS)]
    rows = drawn.assign(group=groups.where(groups.isin(named), "other"), keep=keep, id=drawn.index)
    places = rows.groupby(["group", x, y], observed=True, sort=False)
    dots = places.agg(models=("id", "size"), keep=("keep", "any"), longest=("context", "max"), ids=("id", _list_ids))
    dots = dots.sort_values(["keep", "models"], ascending=False, kind="stable").head(MAX_DOTS).reset_index()
    left_out = {"in less common places": len(drawn) - int(dots["models"].sum())}
    colors = {"other": GREY} | dict(zip(named, COLORS, strict=False))  # a later cloud lies on top
    traces = (
        _draw_cloud(name, color, x, y, dots[dots["group"] == name], by_context=by_context)
        for name, color in colors.items()
    )
    return [trace for trace in traces if trace.x], left_out


def _draw_cloud(name: str, color: str, x: str, y: str, dots: pd.DataFrame, *, by_context: bool) -> go.Scatter:
    # The area of a dot grows with the context: 16 pixels for 1M tokens, 4 for less than 64k.
    sizes = [min(30.0, max(4.0, round((count / 4000) ** 0.5, 1))) for count in dots["longest"].fillna(0)]
    rows = zip(dots[x], dots[y], dots["longest"], dots["ids"], strict=True)
    return go.Scatter(
        x=to_plain(dots[x]),
        y=to_plain(dots[y]),
        mode="markers",
        name=ink(shorten(name, 24)),
        legendrank=2000 if name == "other" else 1000,
        marker={"color": color, "opacity": 0.4 if name == "other" else 0.75, "size": sizes if by_context else 7},
        hovertext=[
            f"<b>{format_value(x, left)}, {format_value(y, right)}</b><br>{shorten(name, 24)}, context up to "
            f"{format_tokens(most)}<br>{ids}"
            for left, right, most, ids in rows
        ],
        hoverinfo="text",
    )


def _list_ids(ids: pd.Series) -> str:
    more = f"<br>and {len(ids) - 3:,} more" if len(ids) > 3 else ""
    return "<br>".join(shorten(str(model), _LONGEST) for model in ids[:3]) + more


def format_value(column: str, value: Any) -> str:
    """Format a value of a column for people."""
    if column == "context":
        return format_tokens(value)
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d}"
    what, rated, _ = column.partition("_cost")
    return f"{what.replace('_', ' ')} {format_rate(value)}" + ("/M" if rated else "")


def to_plain(values: pd.Series) -> list[Any]:
    """Convert a column to plain values for JSON; dates are YYYY-MM-DD."""
    return (values.dt.strftime("%Y-%m-%d") if values.dtype.kind == "M" else values).tolist()


def name_groups(values: pd.Series) -> pd.Series:
    """Convert a column to names of groups; "unknown" is drawn among the others."""
    return values.astype("str").fillna("unknown")


def legend(title: str) -> dict[str, Any]:
    """Make a legend below the chart, in lines as long as there is room. `title` must be escaped."""
    where = {"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"}
    return {"title": {"text": ink(title), "side": "top"}, "itemsizing": "constant"} | where
