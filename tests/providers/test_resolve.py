"""What a name of a model means, and what it does not."""

from __future__ import annotations

import pytest

from nbkit.errors import ModelNotFoundError
from nbkit.modelsdev.current import current_snapshot
from nbkit.providers.resolve import resolve_model
from nbkit.providers.spelling import forms, key, own_providers
from nbkit.providers.tables import table


def meaning(name, **how):
    found = resolve_model(name, **how)
    return f"{found.provider.id}/{found.model}", found.record is not None


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
        ("z-ai/glm-5.2", "zai/glm-5.2"),  # the vendor as hosts spell it, which is no provider
        ("meta-llama/Llama-3.3-70B-Instruct", "llama/llama-3.3-70b-instruct"),
        ("groq/gpt-oss-120b", "groq/openai/gpt-oss-120b"),
        ("minimax-m2.5", "minimax/MiniMax-M2.5"),
        ("qiniu-ai/xiaomi/mimo-v2-flash", "qiniu-ai/xiaomi/mimo-v2-flash"),  # another's path is this one's id
    ],
)
def test_names_that_mean_one_model(name, model_id):
    assert meaning(name) == (model_id, True)


def test_every_id_and_every_path_that_is_no_id_means_its_own_row():
    from nbkit import catalog

    ids = set(catalog.index)
    for model_id, path in catalog["path"].items():
        assert meaning(model_id) == (model_id, True)
        if path not in ids:
            assert meaning(path) == (model_id, True)


def test_an_open_model_of_many_hosts_is_not_guessed(monkeypatch):
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    with pytest.raises(ModelNotFoundError) as caught:
        resolve_model("gpt-oss-120b")
    said = str(caught.value)
    assert said.startswith("54 providers serve 'gpt-oss-120b': name one of ")
    assert said.endswith("llmgateway-providers/runware/gpt-oss-120b: $0.032 in, $0.14 out per million tokens")
    monkeypatch.setenv("GROQ_API_KEY", "k")
    with pytest.raises(ModelNotFoundError, match="name one of groq/openai/gpt-oss-120b, "):
        resolve_model("gpt-oss-120b")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "llmgateway-providers/claude-sonnet-5",
            "4 models of llmgateway-providers go by 'claude-sonnet-5': name one of",
        ),
        ("antropic/claude-sonnet-5", r"did you mean anthropic/claude-sonnet-5, "),
        ("claude-sonet-5", r"did you mean anthropic/claude-sonnet-5, "),
        ("nope-nope", r"^no model 'nope-nope'$"),  # nothing near is better than something far
        ("kimi-k2:thinking", "no model"),  # a variant is not a name with another separator
        ("auto", "providers serve 'auto'"),
    ],
)
def test_names_that_do_not_decide(name, said):
    with pytest.raises(ModelNotFoundError, match=said):
        resolve_model(name)


def test_what_a_provider_does_not_list_is_taken_as_written():
    assert meaning("anthropic/claude-of-tomorrow") == ("anthropic/claude-of-tomorrow", False)
    assert meaning("openai/GPT-6.Luna", anywhere=True) == ("openai/GPT-6.Luna", False)  # with a base URL
    assert meaning("lab/My-Model", anywhere=True) == ("lab/My-Model", False)


def test_no_two_models_of_a_provider_have_one_key():
    ids = current_snapshot().ids
    assert len({key(model_id) for model_id in ids}) == len(ids)


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
    assert bool(forms(one, vendor, dated=False) & forms(other, vendor, dated=False)) is alike


def test_a_day_counts_where_it_is_asked_for():
    dated = forms("claude-opus-4-1-20250805", "anthropic", dated=True)
    assert dated & forms("claude-opus-4-1@20250805", "anthropic", dated=True)
    assert not dated & forms("claude-opus-4-1", "anthropic", dated=True)


def test_own_providers_are_listed_by_models_dev():
    listed = {provider.id for provider in current_snapshot().distinct("provider")} | {"demo"}
    assert {name for names in table("vendor_mappings")["first_party"].values() for name in names} <= listed
    assert own_providers("anthropic") == ("anthropic",)
