"""From a model's name to its address, protocol and key."""

import os

import pytest

from nbkit import get_adapter
from nbkit.errors import ApiKeyNotFoundError, ConfigError, ModelNotFoundError, ProviderNotSupportedError
from nbkit.modelsdev.current import current_snapshot
from nbkit.providers.credentials import authorize, fill
from nbkit.providers.resolve import resolve_model
from nbkit.secret import Secret
from nbkit.settings import override


@pytest.mark.parametrize(
    ("name", "protocol", "base_url", "auth"),
    [
        ("anthropic/claude-sonnet-5-5", "anthropic-messages", "https://api.anthropic.com/v1", "x-api-key"),
        ("openai/gpt-6-luna", "openai-responses", "https://api.openai.com/v1", "bearer"),
        ("cohere/command-a-03-2025", "cohere-v2", "https://api.cohere.com/v2", "bearer"),
        ("openrouter/anthropic/claude-sonnet-5.5", "openai-chat", "https://openrouter.ai/api/v1", "bearer"),
        ("minimax/MiniMax-M2", "anthropic-messages", "https://api.minimax.io/anthropic/v1", "x-api-key"),
        ("opencode/claude-sonnet-5-5", "anthropic-messages", "https://opencode.ai/zen/v1", "x-api-key"),
    ],
)
def test_known_models(name, protocol, base_url, auth):
    endpoint = get_adapter(name).endpoint
    assert (endpoint.id, endpoint.protocol, endpoint.base_url, endpoint.auth) == (name, protocol, base_url, auth)


def test_a_server_of_ones_own_needs_no_key_and_takes_one():
    endpoint = get_adapter("lab/m", base_url="http://127.0.0.1:8000/v1").endpoint
    assert authorize(endpoint.provider, endpoint.variables, endpoint.auth, None) is None
    assert authorize(endpoint.provider, endpoint.variables, endpoint.auth, Secret("k")).secrets == ("k",)
    assert get_adapter("openai/gpt-6-luna", base_url="http://127.0.0.1:8000/v1").endpoint.auth == "bearer"


def test_ids_paths_and_bare_names():
    wanted = "anthropic/claude-sonnet-5-5"
    for name in (wanted, "anthropic/anthropic/claude-sonnet-5-5", "claude-sonnet-5-5"):
        assert get_adapter(name).model_id == wanted
    assert resolve_model("openrouter/openai/gpt-6-luna").record.id == "openrouter/openai/gpt-6-luna"


def test_unknown_names():
    with pytest.raises(ModelNotFoundError, match=r"did you mean .*claude-sonnet") as caught:
        get_adapter("claude-sonet-5")
    assert caught.value.nearest
    with pytest.raises(ModelNotFoundError):
        get_adapter("nobody/some-model-of-tomorrow")
    with pytest.raises(ModelNotFoundError, match="did you mean demo/swift"):
        get_adapter("demo/swfit")  # a provider that was registered lists all it has
    tomorrow = get_adapter("anthropic/claude-of-tomorrow").endpoint
    assert (tomorrow.protocol, tomorrow.cost) == ("anthropic-messages", None)
    assert tomorrow.tolerance.capabilities.supports_vision
    assert get_adapter("nobody/m", base_url="https://llm.example/v1/").endpoint.base_url == "https://llm.example/v1"


def test_what_cannot_be_called_says_why():
    with pytest.raises(ProviderNotSupportedError, match=r"gitlab/duo-chat-\S+: GitLab Duo exchanges GITLAB_TOKEN"):
        get_adapter(next(name for name in current_snapshot().ids if name.startswith("gitlab/")))
    with pytest.raises(ProviderNotSupportedError, match="unknown protocol 'telegraph'; there are openai-chat, "):
        get_adapter("openai/gpt-6-luna", protocol="telegraph")
    forced = get_adapter("google/gemini-x", protocol="openai-chat", base_url="https://g.example/v1beta/openai")
    assert forced.endpoint.protocol == "openai-chat"
    assert get_adapter("gitlab/x", base_url="https://gw.example/v1").endpoint.protocol == "openai-chat"


def test_addresses_are_filled_from_the_environment():
    assert fill("https://${HOST}/v1", "p", {"HOST": "https://x.example/"}) == "https://x.example/v1"
    assert fill("${URL}/v1", "p", {"URL": "https://x.example"}) == "https://x.example/v1"
    with pytest.raises(ConfigError, match=r"p: its address is https://\$\{HOST\}/v1: set HOST, or pass base_url="):
        fill("https://${HOST}/v1", "p", {})


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("http://evil.test/v1", "'http://evil.test/v1' is not an address that a key may be sent to"),
        ("https://user@host.example/v1", "a base URL cannot hold a user name or a password"),
        ("file:///etc", "'file:///etc' is not a base URL: it begins with file://"),
        ("//", "'//' is not a base URL: it names no host"),
    ],
)
def test_a_key_is_sent_to_https_only(address, problem):
    with override(base_url_override=address), pytest.raises(ConfigError, match=problem):
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
    assert resolve_model("openai/gpt-3.5-turbo").record.tools is False
    assert (old.tolerance.capabilities.supports_tools, old.dialect.system_role) == (True, "system")
    assert "temperature" not in old.tolerance.drop
    assert "temperature" in new.tolerance.drop
    assert (new.dialect.system_role, new.dialect.max_output, new.tolerance.max_output) == (
        "developer",
        128_000,
        128_000,
    )


def test_vertex_is_called_in_a_project_or_with_a_key_alone(monkeypatch):
    for name in ("GOOGLE_VERTEX_PROJECT", "GOOGLE_CLOUD_PROJECT", "GOOGLE_VERTEX_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(os.environ, "GOOGLE_VERTEX_LOCATION", "eu")
    name = next(name for name in current_snapshot().ids if name.startswith("google-vertex/gemini"))
    with pytest.raises(ConfigError, match="set GOOGLE_VERTEX_PROJECT, or pass base_url="):
        get_adapter(name)
    express = get_adapter(name, api_key="k").endpoint
    assert express.base_url == "https://aiplatform.googleapis.com/v1/publishers/google"
    monkeypatch.setitem(os.environ, "GOOGLE_CLOUD_PROJECT", "p1")
    assert get_adapter(name, api_key="k").endpoint.base_url == (
        "https://aiplatform.eu.rep.googleapis.com/v1/projects/p1/locations/eu/publishers/google"
    )
