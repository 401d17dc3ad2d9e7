"""The catalog as a chooser sees it."""

import os
import re

import pandas as pd
import pytest

import nbkit
from nbkit.choose.frame import build_frame
from nbkit.errors import ProviderNotSupportedError
from nbkit.modelsdev.current import current_snapshot
from nbkit.modelsdev.records import Provider
from nbkit.modelsdev.snapshot import Meta, build
from nbkit.providers.registered import register_provider
from nbkit.providers.resolve import resolve_model
from nbkit.providers.routes import find_route
from nbkit.providers.vendors import path_of, record_path, vendor

LAB = Provider("lab", "Lab", "@ai-sdk/openai-compatible", None, ("LAB_HOST", "LAB_API_KEY"), None)


def test_the_catalog_of_the_first_minute():
    catalog = nbkit.catalog
    assert isinstance(catalog, pd.DataFrame)
    assert len(catalog) == 8337
    assert catalog.index.is_unique
    assert 0 < len(catalog[catalog.vision & ~catalog.deprecated & (catalog.input_cost < 1)]) < 8337
    sonnet = catalog.loc["anthropic/claude-sonnet-5-5"]
    assert (sonnet.vendor, sonnet.path, sonnet.protocol) == (
        "anthropic", "anthropic/anthropic/claude-sonnet-5-5", "anthropic-messages",
    )  # fmt: skip
    assert catalog.protocol[["azure/grok-4.6", "azure/gpt-6.1-sol"]].tolist() == ["openai-chat", "openai-responses"]
    assert nbkit.catalog is catalog
    assert nbkit.load_catalog() is not catalog
    assert catalog.attrs["source"] == "bundled"
    assert catalog.attrs["date"] == "2026-09-30"


def test_columns_of_the_issue_are_there():
    wanted = """
        provider vendor model name family canonical vision tools reasoning structured_output temperature attachment
        open_weights input_cost output_cost cache_read_cost cache_write_cost context max_output knowledge
        release_date age_days last_updated status deprecated protocol callable why_not env has_key path tiers
        reasoning_cost input_audio_cost output_audio_cost modes experimental efforts toggle budget_min budget_max
    """
    assert not set(wanted.split()) - set(nbkit.catalog.columns)
    assert list(nbkit.catalog.columns[:4]) == ["provider", "vendor", "model", "name"]


USERS = """
[providers.groq]
protocol = "openai-responses"
env = ["MY_GROQ"]
[providers.gitlab]
base_url = "https://gitlab.example/v1"
[providers.mistral]
why_not = "closed today"
[providers.newco]
auth = "none"
[models."*/gpt-oss-120b"]
protocol = "ollama-chat"
[models."openrouter/anthropic/*"]
why_not = "not through others"
[models."deepseek/*"]
headers = { x-lab = "1" }
body = { user = "me" }
"""
MODELS = {"m": {"tool_call": True}, "own": {"provider": {"npm": "@ai-sdk/anthropic"}}}
REGISTERED = [  # a provider, and whether it has an address of its own
    ({"id": "newco", "npm": "@ai-sdk/openai-compatible", "models": MODELS}, True),
    ({"id": "strange", "npm": "npm-of-tomorrow", "models": MODELS}, True),
    ({"id": "stranger", "npm": "npm-of-tomorrow", "models": MODELS}, False),
    ({"id": "groq", "npm": "@ai-sdk/openai-compatible", "models": {"openai/gpt-oss-120b": {}, **MODELS}}, True),
    ({"id": "cohere", "npm": "@ai-sdk/openai-compatible", "models": {"command-a-03-2025": {}, **MODELS}}, False),
]


@pytest.mark.parametrize("users", ["", USERS], ids=["", "rows of the user"])
@pytest.mark.parametrize("registered", [[], REGISTERED], ids=["", "registered providers"])
def test_each_row_has_the_route_of_the_call(users, registered, users_file, unregistered):
    users_file(users)
    frames = [nbkit.load_catalog()]
    for provider, addressed in registered:
        own = register_provider(provider, "http://127.0.0.1:1/v1" if addressed else None)
        frames.append(build_frame(build(own.records, Meta("", "2026-09-30"))))
    frames[0] = nbkit.load_catalog()
    assert set(frames[0].index) >= {model_id for frame in frames for model_id in frame.index}
    callable_ids = []
    for frame in frames:
        facts = frame[["protocol", "callable", "why_not"]].astype(object).where(frame.notna(), None)
        for row in facts.itertuples():
            route = route_of_call(row.Index)
            assert tuple(row) == (row.Index, route.protocol, not route.why_not, route.why_not or None)
            callable_ids += [row.Index] if row.callable else []
    supported = [f"{model.provider_name}/{model.name}" for model in nbkit.AdapterFactory.get_supported_models()]
    assert set(supported) - set(nbkit.demo_models().index) == set(callable_ids)
    assert len(set(supported)) == len(supported)
    assert len(frames[0]) == 8337 + (10 if registered else 0)  # two of the twelve are models.dev's, too


def route_of_call(model_id):
    """The route by which get_adapter calls a model."""
    resolved = resolve_model(model_id)
    return find_route(resolved.provider, resolved.model, resolved.record, addressed=resolved.address is not None)


def test_registered_models_are_rows_beside_those_of_models_dev(unregistered):
    """S4: registering adds; it hides nothing."""
    before = nbkit.catalog
    register_provider(REGISTERED[0][0], "http://127.0.0.1:1/v1")
    register_provider(REGISTERED[3][0], "http://127.0.0.1:1/v1")
    after = nbkit.catalog
    assert nbkit.catalog is after is not before
    assert after.index.is_unique
    assert set(after.index) == {*before.index, "newco/m", "newco/own", "groq/m", "groq/own"}
    assert after[after.provider == "groq"].callable.all()
    assert after.attrs["registered"] == {"newco": "registered", "groq": "registered"}
    assert "registered" not in before.attrs
    assert nbkit.get_adapter("groq/m").endpoint.base_url == "http://127.0.0.1:1/v1"
    assert nbkit.get_adapter("groq/llama-3.3-70b-versatile").endpoint.base_url == "https://api.groq.com/openai/v1"
    register_provider({"id": "newco", "models": {"n": {"tool_call": True}}}, "http://127.0.0.1:2/v1")
    addresses = [nbkit.get_adapter(name).endpoint.base_url for name in ("newco/m", "newco/n")]
    assert addresses == ["http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1"]
    for name in ("newco/m", "groq/own", "groq/openai/gpt-oss-120b"):
        assert name in nbkit.search(name.replace("/", " "), limit=None).index
        assert name in set(nbkit.load_catalog().index)


def test_each_row_has_its_vendor_and_path():
    snapshot = current_snapshot()
    for model_id, made_by, path in zip(snapshot.ids, nbkit.catalog.vendor, nbkit.catalog.path, strict=True):
        record = snapshot.record(model_id)
        assert (made_by, path) == (vendor(record.canonical, record.model, record.provider), record_path(record))


def test_a_model_that_cannot_be_called_says_why():
    closed = nbkit.catalog[~nbkit.catalog.callable]
    assert set(closed.provider) == {"gitlab", "sap-ai-core", "watsonx"}
    assert set(closed.index) == set(nbkit.catalog.index[nbkit.catalog.why_not.notna()])
    with pytest.raises(ProviderNotSupportedError, match=re.escape(closed.why_not.iloc[0])):
        nbkit.get_adapter(closed.index[0])


def test_the_users_rows_count_as_soon_as_they_are_written(users_file):
    model = "groq/openai/gpt-oss-120b"
    users_file("""
        [providers.groq]
        env = ["MY_GROQ"]
        [models."groq/openai/*"]
        why_not = "closed today"
        [vendors]
        "gpt-oss" = "me"
    """)
    row = nbkit.load_catalog().loc[model]
    assert (row.vendor, row.path, row.callable, row.why_not) == (
        "me",
        "groq/me/openai/gpt-oss-120b",
        False,
        "closed today",
    )
    users_file('[models."*gpt-oss*"]\nprotocol = "openai-responses"')
    row = nbkit.load_catalog().loc[model]
    assert (row.vendor, row.protocol, row.callable) == ("openai", "openai-responses", True)


def test_has_key_is_yes_or_no(monkeypatch):
    for name in list(os.environ):
        if name.endswith(("_KEY", "_TOKEN")):
            monkeypatch.delenv(name)
    assert not nbkit.load_catalog().has_key.any()
    monkeypatch.setenv("GROQ_API_KEY", "gsk-canary")
    keyed = nbkit.load_catalog()
    assert set(keyed[keyed.has_key].provider) == {"groq"}
    monkeypatch.setenv("GITHUB_TOKEN", "ghp-canary")  # models.dev's word for Copilot's, which is another
    assert set(nbkit.load_catalog().query("has_key").provider) == {"groq"}
    assert "gsk-canary" not in keyed.to_csv()


@pytest.mark.parametrize(
    ("canonical", "model", "expected"),
    [
        ("openai/gpt-oss-120b", "whatever", "openai"),
        (None, "meta-llama/Llama-4-Scout", "meta"),
        (None, "Qwen/Qwen3-Coder", "alibaba"),
        (None, "~anthropic/claude-latest", "anthropic"),
        (None, "accounts/fireworks/models/deepseek-v4", "deepseek"),
        (None, "gpt-6-mini", "openai"),
        (None, "o3-pro", "openai"),
        (None, "duo-chat", "unknown"),
        (None, "duo-chat-sonnet-4-6", "anthropic"),
        (None, "nvidia/llama-3.3-nemotron-super", "nvidia"),
        (None, "us.writer.palmyra-x5-v1:0", "writer"),
        (None, "aion-labs/aion-3", "aion-labs"),
        (None, "TEE/kimi-k3", "moonshotai"),
    ],
)
def test_the_vendor(canonical, model, expected):
    assert vendor(canonical, model, LAB) == expected


def test_paths_do_not_repeat_the_vendor():
    assert path_of("lab", "openai", "gpt-6") == "lab/openai/gpt-6"
    assert path_of("lab", "openai", "openai/gpt-6") == "lab/openai/gpt-6"
    assert path_of("lab", "openai", "openai-oss/gpt-6") == "lab/openai/openai-oss/gpt-6"


def test_few_vendors_are_unknown():
    assert (nbkit.catalog.vendor == "unknown").mean() < 0.015


def test_the_rules_agree_with_models_dev_where_it_names_the_vendor():
    named = nbkit.catalog[nbkit.catalog.canonical.notna()]
    inferred = [vendor(None, model, LAB) for model in named.model]
    assert (named.vendor.astype(str) == inferred).mean() > 0.99


def test_demo_models_are_rows_of_the_same_columns():
    demo = nbkit.demo_models()
    assert list(demo.columns) == list(nbkit.catalog.columns)
    assert set(demo.provider) == {"demo"}
    assert (demo.output_cost > 0).all()
    assert {"openai-chat", "anthropic-messages"} <= set(demo.protocol)
    assert demo.callable.all()
    assert not set(demo.index) & set(nbkit.catalog.index)
