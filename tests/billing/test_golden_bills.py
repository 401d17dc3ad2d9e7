"""Usages and what they cost, each sum worked out by hand beside it."""

import pytest

from nbkit.billing.cost import Cost, Lane, ToolPrice, bill
from nbkit.conversation.completion import BillLine, Charges, Usage

# USD per million tokens, as models.dev has them
GPT = Cost(
    {"input": 2.5, "output": 15.0, "cache_read": 0.25},
    [(272_000, {"input": 5.0, "output": 22.5, "cache_read": 0.5})],
    lanes={"priority": {"input": 5.0, "output": 30.0, "cache_read": 0.5}},
    lane_factors={"flex": 0.5},
)
CLAUDE = Cost(
    {"input": 4.0, "output": 20.0, "cache_read": 0.2, "cache_write": 5.0},
    lanes={"fast": {"input": 8.0, "output": 40.0, "cache_read": 0.4, "cache_write": 10.0}},
    derived={"cache_write": {"input": 1.25}, "cache_write_1h": {"input": 2}},
)
HAIKU = Cost(
    {"input": 0.1, "output": 0.5, "cache_read": 0.01},
    [(100_000, {"input": 0.5, "output": 2.5, "cache_read": 0.05})],
    derived={"cache_write": {"input": 1.25}, "cache_write_1h": {"input": 2}},
)
GROQ = Cost({"input": 0.15, "output": 0.6}, lane_factors={"flex": 1})
FREE = Cost({"input": 0.0, "output": 0.0})
OWN = Cost({"input": 1.0, "output": 2.0}, request=0.005, source="user")
BIG = Usage(input=100_000, output=1_000)


@pytest.mark.parametrize(
    ("usage", "cost", "more", "total", "source"),
    [
        # 0.1 M x 2.5 + 0.001 M x 15 = 0.25 + 0.015
        pytest.param(BIG, GPT, {}, 0.265, "catalog", id="A8: no lane is the usual one"),
        pytest.param(BIG, GPT, {"lane": Lane("default")}, 0.265, "catalog", id="A8: default"),
        pytest.param(BIG, GPT, {"lane": Lane("auto", requested=True)}, 0.265, "catalog", id="A8: auto requested"),
        pytest.param(BIG, GPT, {"lane": Lane("ON_DEMAND")}, 0.265, "catalog", id="W7: Vertex on demand"),
        # 0.1 M x 5 + 0.001 M x 30 = 0.5 + 0.03
        pytest.param(BIG, GPT, {"lane": Lane("priority")}, 0.53, "catalog", id="A8: priority has its own rates"),
        pytest.param(BIG, GPT, {"lane": Lane("ON_DEMAND_PRIORITY")}, 0.53, "catalog", id="W7: Vertex priority"),
        pytest.param(BIG, GPT, {"lane": Lane("priority", True)}, 0.53, "estimate", id="A8: priority, not confirmed"),
        # (0.25 + 0.015) / 2
        pytest.param(BIG, GPT, {"lane": Lane("flex")}, 0.1325, "estimate", id="A8: flex at half the rates"),
        pytest.param(BIG, GPT, {"lane": Lane("scale")}, 0.265, "estimate", id="A8: a lane without a known price"),
        # 0.3 M x 5 x 5 / 2.5 + 0.001 M x 30 x 22.5 / 15 = 3 + 0.045
        pytest.param(
            Usage(input=300_000, output=1_000), GPT, {"lane": Lane("priority")}, 3.045, "estimate",
            id="A8: priority above a tier's size",
        ),
        # 0.15 x 0.1 + 0.6 x 0.001 = 0.015 + 0.0006
        pytest.param(BIG, GROQ, {"lane": Lane("flex")}, 0.0156, "catalog", id="A8: flex costs the same at Groq"),
        # 0.01 M x 8 + 0.002 M x 40 + 0.05 M x 0.4 = 0.08 + 0.08 + 0.02
        pytest.param(
            Usage(input=10_000, output=2_000, cache_read=50_000), CLAUDE, {"lane": Lane("fast")}, 0.18, "catalog",
            id="W7: Anthropic's fast mode",
        ),
        # the usual rates: 0.04 + 0.04 + 0.01
        pytest.param(
            Usage(input=10_000, output=2_000, cache_read=50_000), CLAUDE, {"notes": ["web_search x 3"]}, 0.09,
            "estimate", id="W7: searches that tokens do not explain",
        ),
        # 0.01 M x 2 x 4 = 0.08
        pytest.param(Usage(cache_write_1h=10_000), CLAUDE, {}, 0.08, "estimate", id="S11: an hour at twice the input"),
        # 0.08 + 0.01 M x 5
        pytest.param(
            Usage(cache_write_1h=10_000, cache_write=10_000), CLAUDE, {}, 0.13, "estimate", id="S11: both lifetimes"
        ),
        # 0.01 M x 2 x 8 = 0.16
        pytest.param(
            Usage(cache_write_1h=10_000), CLAUDE, {"lane": Lane("fast")}, 0.16, "estimate", id="S11: an hour, fast"
        ),
        # 0.2 M x 2 x 0.5 = 0.2: above 100,000 tokens
        pytest.param(Usage(cache_write_1h=200_000), HAIKU, {}, 0.2, "estimate", id="S11: an hour above a tier's size"),
        # 0.01 M x 1.25 x 0.1 = 0.00125
        pytest.param(Usage(cache_write=10_000), HAIKU, {}, 0.00125, "estimate", id="S11: five minutes by the rule"),
        pytest.param(Usage(cache_write_1h=10_000), GPT, {}, None, "unknown", id="S11: no rule, no price"),
        pytest.param(BIG, FREE, {}, 0.0, "catalog", id="R3: free"),
        pytest.param(None, FREE, {}, 0.0, "catalog", id="R3: free, not counted"),
        pytest.param(Usage(input=5, cache_read=90, input_audio=5), FREE, {}, 0.0, "catalog", id="R3: free, cached"),
        pytest.param(Usage(cache_write_1h=7), FREE, {}, 0.0, "catalog", id="R3: free, for an hour"),
        pytest.param(None, FREE, {"partial": True}, 0.0, "partial", id="R3: free, broken off"),
        pytest.param(BIG, Cost({"input": 0.0}), {}, None, "unknown", id="R3: an unknown rate is not free"),
        pytest.param(None, Cost({"input": 0.0, "output": 0.0}, request=0.01), {}, None, "unknown", id="R3: per call"),
        pytest.param(Usage(output=-5), GPT, {}, None, "unknown", id="F9: a negative count"),
        pytest.param(Usage(output=10**30), GPT, {}, None, "unknown", id="F9: an absurd count"),
        pytest.param(Usage(input=1, output=1.5), GPT, {}, None, "unknown", id="F9: half a token"),
        pytest.param(None, GPT, {}, None, "unknown", id="S16: no usage"),
        pytest.param(BIG, None, {}, None, "unknown", id="S16: no rates"),
        pytest.param(BIG, Cost(), {}, None, "unknown", id="S16: empty rates"),
        # 0.1 M x 1 + 0.001 M x 2 + 0.005 = 0.107
        pytest.param(BIG, OWN, {}, 0.107, "user", id="S3: the user's rates, and a price per call"),
        pytest.param(BIG, OWN, {"reported": 0.2, "lane": Lane("flex")}, 0.2, "provider", id="A7: reported wins"),
        pytest.param(BIG, OWN, {"reported": 0.0}, 0.0, "provider", id="A7: a reported 0 is one"),
    ],
)  # fmt: skip
def test_bills_worked_out_by_hand(usage, cost, more, total, source):
    priced = bill(usage, cost, **more)
    assert (priced.total, priced.source) == (total, source)
    if source == "estimate":  # a bill that is not exact says why
        assert all(isinstance(note, str) and note for note in priced.notes)
        assert priced.notes
    if source in ("catalog", "user", "provider"):
        assert priced.notes == ()


def test_the_notes_of_a_bill_name_the_lane_and_the_rate():
    priced = bill(Usage(input=5, cache_write_1h=10), CLAUDE, lane=Lane("batch", requested=True), notes=["code x 1"])
    assert priced.notes == (
        "the provider did not say whether it worked in the lane 'batch'",
        "the lane 'batch' has no known price",
        "cache_write_1h at 2 x input",
        "code x 1",
    )


@pytest.mark.parametrize(
    ("usage", "saved"),
    [
        pytest.param(Usage(input=10, output=10), 0.0, id="nothing was cached"),
        # 0.1 M x (4 - 0.2)
        pytest.param(Usage(cache_read=100_000), 0.38, id="read"),
        # 0.1 M x (4 - 5)
        pytest.param(Usage(cache_write=100_000), -0.1, id="written"),
        # 0.1 M x (4 - 8)
        pytest.param(Usage(cache_write_1h=100_000), -0.4, id="written for an hour"),
        # 0.1 M x 3.8 - 0.01 M x 1
        pytest.param(Usage(cache_read=100_000, cache_write=10_000), 0.37, id="both"),
        pytest.param(None, None, id="not counted"),
    ],
)
def test_what_the_cache_saved(usage, saved):
    assert bill(usage, CLAUDE).saved == saved
    assert bill(usage, CLAUDE, reported=0.5).saved == saved
    assert bill(usage, None).saved is None


def test_the_difference_to_the_providers_own_price_is_known_where_all_is_priced():
    assert bill(BIG, GPT, reported=0.3).difference == 0.035
    assert bill(BIG, GPT, reported=0.265).difference == 0.0
    assert bill(BIG, GPT).difference is None
    assert bill(BIG, None, reported=0.3).difference is None
    assert bill(None, GPT, reported=0.3).difference is None
    assert bill(BIG, GPT, reported=0.3, charges=Charges({"dowsing": 1})).difference is None
    assert bill(Usage(cache_write_1h=1), GPT, reported=0.3).difference is None


def test_a_bill_has_a_line_for_all_that_it_adds_up():
    charges = Charges({"web_search": 3}, models=(("wise", Usage(input=10, output=2)), ("mute", Usage(input=1))))
    tools = {"web_search": ToolPrice(0.01)}
    own = Cost({"input": 1.0, "output": 2.0}, request=0.005, tools=tools)
    priced = bill(BIG, own, charges=charges, others={"wise": CLAUDE, "mute": None})
    assert priced.lines == (
        BillLine("input", 100_000, 1.0, 0.1),
        BillLine("output", 1_000, 2.0, 0.002),
        BillLine("request", 0, 0.005, 0.005, calls=1),
        BillLine("web_search", 0, 0.01, 0.03, calls=3),
        BillLine("input", 10, 4.0, 0.00004, model="wise"),
        BillLine("output", 2, 20.0, 0.00004, model="wise"),
        BillLine("input", 1, None, None, model="mute"),
    )
    # 0.1 + 0.002 + 0.005 + 0.03 + 0.00004 + 0.00004
    assert (priced.total, priced.source) == (0.13708, "estimate")
    assert priced.notes == ("mute: input has no known price, and is not in the total",)


def test_a_long_prompt_goes_by_the_longest_run_and_not_by_their_sum():
    # 0.3 M x 2.5 + 0.001 M x 15 = 0.75 + 0.015; above 272,000: 0.3 M x 5 + 0.001 M x 22.5 = 1.5 + 0.0225
    usage = Usage(input=300_000, output=1_000)
    assert bill(usage, GPT, charges=Charges(longest_prompt=150_000)).total == 0.765
    assert bill(usage, GPT, charges=Charges(longest_prompt=273_000)).total == 1.5225


def test_rates_are_worked_out_once_and_names_without_end_are_not_kept():
    cost = Cost({"input": 2.5, "output": 15.0})
    for number in range(1_000):
        assert bill(BIG, cost, charges=Charges(region=f"r{number}")).source == "estimate"
    assert len(cost._cards) <= 50
    assert bill(BIG, cost).total == 0.265
    assert cost == Cost({"input": 2.5, "output": 15.0})


def test_a_line_of_an_absurd_count_has_no_price():
    (line,) = bill(Usage(output=-5), GPT).lines
    assert (line.tokens, line.rate, line.usd) == (-5, 15.0, None)
