"""Bills, checked against sums done by hand."""

import pytest

from nbkit.billing.cost import BUCKETS, Cost, bill, estimate_tokens
from nbkit.conversation.completion import Usage

SONNET = Cost({"input": 3.0, "output": 15.0, "cache_read": 0.3, "cache_write": 3.75})
TIERED = Cost(
    {"input": 1.0, "output": 10.0, "cache_read": 0.1},
    [(128_000, {"input": 2.0, "output": 20.0}), (256_000, {"input": 4.0, "output": 40.0, "cache_read": 0.4})],
)


def test_each_bucket_at_its_own_rate():
    usage = Usage(input=1_000, output=200, cache_read=10_000, cache_write=4_000, reasoning=300)
    priced = bill(usage, SONNET, catalog_date="2026-09-30")
    # 0.003 + 0.003 (output) + 0.003 (read) + 0.015 (write) + 0.0045 (reasoning at the output rate)
    assert priced.total == pytest.approx(0.0285, rel=1e-12)
    assert (priced.source, priced.catalog_date, priced.tier) == ("catalog", "2026-09-30", None)
    assert {line.bucket: line.tokens for line in priced.lines} == {
        "input": 1_000, "cache_read": 10_000, "cache_write": 4_000, "output": 200, "reasoning": 300,
    }  # fmt: skip


def test_sums_are_those_of_a_person_with_a_pencil():
    assert bill(Usage(input=41, output=6), Cost({"input": 3.0, "output": 15.0})).total == 0.000213
    assert bill(Usage(input=3, output=7), Cost({"input": 0.1, "output": 0.2})).total == 0.0000017


def test_reasoning_has_its_own_rate_where_there_is_one():
    rates = Cost({"input": 1.0, "output": 2.0, "reasoning": 8.0})
    assert bill(Usage(output=1_000_000, reasoning=1_000_000), rates).total == 10.0


@pytest.mark.parametrize(
    ("prompt", "tier", "usd"),
    [(128_000, None, 0.128 + 0.01), (128_001, 128_000, 0.256002 + 0.02), (300_000, 256_000, 1.2 + 0.04)],
)
def test_a_tier_reprices_the_whole_request_above_its_size(prompt, tier, usd):
    priced = bill(Usage(input=prompt, output=1_000), TIERED)
    assert priced.tier == tier
    assert priced.total == pytest.approx(usd, rel=1e-9)


def test_cached_tokens_count_for_the_tier_and_a_tier_inherits_what_it_does_not_say():
    priced = bill(Usage(input=28_001, cache_read=100_000), TIERED)
    assert priced.tier == 128_000
    assert priced.total == pytest.approx(28_001 * 2e-6 + 100_000 * 0.1e-6, rel=1e-12)


def test_unknown_is_none_and_never_zero():
    assert bill(None, SONNET).total is None
    assert bill(Usage(input=5), None).total is None
    assert bill(Usage(input=5, output=5), Cost({"input": 1.0})).total is None
    assert bill(Usage(cache_write_1h=5), SONNET).total is None  # models.dev knows the price of five minutes only
    assert bill(Usage(input=5), Cost({"input": 1.0})).total == 5e-6  # no output, so its price is not needed
    assert bill(Usage(input=5, output=5), Cost({"input": 0.0, "output": 0.0})).total == 0.0


def test_an_assumed_rate_makes_an_estimate():
    priced = bill(Usage(input=1_000, cache_read=1_000), Cost({"input": 2.0, "output": 4.0}))
    assert (priced.total, priced.source) == (0.004, "estimate")


def test_the_providers_own_price_wins():
    priced = bill(Usage(input=1_000), SONNET, reported=0.5)
    assert (priced.total, priced.source) == (0.5, "provider")
    assert bill(None, None, reported=0.25).total == 0.25


def test_a_broken_answer_is_marked():
    assert bill(Usage(input=1_000, output=1), SONNET, partial=True).source == "partial"


def test_buckets_are_disjoint_and_complete():
    usage = Usage(**{bucket: 10**place for place, bucket in enumerate(BUCKETS)})
    assert usage.total_tokens == int("1" * len(BUCKETS))
    assert usage.prompt_tokens + usage.completion_tokens == usage.total_tokens
    assert usage.cached_tokens == usage.cache_read + usage.cache_read_audio
    assert {"input", "output"} <= set(BUCKETS)
    assert set(BUCKETS) == set(Usage.__struct_fields__)


def test_the_seeds_rates_per_token():
    assert SONNET.prompt == pytest.approx(3e-6)
    assert SONNET.completion == pytest.approx(1.5e-5)
    assert Cost().prompt is None


def test_token_estimate():
    assert [estimate_tokens(text) for text in ("", "a", "abcd", "abcde")] == [0, 1, 1, 2]
