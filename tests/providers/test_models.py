"""Models as the seed of this design describes them."""

import pandas as pd
import pytest

import nbkit
from nbkit import ModelFilter
from nbkit.errors import ModelNotFoundError
from nbkit.providers.models import ModelProperties, get_model
from nbkit.providers.tables import table

supported = nbkit.AdapterFactory.get_supported_models


def test_a_model():
    model = nbkit.get_model("anthropic/claude-sonnet-5-5")
    assert (model.name, model.vendor_name, model.provider_name) == ("claude-sonnet-5-5", "anthropic", "anthropic")
    assert (model.cost.prompt, model.cost.completion, model.cost.request) == (2e-6, 1e-5, 0)
    assert (model.context_length, model.completion_length) == (1_000_000, 128_000)
    assert (model.knowledge_cutoff, model.release_date) == ("2026-06", "2026-09-28")
    assert model.properties == ModelProperties(open_source=False, chinese=False, gdpr_compliant=True, is_nsfw=False)


@pytest.mark.parametrize(
    "name",
    ["openrouter/openai/gpt-6-luna", "groq/openai/gpt-oss-120b", "groq/meta/llama-3.3-70b-versatile", "demo/sage"],
)
def test_ids_and_paths_mean_the_same(name):
    model = get_model(name)
    assert get_model(model.get_path()) == model


def test_what_is_not_known_is_none():
    with pytest.raises(ModelNotFoundError, match=r"the catalog does not list 'openai/gpt-of-tomorrow'"):
        get_model("openai/gpt-of-tomorrow")
    with pytest.raises(ModelNotFoundError, match="did you mean"):
        get_model("claude-sonet-5")
    assert get_model("kilo/kilo-auto/free").properties == ModelProperties(open_source=False)


@pytest.mark.parametrize(
    ("name", "open_source", "chinese", "gdpr", "nsfw"),
    [
        ("deepseek/deepseek-v4-pro", True, True, None, False),
        ("amazon-bedrock/deepseek.r1-v1:0", True, True, True, False),
        ("azure-cognitive-services/gpt-5.4", False, False, True, False),
        ("venice/gemma-4-uncensored", True, False, None, True),
    ],
)
def test_properties(name, open_source, chinese, gdpr, nsfw):
    assert get_model(name).properties == ModelProperties(open_source, chinese, gdpr, nsfw)
    row = nbkit.catalog.loc[name, ["open_weights", "chinese", "gdpr_compliant", "is_nsfw"]]  # S15
    assert [None if value is pd.NA else value for value in row] == [open_source, chinese, gdpr, nsfw]


def test_properties_are_columns_of_every_row():
    """S15, and C5: where a vendor is from is not known of those that no table lists."""
    rows = nbkit.catalog
    for model_id in rows.index[::41]:
        properties = get_model(model_id).properties
        for name in ("chinese", "gdpr_compliant", "is_nsfw"):
            value = rows.loc[model_id, name]
            assert (None if value is pd.NA else value) == getattr(properties, name), (model_id, name)
    unlisted = rows["vendor"].isin(["unknown", "sao10k", "thedrummer", "aion-labs"])
    assert rows["chinese"][unlisted].isna().all()
    assert rows["chinese"].notna().mean() > 0.97
    assert set(rows["vendor"][rows["chinese"].fillna(False)]) >= {"alibaba", "deepseek", "moonshotai", "zhipuai"}


def test_a_vendor_is_in_one_country():
    countries = table("vendor_mappings")["countries"]
    assert not set(countries["china"]) & set(countries["elsewhere"])
    vendors = set(nbkit.catalog["vendor"]) | set(table("vendor_mappings")["patterns"].values())
    assert set(countries["china"]) | set(countries["elsewhere"]) <= vendors | {"nbkit"}


def test_capabilities_are_models_devs_corrected_by_the_tables():
    old = get_model("openai/gpt-3.5-turbo").capabilities  # models.dev: no tools
    assert (old.supports_tools, old.supports_tool_choice_required, old.supports_vision) == (True, True, False)
    new = get_model("opencode/claude-opus-5-5").capabilities
    assert (new.supports_tools, new.supports_tool_choice, new.supports_tool_choice_required) == (True, True, False)
    assert not get_model("zai/glm-5.3").capabilities.supports_tool_choice
    assert not get_model("google/gemma-4-31b-it").capabilities.supports_system
    assert not get_model("cloudflare-workers-ai/@cf/openai/gpt-oss-120b").capabilities.supports_json_content


def test_supported_models_are_those_that_can_be_called(unregistered):
    demo = nbkit.demo_models().index.tolist()  # registered from now on
    models = supported()
    ids = [f"{model.provider_name}/{model.name}" for model in models]
    assert ids == demo + nbkit.catalog.index[nbkit.catalog.callable].tolist()
    for model_id, model in zip(ids, models, strict=True):  # what many models share is computed once
        assert model == get_model(model_id)


@pytest.mark.parametrize(
    ("wanted", "least"),
    [
        (ModelFilter(provider="groq"), 16),
        (ModelFilter(provider="openai", supports_vision=True, supports_tools=True), 20),
        (ModelFilter(provider="openai", supports_vision=False), 5),
        (ModelFilter(provider="openai", supports_temperature=False), 5),
        (ModelFilter(provider="openrouter", supports_tools=False, supports_streaming=True), 10),
        (ModelFilter(provider="demo"), 5),
    ],
)
def test_a_filter(wanted, least):
    models, every = supported(wanted), supported(ModelFilter(provider=wanted.provider))
    assert len(models) >= least
    flags = [name for name in wanted.__slots__ if name.startswith("supports_") and getattr(wanted, name) is not None]
    fits = [all(getattr(model.capabilities, name) == getattr(wanted, name) for name in flags) for model in every]
    assert models == [model for model, fit in zip(every, fits, strict=True) if fit]
    assert {model.provider_name for model in models} == {wanted.provider}


def test_a_filter_knows_what_the_tables_correct_and_who_is_registered(unregistered):
    names = [model.name for model in supported(ModelFilter(provider="openai", supports_tools=True))]
    assert "gpt-3.5-turbo" in names  # models.dev: no tools
    assert supported(ModelFilter(provider="gitlab")) == supported(ModelFilter(provider="nobody")) == []
    own = {"id": "gitlab", "npm": "@ai-sdk/openai-compatible", "models": {"mine": {"tool_call": True}}}
    nbkit.AdapterFactory.register_provider(own, "http://127.0.0.1:1/v1")
    assert [model.name for model in supported(ModelFilter(provider="gitlab", supports_tools=True))] == ["mine"]
