import json
import re
from functools import partial

import numpy as np
import pandas as pd
import plotly.io as pio
import pytest

import nbkit
from nbkit.billing.cost import Cost, bill
from nbkit.conversation.completion import Usage
from nbkit.notebook import plots
from nbkit.notebook.charts import MAX_DOTS, PLOTLY_MIME, label_rows, money_axis

BUCKETS = ("input", "output", "cache_read", "cache_write")


def estimated(frame):
    return nbkit.estimate(frame, input_tokens=50_000, output_tokens=2_000, calls=100)


CHARTS = {
    "workload": lambda frame, *title: plots.workload(estimated(frame), *title),
    "prices": plots.prices,
    "history": plots.history,
    "context": plots.context,
    "capabilities": plots.capabilities,
    "conversation": lambda frame, *title: plots.conversation(frame, 10, *title),
}
each_chart = pytest.mark.parametrize("draw", CHARTS.values(), ids=CHARTS)


@pytest.fixture
def frame():
    return nbkit.catalog[nbkit.catalog["provider"].isin(["openai", "anthropic", "google"])]


@pytest.fixture
def workload(frame):
    return estimated(frame)


def drawn(chart):
    """What plotly draws, without the color of its texts."""
    text = json.dumps(chart._repr_mimebundle_()[PLOTLY_MIME], allow_nan=False)
    return json.loads(re.sub(r'<span style=\\"color:[^>]*>|</span>', "", text))


def dots(chart):
    """The dots of all clouds: x, y, hover text, cloud."""
    for cloud in drawn(chart)["data"]:
        if cloud["mode"] == "markers":
            for x, y, text in zip(cloud["x"], cloud["y"], cloud["hovertext"], strict=True):
                yield x, y, text, cloud["name"]


def models(text):
    """How many models a dot's hover text stands for."""
    more = re.search(r"and ([\d,]+) more$", text)
    return text.count("<br>") - 1 + (int(more[1].replace(",", "")) - 1 if more else 0)


def omitted(chart):
    reasons = chart.title.partition("(not drawn: ")[2].removesuffix(")").split(", ")
    return {reason: int(count.replace(",", "")) for count, _, reason in (text.partition(" ") for text in reasons)}


# Every chart


@each_chart
def test_a_chart_leaves_three_versions(frame, draw):
    bundle = draw(frame, "My <b>title")._repr_mimebundle_()
    assert set(bundle) == {PLOTLY_MIME, "text/html", "text/plain"}
    assert "My <b>title" in bundle["text/plain"]
    assert "My &lt;b&gt;title" in bundle["text/html"]
    assert 2 < bundle["text/html"].count("<tr") <= 31
    assert "<script" not in bundle["text/html"]


@each_chart
def test_catalog_text_is_text_everywhere(frame, draw):
    bad = '<a href="javascript:alert(1)">x</a><img src=x><script>'
    evil = frame.assign(name=bad, vendor=bad, family=bad, provider=bad)
    evil.index = [f"{bad}<b onclick=x>{number}" for number in range(len(evil))]
    chart = draw(evil, f"<i>{bad}")
    assert not re.search(r"<(a|script|img|i|b onclick)\b", json.dumps(drawn(chart)) + chart._repr_html_())
    assert "&quot;" not in json.dumps(drawn(chart))  # plotly would show it as it is


@each_chart
@pytest.mark.parametrize("count", [0, 9])
def test_where_there_is_nothing_to_draw_the_chart_says_so(draw, count):
    nothing = nbkit.catalog[nbkit.catalog["input_cost"].isna() & nbkit.catalog["output_cost"].isna()].head(count)
    chart = draw(nothing.assign(context=pd.NA).astype({"context": "Int64"}))
    drawing = drawn(chart)
    if draw is plots.capabilities and count:
        assert len(drawing["layout"]["yaxis"]["ticktext"]) == count
        return
    assert drawing["layout"]["annotations"][0]["text"] == "nothing to draw"
    assert not drawing["layout"]["xaxis"]["visible"]
    assert ("9 of unknown price" in chart.title) == bool(count)
    assert "<table" in chart._repr_html_()


@each_chart
def test_charts_are_small(frame, draw):
    for part, limit in ((nbkit.catalog, 100_000), (frame, 25_000), (frame.head(5), 7_500)):
        bundle = draw(part)._repr_mimebundle_()
        assert len(json.dumps(bundle[PLOTLY_MIME])) < limit
        assert len(bundle["text/html"]) < 12_000


@each_chart
def test_plotly_is_left_as_it_was(frame, draw):
    before = pio.renderers.default, pio.templates.default
    drawing = drawn(draw(frame))
    assert (pio.renderers.default, pio.templates.default) == before
    assert drawing["layout"]["paper_bgcolor"] == drawing["layout"]["plot_bgcolor"] == "rgba(0,0,0,0)"
    assert drawing["config"]["typesetMath"] is False


@each_chart
def test_labels_and_titles_fit(frame, draw):
    long = frame.assign(name="A name longer than any chart is wide " * 3, provider="a-provider-of-a-long-name")
    layout = drawn(draw(long, "A title of many words " * 8))["layout"]
    lines = re.sub(r"</?span.*?>", "", layout["title"]["text"]).split("<br>")
    assert all(len(line) <= 120 for line in lines)
    assert layout["margin"]["t"] >= 18 * len(lines)
    assert all(len(label) <= 44 for label in layout["yaxis"].get("ticktext", ()))


@each_chart
def test_a_row_twice_is_drawn_twice_and_a_missing_column_is_named(frame, draw):
    assert drawn(draw(pd.concat([frame, frame])))["data"]
    with pytest.raises(ValueError, match=r"no column .+ to draw: .*all columns"):
        draw(frame.drop(columns=["name", "provider", "vendor"]))


# Bars


def test_bars_are_the_cheapest_with_the_cheapest_on_top(workload):
    drawing = drawn(plots.workload(workload, count=7))
    (bars,) = drawing["data"]
    readable = workload[workload["context"].fillna(10**9) >= 52_000]
    assert bars["x"] == sorted(readable["cost"][readable["cost"] > 0])[:7]
    ids = [text.split("<br>")[1] for text in bars["hovertext"]]
    assert list(workload.loc[ids, "cost"]) == bars["x"]
    assert drawing["layout"]["yaxis"]["autorange"] == "reversed"
    assert "USD" in drawing["layout"]["xaxis"]["title"]["text"]
    assert all(re.search(r"<b>\$\S+</b><br>.*in .*out .*context", text) for text in bars["hovertext"])


def test_models_of_one_name_keep_their_own_bars(workload):
    workload["name"] = "Same"
    drawing = drawn(plots.workload(workload))
    assert len(set(drawing["data"][0]["y"])) == 20
    assert len(set(drawing["layout"]["yaxis"]["ticktext"])) == 20  # by their ids


@pytest.mark.parametrize(("log", "kind"), [(False, None), (True, "log")])
def test_axis(workload, log, kind):
    assert drawn(plots.workload(workload, log=log))["layout"]["xaxis"].get("type") == kind


def test_what_is_not_drawn_is_counted(workload):
    part = workload[workload["cost"] > 0].head(6).copy()
    part["cost"] = [1.0, 2.0, 0.0, np.nan, np.nan, 3.0]
    chart = plots.workload(part)
    assert drawn(chart)["data"][0]["x"] == [1.0, 2.0, 3.0]
    assert "1 priced at 0, 2 of unknown price" in chart.title
    assert omitted(plots.workload(part, count=2))["that cost more"] == 1
    assert "not drawn" not in plots.workload(part[part["cost"] > 0]).title


def test_models_that_cannot_read_the_prompt_are_not_drawn():
    chart = plots.workload(nbkit.estimate(nbkit.demo_models(), input_tokens=150_000, output_tokens=1_000))
    assert omitted(chart) == {"that read less than the prompt": 3}
    assert set(chart.table["model"]) == {"Sage (simulated)", "Scholar (simulated)"}
    with pytest.raises(ValueError, match=r"nbkit\.estimate adds the cost"):
        plots.workload(nbkit.demo_models())


# Clouds


def test_every_priced_model_is_a_part_of_a_dot():
    frame = nbkit.catalog[nbkit.catalog["provider"] == "openai"]
    priced = frame[(frame["input_cost"] > 0) & (frame["output_cost"] > 0)]
    count = 0
    for paid, got, text, _ in dots(plots.prices(frame)):
        listed = re.findall(r"openai/[^<]+", text)
        assert all(tuple(priced.loc[model, ["input_cost", "output_cost"]]) == (paid, got) for model in listed)
        count += models(text)
    assert count == len(priced)


@pytest.mark.parametrize("draw", [plots.prices, plots.history, plots.context])
def test_above_the_limit_the_commonest_dots_are_drawn_and_the_rest_is_counted(draw):
    chart = draw(nbkit.catalog)
    shown = list(dots(chart))
    assert len(shown) == MAX_DOTS
    assert sum(omitted(chart).values()) + sum(models(text) for _, _, text, _ in shown) == len(nbkit.catalog)


@pytest.mark.parametrize("draw", [plots.prices, plots.context, partial(plots.history, by="vendor")])
def test_the_tenth_vendor_is_one_of_the_others(draw):
    clouds = [cloud for cloud in drawn(draw(nbkit.catalog))["data"] if cloud["mode"] == "markers"]
    assert len(clouds) == 10
    assert clouds[0]["name"] == "other"  # below the colored ones
    assert "unknown" not in {cloud["name"] for cloud in clouds}
    assert len({cloud["marker"]["color"] for cloud in clouds}) == 10


def test_dots_show_the_context():
    frame = nbkit.demo_models()
    sizes = {}
    for cloud in drawn(plots.prices(frame))["data"]:
        sizes |= dict(zip(cloud["x"], cloud["marker"]["size"], strict=True))
    by_context = sorted(frame["context"].items(), key=lambda pair: pair[1])
    ordered = [sizes[frame.loc[model, "input_cost"]] for model, _ in by_context]
    assert ordered == sorted(ordered)
    assert ordered[0] < ordered[-1]
    assert {cloud["marker"]["size"] for cloud in drawn(plots.prices(frame, by_context=False))["data"]} == {7}


def test_labels_are_whole_or_cut_in_the_middle_and_no_two_alike(frame):
    names = [
        "Short",
        "Llama 4 Maverick 17B 128E Instruct FP8 Turbo",
        *(f"A name of {'many ' * 6}{n} words {'x' * 20}" for n in (1, 2)),
    ]
    rows = frame.head(6).assign(name=[*names, "Twin", "Twin"], provider="acme")
    labels = label_rows(rows, 40)
    assert labels[0] == "Short · acme"
    assert labels[1] == "Llama 4 Maverick…struct FP8 Turbo · acme"
    assert [label.removesuffix(" · acme") for label in labels[2:4]] == names[2:]
    assert labels[4:] == list(rows.index[4:])
    chart = plots.capabilities(rows)
    assert any(text.startswith(names[1]) for trace in drawn(chart)["data"] for text in trace["hovertext"])


@pytest.mark.parametrize(("spread", "ticks"), [(1, {1, 2, 5}), (3, set()), (20, {1, 2, 5}), (1e6, {1})])
def test_a_logarithmic_axis_is_neither_crowded_nor_bare(spread, ticks):
    frame = nbkit.demo_models().head(2).assign(input_cost=[1.0, spread], output_cost=2.0)
    layout = drawn(plots.prices(frame))["layout"]
    assert {int(f"{usd:.0e}"[0]) for usd in layout["xaxis"].get("tickvals", ())} == ticks
    for axis, what in (("xaxis", "input"), ("yaxis", "output")):
        assert layout[axis]["type"] == "log"
        assert layout[axis]["title"]["text"] == f"{what} (USD per million tokens)"


def steps(chart):
    (line,) = (trace for trace in drawn(chart)["data"] if trace["mode"] == "lines")
    assert line["line"]["shape"] == "hv"
    return list(zip(line["x"], line["y"], strict=True))


def test_the_line_of_history_is_the_cheapest_so_far(frame):
    chart = plots.history(frame, price="output_cost")
    rows = [
        (f"{day:%Y-%m-%d}", price)
        for day, price in zip(frame["release_date"], frame["output_cost"], strict=True)
        if price > 0 and pd.notna(day)
    ]
    records = sorted({(day, price) for day, price in rows if not any(d <= day and p < price for d, p in rows)})
    firsts = [pair for pair in records if not any(d < pair[0] and p == pair[1] for d, p in records)]
    assert steps(chart) == [*firsts, (max(rows)[0], min(price for _, price in rows))]
    assert list(chart.table["release date"]) == [day for day, _ in firsts]
    assert list(chart.table.iloc[:, -1]) == [f"${price:.2f}" for _, price in firsts]
    assert {(x, y) for x, y, _, _ in dots(chart)} == set(rows)
    assert "USD per million" in drawn(chart)["layout"]["yaxis"]["title"]["text"]


def test_a_single_day_has_room_around_it():
    frame = nbkit.demo_models().head(1)
    low, high = drawn(plots.history(frame))["layout"]["xaxis"]["range"]
    assert low < f"{frame['release_date'].iloc[0]:%Y-%m-%d}" < high


def test_the_line_of_context_is_the_cheapest_with_at_least_as_much():
    catalog = nbkit.catalog
    chart = plots.context(catalog)
    priced = catalog[(catalog["input_cost"] > 0) & catalog["context"].notna()]
    line = steps(chart)
    assert line[-1] == (priced["context"].min(), priced["input_cost"].min())
    for context, price in line:
        assert priced.loc[priced["context"] >= context, "input_cost"].min() == price
    assert len(chart.table) == len(line) - 1
    assert set(line[:-1]) <= {(x, y) for x, y, _, _ in dots(chart)}  # however rare
    assert "tokens" in drawn(chart)["layout"]["xaxis"]["title"]["text"]


def test_history_takes_the_cost_of_a_workload(workload):
    chart = plots.history(workload, price="cost", by="provider")
    assert drawn(chart)["layout"]["yaxis"]["title"]["text"] == "cost of the workload (USD)"
    able = workload["text_in"] & workload["text_out"] & (workload["context"].fillna(10**9) >= 52_000)
    costs = workload["cost"][(workload["cost"] > 0) & able]
    assert {y for _, y, _, _ in dots(chart)} == set(costs[workload["release_date"].notna()])
    assert {cloud for _, _, _, cloud in dots(chart)} == {"openai", "anthropic", "google"}


# Capabilities


def test_each_cell_is_yes_no_or_unknown():
    frame = nbkit.catalog[nbkit.catalog["structured_output"].isna()].head(4)
    frame = pd.concat([frame, nbkit.catalog[nbkit.catalog["pdf_in"]].head(40)])
    chart = plots.capabilities(frame, count=12)
    layout = drawn(chart)["layout"]
    assert omitted(chart) == {"further models": 32}
    columns = dict(zip(layout["xaxis"]["ticktext"], layout["xaxis"]["tickvals"], strict=True))
    cells = {}
    for trace in drawn(chart)["data"]:
        answer = trace["hovertext"][0].rpartition(": ")[2]
        cells |= dict.fromkeys(zip(trace["x"], trace["y"], strict=True), answer)
    assert len(cells) == 12 * len(columns)
    named = {"PDF": "pdf_in", "tools": "tools", "JSON": "structured_output", "open weights": "open_weights"}
    for heading, column in named.items():
        for row, value in enumerate(frame[column].head(12)):
            assert cells[columns[heading], row] == ("?" if value is pd.NA else "yes" if value else "no")
    assert list(chart.table["JSON"].head(4)) == ["?"] * 4
    assert {(trace.get("marker") or {}).get("symbol") for trace in drawn(chart)["data"]} == {"circle", "line-ew", None}


# Conversations


def billed(row, turns, prompt, answer, cached):
    """The cost after each turn, by bills of single calls."""
    rates = {name: row[f"{name}_cost"] for name in BUCKETS if pd.notna(row[f"{name}_cost"])}
    tiers = json.loads(row["tiers"]) if pd.notna(row["tiers"]) else []
    cost = Cost(rates, [(tier["size"], tier["rates"]) for tier in tiers])
    spent, history, read = [0.0], 0, 0
    for _ in range(turns):
        new = history + prompt - read
        counts = {"cache_read": read, "cache_write": new} if cached else {"input": history + prompt}
        usage = Usage(output=answer, **counts)
        spent.append(spent[-1] + bill(usage, cost).total)
        read = history + prompt if cached else 0
        history += prompt + answer
    return spent[1:]


@pytest.mark.parametrize("cached", [True, False])
def test_a_conversation_costs_what_its_bills_add_up_to(cached):
    frame = nbkit.demo_models()
    chart = plots.conversation(frame, 6, input_tokens=60_000, output_tokens=100, cached=cached)
    assert omitted(chart) == {"that read less than 360,600 tokens": 4}  # and Scholar passes into its tier
    (model,) = frame.index[frame["context"] >= 360_600]
    lines = drawn(chart)["data"]
    assert [line["line"]["dash"] for line in lines] == (["solid", "dot"] if cached else ["solid"])
    for line, mode in zip(lines, (cached, False), strict=False):
        assert line["x"] == [1, 2, 3, 4, 5, 6]
        assert line["y"] == pytest.approx(billed(frame.loc[model], 6, 60_000, 100, mode), rel=1e-5)
    assert ("without cache (USD)" in chart.table) == cached
    assert lines[0]["customdata"][-1] == chart.table["6 turns (USD)"].item()


@pytest.mark.parametrize(
    ("values", "log", "texts"),
    [
        ([0.05, 90], True, ["$0.01", "$0.10", "$1", "$10", "$100", "$1,000"]),
        ([0.3, 3], True, ["$0.10", "$0.20", "$0.50", "$1", "$2", "$5", "$10", "$20", "$50"]),
        ([0.0004], True, ["$0.0001", "$0.0002", "$0.0005", "$0.001", "$0.002", "$0.005"]),
        ([], True, ["$1", "$2", "$5", "$10", "$20", "$50"]),
        ([3, 4], True, None),  # plotly's own steps, in formats by size
        ([0.01, 4], False, None),
    ],
)
def test_ticks_of_money_have_two_decimals_or_none(values, log, texts):
    axis = money_axis("cost", pd.Series(values, dtype="float64"), log=log)
    if texts:
        assert [re.sub("<.*?>", "", text) for text in axis["ticktext"]] == texts
        return
    stops = [(*stop["dtickrange"], stop["value"]) for stop in axis["tickformatstops"][-2:]]
    cent, one = ("L0.010000", "L1.000000") if log else (0.01, 1.0)
    assert stops == [(cent, one, "$,.2f"), (one, None, "$,.0f")]


def test_the_cheapest_conversations_are_drawn_cheapest_first(frame):
    chart = plots.conversation(frame, 4, count=5)
    whole = {
        model: billed(row, 4, 500, 500, True)[-1]
        for model, row in frame.iterrows()
        if row["input_cost"] > 0 and row["output_cost"] > 0 and (pd.isna(row["context"]) or row["context"] >= 4_000)
    }
    solid = [line for line in drawn(chart)["data"] if line["line"]["dash"] == "solid"]
    assert [line["y"][-1] for line in solid] == pytest.approx(sorted(whole.values())[:5], rel=1e-5)
    assert list(chart.table["model"]) == [line["name"].partition(" · ")[0] for line in solid]
    assert drawn(chart)["layout"]["yaxis"]["title"]["text"] == "cost so far (USD)"


@pytest.mark.parametrize("wrong", [{"turns": 0}, {"input_tokens": -1}, {"output_tokens": -1}])
def test_a_conversation_has_turns(wrong):
    with pytest.raises(ValueError, match="at least one turn"):
        plots.conversation(nbkit.demo_models(), **wrong)
