"""Searching the catalog in words."""

from __future__ import annotations

import pandas as pd
import pytest

import nbkit
from nbkit import demo_models, search
from nbkit.choose.abilities import ABILITIES, COLUMNS_BY_WORD, SUMMARY
from nbkit.choose.search_words import Query, read
from nbkit.modelsdev.records import CatalogWarning


@pytest.fixture(scope="module")
def catalog():
    return nbkit.catalog


def blended(rows):
    return (3 * rows.input_cost + rows.output_cost) / 4


def ids(text, **how):
    return list(search(text, limit=None, **how).index)


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("sonnet 5.5", "anthropic/claude-sonnet-5-5"),
        ("sonet 5", "anthropic/claude-sonnet-5"),
        ("claude-sonnet-5-5", "anthropic/claude-sonnet-5-5"),
        ("gpt5", "openai/gpt-5"),
        ("gpt 5", "openai/gpt-5"),
        ("gtp 5 mini", "openai/gpt-5-mini"),  # of the words as near as that, the one of most models
        ("o3", "openai/o3"),
        ("GPT-6 (luna)?", "openai/gpt-6-luna"),
        ("deepsek v4 pro", "deepseek/deepseek-v4-pro"),
        ("command a vision", "cohere/command-a-vision-07-2025"),  # an ability, and a word of the name
        ("oss 20b on groq", "groq/openai/gpt-oss-20b"),
        ("qwen3 235", "alibaba/qwen3-235b-a22b"),  # C3: a size without its unit
        ("llama 70", "llama/llama-3.3-70b-instruct"),
        ("oss 20 on groq", "groq/openai/gpt-oss-20b"),
        ("llama 3.3 70 billion parameters", "llama/llama-3.3-70b-instruct"),
        ("mixtral 8x7", "mistral/open-mixtral-8x7b"),
        ("please find me the best sonnet 5.5", "anthropic/claude-sonnet-5-5"),
    ],
)
def test_what_people_type_finds_the_model_first(text, first):
    assert ids(text)[0] == first


@pytest.mark.parametrize(
    ("text", "mask"),
    [
        ("vision", lambda rows: rows.image_in),
        ("vision without tools", lambda rows: rows.image_in & ~rows.tools),
        ("non-reasoning open weights", lambda rows: rows.open_weights & ~rows.reasoning),
        ("models with function calling and json mode", lambda rows: rows.tools & rows.structured_output.fillna(False)),
        ("free", lambda rows: (rows.input_cost == 0) & (rows.output_cost == 0)),
        ("image generation", lambda rows: rows.image_out),
        ("pdf and audio input", lambda rows: rows.pdf_in & (rows.audio_in | rows.audio_out)),
        ("200k", lambda rows: rows.context >= 200_000),
        (">= 1m context", lambda rows: rows.context >= 1_000_000),
        ("under $2", lambda rows: blended(rows) <= 2),
        ("<0.5$", lambda rows: blended(rows) <= 0.5),
        ("$1", lambda rows: blended(rows) <= 1),
        ("output < $5", lambda rows: rows.output_cost <= 5),
        ("under 2 usd input", lambda rows: rows.input_cost <= 2),
        ("deprecated", lambda rows: rows.deprecated),
        ("provider:groq", lambda rows: rows.provider == "groq"),
        ("via bedrock", lambda rows: rows.provider == "amazon-bedrock"),
        ("on vertex", lambda rows: rows.provider.isin(["google-vertex", "google-vertex-anthropic"])),
        ("on anthropc", lambda rows: rows.provider == "anthropic"),
        ("visoin", lambda rows: rows.image_in),
        ("chinese", lambda rows: rows.chinese),  # C3: words that emptied the result
        ("reasoning models made in china", lambda rows: rows.reasoning & rows.chinese),
        ("local", lambda rows: rows.open_weights),
        ("which models can I run locally", lambda rows: rows.open_weights),
        ("no gdpr", lambda rows: ~rows.gdpr_compliant.fillna(False)),
        ("nsfw", lambda rows: rows.is_nsfw),
        ("what is the least expensive model with vision", lambda rows: rows.image_in),
        ("least", lambda rows: rows.text_in | True),
    ],
)
def test_words_that_filter(catalog, text, mask):
    wanted = set(catalog.index[mask(catalog).fillna(False)])
    assert set(ids(text)) == wanted
    assert wanted


def test_prices_order_whole_words_before_parts_and_plans_after_prices():
    sonnets = search("sonet 5 vision cheap", limit=None)
    assert sonnets.attrs["read_as"] == "sonet: sonnet"
    assert sonnets.image_in.all()
    assert sonnets.name.head(10).str.contains("Sonnet 5").all()
    assert not sonnets.name.head(10).str.contains("5.5", regex=False).any()

    cheap = search("haiku cheap", limit=None)
    price = blended(cheap)[~cheap.deprecated]
    kind = (price == 0) + 2 * price.isna()
    assert kind.is_monotonic_increasing
    assert price[kind == 0].is_monotonic_increasing
    dear = search("vision expensive", limit=20)
    assert blended(dear).is_monotonic_decreasing


@pytest.mark.parametrize(
    "text", ["cheap", "least expensive", "lowest price", "affordable", "cheap vision", "most expensive"]
)
def test_models_without_text_come_last_where_the_price_decides(text):
    """A33: a price of a token says little of one that writes pictures or reads recordings only."""
    rows = search(text, limit=None)
    rows = rows[~rows.deprecated]
    assert (~(rows.text_in & rows.text_out)).is_monotonic_increasing
    assert len(rows) > 100


def test_sizes_of_other_models_are_no_match():
    rows = search("gpt oss 120", limit=None)
    assert len(rows) > 50
    assert rows["name"].str.contains("120").all() or rows["model"].str.contains("120").all()
    assert not rows["model"].str.contains("20b").where(~rows["model"].str.contains("120b"), False).any()


def test_the_newest_come_first_and_the_deprecated_last():
    rows = search("newest reasoning", limit=None)
    current = rows[~rows.deprecated]
    assert current.release_date.dropna().is_monotonic_decreasing
    assert current.release_date.iloc[:1000].notna().all()
    for text in ("claude", "claude cheap", "latest claude"):
        assert search(text, limit=None).deprecated.is_monotonic_increasing


def test_words_that_are_not_wanted():
    rows = search("claude no haiku -opus without vision", limit=None)
    assert not rows.name.str.contains("(?i)haiku|opus").any()
    assert not rows.image_in.any()
    assert set(rows.index) < set(ids("claude no vision"))


def test_the_vendors_own_offer_comes_before_those_of_others():
    assert set(search("anthropic", limit=10).provider) == {"anthropic"}
    assert not search("gpt", limit=50).index.str.startswith("nano-gpt/z-ai").any()  # a host's name is not the model's


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("opus xyzzyq", "no name contains 'xyzzyq' or a word like it"),
        ("claude on nowhere", "no model fits 'on nowhere'"),
        ("sonnet 999999m", "no model fits '999999m'"),
        ("opus audio-out", "no model fits all of opus, audio-out; without 'audio-out' there are "),
        ("opus llama on groq", "no model fits all of opus, llama, on groq"),
    ],
)
def test_a_search_without_a_result_says_why(catalog, text, why):
    with pytest.warns(CatalogWarning, match="search ") as warned:
        rows = search(text)
    assert rows.empty
    assert list(rows.columns) == [*catalog.columns, "score"]
    assert rows.attrs["why"].startswith(why)
    assert rows.attrs["why"] in str(warned[0].message)


def test_a_part_of_the_catalog_is_searched_as_the_whole(catalog):
    part = catalog[catalog.vision & (catalog.input_cost < 1)]
    assert set(ids("gemini flash", frame=part)) == set(ids("gemini flash")) & set(part.index)
    assert ids("swift", frame=demo_models()) == ["demo/swift"]
    assert ids("anything", frame=catalog[:0]) == []
    assert len(ids("", frame=part)) == len(part)
    assert len(search("claude", limit=3)) == 3
    changed = part.assign(input_cost=5.0)  # the words of its names are known; its prices are looked at each time
    assert ids("gemini input < $1", frame=part)
    with pytest.warns(CatalogWarning):
        assert ids("gemini input < $1", frame=changed) == []
    with pytest.raises(ValueError, match="takes rows of the catalog; these have no column 'audio_in'"):
        search("claude", frame=part[["name", "model"]])


def test_the_frame_is_not_touched_and_the_answer_is_always_the_same(catalog):
    columns, attrs = list(catalog.columns), dict(catalog.attrs)
    one, other = search("qwen3 coder cheap"), search("qwen3 coder cheap")
    pd.testing.assert_frame_equal(one, other)
    assert (list(catalog.columns), dict(catalog.attrs)) == (columns, attrs)
    assert one.score.between(0, 100).all()
    assert one.columns[-1] == "score"


# ---- reading alone


def known(word):
    return word in {"gpt", "4", "32k", "open", "sonnet", "image"}


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("", Query()),
        ("gpt-4-32k", Query(words=("gpt", "4", "32k"))),  # a name, not a length
        ("sonnet-4-5", Query(words=("sonnet", "4.5"))),
        ("128K", Query(context=128_000)),
        ("1.5m", Query(context=1_500_000)),
        ("gpt no sonnet -4", Query(words=("gpt",), unwanted=("sonnet", "4"))),
        ("no vision, tools", Query(abilities=(("vision", False), ("tools", True)))),
        ("opne", Query(abilities=(("open", True),), read_as=(("opne", "open"),))),
        ("up to $2.50 output", Query(prices=(("output", 2.5),))),
        ("input < 1, output < 5", Query(prices=(("input", 1.0), ("output", 5.0)))),
        ("gpt @azure", Query(words=("gpt",), providers=("azure",))),
        ("cheapest free image-generation", Query(order="cheapest", free=True, abilities=(("image-out", True),))),
    ],
)
def test_reading_a_query(text, query):
    assert read(text, known) == query


# ---- the table of abilities


def test_abilities_are_columns_of_the_catalog(catalog):
    assert ABILITIES.keys() <= set(catalog.columns)
    assert {str(catalog[column].dtype) for column in ABILITIES} == {"bool", "boolean"}
    assert set(SUMMARY) <= ABILITIES.keys()


@pytest.mark.filterwarnings("ignore::nbkit.modelsdev.records.CatalogWarning")  # no key is set: "key" finds nothing
def test_each_word_and_option_of_an_ability_has_one_meaning(catalog):
    options = [ability.option for ability in ABILITIES.values() if ability.option]
    assert len(options) == len(set(options))
    assert COLUMNS_BY_WORD["json"] == ("structured_output",)
    assert COLUMNS_BY_WORD["audio"] == ("audio_in", "audio_out")  # several share a word: any of them will do
    for word, columns in COLUMNS_BY_WORD.items():
        able = catalog[list(columns)].astype("boolean").fillna(False).any(axis=1)
        assert set(ids(word)) == set(catalog.index[able]), word
