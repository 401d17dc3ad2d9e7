from __future__ import annotations

import math

import pytest

from nbkit.billing.cost import Cost, bill
from nbkit.conversation.completion import Usage
from nbkit.modelsdev.catalog import frame
from nbkit.modelsdev.estimate import estimate
from nbkit.modelsdev.records import parse
from nbkit.modelsdev.snapshot import Meta, build, bundled, read


@pytest.fixture
def shop(row, seller):
    """Four models: cheap, free, with tiers, without prices."""
    tiers = [
        {"input": 4, "output": 20, "tier": {"type": "context", "size": 100_000}},
        {"input": 8, "output": 40, "cache_read": 1, "tier": {"type": "context", "size": 200_000}},
    ]
    models = {
        "unknown": row(cost={}),
        "tiered": row(cost={"input": 2, "output": 10, "cache_read": 0.5, "tiers": tiers}),
        "plain": row(cost={"input": 3, "output": 15}),
        "embedding": row(cost={"input": 0.1}),
    }
    return frame(build(parse({"acme": seller(models)}), Meta("", "2026-09-30")))


def costs(found):
    return {model_id.removeprefix("acme/"): cost for model_id, cost in found.cost.items() if not math.isnan(cost)}


def test_the_cheapest_comes_first_and_the_unknown_last(shop):
    found = estimate(shop, input_tokens=100_000, output_tokens=10_000, calls=10)
    assert costs(found) == pytest.approx({"tiered": 10 * (0.2 + 0.1), "plain": 10 * (0.3 + 0.15)})
    assert list(found.index) == ["acme/tiered", "acme/plain", "acme/unknown", "acme/embedding"]
    assert "cost" not in shop


@pytest.mark.parametrize(
    ("tokens", "tiered"),
    [
        ({"input_tokens": 100_001, "output_tokens": 1000}, 100_001 * 4e-6 + 1000 * 20e-6),
        ({"input_tokens": 200_000, "output_tokens": 1000}, 200_000 * 4e-6 + 1000 * 20e-6),
        ({"input_tokens": 300_000, "output_tokens": 1000}, 300_000 * 8e-6 + 1000 * 40e-6),
        ({"input_tokens": 150_000, "output_tokens": 0, "cached_tokens": 100_000}, 50_000 * 4e-6 + 100_000 * 0.5e-6),
        ({"input_tokens": 300_000, "output_tokens": 0, "cached_tokens": 300_000}, 300_000 * 1e-6),
        ({"input_tokens": 60_000, "output_tokens": 0, "calls": 5}, 5 * 60_000 * 2e-6),
    ],
)
def test_a_tier_reprices_the_whole_call(shop, tokens, tiered):
    assert costs(estimate(shop, **tokens))["tiered"] == pytest.approx(tiered)


def test_cached_tokens_without_a_rate_cost_as_much_as_others(shop):
    with_cache = costs(estimate(shop, input_tokens=1000, output_tokens=0, cached_tokens=800))
    without = costs(estimate(shop, input_tokens=1000, output_tokens=0))
    assert with_cache["plain"] == without["plain"]
    assert with_cache["tiered"] < without["tiered"]
    assert without["embedding"] == pytest.approx(1e-4)


@pytest.mark.parametrize("prompt", [1_000, 40_000, 250_000, 600_000])
def test_an_estimate_is_what_the_bill_will_say(prompt):
    snapshot = read(bundled())
    found = estimate(frame(snapshot), input_tokens=prompt, output_tokens=700, cached_tokens=900).cost
    usage = Usage(input=prompt - 900, cache_read=900, output=700)
    for model_id, cost in found.iloc[::7].items():
        record = snapshot.record(model_id)
        tiers = [(tier["size"], tier["rates"]) for tier in record.tiers]
        total = bill(usage, Cost(record.rates, tiers)).total
        assert (math.isnan(cost) and total is None) or cost == pytest.approx(total), model_id


def test_it_works_on_any_slice(shop):
    assert list(estimate(shop.iloc[2:3], input_tokens=1, output_tokens=1).index) == ["acme/plain"]
    assert len(estimate(shop.iloc[:0], input_tokens=1, output_tokens=1)) == 0


@pytest.mark.parametrize(
    "wrong",
    [{"input_tokens": -1}, {"output_tokens": -1}, {"cached_tokens": 11}, {"cached_tokens": -1}, {"calls": -1}],
)
def test_impossible_workloads_are_refused(shop, wrong):
    with pytest.raises(ValueError, match="must not be"):
        estimate(shop, **{"input_tokens": 10, "output_tokens": 1} | wrong)
