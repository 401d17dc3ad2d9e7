"""Charts to choose a model by. Each takes any slice of the catalog and returns a `Chart`.

Prices are USD, rates USD per million tokens. A chart draws what can be drawn and counts the rest in its title; it
raises ValueError where the frame lacks a column.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from nbkit.billing.money import format_usd
from nbkit.choose.estimate import estimate
from nbkit.notebook.charts import (
    COLORS,
    GREY,
    Chart,
    axis,
    chart,
    clouds,
    date_axis,
    escaped,
    in_words,
    labels,
    legend,
    log_axis,
    money_axis,
    need,
    plain,
    rate,
    short,
    split,
    tokens,
    unpriced,
    words,
)

_CAPABILITIES = {
    "vision": "vision",
    "pdf_in": "PDF",
    "audio_in": "audio",
    "video_in": "video",
    "tools": "tools",
    "structured_output": "JSON",
    "reasoning": "reasoning",
    "image_out": "images<br>out",
    "audio_out": "audio<br>out",
    "open_weights": "open<br>weights",
}


def workload(frame: pd.DataFrame, title: str | None = None, *, count: int = 20, log: bool = False) -> Chart:
    """Draw what a workload costs as bars, the cheapest `count` models on top, in USD.

    `frame` is what `nbkit.estimate` returns. Models whose cost is unknown or 0 (free, or part of a subscription plan)
    are not drawn, nor those that cannot read the prompt. `log` draws a logarithmic axis.
    """
    need(frame, "cost", "name", "provider", "input_cost", "output_cost", "context")
    priced, left_out = split(frame, _unpriced(frame, "cost"))
    drawn = priced.nsmallest(count, "cost")
    shown = [format_usd(cost) for cost in drawn["cost"]]
    bars = go.Bar(
        x=drawn["cost"].tolist(),
        y=list(range(len(drawn))),  # names are not unique, and bars of one name would be stacked
        orientation="h",
        marker={"color": COLORS[0]},
        text=shown,
        textposition="outside",
        cliponaxis=False,
        hovertext=_facts(drawn, [f"<b>{cost}</b>" for cost in shown]),
        hoverinfo="text",
    )
    return chart(
        title or "Cost of the workload",
        left_out | {"that cost more": len(priced) - len(drawn)},
        [bars],
        pd.DataFrame({"model": drawn["name"], "provider": drawn["provider"], "cost (USD)": shown}),
        height=40 + 24 * max(len(drawn), 1),
        margin={"r": 60},
        bargap=0.35,
        xaxis=money_axis("cost (USD)", drawn["cost"], log=log),
        yaxis=axis("", showgrid=False, autorange="reversed", tickvals=bars.y, ticktext=labels(drawn)),
    )


def prices(frame: pd.DataFrame, title: str | None = None, *, by: str = "vendor", by_context: bool = True) -> Chart:
    """Draw input against output price, both in USD per million tokens on logarithmic axes, colored by `by`.

    One dot is one price of one vendor, with the models that have it in its hover text: the same model is often served
    by many providers at one price. `by_context` makes a dot as large as the longest context. `by` is a column.
    """
    need(frame, "input_cost", "output_cost", "context", by)
    priced, left_out = split(frame, unpriced(frame, "input_cost", "output_cost"))
    dots, rest = clouds(priced, "input_cost", "output_cost", by, by_context=by_context)
    groups = priced.groupby(words(priced[by]))[["input_cost", "output_cost"]]
    table = groups.median().map(rate).set_axis(["median in (USD/M)", "median out (USD/M)"], axis=1)
    table.insert(0, "models", groups.size())
    return chart(
        title or "Prices per million tokens",
        left_out | rest,
        dots,
        table.nlargest(10, "models").rename_axis(by).reset_index(),
        height=430,
        xaxis=money_axis("input (USD per million tokens)", priced["input_cost"]),
        yaxis=money_axis("output (USD per million tokens)", priced["output_cost"]),
        showlegend=True,
        legend=legend(escaped(by) + ("<br>(size: context)" if by_context else "")),
    )


def history(frame: pd.DataFrame, title: str | None = None, *, price: str = "input_cost", by: str = "family") -> Chart:
    """Draw price against release date, colored by `by` (a column: family, vendor ...); the line is the cheapest so far.

    `price` is a column of prices: a rate, or the `cost` of `nbkit.estimate`. The table is the line's steps.
    """
    return _against(frame, "release_date", price, by, title)


def context(frame: pd.DataFrame, title: str | None = None, *, price: str = "input_cost", by: str = "vendor") -> Chart:
    """Draw price against context, colored by `by`; the line is the cheapest model that has at least that much context.

    `price` is a column of prices: a rate, or the `cost` of `nbkit.estimate`. The table is the line's steps.
    """
    return _against(frame, "context", price, by, title)


def capabilities(frame: pd.DataFrame, title: str | None = None, *, count: int = 30) -> Chart:
    """Draw what the first `count` models can do: a dot is yes, a dash no, and ? is not said by models.dev."""
    need(frame, "name", "provider", *_CAPABILITIES)
    drawn = frame.head(count)
    answers = {name: drawn[name].astype(object).map({True: "yes", False: "no"}).fillna("?") for name in _CAPABILITIES}
    looks: dict[str, dict[str, Any]] = {
        "yes": {"mode": "markers", "marker": {"symbol": "circle", "size": 12, "color": COLORS[2]}},
        "no": {"mode": "markers", "marker": {"symbol": "line-ew", "size": 9, "line": {"color": GREY, "width": 1.5}}},
        "?": {"mode": "text", "text": "?"},
    }
    cells = [(column, row, word) for column, name in enumerate(answers) for row, word in enumerate(answers[name])]
    traces = [
        go.Scatter(
            x=[column for column, _, word in cells if word == answer],
            y=[row for _, row, word in cells if word == answer],
            hovertemplate=f"<b>%{{x}}: {answer}</b><br>%{{y}}<extra></extra>",
            **look,
        )
        for answer, look in looks.items()
    ]
    table = pd.DataFrame({"model": drawn["name"], "provider": drawn["provider"]})
    for name, heading in _CAPABILITIES.items():
        table[heading.replace("<br>", " ")] = answers[name]
    return chart(
        (title or "Capabilities") + ": ● yes, – no, ? unknown",
        {"further models": len(frame) - len(drawn)},
        traces,
        table,
        height=24 * max(len(drawn), 1),
        margin={"t": 30, "b": 10},
        showlegend=False,
        xaxis=axis(
            "", side="top", tickangle=0, tickvals=list(range(len(answers))), ticktext=list(_CAPABILITIES.values())
        ),
        yaxis=axis("", range=[len(drawn) - 0.5, -0.5], tickvals=list(range(len(drawn))), ticktext=labels(drawn)),
    )


def conversation(
    frame: pd.DataFrame,
    turns: int = 10,
    title: str | None = None,
    *,
    input_tokens: int = 500,
    output_tokens: int = 500,
    cached: bool = True,
    count: int = 8,
    log: bool = False,
) -> Chart:
    """Draw what a conversation has cost after each of its turns, in USD, at the cheapest `count` models.

    In each turn `input_tokens` are said and `output_tokens` answered, and the model reads again whatever was said
    before: the prompt of turn n is n inputs and n - 1 answers. Each turn is priced by `nbkit.estimate`. `cached`: the
    prompt of the turn before is read from the provider's cache and the rest is written to it, at the price of input
    where a model has no others; dotted lines are the cost without a cache.
    Raises ValueError where there is no turn, or a number of tokens is negative.
    """
    need(frame, "name", "provider", "context", "input_limit", "tiers", "input_cost", "output_cost")
    if turns < 1 or min(input_tokens, output_tokens) < 0:
        raise ValueError("a conversation has at least one turn, and tokens must not be negative")
    whole = turns * (input_tokens + output_tokens)
    spent = {way: _spent(frame, turns, input_tokens, output_tokens, cached=way) for way in (cached, False)}
    rows = frame.assign(cost=spent[cached][-1], plain=spent[False][-1], row=range(len(frame)))
    too_long = (rows["context"] < whole) | (rows["input_limit"] < whole - output_tokens)
    reasons = {f"that read less than {whole:,} tokens": too_long.fillna(False)}
    reasons |= unpriced(rows, "cost", "output_cost")  # embeddings have a price of input, and answer for nothing
    priced, left_out = split(rows, reasons)
    drawn = priced.nsmallest(count, "cost")
    traces = []
    for number, (row, label) in enumerate(zip(drawn["row"], labels(drawn, 38), strict=True)):
        for way, amounts in spent.items():  # what comes first is in the legend
            dotted = cached and not way
            traces.append(
                go.Scatter(
                    x=list(range(1, turns + 1)),
                    y=[float(f"{usd:.6g}") for usd in amounts[:, row]],
                    mode="lines" if dotted else "lines+markers",
                    line={"color": COLORS[number % len(COLORS)], "dash": "dot" if dotted else "solid"},
                    name=label,
                    legendgroup=str(number),
                    showlegend=not dotted,
                    **{"hoverinfo": "skip"} if dotted else {"hovertemplate": "%{y:$,.3~r}"},
                )
            )
    table = pd.DataFrame({"model": drawn["name"], "provider": drawn["provider"]})
    table["first turn (USD)"] = [format_usd(spent[cached][0, row]) for row in drawn["row"]]
    table[f"{turns} turns (USD)"] = drawn["cost"].map(format_usd)
    if cached:
        table["without cache (USD)"] = drawn["plain"].map(format_usd)
    return chart(
        title or f"A conversation of {turns} turns: {input_tokens:,} tokens in and {output_tokens:,} out in each",
        left_out | {"that cost more": len(priced) - len(drawn)},
        traces,
        table,
        height=380,
        hovermode="x unified",
        hoverlabel={"bgcolor": "#333333", "font": {"color": "#ffffff"}},
        xaxis=axis(
            "turn", unifiedhovertitle={"text": "turn %{x}"}, range=[0.5, turns + 0.5], dtick=max(1, turns // 10)
        ),
        yaxis=money_axis("cost so far (USD)", pd.Series(spent[cached][:, drawn["row"]].ravel()), log=log),
        legend=legend("cheapest first" + ("<br>(dotted: without cache)" if cached else "")),
    )


def _spent(frame: pd.DataFrame, turns: int, said: int, answered: int, *, cached: bool) -> np.ndarray:
    """USD after each turn (down) for each model (across)."""
    rows, costs = frame.assign(row=range(len(frame))), []
    for turn in range(turns):
        prompt = (turn + 1) * said + turn * answered
        before = prompt - said - answered if turn else 0
        cache = {"cached_tokens": before, "cache_write_tokens": prompt - before} if cached else {}
        priced = estimate(rows, input_tokens=prompt, output_tokens=answered, **cache)
        costs.append(priced.sort_values("row")["cost"].to_numpy("float64"))
    return np.cumsum(costs, axis=0)


def _against(frame: pd.DataFrame, x: str, price: str, by: str, title: str | None) -> Chart:
    """Price against `x`, with the line below which no model has been so far, or is with as much context."""
    need(frame, "name", "provider", "context", x, price, by)
    what, word = _named(price), x.replace("_", " ")
    drawn, left_out = split(frame, _unpriced(frame, price) | {f"of unknown {word}": frame[x].isna()})
    dated = x == "release_date"
    drawn = drawn.sort_values([x, price], ascending=[dated, True])
    frontier = (drawn[price] < drawn[price].cummin().shift(fill_value=np.inf)).to_numpy()
    best = drawn[frontier]
    dots, rest = clouds(drawn, x, price, by, keep=frontier)
    steps = pd.concat([best, drawn.tail(1).assign(**{price: drawn[price].min()})])  # the line goes on to the last model
    line = go.Scatter(
        x=plain(steps[x]),
        y=steps[price].tolist(),
        mode="lines",
        line={"shape": "hv", "color": GREY, "width": 2},
        name="cheapest so far" if dated else "cheapest of at<br>least that context",
        hoverinfo="skip",
    )
    table = pd.DataFrame(
        {
            word: [in_words(x, value) for value in best[x]],
            "cheapest": best["name"].tolist(),
            "provider": best["provider"].tolist(),
        }
    )
    table[what] = best[price].map(rate).tolist()
    return chart(
        title or f"{what[0].upper()}{what[1:].partition(' (')[0]} by {word}",
        left_out | rest,
        [*dots, line],
        table,
        height=430,
        xaxis=date_axis(word, drawn[x]) if dated else log_axis(f"{word} (tokens)", drawn[x], "~s"),
        yaxis=money_axis(what, drawn[price]),
        legend=legend(escaped(by)),
    )


def _unpriced(frame: pd.DataFrame, price: str) -> dict[str, Any]:
    """Why rows have no price to draw; a workload that a model cannot read has a cost all the same."""
    if price != "cost" or "note" not in frame.columns:
        return unpriced(frame, price)
    too_long = frame["note"].astype("str").str.startswith("longer")  # as `nbkit.estimate` says it
    return {"that read less than the prompt": too_long.fillna(False)} | unpriced(frame, price)


def _named(price: str) -> str:
    """A column of prices in words, with its unit."""
    if price == "cost":
        return "cost of the workload (USD)"
    return f"{price.removesuffix('_cost').replace('_', ' ')} price (USD per million tokens)"


def _facts(frame: pd.DataFrame, first: Sequence[str]) -> list[str]:
    """Hover texts, one a model."""
    rows = zip(first, frame.index, frame["input_cost"], frame["output_cost"], frame["context"], strict=True)
    return [
        f"{head}<br>{short(str(model), 70)}<br>in {rate(paid)}, out {rate(got)} per million<br>context {tokens(length)}"
        for head, model, paid, got, length in rows
    ]
