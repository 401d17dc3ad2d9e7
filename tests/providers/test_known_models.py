"""The models that have a name in this process, their index, and what it suggests."""

from __future__ import annotations

import numpy as np
import pytest

import nbkit
from nbkit import search
from nbkit.choose.search import Searcher
from nbkit.providers.known_models import load_known_models
from nbkit.providers.registered import register_provider
from nbkit.providers.search_index import TEXTS, WordIndex, hold_all, match_typos


def test_all_models_of_the_catalog_and_the_demo_have_a_name():
    known = load_known_models()
    assert set(known.ids) == {*nbkit.demo_models().index, *nbkit.catalog.index}
    assert known.ids[: known.registered] == tuple(nbkit.demo_models().index)
    assert load_known_models() is known


def test_searches_of_the_catalog_and_its_parts_share_one_index():
    catalog, shared = nbkit.catalog, load_known_models().index
    for frame in (catalog, catalog[catalog.vision], catalog.head(9).assign(input_cost=1.0), nbkit.demo_models()):
        assert Searcher(frame)._index is shared
    changed = catalog.head(9).assign(name="Zebra")
    assert len(search("zebra", changed)) == 9
    assert Searcher(changed)._index is Searcher(changed)._index is not shared


def test_a_registered_provider_is_known_at_once(unregistered, seller, row):
    before = load_known_models()
    register_provider(seller({"alpha-lion": row(), "alpha-tiger": row()}, id="zoo"), "http://127.0.0.1:9")
    known = load_known_models()
    assert known is not before
    assert {"zoo/alpha-lion", "zoo/alpha-tiger"} < set(known.ids)
    assert known.suggest("zoo/alpha-lyon", "zoo") == ("zoo/alpha-lion",)
    with pytest.raises(nbkit.errors.ModelNotFoundError, match="did you mean zoo/alpha-tiger"):
        nbkit.get_adapter("zoo/tigger")


def test_a_provider_of_ones_own_suggests_its_own_models_only(unregistered, seller, row):
    register_provider(seller({"gpt-of-ours": row()}, id="our-ai"), "http://127.0.0.1:9")
    with pytest.raises(nbkit.errors.ModelNotFoundError) as caught:
        nbkit.get_adapter("our-ai/gpt-5")
    assert caught.value.nearest == ("our-ai/gpt-of-ours",)
    register_provider(seller({"gpt-of-ours": row()}, id="openai"), "http://127.0.0.1:9")
    assert nbkit.get_adapter("openai/gpt-5").endpoint.base_url == "https://api.openai.com/v1"


def test_the_vendors_first_choice_is_suggested():
    assert load_known_models().suggest("gemini-pro-2.5")[0] == "google/gemini-2.5-pro"
    assert load_known_models().suggest("glm5.2x")[0].startswith("zai/glm-5.2")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gpt5mni", "openai/gpt-5-mini"),
        ("gpt5mini", "openai/gpt-5-mini"),
        ("gpt-5-mni", "openai/gpt-5-mini"),
        ("opnai/gpt5mni", "openai/gpt-5-mini"),
        ("openai/gpt5mni", "openai/gpt-5-mini"),
        ("openai/gpt5mini", "openai/gpt-5-mini"),
        ("claudesonet5", "anthropic/claude-sonnet-5"),
        ("Claude Sonet 5", "anthropic/claude-sonnet-5"),
        ("claudehaiku45", "anthropic/claude-haiku-4-5"),
        ("anthropic/claudehaiku45", "anthropic/claude-haiku-4-5"),
        ("antropic/claudehaiku45", "anthropic/claude-haiku-4-5"),
        ("gemini25flash", "google/gemini-2.5-flash"),
        ("gemni25flsh", "google/gemini-2.5-flash"),
        ("google/gemni25flash", "google/gemini-2.5-flash"),
        ("xyzzy", None),
        ("openai/xyzzy", None),
        ("gpt3mini", None),  # another version is not a misspelling
    ],
)
def test_names_with_typos_and_without_separators_are_suggested(name, expected):
    with pytest.raises(nbkit.errors.ModelNotFoundError) as caught:
        nbkit.get_model(name)
    assert caught.value.nearest[:1] == ((expected,) if expected else ())
    assert ("did you mean" in str(caught.value)) is bool(caught.value.nearest)


# The index alone


def index(*names, **columns):
    texts = {column: [None] * len(names) for column in TEXTS} | {
        "vendor": ["v"] * len(names),
        "provider": ["p"] * len(names),
    }
    return WordIndex(texts | {"name": list(names)} | columns)


def fit(names, word, **how):
    places = np.arange(len(names))
    return index(*names).fit_words([word], places, places >= 0, **how)[word].round(2).tolist()


@pytest.mark.parametrize(
    ("word", "fits"),
    [
        ("sonnet", [1, 0, 0]),
        ("son", [0.8, 0, 0]),  # a beginning
        ("onne", [0.6, 0, 0]),  # inside
        ("sonet", [0.7, 0, 0]),  # a typo
        ("gpt", [0, 1, 0]),
        ("gtp", [0, 0.5, 0]),  # a typo in a short word
        ("5", [0.6, 0.6, 0]),  # a version of it
        ("qwen3", [0, 0, 1]),
        ("qwn3", [0, 0, 0.5]),
        ("xyz", [0, 0, 0]),
    ],
)
def test_how_well_names_hold_a_word(word, fits):
    assert fit(["Sonnet 5.5", "GPT-5.1", "Qwen 3"], word) == fits


def test_an_unfinished_word_may_be_a_number():
    names = ["GPT-4o", "GPT-4", "GPT-40"]
    assert fit(names, "4") == [0, 1, 0]
    assert fit(names, "4", unfinished="4") == [0.8, 1, 0.8]


def test_typos_are_read_as_the_word_of_most_models():
    names = index("Sonnet 4", "Sonnet 5", "Sonnex", "Opus")
    assert [names.correct(word) for word in ("sonnt", "sonnex", "opsu", "zebra")] == [
        *("sonnet", "sonnex", "opus", "zebra"),
    ]
    assert names.holds("onnet")
    assert names.holds("sonnet4")  # its two parts
    assert not names.holds("sonnt")


def test_no_models_hold_nothing():
    nothing, places = index(), np.arange(0)
    assert not nothing.holds("a")
    fits = nothing.fit_words(["a"], places, places >= 0)
    assert hold_all(fits, places >= 0).tolist() == []
    assert [part.tolist() for part in nothing.rate(fits, places)] == [[], []]


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("claud", {"claude"}),
        ("cluade", {"claude"}),
        ("clod", set()),
        ("anthorpc", {"anthropic"}),
        ("cl", set()),
        ("405", set()),
    ],
)
def test_typos(word, near):
    assert match_typos(word, ["claude", "anthropic", "405b"]).keys() == near
