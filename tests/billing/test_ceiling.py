"""The most that a call may cost: sums by hand, the dearer case of every doubt, and nothing unknown taken for 0."""

from decimal import Decimal

import pytest

from nbkit.billing.ceiling import Demand, compute_ceiling
from nbkit.billing.cost import Cost, ToolPrice

RATES = {"input": 2, "output": 8}


@pytest.mark.parametrize(
    ("cost", "demand", "usd"),
    [
        (Cost(RATES), Demand(1000, 500), "0.006"),  # 1000 x 2 + 500 x 8 = 6000 per million
        (Cost(RATES, request=0.01), Demand(0, 0), "0.01"),
        (Cost(RATES | {"cache_write": 2.5}), Demand(1000, 0), "0.0025"),  # each token may be written to the cache
        (Cost(RATES | {"cache_write": 1}), Demand(1000, 0), "0.002"),
        (Cost(RATES | {"cache_write_1h": 4}), Demand(1000, 0), "0.002"),
        (Cost(RATES | {"cache_write_1h": 4}), Demand(1000, 0, caches_hours=True), "0.004"),
        (Cost(RATES, derived={"cache_write_1h": {"input": 2}}), Demand(1000, 0, caches_hours=True), "0.004"),
        (Cost(RATES | {"reasoning": 12}), Demand(0, 1000), "0.012"),
        (Cost(RATES | {"input_audio": 100}), Demand(1000, 0), "0.002"),
        (Cost(RATES | {"input_audio": 100}), Demand(1000, 0, has_audio=True), "0.1"),
        (Cost(RATES | {"output_audio": 80}), Demand(0, 1000), "0.08"),
        (Cost(RATES | {"output_image": 60}), Demand(0, 1000), "0.06"),
        (Cost(RATES, tiers=[(200, {"input": 4, "output": 16})]), Demand(200, 100), "0.0012"),  # of more than 200 tokens
        (Cost(RATES, tiers=[(200, {"input": 4, "output": 16})]), Demand(201, 100), "0.002404"),
        (Cost(RATES, tiers=[(200, {"input": 1}), (400, {"input": 1.5})]), Demand(1000, 0), "0.002"),  # it may be short
        (Cost(RATES, lane_factors={"priority": 2, "flex": 0.5}), Demand(1000, 0), "0.002"),
        (Cost(RATES, lane_factors={"priority": 2, "flex": 0.5}), Demand(1000, 0, lanes=("priority",)), "0.004"),
        (Cost(RATES, lane_factors={"priority": 2, "flex": 0.5}), Demand(1000, 0, lanes=("flex",)), "0.002"),
        (Cost(RATES, lane_factors={"priority": 2, "flex": 0.5}), Demand(1000, 0, lanes=None), "0.004"),
        (Cost(RATES, lanes={"fast": {"input": 12, "output": 48}}), Demand(1000, 10, lanes=("fast",)), "0.01248"),
        (Cost(RATES, regions={"us": 1.1}), Demand(1000, 0), "0.0022"),
        (Cost(RATES, tools={"a": ToolPrice(0.01), "b": ToolPrice(0.03)}), Demand(0, 0, tool_calls=2), "0.06"),
        (Cost({"input": 0, "output": 0}), Demand(None, None), "0"),
        (Cost({"input": 0, "output": 0}, tools={"a": ToolPrice(0.01)}), Demand(None, None, tool_calls=1), "0.01"),
    ],
)
def test_the_sum_by_hand(cost, demand, usd):
    ceiling = compute_ceiling(cost, demand)
    assert (ceiling.usd, ceiling.why) == (Decimal(usd), "")


@pytest.mark.parametrize(
    ("cost", "demand", "why"),
    [
        (None, Demand(1, 1), "its price is not known"),
        (Cost({"input": 1}), Demand(1, 1), "the price of the answer is not known"),
        (Cost({"output": 1}), Demand(1, 1), "the price of the prompt is not known"),
        (Cost(RATES), Demand(1, None), "the length of the answer has no known limit: pass max_tokens="),
        (Cost(RATES), Demand(1, 1, tool_calls=1), "the price of a call of the provider's own tools is not known"),
        (Cost(RATES), Demand(1, 1, vague="another model may answer (models)"), "another model may answer (models)"),
    ],
)
def test_what_has_no_upper_bound_says_why(cost, demand, why):
    ceiling = compute_ceiling(cost, demand)
    assert (ceiling.usd, ceiling.why) == (None, why)


def test_what_it_was_computed_from():
    assert str(compute_ceiling(Cost(RATES), Demand(1234, 16000))) == "1,234 prompt and 16,000 answer tokens"
    tools = Cost(RATES, tools={"a": ToolPrice(1)})
    assert str(compute_ceiling(tools, Demand(1, 1, tool_calls=3))).endswith(", 3 calls of the provider's own tools")
