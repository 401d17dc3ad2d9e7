"""Prices that the user corrects, and models that are the same as a listed one."""

import pytest

from nbkit.adapters.factory import get_adapter
from nbkit.billing.cost import Cost, Lane, ToolPrice, bill
from nbkit.choose.frame import catalog
from nbkit.conversation.completion import Charges, Usage
from nbkit.errors import ConfigError, ModelNotFoundError
from nbkit.modelsdev.current import current_snapshot
from nbkit.providers.models import get_model
from nbkit.providers.prices import find_cost, find_listed_cost
from nbkit.providers.tables import provider_defaults

LUNA = "openai/gpt-6-luna"  # models.dev: 0.1 and 0.5, cache_read 0.01; above 272,000 tokens 0.2 and 0.75


def cost_of(model, **more):
    return get_adapter(model, api_key="k", **more).endpoint.cost


def test_a_price_of_the_overrides_file_counts_in_calls_and_in_the_catalog(users_file):
    before = catalog().loc[LUNA]
    users_file(f"[models.'{LUNA}']\ncost = {{ input = 1, request = 0.01 }}")
    cost = cost_of(LUNA)
    assert (cost.rates["input"], cost.rates["output"], cost.request, cost.source) == (1.0, 0.5, 0.01, "user")
    assert get_model(LUNA).cost == cost
    after = catalog().loc[LUNA]
    assert (before.input_cost, after.input_cost, after.output_cost) == (0.1, 1.0, before.output_cost)
    assert catalog().loc["openai/gpt-6-sol"].input_cost == 2.0
    assert before.tiers != after.tiers


def test_a_corrected_rate_holds_whatever_the_size_of_the_prompt_and_the_others_keep_their_tiers(users_file):
    users_file(f"[models.'{LUNA}']\ncost = {{ input = 1 }}")
    priced = bill(Usage(input=300_000, output=1_000_000), cost_of(LUNA))
    assert (priced.total, priced.source) == (0.3 + 0.75, "user")
    assert cost_of(LUNA, cost={"tiers": [{"size": 10, "input": 3}]}).tiers == ((10, {"input": 3.0}),)
    assert cost_of(LUNA, cost={"tiers": []}).tiers == ()


def test_patterns_providers_and_code_in_the_order_of_their_weight(users_file):
    users_file("""
        [providers.openai]
        cost = { input = 1, output = 1, cache_read = 1 }
        [models."openai/gpt-6-*"]
        cost = { input = 2, output = 2 }
    """)
    assert cost_of(LUNA, cost={"input": 3}).rates | {"cache_write": 0} == {
        "input": 3.0, "output": 2.0, "cache_read": 1.0, "cache_write": 0,
    }  # fmt: skip
    assert catalog().loc["openai/gpt-5.5"].input_cost == 1.0
    own = Cost({"input": 9.0})
    assert cost_of(LUNA, cost=own) is own


def test_how_a_provider_bills_can_be_corrected_too(users_file):
    users_file("""
        [providers.openai]
        tool_prices = { web_search = 0.5, dowsing = { request = 2, note = "as they please" } }
        [models."openai/gpt-6-*"]
        regions = { moon = 3 }
        lanes = { slow = 0.1, rocket = { input = 7, output = 8 } }
        rates = { output_image = 9 }
    """)
    cost = cost_of(LUNA)
    assert cost.source == "catalog"
    assert (cost.tools["web_search"], cost.tools["file_search"]) == (ToolPrice(0.5), ToolPrice(0.0025))
    usage, charges = Usage(input=100_000), Charges({"web_search": 2}, "moon")
    assert bill(usage, cost, charges=charges).total == 1.03  # 0.1 M x 0.1 x 3 + 2 x 0.5
    used = bill(usage, cost, charges=Charges({"dowsing": 5}))
    assert (used.total, used.source, used.notes) == (2.01, "estimate", ("5 dowsing: as they please",))
    assert bill(Usage(output_image=1_000_000), cost).total == 9.0
    lanes = {name: bill(usage, cost, lane=Lane(name)) for name in ("slow", "rocket", "priority", "flex")}
    assert {name: (one.total, one.source, one.lane) for name, one in lanes.items()} == {
        "slow": (0.001, "estimate", "slow"),
        "rocket": (0.7, "catalog", "rocket"),
        "priority": (0.02, "catalog", "priority"),
        "flex": (0.005, "estimate", "flex"),
    }


@pytest.mark.parametrize(
    ("provider", "name", "rate"),
    [
        ("openai", "gpt-5-mini", 0.25),
        ("openai", "gpt-5-mini-2025-08-07", 0.25),
        ("anthropic", "claude-haiku-4-5-20251001", 1.0),
        ("amazon-bedrock", "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0", 0.06),
        ("openai", "gpt-5-mini-maxi", None),
        ("openai", "", None),
        ("nobody", "gpt-5-mini", None),
    ],
)
def test_the_model_that_answered_is_known_by_its_name(provider, name, rate):
    cost = find_listed_cost(provider, name, "openai-chat")
    assert (cost and cost.rates["input"]) == rate


def test_an_unlisted_model_gets_a_price(users_file):
    users_file("[models.'lab/*']\ncost = { input = 0, output = 0 }")
    free = get_adapter("lab/m1", base_url="http://127.0.0.1:1/v1").endpoint.cost
    assert free.is_free
    assert get_adapter("other/m1", base_url="http://127.0.0.1:1/v1").endpoint.cost is None


def test_a_deployment_can_do_and_costs_what_the_model_does_that_it_is_the_same_as(users_file):
    users_file(f"[models.'azure/my-luna']\nsame_as = '{LUNA}'")
    address = {"base_url": "https://me.openai.azure.com/openai/v1"}
    own, listed = get_adapter("azure/my-luna", **address).endpoint, get_adapter(LUNA).endpoint
    assert (own.provider, own.model) == ("azure", "my-luna")
    assert own.cost.rates == listed.cost.rates
    assert (own.cost.source, own.catalog_date) == ("catalog", current_snapshot().meta.date)
    assert own.tolerance.reasoning == listed.tolerance.reasoning
    assert own.tolerance.drop >= {"temperature", "top_p"}
    assert own.dialect.system_role == "developer"  # a row about "azure*/gpt-[56]*"
    assert get_model("azure/my-luna").context_length == get_model(LUNA).context_length


def test_a_fine_tune_in_code_with_its_own_price():
    endpoint = get_adapter("openai/ft:gpt-6-luna:me::1", same_as=LUNA, cost={"input": 0.3, "output": 1.2}).endpoint
    assert (endpoint.cost.rates["output"], endpoint.cost.source) == (1.2, "user")
    assert endpoint.tolerance.max_output == get_model(LUNA).completion_length
    plain = get_adapter("openai/ft:gpt-6-luna:me::1").endpoint
    assert (plain.cost, plain.catalog_date) == (None, None)


def test_the_address_of_another_provider_does_not_come_with_its_model():
    claude = "azure/claude-opus-5"  # served at another address than Azure's other models
    assert get_adapter("azure/mine", same_as=claude, base_url="https://h.example/v1").endpoint.protocol == (
        get_adapter(claude, base_url="https://h.example/v1").endpoint.protocol
    )
    other = get_adapter("groq/mine", same_as=claude).endpoint
    assert other.base_url == "https://api.groq.com/openai/v1"
    assert other.protocol == "openai-chat"


@pytest.mark.parametrize("model", ["openai/gpt-6-lunna", "gpt-6-luna", "nope/x"])
def test_a_same_as_that_the_catalog_does_not_list_is_refused(users_file, model):
    with pytest.raises(ModelNotFoundError, match=f"same_as: the catalog does not list '{model}'"):
        get_adapter("openai/mine", same_as=model)
    users_file(f"[models.'openai/mine']\nsame_as = '{model}'")
    with pytest.raises(ModelNotFoundError, match="same_as: the catalog does not list"):
        get_adapter("openai/mine")


WRONG = [
    ("{ imput = 1 }", {"imput": 1}, r"unknown 'imput'; did you mean input\?"),
    ("{ input = '1' }", {"input": "1"}, "input: expected a number that is not negative, got '1'"),
    ("{ input = -1 }", {"input": -1}, "input: expected a number that is not negative, got -1"),
    ("{ input = nan }", {"input": float("nan")}, "input: expected a number that is not negative"),
    ("{ request = true }", {"request": True}, "request: expected a number that is not negative, got True"),
    ("{ tiers = 3 }", {"tiers": 3}, "tiers: expected a list of tables with size and prices, got 3"),
    (
        "{ tiers = [{ input = 1 }] }",
        {"tiers": [{"input": 1}]},
        r"tiers\[0\]: size: expected a number of tokens, got None",
    ),
    ("{ tiers = [{ size = 1, inputs = 1 }] }", {"tiers": [{"size": 1, "inputs": 1}]}, "did you mean input"),
    ("3", 3, "expected a (table|dict)"),
]


@pytest.mark.parametrize(("toml", "code", "complaint"), WRONG)
def test_wrong_prices_are_named(users_file, toml, code, complaint):
    with pytest.raises((ConfigError, TypeError), match=complaint):
        get_adapter(LUNA, cost=code)
    users_file(f"[models.'{LUNA}']\ncost = {toml}")
    with pytest.raises(ConfigError, match=complaint) as caught:
        provider_defaults("groq")
    assert "gpt-6-luna" in str(caught.value)


@pytest.mark.parametrize(
    ("model", "lanes"),
    [
        ("openai/gpt-5.4", {"priority": 5.0}),
        ("openai/gpt-6-astra", {"priority": 20.0, "ultrafast": 60.0}),
        ("anthropic/claude-opus-5", {"fast": 10.0}),
        ("openai/gpt-5", {}),
    ],
)
def test_the_modes_of_models_dev_are_lanes(model, lanes):
    """A8."""
    cost = find_cost(current_snapshot().record(model), [])
    assert {name: rates["input"] for name, rates in cost.lanes.items()} == lanes


@pytest.mark.parametrize(
    ("model", "rate"),
    [
        ("anthropic/claude-opus-5", 10.0),
        ("amazon-bedrock/us.anthropic.claude-opus-4-8", 11.0),
        (LUNA, 0.25),
        ("openai/gpt-5.4", None),
    ],
)
def test_an_hour_in_the_cache_has_the_price_of_its_vendors_rule(model, rate):
    """S11."""
    (line,) = bill(Usage(cache_write_1h=1), get_model(model).cost).lines
    assert line.rate == rate
