"""The same model at other providers."""

from __future__ import annotations

import numpy as np
import pytest

import nbkit
from nbkit import offers
from nbkit.errors import ModelNotFoundError


@pytest.fixture(scope="module")
def catalog():
    return nbkit.catalog


def test_what_models_dev_calls_one_model_is_listed_whole(catalog):
    found = offers("claude-sonnet-5")
    said = set(catalog.index[catalog.canonical == "anthropic/claude-sonnet-5"])
    assert set(found.index[found.match == "canonical"]) == said | {"anthropic/claude-sonnet-5"}
    assert "amazon-bedrock/eu.anthropic.claude-sonnet-5" in found.index  # each region is an offer
    assert "anthropic/claude-sonnet-5-5" not in found.index
    for same in ("anthropic/claude-sonnet-5", "anthropic/anthropic/claude-sonnet-5", "Claude Sonnet 5"):
        assert list(offers(same).index) == list(found.index)


def test_prices_come_first_plans_after_them_and_the_unknown_last(catalog):
    found = offers("glm-5.2")
    price = (3 * catalog.input_cost + catalog.output_cost)[found.index] / 4
    assert np.array_equal(found.blended_cost, price, equal_nan=True)
    kind = np.where(price.isna(), 2, np.where(found.plan, 1, 0))
    assert {*kind} == {0, 1, 2}
    assert (np.diff(kind) >= 0).all()
    paid = found[kind == 0]
    assert paid.blended_cost.is_monotonic_increasing
    assert paid.extra.iloc[0] == 0
    assert (
        paid.extra.tolist() == pytest.approx(((price[kind == 0] / price.min() - 1) * 100).round(1)) or price.min() == 0
    )
    above = (paid.blended_cost / paid.blended_cost.iloc[0] - 1) * 100
    assert paid.extra.tolist() == pytest.approx(above.tolist(), abs=0.06)
    assert found.extra[kind > 0].isna().all()
    assert (found.plan == ((found.input_cost == 0) & (found.output_cost == 0))).all()
    assert (found.caching == found.cache_read_cost.notna()).all()


def test_names_fill_in_where_models_dev_says_nothing(catalog):
    found = offers("openai/gpt-oss-120b")
    named = found[found.match == "name"]
    assert {"deepinfra/openai/gpt-oss-120b", "digitalocean/openai-gpt-oss-120b"} <= set(named.index)
    assert catalog.canonical[named.index].isna().all()
    assert set(named.provider).isdisjoint(found.provider[found.match == "canonical"])
    assert "groq/openai/gpt-oss-20b" not in found.index
    assert list(offers("gpt-oss-120b").index) == list(found.index)  # many hosts, but one model


def test_the_day_in_a_name_counts_where_it_is_asked_for():
    dated, any_day = offers("claude-haiku-4-5-20251001"), offers("claude-haiku-4-5")
    assert "google-vertex/claude-haiku-4-5@20251001" in dated.index
    assert any_day.match["google-vertex/claude-haiku-4-5@20251001"] == "name"
    assert "openrouter/anthropic/claude-haiku-4.5" not in dated.index
    assert "openai/gpt-4o-2024-05-13" not in offers("gpt-4o").index  # its provider has the one that was asked for


def test_the_vendors_own_row_leads_to_the_canonical_id():
    assert list(offers("llama/llama-3.3-70b-instruct").index) == list(offers("meta/llama-3.3-70b-instruct").index)
    assert (offers("zai/glm-5.2").match == "canonical").any()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("auto", "'auto' may mean several models: name one of "),
        ("claude-sonet-5", "did you mean anthropic/claude-sonnet-5"),
        ("openai/gpt-of-tomorrow", "the catalog does not list 'openai/gpt-of-tomorrow'"),
    ],
)
def test_who_means_no_model_is_told(name, said):
    with pytest.raises(ModelNotFoundError, match=said):
        offers(name)
