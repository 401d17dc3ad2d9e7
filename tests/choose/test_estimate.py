from __future__ import annotations

import math

import pytest

from nbkit.billing.cost import Cost, bill
from nbkit.billing.tokens import count_tokens
from nbkit.choose.estimate import estimate
from nbkit.choose.frame import build_frame
from nbkit.conversation.completion import Usage
from nbkit.modelsdev.records import parse
from nbkit.modelsdev.snapshot import BUNDLED, Meta, build, read


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
    return build_frame(build(parse({"acme": seller(models)}), Meta("", "2026-09-30")))


def costs(estimated):
    return {model_id.removeprefix("acme/"): cost for model_id, cost in estimated.cost.items() if not math.isnan(cost)}


def test_the_cheapest_comes_first_and_the_unknown_last(shop):
    estimated = estimate(shop, input_tokens=100_000, output_tokens=10_000, calls=10)
    assert costs(estimated) == pytest.approx({"tiered": 10 * (0.2 + 0.1), "plain": 10 * (0.3 + 0.15)})
    assert list(estimated.index) == ["acme/tiered", "acme/plain", "acme/unknown", "acme/embedding"]
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


WORKLOADS = [
    {"input_tokens": 1_000, "output_tokens": 700, "cached_tokens": 900},
    {"input_tokens": 40_000, "output_tokens": 700, "cached_tokens": 900, "cache_write_tokens": 20_000},
    {"input_tokens": 250_000, "output_tokens": 0, "reasoning_tokens": 3_000},
    {"input_tokens": 600_000, "output_tokens": 700, "cached_tokens": 600_000, "reasoning_tokens": 1},
]


@pytest.fixture(scope="module")
def whole():
    snapshot = read(BUNDLED)
    return snapshot, build_frame(snapshot)


@pytest.mark.parametrize("workload", WORKLOADS)
def test_an_estimate_is_what_the_bill_will_say_for_every_row(whole, workload):
    snapshot, rows = whole
    estimated = estimate(rows, **workload, calls=3)
    cached, written = workload.get("cached_tokens", 0), workload.get("cache_write_tokens", 0)
    usage = Usage(
        input=workload["input_tokens"] - cached - written,
        cache_read=cached,
        cache_write=written,
        output=workload["output_tokens"],
        reasoning=workload.get("reasoning_tokens", 0),
    )
    assert len(estimated) == len(rows) == len(snapshot.ids)
    for model_id, cost, note in zip(estimated.index, estimated["cost"], estimated["note"], strict=True):
        record = snapshot.record(model_id)
        billed = bill(usage, Cost(record.rates, [(tier["size"], tier["rates"]) for tier in record.tiers]))
        assert (math.isnan(cost) and billed.total is None) or cost == pytest.approx(3 * billed.total), model_id
        assert (billed.source == "estimate") >= (note == "cache priced as input"), model_id
        assert (note == "price unknown") == (billed.total is None), model_id


@pytest.mark.parametrize("workload", WORKLOADS)
def test_it_is_what_a_person_gets_who_adds_it_up(whole, workload):
    """By the rules of models.dev's schema, without the code that bills."""
    snapshot, rows = whole
    estimated = estimate(rows, **workload)["cost"].to_dict()
    total, cached = workload["input_tokens"], workload.get("cached_tokens", 0)
    written, thought = workload.get("cache_write_tokens", 0), workload.get("reasoning_tokens", 0)
    for model_id in snapshot.ids:
        record = snapshot.record(model_id)
        rates = dict(record.rates)
        for tier in sorted(record.tiers, key=lambda tier: tier["size"]):
            if total > tier["size"]:
                rates = {**record.rates, **tier["rates"]}
        read, write = rates.get("cache_read", rates.get("input")), rates.get("cache_write", rates.get("input"))
        think = rates.get("reasoning", rates.get("output"))
        parts = [
            (total - cached - written, rates.get("input")),
            (cached, read),
            (written, write),
            (workload["output_tokens"], rates.get("output")),
            (thought, think),
        ]
        if any(tokens and rate is None for tokens, rate in parts):
            assert math.isnan(estimated[model_id]), model_id
        else:
            usd = sum(tokens * rate for tokens, rate in parts if tokens) / 1_000_000
            assert estimated[model_id] == pytest.approx(usd), model_id


def test_models_without_text_stand_behind_those_that_can_do_the_workload():
    """A33: a price per token of one that hears or draws only is not a price of this workload."""
    estimated = estimate(build_frame(read(BUNDLED)), input_tokens=50_000, output_tokens=2_000)
    silent = ~(estimated.text_in & estimated.text_out)
    priced = estimated["note"] != "price unknown"
    assert set(estimated["note"][silent & priced]) <= {"does not read and write text", "longer than its context"}
    assert not silent[estimated["note"].isin(["", "cache priced as input", "0: free, or a plan"])].any()
    assert not silent.head(6000).any()
    assert len(estimated) == 8337


def test_rows_that_are_not_an_offer_are_kept_apart(row, seller):
    models = {
        "unknown": row(cost={}),
        "plan": row(cost={"input": 0, "output": 0}),
        "short": row(cost={"input": 0.1, "output": 0.1}, limit={"context": 8_000, "output": 4_000}),
        "limited": row(cost={"input": 0.1, "output": 0.1}, limit={"context": 90_000, "input": 9_000, "output": 4_000}),
        "dear": row(cost={"input": 50, "output": 90, "cache_read": 5}),
        "cacheless": row(cost={"input": 1, "output": 2}, limit={}),
    }
    shop = build_frame(build(parse({"acme": seller(models)}), Meta("", "2026-09-30")))
    estimated = estimate(shop, input_tokens=10_000, output_tokens=100, cached_tokens=5_000)
    assert dict(zip(estimated["model"], estimated["note"], strict=True)) == {
        "cacheless": "cache priced as input",
        "dear": "",
        "plan": "0: free, or a plan",
        "short": "longer than its context",
        "limited": "longer than its context",
        "unknown": "price unknown",
    }
    assert [*estimated["model"]] == ["cacheless", "dear", "plan", "short", "limited", "unknown"]
    nothing = estimate(shop, input_tokens=0, output_tokens=0)
    assert set(nothing["note"]) == {""}


def test_a_prompt_is_counted_as_each_model_would(row, seller):
    prices = {"input": 1, "output": 2}
    names = ("claude-sonnet-5-5", "claude-haiku-4-5", "llama-5")
    shop = build_frame(
        build(parse({"acme": seller({name: row(cost=prices) for name in names})}), Meta("", "2026-09-30"))
    )
    prompt = [{"role": "user", "content": "Why is the sky blue, and the sunset red? " * 40}]
    estimated = estimate(shop, prompt=prompt, output_tokens=0)
    assert [*estimated["model"]] == ["llama-5", "claude-haiku-4-5", "claude-sonnet-5-5"]
    for name, tokens, cost in zip(estimated["model"], estimated["input_tokens"], estimated["cost"], strict=True):
        assert tokens == int(count_tokens(prompt, name))
        assert cost == pytest.approx(tokens / 1e6)
    assert "input_tokens" not in estimate(shop, input_tokens=5, output_tokens=0)


@pytest.mark.parametrize("given", [{}, {"input_tokens": 5, "prompt": "Hi"}])
def test_either_a_number_or_a_prompt(shop, given):
    with pytest.raises(TypeError, match="either input_tokens or a prompt"):
        estimate(shop, output_tokens=1, **given)


def test_it_works_on_any_slice(shop):
    assert list(estimate(shop.iloc[2:3], input_tokens=1, output_tokens=1).index) == ["acme/plain"]
    assert len(estimate(shop.iloc[:0], input_tokens=1, output_tokens=1)) == 0
    assert len(estimate(shop.iloc[:0], prompt="Hi", output_tokens=1)) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"input_tokens": -1},
        {"output_tokens": -1},
        {"cached_tokens": 11},
        {"cached_tokens": -1},
        {"cached_tokens": 6, "cache_write_tokens": 5},
        {"reasoning_tokens": -1},
        {"calls": -1},
    ],
)
def test_impossible_workloads_are_refused(shop, wrong):
    with pytest.raises(ValueError, match="must not be"):
        estimate(shop, **{"input_tokens": 10, "output_tokens": 1} | wrong)
