from __future__ import annotations

import json
import subprocess
import sys

import pandas as pd
import pytest

from nbkit.choose.columns import COLUMNS
from nbkit.choose.frame import build_frame
from nbkit.modelsdev.records import parse
from nbkit.modelsdev.snapshot import BUNDLED, Meta, build, read


@pytest.fixture(scope="module")
def snapshot():
    return read(BUNDLED)


@pytest.fixture(scope="module")
def catalog(snapshot):
    return build_frame(snapshot)


@pytest.fixture
def small(api):
    return build_frame(build(parse(api), Meta("https://models.dev/api.json", "2026-09-30")))


FULL = {
    "provider": "acme",
    "model": "vendor/alpha:free@v1~x",
    "name": "Alpha",
    "vision": True,
    "tools": True,
    "reasoning": True,
    "input_cost": 2.0,
    "output_cost": 10.0,
    "cache_read_cost": 0.2,
    "cache_write_cost": 2.5,
    "reasoning_cost": 12.0,
    "input_audio_cost": 3.0,
    "output_audio_cost": 20.0,
    "context": 400_000,
    "input_limit": 272_000,
    "release_date": pd.Timestamp("2026-05-01"),
    "age_days": 152,
    "last_updated": pd.Timestamp("2026-06-01"),
    "knowledge": pd.Timestamp("2025-12-01"),
    "family": "greek",
    "canonical": "acme/alpha",
    "structured_output": True,
    "temperature": False,
    "attachment": True,
    "open_weights": True,
    "status": "deprecated",
    "deprecated": True,
    "efforts": "low high",
    "toggle": True,
    "budget_min": 0,
    "budget_max": 32_768,
    "text_in": True,
    "image_in": True,
    "audio_in": False,
    "video_in": False,
    "pdf_in": False,
    "text_out": True,
    "image_out": False,
    "audio_out": False,
    "video_out": False,
    "pdf_out": False,
    "description": "A model",
    "provider_name": "Acme",
    "api": "https://other.acme.test",
    "env": "ACME_API_KEY",
    "modes": "fast",
    "experimental": '{"modes": {"fast": {"cost": {"input": 8}}}}',
    "vendor": "acme",
    "path": "acme/acme/vendor/alpha:free@v1~x",
    "protocol": "openai-responses",
    "callable": True,
    "has_key": False,
    "is_nsfw": False,
}


def test_each_column_is_that_of_the_row(small):
    row = small.loc["acme/vendor/alpha:free@v1~x"]
    assert {name: row[name] for name in FULL} == FULL
    assert set(small.columns) - set(FULL) == {"tiers", "max_output", "why_not", "chinese", "gdpr_compliant"}
    assert row[["max_output", "chinese", "gdpr_compliant"]].isna().all()
    assert [tier["size"] for tier in json.loads(row["tiers"])] == [32_000, 200_000]


def test_unknown_facts_are_missing_and_flags_are_false(small):
    row = small.loc["9.bare/Gamma"]
    flags = {name for name in small.columns if small[name].dtype == bool}
    assert not any(row[name] for name in flags)
    known = {name for name in small.columns if name not in flags and not pd.isna(row[name])}
    assert known == {"provider", "provider_name", "model", "name", "env", "vendor", "path", "why_not"}


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
def test_each_column_has_its_dtype(catalog, small, column):
    for built in (catalog, small):
        assert built[column.name].dtype == column.dtype
    assert column.doc


def test_the_whole_catalog(catalog):
    assert len(catalog) == 8337
    assert catalog.index.name == "id"
    assert catalog.index.is_unique
    assert catalog.provider.nunique() == 225
    sonnet = catalog.loc["anthropic/claude-sonnet-5-5"]
    assert (sonnet.input_cost, sonnet.output_cost, sonnet.cache_read_cost, sonnet.cache_write_cost) == (2, 10, 0.2, 2.5)
    assert (sonnet.context, sonnet["name"]) == (1_000_000, "Claude Sonnet 5.5")
    assert pd.isna(sonnet.api)
    # counted in models.dev's own file
    assert catalog.vision.sum() == 4918
    assert catalog.deprecated.sum() == 252
    assert catalog.canonical.notna().sum() == 5270
    assert catalog.structured_output.isna().sum() == 2511
    assert catalog.temperature.isna().sum() == 537
    assert catalog.context.isna().sum() == 148
    assert catalog.max_output.isna().sum() == 214
    assert catalog.tiers.notna().sum() == 609
    assert catalog.shape == (8337, len(COLUMNS))


def test_it_filters_like_any_frame(catalog):
    cheap = catalog[catalog.vision & ~catalog.deprecated & (catalog.input_cost < 1) & (catalog.context >= 200_000)]
    assert 0 < len(cheap) < len(catalog)
    assert cheap.image_in.all()
    assert cheap.attrs == catalog.attrs
    assert len(catalog[catalog.structured_output.fillna(False)]) < len(catalog)
    assert catalog[catalog.provider == "groq"].index.str.startswith("groq/").all()
    assert catalog.groupby("provider", observed=True).input_cost.min().notna().any()


def test_the_frame_takes_12_megabytes_at_most(catalog):
    assert catalog.memory_usage(deep=True).sum() < 12e6


def test_attrs_say_where_the_rows_come_from(catalog, snapshot):
    assert catalog.attrs == snapshot.provenance
    assert catalog.attrs["date"] == "2026-09-30"
    assert catalog.attrs["rows"] == 8337
    assert set(catalog.attrs) == {"source", "date", "age_days", "rows", "reason"}


def test_it_is_built_without_pyarrow_too(catalog):
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from nbkit.choose.frame import build_frame; from nbkit.modelsdev.snapshot import BUNDLED, read\n"
        "built = build_frame(read(BUNDLED))\n"
        "print(len(built), built.loc['anthropic/claude-sonnet-5-5', 'family'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "8337 claude-sonnet\n"
