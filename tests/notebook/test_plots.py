import json
import re

import numpy as np
import plotly.io as pio
import pytest

import nbkit
from nbkit.notebook import plots


@pytest.fixture
def estimated():
    frame = nbkit.catalog[nbkit.catalog["provider"].isin(["openai", "anthropic", "google"])]
    return nbkit.estimate(frame, input_tokens=50_000, output_tokens=2_000, calls=100)


def drawn(chart):
    bundle = chart._repr_mimebundle_()
    return json.loads(json.dumps(bundle[plots.PLOTLY_MIME], allow_nan=False))


def test_a_chart_leaves_three_readings(estimated):
    bundle = plots.workload(estimated, "My workload")._repr_mimebundle_()
    assert set(bundle) == {plots.PLOTLY_MIME, "text/html", "text/plain"}
    cheapest = estimated[estimated["cost"] > 0].iloc[0]
    for reading in ("text/html", "text/plain"):
        assert "My workload" in bundle[reading]
        assert cheapest["name"] in bundle[reading]
    assert bundle["text/html"].count("<tr") == 21
    assert "<script" not in bundle["text/html"]


def test_plotly_is_left_as_it_was(estimated):
    before = pio.renderers.default, pio.templates.default
    drawing = drawn(plots.workload(estimated))
    assert (pio.renderers.default, pio.templates.default) == before
    assert len(json.dumps(drawing)) < 10_000  # no template in it
    assert drawing["layout"]["paper_bgcolor"] == drawing["layout"]["plot_bgcolor"] == "rgba(0,0,0,0)"


def test_bars_are_the_cheapest_with_the_cheapest_on_top(estimated):
    drawing = drawn(plots.workload(estimated, count=7))
    (bars,) = drawing["data"]
    assert bars["x"] == sorted(estimated["cost"][estimated["cost"] > 0])[:7]
    ids = [text.split("<br>")[1] for text in bars["hovertext"]]
    assert list(estimated.loc[ids, "cost"]) == bars["x"]
    assert drawing["layout"]["yaxis"]["autorange"] == "reversed"
    assert "USD" in drawing["layout"]["xaxis"]["title"]["text"]
    assert all(re.search(r"<b>\$\S+</b><br>.*in .*out .*context", text) for text in bars["hovertext"])


def test_models_of_one_name_keep_their_own_bars(estimated):
    estimated["name"] = "Same"
    drawing = drawn(plots.workload(estimated))
    assert len(set(drawing["data"][0]["y"])) == 20
    assert {label[:6] for label in drawing["layout"]["yaxis"]["ticktext"]} == {"Same ·"}


@pytest.mark.parametrize(("log", "kind"), [(False, "linear"), (True, "log")])
def test_axis(estimated, log, kind):
    assert drawn(plots.workload(estimated, log=log))["layout"]["xaxis"]["type"] == kind


def test_what_is_not_drawn_is_counted(estimated):
    part = estimated[estimated["cost"] > 0].head(6).copy()
    part["cost"] = [1.0, 2.0, 0.0, np.nan, np.nan, 3.0]
    chart = plots.workload(part)
    assert drawn(chart)["data"][0]["x"] == [1.0, 2.0, 3.0]
    assert "1 priced at 0, 2 of unknown price" in chart.title
    assert "not drawn" not in plots.workload(part[part["cost"] > 0]).title


def test_catalog_text_is_text_everywhere(estimated):
    estimated["name"] = '<a href="javascript:alert(1)">x</a><script>'
    estimated.index = [f"evil/<b onclick=x>{number}" for number in range(len(estimated))]
    estimated["vendor"] = "<img src=x>"
    for chart in (plots.workload(estimated, "<i>title</i>"), plots.prices(estimated)):
        everything = json.dumps(drawn(chart)) + chart._repr_html_()
        assert not re.search(r"<(a|script|img|i|b onclick)\b", everything)


def test_every_priced_model_is_a_part_of_a_dot():
    frame = nbkit.catalog[nbkit.catalog["provider"] == "openai"]
    priced = frame[(frame["input_cost"] > 0) & (frame["output_cost"] > 0)]
    drawing = drawn(plots.prices(frame))
    count = 0
    for cloud in drawing["data"]:
        for paid, got, text in zip(cloud["x"], cloud["y"], cloud["hovertext"], strict=True):
            listed = re.findall(r"openai/[^<]+", text)
            assert all(tuple(priced.loc[model, ["input_cost", "output_cost"]]) == (paid, got) for model in listed)
            more = re.search(r"and ([\d,]+) more", text)
            count += len(listed) + int(more[1] if more else 0)
    assert count == len(priced)


def test_prices_have_logarithmic_axes_in_usd():
    layout = drawn(plots.prices(nbkit.demo_models()))["layout"]
    for axis, what in (("xaxis", "input"), ("yaxis", "output")):
        assert layout[axis]["type"] == "log"
        assert layout[axis]["title"]["text"] == f"{what} (USD per million tokens)"


def test_the_tenth_vendor_is_one_of_the_others():
    clouds = drawn(plots.prices(nbkit.catalog))["data"]
    assert len(clouds) == 10
    assert clouds[0]["name"] == "other"  # below the colored ones
    colors = [cloud["marker"]["color"] for cloud in clouds]
    assert len(set(colors)) == len(colors)


def test_dots_may_show_the_context():
    frame = nbkit.demo_models()
    sizes = {}
    for cloud in drawn(plots.prices(frame, by_context=True))["data"]:
        sizes |= dict(zip(cloud["x"], cloud["marker"].get("size", []), strict=True))
    by_context = sorted(frame["context"].items(), key=lambda pair: pair[1])
    ordered = [sizes[frame.loc[model, "input_cost"]] for model, _ in by_context]
    assert ordered == sorted(ordered)
    assert ordered[0] < ordered[-1]


@pytest.mark.parametrize("draw", [plots.workload, plots.prices])
def test_an_empty_frame_makes_an_empty_chart(estimated, draw):
    chart = draw(estimated.head(0))
    assert drawn(chart)["layout"]
    assert "<table" in chart._repr_html_()
