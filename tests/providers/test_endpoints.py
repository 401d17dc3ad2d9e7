"""From a model's name to its address, protocol and key."""

import os
from dataclasses import fields

import pytest

from nbkit import get_adapter
from nbkit.errors import ApiKeyNotFoundError, ConfigError, ModelNotFoundError, ProviderNotSupportedError
from nbkit.protocols.wire import Dialect
from nbkit.providers.credentials import authorize, fill
from nbkit.providers.registry import find
from nbkit.providers.tables import table
from nbkit.settings import override


@pytest.mark.parametrize(
    ("name", "protocol", "base_url", "auth"),
    [
        ("anthropic/claude-sonnet-5-5", "anthropic-messages", "https://api.anthropic.com/v1", "x-api-key"),
        ("openai/gpt-6-luna", "openai-chat", "https://api.openai.com/v1", "bearer"),
        ("openrouter/anthropic/claude-sonnet-5-5", "openai-chat", "https://openrouter.ai/api/v1", "bearer"),
        ("minimax/MiniMax-M2", "anthropic-messages", "https://api.minimax.io/anthropic/v1", "x-api-key"),
        ("opencode/claude-sonnet-5-5", "anthropic-messages", "https://opencode.ai/zen/v1", "x-api-key"),
    ],
)
def test_known_models(name, protocol, base_url, auth):
    endpoint = get_adapter(name).endpoint
    assert (endpoint.id, endpoint.protocol, endpoint.base_url, endpoint.auth) == (name, protocol, base_url, auth)


def test_ids_paths_and_bare_names():
    wanted = "anthropic/claude-sonnet-5-5"
    for name in (wanted, "anthropic/anthropic/claude-sonnet-5-5"):
        assert get_adapter(name).model_id == wanted
    assert find("openrouter/openai/gpt-6-luna").record.id == "openrouter/openai/gpt-6-luna"
    with pytest.raises(ModelNotFoundError, match=r"\d+ providers serve 'claude-sonnet-5-5': name one of "):
        get_adapter("claude-sonnet-5-5")


def test_unknown_names():
    with pytest.raises(ModelNotFoundError, match=r"did you mean .*claude-sonnet") as caught:
        get_adapter("claude-sonet-5")
    assert caught.value.nearest
    with pytest.raises(ModelNotFoundError):
        get_adapter("nobody/some-model-of-tomorrow")
    with pytest.raises(ModelNotFoundError, match="did you mean demo/swift"):
        get_adapter("demo/swfit")  # a provider that was registered lists all it has
    tomorrow = get_adapter("anthropic/claude-of-tomorrow").endpoint
    assert (tomorrow.protocol, tomorrow.cost, tomorrow.vision) == ("anthropic-messages", None, None)
    assert get_adapter("nobody/m", base_url="https://llm.example/v1/").endpoint.base_url == "https://llm.example/v1"


def test_a_protocol_that_is_not_spoken_is_named():
    with pytest.raises(ProviderNotSupportedError, match="speaks bedrock-converse; nbkit speaks openai-chat"):
        get_adapter("amazon-bedrock/anthropic.claude-sonnet-5-5")
    forced = get_adapter("google/gemini-x", protocol="openai-chat", base_url="https://g.example/v1beta/openai")
    assert forced.endpoint.protocol == "openai-chat"


def test_addresses_are_filled_from_the_environment():
    assert fill("https://${HOST}/v1", "p", {"HOST": "https://x.example/"}) == "https://x.example/v1"
    assert fill("${URL}/v1", "p", {"URL": "https://x.example"}) == "https://x.example/v1"
    with pytest.raises(ConfigError, match=r"p: its address is https://\$\{HOST\}/v1: set HOST, or pass base_url="):
        fill("https://${HOST}/v1", "p", {})


@pytest.mark.parametrize("address", ["http://evil.test/v1", "https://user@host.example/v1", "file:///etc", "//x", ""])
def test_a_key_is_sent_to_https_only(address):
    with override(base_url_override=address or "x"), pytest.raises(ConfigError, match="no address to send a key to"):
        get_adapter("openai/gpt-6-luna")


def test_the_override_beats_everything():
    with override(base_url_override="http://127.0.0.1:8123/v1"):
        for name in ("openai/gpt-6-luna", "anthropic/claude-sonnet-5-5"):
            assert get_adapter(name, base_url="https://x.example").endpoint.base_url == "http://127.0.0.1:8123/v1"


def test_keys_are_looked_for_where_models_dev_says(monkeypatch):
    for name in ("A_API_KEY", "B_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ApiKeyNotFoundError, match=r"no API key for lab: set A_API_KEY or B_TOKEN, or pass api_key="):
        authorize("lab", ("A_API_KEY", "B_TOKEN"), "bearer", None)
    monkeypatch.setitem(os.environ, "B_TOKEN", "secret-of-b")
    assert authorize("lab", ("A_API_KEY", "B_TOKEN"), "bearer", None) is not None
    assert authorize("lab", (), "none", None) is None


def test_a_models_row_wins_over_its_providers_and_over_models_dev():
    old, new = (get_adapter(f"openai/{name}").endpoint for name in ("gpt-3.5-turbo", "gpt-6-luna"))
    assert find("openai/gpt-3.5-turbo").record.tools is False
    assert (old.tools, old.dialect.system_role, old.dialect.max_tokens_field) == (
        True,
        "system",
        "max_completion_tokens",
    )
    assert (new.dialect.system_role, new.dialect.max_output) == ("developer", 128_000)


def test_every_row_of_the_tables_can_be_read():
    names = {field.name for field in fields(Dialect)}
    for row in [*table("provider_defaults").values(), *table("model_overrides").values()]:
        assert set(row) <= {"base_url", "auth", "module", "dialect", "vision", "tools", "temperature"}
        assert set(row.get("dialect", {})) <= names
    for row in table("npm_packages").values():
        assert set(row) <= {"protocols", "base_url", "auth"}
        assert row["protocols"]
