from __future__ import annotations

import pytest

from nbkit.errors import CatalogError
from nbkit.modelsdev.records import CatalogWarning, Provider, parse


def test_every_field_of_a_row_is_read(api):
    record = parse(api)[0]
    assert record.id == "acme/vendor/alpha:free@v1~x"
    assert record.provider == Provider(
        "acme",
        "Acme",
        "@ai-sdk/openai-compatible",
        "https://api.acme.test/v1",
        ("ACME_API_KEY",),
        "https://acme.test/docs",
    )
    assert (record.name, record.family, record.canonical) == ("Alpha", "greek", "acme/alpha")
    assert (record.attachment, record.reasoning, record.tools, record.open_weights) == (True, True, True, True)
    assert (record.structured_output, record.temperature) == (True, False)
    assert (record.inputs, record.outputs) == (("text", "image"), ("text",))
    assert (record.context, record.input_limit, record.max_output) == (400_000, 272_000, None)
    assert record.rates == {
        "input": 2.0,
        "output": 10.0,
        "cache_read": 0.2,
        "cache_write": 2.5,
        "reasoning": 12.0,
        "input_audio": 3.0,
        "output_audio": 20.0,
    }
    assert [(tier["size"], tier["rates"]) for tier in record.tiers] == [
        (32_000, {"input": 4.0, "output": 20.0, "cache_read": 0.4}),
        (200_000, {"input": 8.0, "output": 40.0}),
    ]
    assert (record.knowledge, record.release_date, record.last_updated) == ("2025-12", "2026-05-01", "2026-06")
    assert (record.status, record.interleaved) == ("deprecated", "reasoning_content")
    assert record.reasoning_options[0]["values"] == [None, "low", "high"]
    assert record.experimental == {"modes": {"fast": {"cost": {"input": 8}}}}


def test_a_model_overrides_its_provider(api):
    own, plain = parse(api)[:2]
    assert (own.npm, own.api, own.shape) == ("@ai-sdk/anthropic", "https://other.acme.test", "responses")
    assert (own.body, own.headers) == ({"speed": "fast"}, {"x-mode": "fast"})
    assert (plain.npm, plain.api, plain.shape) == ("@ai-sdk/openai-compatible", "https://api.acme.test/v1", None)
    assert (plain.body, plain.headers, plain.interleaved) == ({}, {}, "true")


def test_missing_fields_are_unknown(api):
    bare = parse(api)[2]
    assert (bare.id, bare.name, bare.provider.name) == ("9.bare/Gamma", "Gamma", "9.bare")
    assert (bare.provider.npm, bare.provider.api, bare.provider.env) == ("", None, ())
    assert (bare.structured_output, bare.temperature, bare.context, bare.max_output) == (None,) * 4
    assert (bare.rates, bare.tiers, bare.inputs, bare.overrides) == ({}, (), (), {})
    assert (bare.attachment, bare.tools) == (False, False)


@pytest.mark.parametrize(
    ("key", "change", "want"),
    [
        ("release_date", {"release_date": "1970-01-01"}, None),
        ("release_date", {"release_date": "2026-02-30"}, None),
        ("knowledge", {"knowledge": "spring 2026"}, None),
        ("knowledge", {"knowledge": 2026}, None),
        ("name", {"name": " Alpha (Turbo)\t"}, "Alpha (Turbo)"),
        ("interleaved", {"interleaved": False}, None),
        ("interleaved", {"interleaved": ["new"]}, None),
        ("reasoning_options", {"reasoning_options": "all"}, ()),
        ("reasoning_options", {"reasoning_options": [7, {"type": "toggle"}]}, ({"type": "toggle"},)),
        ("reasoning_options", {"reasoning_options": [{"type": "budget_tokens", "min": 1e99}]}, ()),
        ("reasoning_options", {"reasoning_options": [{"type": "effort", "values": [{}]}]}, ()),
        ("rates", {"cost": {"input": 0, "output": 0}}, {"input": 0.0, "output": 0.0}),
        ("rates", {"cost": {"input": 1, "image": "new"}}, {"input": 1.0}),
        ("family", {"family": "a family of tomorrow"}, "a family of tomorrow"),
        ("inputs", {"modalities": {"input": ["smell"], "output": []}}, ("smell",)),
        ("headers", {"provider": {"headers": {}}}, {}),
    ],
)
def test_a_form_that_nobody_knows_yet_does_not_lose_the_model(row, seller, key, change, want):
    (record,) = parse({"acme": seller({"alpha": row(**change)})})
    assert getattr(record, key) == want


BAD_ROWS = {
    "a string": "alpha",
    "NaN price": {"cost": {"input": float("nan"), "output": 1}},
    "endless price": {"cost": {"input": 1, "output": float("inf")}},
    "negative price": {"cost": {"input": -1}},
    "huge price": {"cost": {"input": 1e308}},
    "price as text": {"cost": {"input": "1"}},
    "price as flag": {"cost": {"input": True}},
    "tier without size": {"cost": {"tiers": [{"input": 1, "tier": {"type": "context"}}]}},
    "tier by the hour": {"cost": {"tiers": [{"input": 1, "tier": {"type": "night", "size": 22}}]}},
    "tier with a bad price": {"cost": {"tiers": [{"input": -1, "tier": {"type": "context", "size": 1}}]}},
    "tiers as number": {"cost": {"tiers": 3}},
    "cost as list": {"cost": []},
    "negative context": {"limit": {"context": -1}},
    "endless context": {"limit": {"context": 10**30}},
    "context as text": {"limit": {"context": "1M"}},
    "flag as text": {"tool_call": "yes"},
    "name too long": {"name": "x" * 201},
    "name as object": {"name": {"__proto__": 1}},
    "a megabyte of description": {"description": "x" * 1_000_000},
    "a million modalities": {"modalities": {"input": ["text"] * 1_000_000}},
    "modalities of numbers": {"modalities": {"input": [1]}},
    "headers of numbers": {"provider": {"headers": {"x": 1}}},
}


@pytest.mark.parametrize("bad", BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_bad_row_is_dropped_and_the_others_stay(row, seller, bad):
    bad = row(**bad) if isinstance(bad, dict) else bad
    with pytest.warns(CatalogWarning, match="dropped 1 bad rows: 'acme/alpha'") as warned:
        records = parse({"acme": seller({"alpha": bad, "beta": row()})})
    assert [record.id for record in records] == ["acme/beta"]
    assert len(warned) == 1


@pytest.mark.parametrize(
    "model",
    ["", "../../etc/passwd", "a/../b", "..", "a/.", "a b", "a\0b", "a\nb", "х/cyrillic", "a\u202eb", "a?b", "x" * 201],
)
def test_an_id_that_could_become_another_address_is_dropped(row, seller, model):
    with pytest.warns(CatalogWarning, match="model id"):
        assert [record.model for record in parse({"acme": seller({model: row(), "a..b/.c": row()})})] == ["a..b/.c"]


@pytest.mark.parametrize(
    ("provider_id", "change"),
    [
        ("a/b", {}),
        ("..", {}),
        ("x" * 201, {}),
        ("evil", {"env": ["PATH; rm"]}),
        ("evil", {"env": ["A"] * 100_000}),
        ("evil", {"env": "OPENAI_API_KEY"}),
        ("evil", {"api": 7}),
        ("evil", {"models": ["alpha"]}),
    ],
)
def test_a_bad_provider_is_dropped_and_the_others_stay(row, seller, provider_id, change):
    with pytest.warns(CatalogWarning, match="dropped 1 bad rows"):
        records = parse({provider_id: seller({"alpha": row()}) | change, "acme": seller({"beta": row()})})
    assert [record.id for record in records] == ["acme/beta"]


def test_one_warning_counts_all_bad_rows_and_names_the_first(row, seller):
    rows = {f"bad-{number}": row(cost={"input": -number}) for number in range(1, 8)}
    with pytest.warns(CatalogWarning) as warned:
        parse({"acme": seller({**rows, "good": row()})})
    (text,) = [str(warning.message) for warning in warned]
    assert "dropped 7 bad rows" in text
    assert "'acme/bad-1' (input price -1)" in text
    assert text.endswith("and 4 more")


@pytest.mark.parametrize("data", [None, [], "x", {}, {"acme": {"models": {}}}])
def test_a_file_without_models_is_not_a_catalog(data):
    with pytest.raises(CatalogError):
        parse(data)


def test_a_flood_is_refused(row, seller):
    alpha = row()
    with pytest.raises(CatalogError, match="1000 providers"):
        parse({f"p{number}": seller({"alpha": alpha}) for number in range(1001)})
    with pytest.raises(CatalogError, match="50000 models"):
        parse({"acme": seller({f"m{number}": "bad" for number in range(50_001)})})
