"""Charts to choose a model by, and `spend`, of what was paid.

Each takes rows of the catalog (`spend`: of the ledger) and returns a `Chart`, which displays itself.

Costs are USD, rates USD per million tokens, lengths tokens. A chart draws the rows that it can and counts the others,
with the reason, in its title. Every chart raises ValueError for a frame that lacks a column it draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from nbkit.arguments import check_arguments
from nbkit.billing.money import format_usd, sum_usd
from nbkit.bookkeeping.ledger import ledger
from nbkit.bookkeeping.spending import group_calls, name_kinds
from nbkit.choose.abilities import ABILITIES
from nbkit.choose.estimate import estimate
from nbkit.choose.frame import restore_dtypes
from nbkit.errors import ArgumentError
from nbkit.notebook.amounts import format_rate, format_tokens
from nbkit.notebook.bars import add_bars, draw_bars, find_span, tabulate_sums
from nbkit.notebook.charts import (
    COLORS,
    GREY,
    Chart,
    axis,
    chart,
    date_axis,
    draw_clouds,
    escape_text,
    format_value,
    ink,
    label_rows,
    legend,
    log_axis,
    mark_unpriced,
    money_axis,
    name_groups,
    require_columns,
    shorten,
    split,
    to_plain,
)

_CAPABILITIES = (
    *("vision", "pdf_in", "audio_in", "video_in", "tools"),
    *("structured_output", "reasoning", "image_out", "audio_out", "open_weights"),
)


@check_arguments
def workload(frame: pd.DataFrame, title: str | None = None, *, count: int = 20, log: bool = False) -> Chart:
    """Draw the cost of a workload, in USD, as bars: the cheapest `count` models, the cheapest on top.

    `frame` is what `nbkit.estimate` returns. Models whose cost is unknown or 0 (free, or part of a subscription plan)
    are not drawn, and neither are those whose context is shorter than the workload. `log` draws a logarithmic axis.
    """
    require_columns(frame, "cost", "name", "provider", "input_cost", "output_cost", "context")
    frame = restore_dtypes(frame)
    priced, left_out = split(frame, _explain_missing_price(frame, "cost"))
    drawn = priced.nsmallest(count, "cost")
    shown = [format_usd(cost) for cost in drawn["cost"]]
    bars = go.Bar(
        x=drawn["cost"].tolist(),
        y=list(range(len(drawn))),  # not names: these are not unique, and bars of one name would be stacked
        orientation="h",
        marker={"color": COLORS[0]},
        text=[ink(cost) for cost in shown],
        textposition="outside",
        cliponaxis=False,
        hovertext=_hover_texts(drawn, [f"<b>{cost}</b>" for cost in shown]),
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
        yaxis=axis("", showgrid=False, autorange="reversed", tickvals=bars.y, ticktext=label_rows(drawn)),
    )


@check_arguments
def prices(frame: pd.DataFrame, title: str | None = None, *, by: str = "vendor", by_context: bool = True) -> Chart:
    """Draw input price against output price, in USD per million tokens, on logarithmic axes.

    `by` is the column that colors the dots. One dot stands for all models of one color and one price, and names some of
    them in its hover text: the same model is often served by many providers at one price. `by_context` makes a dot as
    large as the longest context of its models.
    """
    require_columns(frame, "input_cost", "output_cost", "context", by)
    frame = restore_dtypes(frame)
    priced, left_out = split(frame, mark_unpriced(frame, "input_cost", "output_cost"))
    dots, rest = draw_clouds(priced, "input_cost", "output_cost", by, by_context=by_context)
    groups = priced.groupby(name_groups(priced[by]))[["input_cost", "output_cost"]]
    table = groups.median().map(format_rate).set_axis(["median in (USD/M)", "median out (USD/M)"], axis=1)
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
        legend=legend(escape_text(by) + (" (size: context)" if by_context else "")),
    )


@check_arguments
def history(frame: pd.DataFrame, title: str | None = None, *, price: str = "input_cost", by: str = "family") -> Chart:
    """Draw price against release date, with a line along the cheapest price so far.

    `price` is a column of prices: a rate, or the `cost` that `nbkit.estimate` adds. `by` is the column that colors the
    dots: family, vendor, provider ... The chart's table lists the steps of the line.
    """
    return _draw_frontier(frame, "release_date", price, by, title)


@check_arguments
def context(frame: pd.DataFrame, title: str | None = None, *, price: str = "input_cost", by: str = "vendor") -> Chart:
    """Draw price against context, with a line along the cheapest model that has at least that much context.

    `price` is a column of prices: a rate, or the `cost` that `nbkit.estimate` adds. `by` is the column that colors the
    dots. The chart's table lists the steps of the line.
    """
    return _draw_frontier(frame, "context", price, by, title)


@check_arguments
def capabilities(frame: pd.DataFrame, title: str | None = None, *, count: int = 30) -> Chart:
    """Draw the abilities of the first `count` models: a dot is yes, a dash no, ? where models.dev does not say."""
    require_columns(frame, "name", "provider", *_CAPABILITIES)
    frame = restore_dtypes(frame)
    drawn = frame.head(count)
    answers = {name: drawn[name].astype(object).map({True: "yes", False: "no"}).fillna("?") for name in _CAPABILITIES}
    looks: dict[str, dict[str, Any]] = {
        "yes": {"mode": "markers", "marker": {"symbol": "circle", "size": 10, "color": COLORS[2]}},
        "no": {"mode": "markers", "marker": {"symbol": "line-ew", "size": 9, "line": {"color": GREY, "width": 1.5}}},
        "?": {"mode": "text", "text": ink("?")},
    }
    cells = [(column, row, word) for column, name in enumerate(answers) for row, word in enumerate(answers[name])]
    heads = [ABILITIES[name].label for name in _CAPABILITIES]
    names = [shorten(name, 70) for name in drawn["name"]]
    traces = [
        go.Scatter(
            x=[column for column, _, word in cells if word == answer],
            y=[row for _, row, word in cells if word == answer],
            hovertext=[f"{names[row]}<br>{heads[column]}: {answer}" for column, row, word in cells if word == answer],
            hoverinfo="text",
            **look,
        )
        for answer, look in looks.items()
    ]
    table = pd.DataFrame({"model": drawn["name"], "provider": drawn["provider"]})
    for name in _CAPABILITIES:
        table[ABILITIES[name].label] = answers[name]
    return chart(
        (title or "Capabilities") + ": ● yes, – no, ? unknown",
        {"further models": len(frame) - len(drawn)},
        traces,
        table,
        height=24 * max(len(drawn), 1),
        margin={"t": 40, "b": 10},
        showlegend=False,
        xaxis=axis("", side="top", tickangle=-90, tickvals=list(range(len(answers))), ticktext=heads),
        yaxis=axis("", range=[len(drawn) - 0.5, -0.5], tickvals=list(range(len(drawn))), ticktext=label_rows(drawn)),
    )


@check_arguments
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
    """Draw the cost of a conversation after each of its turns, in USD, at the cheapest `count` models.

    In each turn the user adds `input_tokens` and the model answers with `output_tokens`. A model reads the whole
    conversation again in each turn: the prompt of turn n is n inputs and n - 1 answers. `nbkit.estimate` prices each
    turn. `cached`: the prompt of the turn before is read from the provider's cache and the rest is written to it, at
    the price of input where a model has no price for that; dotted lines show the cost without a cache. `log` draws a
    logarithmic axis.

    Raises ValueError for less than one turn or a negative number of tokens.
    """
    require_columns(frame, "name", "provider", "context", "input_limit", "tiers", "input_cost", "output_cost")
    frame = restore_dtypes(frame)
    if turns < 1 or min(input_tokens, output_tokens) < 0:
        raise ArgumentError("a conversation has at least one turn, and tokens must not be negative")
    whole = turns * (input_tokens + output_tokens)
    spent = {mode: _add_turns(frame, turns, input_tokens, output_tokens, cached=mode) for mode in (cached, False)}
    rows = frame.assign(cost=spent[cached][-1], plain=spent[False][-1], row=range(len(frame)))
    too_long = (rows["context"] < whole) | (rows["input_limit"] < whole - output_tokens)
    reasons = {f"that read less than {whole:,} tokens": too_long.fillna(False)}
    reasons |= mark_unpriced(rows, "cost", "output_cost")  # embeddings have an input price only, and answer nothing
    priced, left_out = split(rows, reasons)
    drawn = priced.nsmallest(count, "cost")
    traces = []
    for number, (row, label) in enumerate(zip(drawn["row"], label_rows(drawn, 38), strict=True)):
        for mode, amounts in spent.items():  # the first is in the legend
            dotted = cached and not mode
            traces.append(
                go.Scatter(
                    x=list(range(1, turns + 1)),
                    y=[float(f"{usd:.6g}") for usd in amounts[:, row]],
                    mode="lines" if dotted else "lines+markers",
                    line={"color": COLORS[number % len(COLORS)], "dash": "dot" if dotted else "solid"},
                    name=ink(label),
                    legendgroup=str(number),
                    showlegend=not dotted,
                    customdata=None if dotted else [format_usd(usd) for usd in amounts[:, row]],
                    **{"hoverinfo": "skip"} if dotted else {"hovertemplate": f"%{{customdata}}<extra>{label}</extra>"},
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
            "turn", unifiedhovertitle={"text": "turn %{x:d}"}, range=[0.5, turns + 0.5], dtick=max(1, turns // 10)
        ),
        yaxis=money_axis("cost so far (USD)", pd.Series(spent[cached][:, drawn["row"]].ravel()), log=log),
        legend=legend("cheapest first" + (" (dotted: without cache)" if cached else "")),
    )


@check_arguments
def spend(frame: pd.DataFrame | None = None, title: str | None = None, *, by: str = "model") -> Chart:
    """Draw what was paid, in USD, as bars over time (UTC), colored by model; the chart's table has the sums.

    `frame`: rows of `nbkit.ledger()`, by default all. `by`: "model", "tag", "notebook", "user", or another column; a
    call with several tags stands in each of them. A bar is a minute, hour, day, week or month long, so that at most 60
    fit. Calls of unknown cost and replayed ones are not drawn, and those of the simulated provider, `demo`, only where
    all are. Raises ValueError for a frame that lacks a column.
    """
    frame = ledger() if frame is None else frame
    if missing := {"time", "model", "cost", "source", "tags" if by == "tag" else by} - {*frame.columns, "day"}:
        raise ArgumentError(f"no column {', '.join(sorted(missing))} to draw: take rows of nbkit.ledger()")
    kinds = name_kinds(frame)
    drawn = "simulated" if len(frame) and (kinds == "simulated").all() else "paid"
    paid = frame[kinds == drawn]
    usual = (
        f"Paid by {by}: {format_usd(sum_usd(paid['cost']))} for {len(paid):,} {'call' if len(paid) == 1 else 'calls'}"
    )
    left_out = kinds[kinds != drawn].replace("unpriced", "of unknown cost").value_counts()
    rows, step = add_bars(group_calls(paid, by))
    sums = rows.groupby(by).agg(calls=("cost", "size"), cost=("cost", sum_usd))
    sums = sums.sort_values("cost", ascending=False, kind="stable")
    return chart(
        title or (usual + " (simulated)" if drawn == "simulated" else usual),
        {str(kind): int(count) for kind, count in left_out.items()},
        draw_bars(rows, sums, step),
        tabulate_sums(sums),
        height=300,
        barmode="stack",
        bargap=0.15,
        xaxis=axis(f"{step} (UTC)", type="date", range=find_span(rows, step)),
        yaxis=money_axis("cost (USD)", paid["cost"], log=False),
        showlegend=True,
        legend=legend(escape_text(by)),
    )


def _add_turns(
    frame: pd.DataFrame, turns: int, input_tokens: int, output_tokens: int, *, cached: bool
) -> np.ndarray[Any, Any]:
    """Add up the turns of a conversation: USD after each turn (down) for each model (across)."""
    rows, costs = frame.assign(row=range(len(frame))), []
    for turn in range(turns):
        prompt = (turn + 1) * input_tokens + turn * output_tokens
        before = prompt - input_tokens - output_tokens if turn else 0
        cache = {"cached_tokens": before, "cache_write_tokens": prompt - before} if cached else {}
        priced = estimate(rows, input_tokens=prompt, output_tokens=output_tokens, **cache)
        costs.append(priced.sort_values("row")["cost"].to_numpy("float64"))
    return np.cumsum(costs, axis=0)


def _draw_frontier(frame: pd.DataFrame, x: str, price: str, by: str, title: str | None) -> Chart:
    """Draw price against `x`, with the line below which no model was by that date, or is with that much context."""
    require_columns(frame, "name", "provider", "context", x, price, by)
    frame = restore_dtypes(frame)
    what, word = _label_price(price), x.replace("_", " ")
    dated = x == "release_date"
    unknown = frame[x].isna() if dated else ~(frame[x] > 0).fillna(False)
    drawn, left_out = split(frame, _explain_missing_price(frame, price) | {f"of unknown {word}": unknown})
    drawn = drawn.sort_values([x, price], ascending=[dated, True])
    frontier = (drawn[price] < drawn[price].cummin().shift(fill_value=np.inf)).to_numpy()
    best = drawn[frontier]
    dots, rest = draw_clouds(drawn, x, price, by, keep=frontier)
    steps = pd.concat([best, drawn.tail(1).assign(**{price: drawn[price].min()})])  # the line goes on to the last model
    line = go.Scatter(
        x=to_plain(steps[x]),
        y=steps[price].tolist(),
        mode="lines",
        line={"shape": "hv", "color": GREY, "width": 2},
        name=ink("cheapest so far" if dated else "cheapest of at least that context"),
        hoverinfo="skip",
    )
    table = pd.DataFrame(
        {
            word: [format_value(x, value) for value in best[x]],
            "cheapest": best["name"].tolist(),
            "provider": best["provider"].tolist(),
        }
    )
    table[what] = best[price].map(format_rate).tolist()
    return chart(
        title or f"{what[0].upper()}{what[1:].partition(' (')[0]} by {word}",
        left_out | rest,
        [*dots, line],
        table,
        height=430,
        xaxis=date_axis(word, drawn[x]) if dated else log_axis(f"{word} (tokens)", drawn[x], "~s"),
        yaxis=money_axis(what, drawn[price]),
        legend=legend(escape_text(by)),
    )


def _explain_missing_price(frame: pd.DataFrame, price: str) -> dict[str, Any]:
    """Mark the rows without a price to draw, by reason; a workload that a model cannot read has a cost nevertheless."""
    if price != "cost" or "note" not in frame.columns:
        return mark_unpriced(frame, price)
    notes = frame["note"].astype("str").fillna("")  # as `nbkit.estimate` words them
    reasons = {"that read less than the prompt": "longer", "that do not read and write text": "does not read"}
    return {reason: notes.str.startswith(note) for reason, note in reasons.items()} | mark_unpriced(frame, price)


def _label_price(price: str) -> str:
    """Make the axis label of a column of prices, with its unit."""
    if price == "cost":
        return "cost of the workload (USD)"
    return f"{price.removesuffix('_cost').replace('_', ' ')} price (USD per million tokens)"


def _hover_texts(frame: pd.DataFrame, first: Sequence[str]) -> list[str]:
    """Make a hover text for each model, which begins with its item of `first`."""
    rows = zip(first, frame.index, frame["input_cost"], frame["output_cost"], frame["context"], strict=True)
    return [
        f"{head}<br>{shorten(str(model), 70)}<br>in {format_rate(prompt)}, out {format_rate(answer)} per million<br>"
        f"context {format_tokens(length)}"
        for head, model, prompt, answer, length in rows
    ]
