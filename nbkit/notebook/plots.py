"""Charts of what models cost.

A chart leaves three readings in the notebook: Plotly's JSON for JupyterLab and VS Code, a small table in `text/html`
for GitHub and nbconvert, and the same table as text. plotly's own figures leave only the first, blank on GitHub.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from nbkit.notebook.tally import money

PLOTLY_MIME = "application/vnd.plotly.v1+json"
# 4.4:1 on white and 4.3:1 on JupyterLab's dark #111: one grey that can be read on both, as a saved chart must.
_GREY, _GRID = "#787878", "rgba(128,128,128,0.25)"
_BAR = "#3b82d0"
_VENDOR_COLORS = ("#3b82d0", "#d9772b", "#2f9e62", "#c8504b", "#8f6bc7", "#a0704f", "#c95f9f", "#9a9a20", "#1f9fae")
_AXIS = {"gridcolor": _GRID, "linecolor": _GRID, "zeroline": False, "automargin": True}
_LOOK = {
    "template": "none",  # plotly's default template adds 6.5 kB to every saved chart
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"color": _GREY, "size": 12},
    "margin": {"l": 10, "r": 20, "t": 60, "b": 45},
}


@dataclass(frozen=True, slots=True, repr=False)
class Chart:
    """A chart that displays itself. `figure` is the plotly Figure, `table` what readers without plotly see."""

    figure: go.Figure
    table: pd.DataFrame
    title: str

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        drawn = json.loads(self.figure.to_json()) | {"config": {"displaylogo": False}}
        return {PLOTLY_MIME: drawn, "text/html": self._repr_html_(), "text/plain": repr(self)}

    def _repr_html_(self) -> str:
        return f"<p><b>{escape(self.title)}</b></p>" + self.table.to_html(index=False, border=0, escape=True)

    def __repr__(self) -> str:
        return f"{self.title}\n{self.table.to_string(index=False)}"


def workload(frame: pd.DataFrame, title: str | None = None, *, count: int = 20, log: bool = False) -> Chart:
    """Draw what a workload costs as bars, the cheapest `count` models on top, in USD.

    `frame` is what `nbkit.estimate` returns. Models whose cost is unknown or 0 (free, or part of a subscription plan)
    are not drawn; the title says how many. `log` draws a logarithmic axis.
    """
    drawn = frame[frame["cost"] > 0].nsmallest(count, "cost")
    heading = _heading(title or f"Cost of the workload, cheapest {len(drawn)}", frame["cost"])
    costs = drawn["cost"].tolist()
    shown = [money(cost) for cost in costs]
    bars = go.Bar(
        x=costs,
        y=list(range(len(drawn))),  # names are not unique, and bars of one name would be stacked
        orientation="h",
        marker={"color": _BAR},
        text=shown,
        textposition="outside",
        cliponaxis=False,
        hovertext=_hover(drawn, [f"<b>{cost}</b>" for cost in shown]),
        hoverinfo="text",
    )
    labels = [_label(name, provider) for name, provider in zip(drawn["name"], drawn["provider"], strict=True)]
    figure = go.Figure(
        bars,
        _layout(
            heading,
            height=120 + 24 * max(len(drawn), 1),
            bargap=0.35,
            xaxis=_AXIS | {"title": "cost (USD)", "type": "log" if log else "linear", "tickprefix": "$"},
            yaxis=_AXIS | {"showgrid": False, "autorange": "reversed", "tickvals": bars.y, "ticktext": labels},
        ),
    )
    table = pd.DataFrame({"model": drawn["name"], "provider": drawn["provider"], "cost (USD)": shown})
    return Chart(figure, table, heading)


def prices(frame: pd.DataFrame, title: str | None = None, *, by_context: bool = False) -> Chart:
    """Draw input against output price, both in USD per million tokens on logarithmic axes, colored by vendor.

    One dot is one price of one vendor, with the models that have it in its hover text: the same model is often served
    by many providers at one price. `by_context` sizes the dots by the longest context. Models with an unknown price,
    or none, are not drawn; the title says how many.
    """
    priced = frame[(frame["input_cost"] > 0) & (frame["output_cost"] > 0)]
    cheaper = frame[["input_cost", "output_cost"]].min(axis=1, skipna=False)
    heading = _heading(title or "Prices per million tokens", cheaper)
    vendors = priced["vendor"].astype("str").fillna("unknown")
    shown = [str(vendor) for vendor in vendors.value_counts().index[: len(_VENDOR_COLORS)]]
    dots = _dots(priced.assign(group=vendors.where(vendors.isin(shown), "other")))
    colors = {"other": _GREY} | dict(zip(shown, _VENDOR_COLORS, strict=False))  # what comes later lies on top
    figure = go.Figure(
        [_cloud(name, color, dots[dots["group"] == name], by_context) for name, color in colors.items()],
        _layout(
            heading,
            height=520,
            xaxis=_AXIS | {"title": "input (USD per million tokens)", "type": "log", "dtick": 1, "tickprefix": "$"},
            yaxis=_AXIS | {"title": "output (USD per million tokens)", "type": "log", "dtick": 1, "tickprefix": "$"},
            legend={"title": {"text": "vendor"}},
        ),
    )
    return Chart(figure, _by_vendor(priced, vendors), heading)


def _layout(heading: str, **more: Any) -> dict[str, Any]:
    return _LOOK | {"title": {"text": escape(heading), "x": 0, "xref": "paper", "font": {"size": 14}}} | more


def _heading(title: str, amounts: pd.Series) -> str:
    """The title, and what is not drawn: a logarithm of 0 does not exist, and bars of 0 say nothing."""
    counts = ((int((amounts == 0).sum()), "priced at 0"), (int(amounts.isna().sum()), "of unknown price"))
    left_out = ", ".join(f"{number:,} {what}" for number, what in counts if number)
    return title + (f" (not drawn: {left_out})" if left_out else "")


def _label(name: str, provider: str) -> str:
    return escape(f"{name if len(name) <= 40 else name[:39] + '…'} · {provider}")


def _hover(frame: pd.DataFrame, first: Sequence[str]) -> list[str]:
    """Hover texts: plotly reads a few HTML tags, so catalog text is escaped."""
    rows = zip(first, frame.index, frame["input_cost"], frame["output_cost"], frame["context"], strict=True)
    return [
        f"{head}<br>{escape(model)}<br>in {_rate(paid)}, out {_rate(got)} per million<br>context {_tokens(context)}"
        for head, model, paid, got, context in rows
    ]


def _rate(rate: float) -> str:
    return "unknown" if pd.isna(rate) else f"${rate:g}"


def _tokens(count: Any) -> str:
    return "unknown" if pd.isna(count) else f"{count:,} tokens"


def _dots(priced: pd.DataFrame) -> pd.DataFrame:
    """One row per vendor's price: its hover text and its longest context."""

    def hover(ids: pd.Series) -> str:
        more = f"<br>and {len(ids) - 6:,} more" if len(ids) > 6 else ""
        return "<br>".join(escape(model) for model in ids[:6]) + more

    known = priced.reset_index(names="id").groupby(["group", "input_cost", "output_cost"], observed=True)
    return known.agg(models=("id", hover), context=("context", "max")).reset_index()


def _cloud(name: str, color: str, dots: pd.DataFrame, by_context: bool) -> go.Scatter:
    pairs = zip(dots["input_cost"], dots["output_cost"], dots["models"], strict=True)
    context = dots["context"].fillna(0).astype("float64")
    return go.Scatter(
        x=dots["input_cost"].tolist(),
        y=dots["output_cost"].tolist(),
        mode="markers",
        name=escape(name),
        legendrank=2000 if name == "other" else 1000,
        # The area of a dot grows with the context: 1M tokens make 26 pixels, what is below 24k 4.
        marker={
            "color": color,
            "opacity": 0.4 if name == "other" else 0.8,
            "size": [max(4.0, (tokens / 1500) ** 0.5) for tokens in context] if by_context else 7,
        },
        hovertext=[f"<b>in {_rate(paid)}, out {_rate(got)}</b><br>{models}" for paid, got, models in pairs],
        hoverinfo="text",
    )


def _by_vendor(priced: pd.DataFrame, vendors: pd.Series) -> pd.DataFrame:
    """Medians of the ten vendors with the most models."""
    groups = priced.groupby(vendors)[["input_cost", "output_cost"]]
    table = groups.median().map(_rate).set_axis(["median in (USD/M)", "median out (USD/M)"], axis=1)
    table.insert(0, "models", groups.size())
    return table.nlargest(10, "models").rename_axis("vendor").reset_index()
