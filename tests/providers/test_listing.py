"""The catalog as a chooser sees it."""

import os
import subprocess
import sys

import pandas as pd
import pytest

import nbkit
from nbkit.modelsdev.records import Provider
from nbkit.providers.vendors import path_of, vendor

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
        release_date last_updated status deprecated protocol has_key path
    """
    assert not set(wanted.split()) - set(nbkit.catalog.columns)
    assert list(nbkit.catalog.columns[:4]) == ["provider", "vendor", "model", "name"]


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
def test_who_made_it(canonical, model, expected):
    assert vendor(canonical, model, LAB) == expected


def test_paths_do_not_repeat_the_vendor():
    assert path_of("lab", "openai", "gpt-6") == "lab/openai/gpt-6"
    assert path_of("lab", "openai", "openai/gpt-6") == "lab/openai/gpt-6"
    assert path_of("lab", "openai", "openai-oss/gpt-6") == "lab/openai/openai-oss/gpt-6"


def test_the_catalog_is_ready_in_a_fraction_of_what_pandas_takes():
    code = """
import time
begun = time.process_time()
import pandas
imported = time.process_time()
import nbkit
nbkit.catalog
print((time.process_time() - imported) / (imported - begun))
"""
    environment = os.environ | {"NBKIT_OFFLINE": "1"}
    ratios = [float(subprocess.check_output([sys.executable, "-c", code], env=environment)) for _ in range(3)]
    assert min(ratios) < 0.25  # 0.16, which is 65 ms, on an idle machine of 2026


def test_few_vendors_are_unknown():
    assert (nbkit.catalog.vendor == "unknown").mean() < 0.015


def test_the_rules_agree_with_models_dev_where_it_names_the_vendor():
    told = nbkit.catalog[nbkit.catalog.canonical.notna()]
    inferred = [vendor(None, model, LAB) for model in told.model]
    assert (told.vendor.astype(str) == inferred).mean() > 0.99


def test_demo_models_are_rows_of_the_same_columns():
    demo = nbkit.demo_models()
    assert list(demo.columns) == list(nbkit.catalog.columns)
    assert set(demo.provider) == {"demo"}
    assert (demo.output_cost > 0).all()
    assert {"openai-chat", "anthropic-messages"} <= set(demo.protocol)
    assert not set(demo.index) & set(nbkit.catalog.index)
