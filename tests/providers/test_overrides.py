"""The user's own rows, and the rows that come with nbkit."""

import os
import tomllib
from pathlib import Path

import pytest

from nbkit.errors import ConfigError
from nbkit.modelsdev.records import Provider
from nbkit.providers import tables
from nbkit.providers.models import get_model
from nbkit.providers.overrides import KEYS, check_row
from nbkit.providers.tables import Table, combine_rows, model_overrides, provider_defaults, table, user_rows
from nbkit.providers.vendors import vendor

TABLES = sorted(Path(tables.__file__).parent.glob("*.toml"))


def test_the_users_rows_win(users_file):
    users_file("""
        [providers.mistral]
        temperature_max = 2
        take = ["user"]
        drop = ["seed"]
        base_url = "https://mistral.example/v1"
        dialect = { stream_usage = true }

        [models."openai/gpt-6-*"]
        capabilities = { vision = false }
        properties = { gdpr_compliant = false }

        [vendors]
        "gpt-6" = "me"
    """)
    shipped, row = table("provider_defaults")["mistral"], provider_defaults("mistral")
    assert "user" in shipped["drop"]
    assert set(row["drop"]) == (set(shipped["drop"]) | {"seed"}) - {"user"}
    assert (row["temperature_max"], row["base_url"]) == (2, "https://mistral.example/v1")
    assert row["dialect"] == shipped["dialect"] | {"stream_usage": True}
    mine = get_model("openai/gpt-6-luna")
    assert (mine.vendor_name, mine.get_path()) == ("me", "openai/me/gpt-6-luna")
    assert not mine.capabilities.supports_vision
    assert mine.properties.gdpr_compliant is False
    assert get_model("openai/gpt-5.5").capabilities.supports_vision


def test_a_changed_file_counts_at_once_and_a_missing_one_is_fine(users_file, tmp_path):
    assert user_rows("vendors") == {}
    users_file('[vendors]\n"x" = "one"')
    assert user_rows("vendors") == {"x": "one"}
    users_file('[vendors]\n"x" = "two"')
    os.utime(tmp_path / "overrides.toml", ns=(1, 1))
    assert user_rows("vendors") == {"x": "two"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[providers.groq]\ndorp = ['seed']", r"\[providers.'groq'\]: unknown 'dorp'; did you mean drop\?"),
        ("[providers.groq]\napi_key = 'sk-1'", "API key must not be in this file: set its variable, or pass api_key="),
        ("[providers.groq.headers]\nAuthorization = 'Bearer sk-1'", "an API key must not be in this file"),
        ("[providers.groq]\ntool_names = '['", r"tool_names: '\[' is not a regular expression"),
        ("[providers.groq]\nlanes = { fast = 'x' }", r"lanes: fast: factor: expected a number that is not negative"),
        ("[providers.groq]\nlanes = { fast = { inptu = 1 } }", r"lanes: fast: unknown 'inptu'; did you mean input\?"),
        ("[providers.groq]\nregions = { us = -1 }", r"regions: us: expected a number that is not negative, got -1"),
        ("[providers.groq]\nrates = { imput = 1 }", r"rates: unknown 'imput'; did you mean input\?"),
        ("[providers.groq]\ntool_prices = { web = true }", r"tool_prices: web: call: expected a number"),
        (
            "[providers.groq]\ntool_prices = { web = { cal = 1 } }",
            r"tool_prices: web: unknown 'cal'; did you mean call\?",
        ),
        ("[providers.groq]\ntool_prices = { web = { note = 'x' } }", r"tool_prices: web: expected call or request"),
        ("[providers.groq]\ndrop = 'seed'", "drop: expected a list of options, got 'seed'"),
        ("[providers.groq]\ndrop = ['sead']", r"drop: unknown 'sead'; did you mean seed\?"),
        ("[providers.groq]\nmodule = 'os'", "unknown 'module'"),
        ("[models.'a/b*']\nbase_url = 'https://x'", r"\[models.'a/b\*'\]: unknown 'base_url'"),
        ("[models.'a/b*'.capabilities]\nvison = true", r"capabilities: unknown 'vison'; did you mean vision\?"),
        ("[models.'a/b*'.dialect]\nrenames = {}", r"dialect: unknown 'renames'; did you mean rename\?"),
        ("[models.'a/b*'.properties]\nnsfw = true", r"properties: unknown 'nsfw'; did you mean is_nsfw\?"),
        ("[providers.groq]\nauth = 'beerer'", r"auth: unknown 'beerer'; did you mean bearer\?"),
        ("[models.'a/b*']\nprotocol = 'openai-chats'", r"protocol: unknown 'openai-chats'; did you mean openai-chat\?"),
        (
            "[models.'a/b*']\ncapabilities = { vision = 'no' }",
            r"capabilities: \['vision'\]: expected True or False, got 'no'",
        ),
        (
            "[models.'a/b*']\ndialect = { max_output = 'x' }",
            "dialect: max_output: expected a whole number or None, got 'x'",
        ),
        ("[providers.groq]\nefforts = { low = 3 }", r"efforts: \['low'\]: expected text, got 3"),
        ("[providers.groq]\nheaders = 'my secret'", "headers: expected a table, got text$"),
        ("[providers.groq]\nenv = [3]", r"env: \[0\]: expected text, got 3"),
        ("[providers.groq]\ndrop = [['seed']]", "drop: expected text, got a list of 1 value"),
        (
            "[providers.groq]\nlimits = { requests = 'many' }",
            r"limits: \['requests'\]: expected a whole number, got 'many'",
        ),
        ("[providers.groq]\nstop_max = 1.5", "stop_max: expected a whole number, got 1.5"),
        (
            "[providers.groq]\ncost = { tiers = [{ size = 'x' }] }",
            r"cost: tiers\[0\]: size: expected a number of tokens, got 'x'",
        ),
        ("[provider.groq]", r"unknown 'provider'; did you mean providers\?"),
        ("providers = 3", r"\[providers\]: expected a table, got 3"),
        ("[providers]\ngroq = 3", r"\[providers.'groq'\]: expected a table, got 3"),
        ("[vendors]\n'(' = 'me'", r"\[vendors\]: '\(' is not a regular expression"),
        ("[vendors]\n'x' = 3", r"\[vendors\]: 'x': expected a vendor's name"),
        ("[providers.groq", "overrides.toml: Expected"),
    ],
)
def test_a_wrong_key_is_named(users_file, tmp_path, text, complaint):
    users_file(text)
    with pytest.raises(ConfigError, match=complaint) as caught:
        provider_defaults("groq")
    assert str(tmp_path / "overrides.toml") in str(caught.value)
    assert "sk-1" not in str(caught.value)
    assert caught.value.__context__ is None


def test_rows_are_combined_in_order():
    row = combine_rows(
        {"drop": ["a", "b"], "x": 1}, {"take": ["a"], "t": {"p": 1}}, {"drop": ["c"], "x": 2, "t": {"q": 2}}
    )
    assert row == {"drop": ["b", "c"], "take": ["a"], "x": 2, "t": {"p": 1, "q": 2}}
    assert combine_rows({"take": ["a"]}, {"drop": ["a"]}) == {"drop": ["a"], "take": []}


def test_alike_providers_share_a_row():
    zai, plan = provider_defaults("zai"), provider_defaults("zhipuai-coding-plan")
    assert plan == zai | {"like": "zai"}
    azure, cognitive = provider_defaults("azure"), provider_defaults("azure-cognitive-services")
    assert azure["dialect"] == cognitive["dialect"]
    assert azure["base_url"] != cognitive["base_url"]


@pytest.mark.parametrize(
    ("model", "lost"),
    [
        ("openai/gpt-6-luna", {"temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs"}),
        ("openai/gpt-5.3-chat-latest", set()),
        ("vercel/openai/o3-mini", {"temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs"}),
        ("groq/openai/gpt-oss-120b", set()),
        ("anthropic/claude-sonnet-4-5-20250929", set()),
        ("amazon-bedrock/us.anthropic.claude-opus-4-8", {"temperature", "top_p", "top_k"}),
        ("openrouter/anthropic/claude-fable-5.1", {"temperature", "top_p", "top_k"}),
        ("xai/grok-4.7", {"presence_penalty", "frequency_penalty", "stop"}),
        ("xai/grok-4.20-0309-non-reasoning", set()),
        ("moonshotai-cn/kimi-k3", {"temperature", "top_p", "presence_penalty", "frequency_penalty"}),
        ("fireworks-ai/accounts/fireworks/models/kimi-k3", set()),
    ],
)
def test_what_models_refuse(model, lost):
    assert set(combine_rows(*model_overrides(model))["drop"] if model_overrides(model) else ()) == lost


def test_the_rows_that_come_with_nbkit_are_right():
    for name, row in table("provider_defaults").items():
        check_row({key: row[key] for key in set(row) - {"module", "like"}}, KEYS["providers"], name)
        assert row.get("like", name) in table("provider_defaults")
    for pattern, row in table("model_overrides").items():
        check_row(row, KEYS["models"], pattern)
    for npm, row in table("npm_packages").items():
        assert set(row) in ({"why_not"}, {"protocols"} | set(row) & {"base_url", "keyed_base_url", "auth", "also"}), npm


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_a_table_that_is_read_alone_is_that_of_the_whole_file(path):
    whole = tomllib.loads(path.read_text("utf-8"))
    for key, row in whole.items():
        assert Table(path.read_text("utf-8"))[key] == row
    assert dict(table(path.stem)) == whole
    assert [*table(path.stem)] == [*whole]
    assert "nothing" not in table(path.stem)


def test_the_users_vendors_come_first(users_file):
    users_file('[vendors]\n"sonnet" = "me"')
    lab = Provider("lab", "Lab", "", None, (), None)
    assert vendor("anthropic/claude-sonnet-5", "x/Claude-Sonnet-5", lab) == "me"
    assert vendor(None, "gpt-6", lab) == "openai"
