"""Names of models, and the records that they mean."""

from __future__ import annotations

import subprocess
import sys

import pytest

import nbkit
from nbkit.errors import BadRequestError, ModelNotFoundError
from nbkit.modelsdev.current import current_snapshot
from nbkit.modelsdev.records import CatalogWarning
from nbkit.providers.registered import register_provider
from nbkit.providers.resolve import resolve_model
from nbkit.providers.spelling import find_own_providers, list_spellings, normalize
from nbkit.providers.tables import table


def meaning(name, **how):
    resolved = resolve_model(name, **how)
    return f"{resolved.provider.id}/{resolved.model}", resolved.record is not None


@pytest.mark.parametrize(
    ("name", "model_id"),
    [
        ("claude-sonnet-5", "anthropic/claude-sonnet-5"),  # its vendor comes before the resellers
        ("Claude Sonnet 5.5", "anthropic/claude-sonnet-5-5"),
        ("claude-sonnet-5.5", "anthropic/claude-sonnet-5-5"),  # which is how others write it
        ("anthropic/Claude-Sonnet-5.5", "anthropic/claude-sonnet-5-5"),
        ("anthropic/anthropic/claude-sonnet-5.5", "anthropic/claude-sonnet-5-5"),
        ("openrouter/anthropic/claude-sonnet-5-5", "openrouter/anthropic/claude-sonnet-5.5"),
        ("OpenAI/gpt-6-luna", "openai/gpt-6-luna"),
        ("gpt6 luna", "openai/gpt-6-luna"),
        ("glm-5.2", "zai/glm-5.2"),  # the one of two own providers that is open to everyone
        ("z-ai/glm-5.2", "zai/glm-5.2"),  # the vendor as hosts spell it, which is not a provider
        ("meta-llama/Llama-3.3-70B-Instruct", "llama/llama-3.3-70b-instruct"),
        ("groq/gpt-oss-120b", "groq/openai/gpt-oss-120b"),
        ("minimax-m2.5", "minimax/MiniMax-M2.5"),
        ("qiniu-ai/xiaomi/mimo-v2-flash", "qiniu-ai/xiaomi/mimo-v2-flash"),  # another's path is this one's id
    ],
)
def test_names_that_mean_one_model(name, model_id):
    assert meaning(name) == (model_id, True)


@pytest.mark.parametrize(
    ("name", "model_id"),
    [
        ("gemini/gemini/gemini-2.5-pro", "google/gemini-2.5-pro"),
        ("gemini/gemini-2.5-pro", "google/gemini-2.5-pro"),
        ("together/meta-llama/Llama-3.3-70B-Instruct-Turbo", "togetherai/meta-llama/Llama-3.3-70B-Instruct-Turbo"),
        ("fireworks/kimi-k3", "fireworks-ai/accounts/fireworks/models/kimi-k3"),
        ("moonshot/moonshot/kimi-k3", "moonshotai/kimi-k3"),
        ("moonshot/kimi-k3", "moonshotai/kimi-k3"),
        ("vertex_ai/gemini-2.5-pro", "google-vertex/gemini-2.5-pro"),
        ("bedrock/anthropic.claude-sonnet-5", "amazon-bedrock/anthropic.claude-sonnet-5"),
        ("groq/meta-llama/llama-3.3-70b-versatile", "groq/llama-3.3-70b-versatile"),
        ("groq/meta/llama-3.3-70b-versatile", "groq/llama-3.3-70b-versatile"),
    ],
    ids=lambda name: f"S7: {name}",
)
def test_ids_of_other_libraries(name, model_id):
    assert meaning(name) == (model_id, True)


def test_aliases_are_of_listed_providers_and_hide_none(unregistered, seller, row):
    listed = current_snapshot().providers
    aliases = table("aliases")["providers"]
    assert set(aliases.values()) <= set(listed)
    assert not set(aliases) & set(listed)
    register_provider(seller({"mine": row()}, id="gemini"), "http://127.0.0.1:1/v1")
    assert meaning("gemini/mine") == ("gemini/mine", True)  # a provider that was registered keeps its name


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("openai/gpt-4oo", "openai/gpt-4o"),
        ("anthropic/claude-sonet-5-5", "anthropic/claude-sonnet-5-5"),
        ("groq/llama-3.3-70b-versatil", "groq/llama-3.3-70b-versatile"),
        ("google/gemini-2.5-por", "google/gemini-2.5-pro"),
    ],
    ids=lambda name: f"S6: {name}",
)
def test_a_misspelled_name_at_a_known_provider_warns_at_once(name, nearest):
    with pytest.warns(CatalogWarning, match=rf"lists no model .*; did you mean .*{nearest}") as warned:
        adapter = nbkit.get_adapter(name, api_key="k")
    assert (adapter.model_id, len(warned)) == (name, 1)
    with pytest.raises(ModelNotFoundError, match=f"does not list .*; did you mean .*{nearest}"):
        nbkit.get_model(name)


@pytest.mark.parametrize(
    "name",
    [
        "openai/gpt-6.2",
        "openai/gpt-7",
        "openai/ft:gpt-4o:my-org::abc",
        "anthropic/claude-sonnet-6",
        "azure/my-deployment",
    ],
    ids=lambda name: f"S6: {name}",
)
def test_a_newer_version_or_a_name_of_ones_own_warns_of_nothing(name):
    assert resolve_model(name).nearest == ()


def test_a_404_suggests_names(json_server):
    """S6"""
    answer = (404, {"error": {"message": "The model `gpt-4oo` does not exist", "code": "model_not_found"}})
    server = json_server({"/v1/chat/completions": answer, "/v1/responses": answer})
    for name, suggested in (("openai/gpt-4oo", True), ("openai/gpt-4o", False), ("openai/my-own-thing", False)):
        adapter = nbkit.get_adapter(name, api_key="k", base_url=f"{server.url}/v1", protocol="openai-chat")
        with pytest.raises(BadRequestError) as caught:
            adapter.execute("Hi")
        assert ("did you mean openai/gpt-4o" in str(caught.value)) is suggested
        with pytest.raises(BadRequestError) as caught, adapter.stream("Hi") as stream:
            list(stream)
        assert ("did you mean openai/gpt-4o" in str(caught.value)) is suggested


def test_every_id_and_every_path_that_is_not_an_id_means_its_own_row():
    ids = set(nbkit.catalog.index)
    for model_id, path in nbkit.catalog["path"].items():
        assert meaning(model_id) == (model_id, True)
        if path not in ids:
            assert meaning(path) == (model_id, True)


def test_an_open_model_of_many_hosts_is_not_guessed(monkeypatch):
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    with pytest.raises(ModelNotFoundError) as caught:
        resolve_model("gpt-oss-120b")
    message = str(caught.value)
    assert message.startswith("54 providers serve 'gpt-oss-120b': name one of ")
    assert message.endswith("llmgateway-providers/runware/gpt-oss-120b: $0.032 in, $0.14 out per million tokens")
    monkeypatch.setenv("GROQ_API_KEY", "k")
    with pytest.raises(ModelNotFoundError, match="name one of groq/openai/gpt-oss-120b, "):
        resolve_model("gpt-oss-120b")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "llmgateway-providers/claude-sonnet-5",
            "4 models of llmgateway-providers go by 'claude-sonnet-5': name one of",
        ),
        ("antropic/claude-sonnet-5", r"did you mean anthropic/claude-sonnet-5, "),
        ("claude-sonet-5", r"did you mean anthropic/claude-sonnet-5, "),
        ("nope-nope", r"^no model 'nope-nope'; nbkit.search"),  # nothing is better than something far
        ("foo", r"^no model 'foo'; nbkit.search"),
        ("kimi-k2:thinking", "no model"),  # a variant is not a name with another separator
        ("my-lab/claude-sonnet-5", r"did you mean anthropic/claude-sonnet-5, "),
        ("gtp-5-mini", r"did you mean openai/gpt-5-mini, "),
        ("gemini-pro-2.5", r"did you mean google/gemini-2.5-pro, "),  # the words count, not their order
        ("deepseekv3.1", r"did you mean .*deepseek-v3.1[,?]"),
        ("gpt-5-turbo", r"did you mean .*openai/gpt-5[,?-]"),  # no name has all the words
        ("demo/swift-pro", r"did you mean demo/swift\?"),
        ("auto", "providers serve 'auto'"),
    ],
)
def test_names_that_do_not_decide(name, message):
    with pytest.raises(ModelNotFoundError, match=message):
        resolve_model(name)


def test_what_a_provider_does_not_list_is_taken_as_written():
    assert meaning("anthropic/claude-of-tomorrow") == ("anthropic/claude-of-tomorrow", False)
    assert meaning("openai/GPT-6.Luna", anywhere=True) == ("openai/GPT-6.Luna", False)  # with a base URL
    assert meaning("lab/My-Model", anywhere=True) == ("lab/My-Model", False)


def test_no_two_models_of_a_provider_have_one_key():
    ids = current_snapshot().ids
    assert len({normalize(model_id) for model_id in ids}) == len(ids)


@pytest.mark.parametrize(
    ("one", "other", "vendor", "alike"),
    [
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "claude-haiku-4.5", "anthropic", True),
        ("claude-opus-4-8@default", "anthropic/claude-opus-4.8", "anthropic", True),
        ("gpt-4o-2024-05-13", "gpt-4o", "openai", True),
        ("meta-llama-3_3-70b-instruct", "meta.llama3-3-70b-instruct-v1:0", "meta", True),
        ("zai-org-glm-5-2", "z-ai/GLM-5.2", "zhipuai", True),
        ("deepseek-v4-flash-0731", "deepseek-v4-flash-0423", "deepseek", False),
        ("glm-5.2:free", "glm-5.2", "zhipuai", False),
        ("gpt-5-mini", "gpt-5", "openai", False),
    ],
)
def test_forms_of_one_model(one, other, vendor, alike):
    assert bool(list_spellings(one, vendor, dated=False) & list_spellings(other, vendor, dated=False)) is alike


def test_a_day_counts_where_it_is_kept():
    dated = list_spellings("claude-opus-4-1-20250805", "anthropic", dated=True)
    assert dated & list_spellings("claude-opus-4-1@20250805", "anthropic", dated=True)
    assert not dated & list_spellings("claude-opus-4-1", "anthropic", dated=True)


def test_own_providers_are_listed_by_models_dev():
    listed = {provider.id for provider in current_snapshot().distinct("provider")} | {"demo"}
    assert {name for names in table("vendor_mappings")["first_party"].values() for name in names} <= listed
    assert find_own_providers("anthropic") == ("anthropic",)


@pytest.mark.parametrize("name", ["antropic/claude-sonnet-5", "gtp-5-mini", "gemini-pro-2.5", "qwen-3-codr"])
def test_the_suggestions_are_the_first_models_of_a_search(name):
    """Each is named once, at its vendor's own provider where that has it."""
    with pytest.raises(ModelNotFoundError) as caught:
        resolve_model(name)
    ranked, names = nbkit.search(name.rpartition("/")[2], limit=None), nbkit.catalog["name"]
    suggested = caught.value.nearest
    assert len({*suggested}) == 3
    assert names[suggested[0]] == ranked["name"].iloc[0]
    for model_id in suggested:
        vendor, provider = nbkit.catalog.loc[model_id, ["vendor", "provider"]]
        own = ranked[ranked["provider"].isin(find_own_providers(vendor))]
        assert provider in find_own_providers(vendor) or names[model_id] not in {*own["name"]}


def test_resolving_a_name_needs_no_numpy():
    call = "nbkit.get_adapter('claude-sonnet-5', api_key='k')"
    code = f"import nbkit, sys; {call}; print({{*sys.modules}} & {{'numpy', 'pandas'}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
