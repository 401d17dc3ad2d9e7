"""The same model at other providers."""

from __future__ import annotations

import numpy as np
import pytest

import nbkit
from nbkit import offers
from nbkit.errors import ModelNotFoundError
from nbkit.providers.registered import register_provider
from nbkit.providers.spelling import find_own_providers


@pytest.fixture(scope="module")
def catalog():
    return nbkit.catalog


def test_what_models_dev_calls_one_model_is_listed_whole(catalog):
    offered = offers("claude-sonnet-5")
    named = set(catalog.index[catalog.canonical == "anthropic/claude-sonnet-5"])
    assert set(offered.index[offered.match == "canonical"]) == named | {"anthropic/claude-sonnet-5"}
    assert "amazon-bedrock/eu.anthropic.claude-sonnet-5" in offered.index  # each region is an offer
    assert "anthropic/claude-sonnet-5-5" not in offered.index
    for same in ("anthropic/claude-sonnet-5", "anthropic/anthropic/claude-sonnet-5", "Claude Sonnet 5"):
        assert list(offers(same).index) == list(offered.index)


def test_prices_come_first_plans_after_them_and_the_unknown_last(catalog):
    offered = offers("glm-5.2")
    price = (3 * catalog.input_cost + catalog.output_cost)[offered.index] / 4
    assert np.array_equal(offered.blended_cost, price, equal_nan=True)
    kind = np.where(price.isna(), 2, np.where(offered.plan, 1, 0))
    assert {*kind} == {0, 1, 2}
    assert (np.diff(kind) >= 0).all()
    paid = offered[kind == 0]
    assert paid.blended_cost.is_monotonic_increasing
    assert paid.extra.iloc[0] == 0
    assert (
        paid.extra.tolist() == pytest.approx(((price[kind == 0] / price.min() - 1) * 100).round(1)) or price.min() == 0
    )
    above = (paid.blended_cost / paid.blended_cost.iloc[0] - 1) * 100
    assert paid.extra.tolist() == pytest.approx(above.tolist(), abs=0.06)
    assert offered.extra[kind > 0].isna().all()
    assert (offered.plan == ((offered.input_cost == 0) & (offered.output_cost == 0))).all()
    assert (offered.caching == offered.cache_read_cost.notna()).all()


def test_names_fill_in_where_models_dev_says_nothing(catalog):
    offered = offers("openai/gpt-oss-120b")
    named = offered[offered.match == "name"]
    assert {"deepinfra/openai/gpt-oss-120b", "digitalocean/openai-gpt-oss-120b"} <= set(named.index)
    assert catalog.canonical[named.index].isna().all()
    assert set(named.provider).isdisjoint(offered.provider[offered.match == "canonical"])
    assert "groq/openai/gpt-oss-20b" not in offered.index
    assert list(offers("gpt-oss-120b").index) == list(offered.index)  # many hosts, but one model


def test_the_day_in_a_name_counts_where_the_name_has_one():
    dated, any_day = offers("claude-haiku-4-5-20251001"), offers("claude-haiku-4-5")
    assert "google-vertex/claude-haiku-4-5@20251001" in dated.index
    assert any_day.match["google-vertex/claude-haiku-4-5@20251001"] == "name"
    assert "openrouter/anthropic/claude-haiku-4.5" not in dated.index
    assert "openai/gpt-4o-2024-05-13" not in offers("gpt-4o").index  # its provider has the one that was asked for


def test_the_vendors_own_row_leads_to_the_canonical_id():
    assert list(offers("llama/llama-3.3-70b-instruct").index) == list(offers("meta/llama-3.3-70b-instruct").index)
    assert (offers("zai/glm-5.2").match == "canonical").any()


SPELLINGS = {  # C4: a model, and rows that are offers of it, whatever hosts call it
    "llama-4-maverick": [
        "llama/llama-4-maverick-17b-128e-instruct-fp8",
        "llama/groq-llama-4-maverick-17b-128e-instruct",
        "llama/cerebras-llama-4-maverick-17b-128e-instruct",
        "openrouter/meta-llama/llama-4-maverick",
        "google-vertex/meta/llama-4-maverick-17b-128e-instruct-maas",
        "amazon-bedrock/us.meta.llama4-maverick-17b-instruct-v1:0",
    ],
    "openai/gpt-oss-120b": ["databricks/databricks-gpt-oss-120b"],
    "openai/gpt-5.4-mini": ["gitlab/duo-chat-gpt-5-4-mini"],
    "claude-opus-4-5": ["gitlab/duo-chat-opus-4-5", "databricks/databricks-claude-opus-4-5"],
    "glm-5.1": ["aihubmix/alicloud-glm-5.1", "aihubmix/coding-glm-5.1"],
    "qwen3-235b-a22b": ["novita-ai/qwen/qwen3-235b-a22b-fp8"],
}
OTHERS = {  # rows that are other models
    "llama-4-maverick": ["llama/llama-3.3-70b-instruct"],
    "openai/gpt-oss-120b": ["groq/openai/gpt-oss-20b"],
    "openai/gpt-5.4-mini": ["gitlab/duo-chat-gpt-5-4-nano", "openai/gpt-5.4"],
    "claude-opus-4-5": ["gitlab/duo-chat-sonnet-4-5", "anthropic/claude-opus-4-6"],
    "qwen3-235b-a22b": ["io-net/Qwen/Qwen3-235B-A22B-Thinking-2507", "alibaba/qwen3-32b"],
}


@pytest.mark.parametrize("model", SPELLINGS, ids=lambda model: f"C4: {model}")
def test_offers_under_the_names_of_their_hosts(catalog, model):
    listed = set(offers(model).index)
    assert set(SPELLINGS[model]) <= listed
    assert listed.isdisjoint(OTHERS.get(model, ()))


def test_the_whole_of_llama_4_maverick(catalog):
    named = catalog["model"].str.contains(r"llama-?4.*maverick", case=False)
    assert set(offers("llama-4-maverick").index) == set(catalog.index[named])


def test_an_offer_of_the_plain_model_is_not_hidden_by_a_variant_of_it(row, seller, unregistered):
    """C4: models.dev names the -fast one only."""
    lab = seller(
        {
            "gpt-oss-120b-fast": row(canonical_model_id="openai/gpt-oss-120b"),
            "gpt-oss-120b": row(canonical_model_id=None),
        },
        id="lab",
    )
    register_provider(lab, "http://127.0.0.1:1/v1")
    matches = offers("openai/gpt-oss-120b")["match"]
    assert matches[["lab/gpt-oss-120b-fast", "lab/gpt-oss-120b"]].tolist() == ["canonical", "name"]


@pytest.mark.parametrize("model", ["claude-sonnet-5", "openai/gpt-6-luna", "claude-opus-4-5", "mistral-large-latest"])
def test_the_vendors_own_offer_is_the_first_of_its_price(catalog, model):
    offered = offers(model)
    own = offered[offered["provider"].isin(find_own_providers(catalog.loc[offered.index[0], "vendor"]))].iloc[0]
    same = offered[(offered["blended_cost"] == own["blended_cost"]) & (offered["plan"] == own["plan"])]
    assert same.index[0] == own.name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("auto", "'auto' may mean several models: name one of "),
        ("claude-sonet-5", "did you mean anthropic/claude-sonnet-5"),
        ("openai/gpt-of-tomorrow", "the catalog does not list 'openai/gpt-of-tomorrow'"),
    ],
)
def test_a_name_without_a_model_raises(name, message):
    with pytest.raises(ModelNotFoundError, match=message):
        offers(name)
