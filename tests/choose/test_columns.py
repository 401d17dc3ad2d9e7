"""Every cell of the catalog against a second reading of models.dev's JSON, which uses nothing of nbkit's.

`unpacked` decodes the bundled file by its documented layout back into models.dev's form, `expected` reads that form:
plain json, struct and dictionaries. The small api.json below has the oddities that the real one has or may get.
"""

from __future__ import annotations

import json
import struct
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from nbkit.choose.columns import COLUMNS
from nbkit.choose.frame import build_frame
from nbkit.modelsdev.records import parse
from nbkit.modelsdev.snapshot import BUNDLED, Meta, build, read, write

DAY = "2026-09-30"
PRICES = ("input", "output", "cache_read", "cache_write", "reasoning", "input_audio", "output_audio")
WORDS = ("text", "image", "audio", "video", "pdf")


def expected(day, provider_id, provider, model_id, model):
    """One row as models.dev's JSON has it; None is missing."""
    limit, cost, own = model.get("limit", {}), model.get("cost", {}), model.get("provider", {})
    options = {option["type"]: option for option in model.get("reasoning_options", [])}
    inputs, outputs = (model.get("modalities", {}).get(side, []) for side in ("input", "output"))
    released = timestamp(model.get("release_date"))
    budget, modes = options.get("budget_tokens", {}), model.get("experimental", {}).get("modes")
    least, most = (None if budget.get(bound) == -1 else budget.get(bound) for bound in ("min", "max"))
    return {
        "provider": provider_id,
        "provider_name": provider.get("name", provider_id).strip(),
        "env": " ".join(provider.get("env", [])),
        "api": own.get("api", provider.get("api")),
        "model": model_id,
        "name": model.get("name", model_id).strip(),
        "description": model.get("description", "").strip() or None,
        "family": model.get("family"),
        "canonical": model.get("canonical_model_id"),
        "status": model.get("status"),
        "deprecated": model.get("status") == "deprecated",
        "vision": "image" in inputs,
        "tools": model.get("tool_call", False),
        "reasoning": model.get("reasoning", False),
        "attachment": model.get("attachment", False),
        "open_weights": model.get("open_weights", False),
        "structured_output": model.get("structured_output"),
        "temperature": model.get("temperature"),
        "context": limit.get("context") or None,
        "input_limit": limit.get("input") or None,
        "max_output": limit.get("output") or None,
        "release_date": released,
        "age_days": (date.fromisoformat(day) - released.date()).days if released else None,
        "last_updated": timestamp(model.get("last_updated")),
        "knowledge": timestamp(model.get("knowledge")),
        "efforts": " ".join(filter(None, options["effort"].get("values", []))) if "effort" in options else None,
        "toggle": "toggle" in options,
        "budget_min": least,
        "budget_max": most,
        "tiers": text(sorted((tier_of(tier) for tier in cost.get("tiers", [])), key=lambda tier: tier["size"])),
        "modes": " ".join(modes) if isinstance(modes, dict) and modes else None,
        "experimental": text(model.get("experimental")),
        **{f"{price}_cost": cost.get(price) for price in PRICES},
        **{f"{word}_in": word in inputs for word in WORDS},
        **{f"{word}_out": word in outputs for word in WORDS},
    }


def text(value):
    return json.dumps(value) if value else None


def tier_of(tier):
    return {"size": tier["tier"]["size"], "rates": {price: float(tier[price]) for price in PRICES if price in tier}}


def timestamp(text):
    if text is None or text == "1970-01-01":
        return None
    return pd.Timestamp(int(text[:4]), int(text[5:7]), int(text[8:] or 1))


def unpacked(path):
    """A snapshot file as (day, {provider: {..., "models": {...}}}): lines of JSON, then two bytes a cell."""
    first, head, packed = Path(path).read_bytes().split(b"\n", 2)
    head = json.loads(head)
    columns, codes = {}, packed[sum(head["sizes"].values()) :]
    cells = iter(struct.unpack(f"<{len(codes) // 2}H", codes))
    for name, size in head["sizes"].items():
        values, packed = [json.loads(line) for line in packed[:size].splitlines()], packed[size:]
        columns[name] = [values[next(cells)] for _ in range(head["rows"])]
    assert next(cells, None) is None
    api = {}
    for row in range(head["rows"]):
        cell = {name: values[row] for name, values in columns.items()}
        provider = api.setdefault(cell["provider"]["id"], {**without_none(cell["provider"]), "models": {}})
        assert cell["model"] not in provider["models"]
        provider["models"][cell["model"]] = as_models_dev(cell)
    return first.decode().split()[-1], api


def as_models_dev(cell):
    tiers = [{**tier["rates"], "tier": {"type": "context", "size": tier["size"]}} for tier in cell["tiers"]]
    prices = {price: cell[f"{price}_cost"] for price in PRICES}
    interleaved = cell["interleaved"]
    same = (
        "name", "family", "description", "attachment", "reasoning", "structured_output", "temperature", "status",
        "open_weights", "knowledge", "release_date", "last_updated", "reasoning_options", "experimental",
    )  # fmt: skip
    return without_none(
        {name: cell[name] for name in same}
        | {
            "canonical_model_id": cell["canonical"],
            "tool_call": cell["tools"],
            "modalities": {"input": cell["inputs"], "output": cell["outputs"]},
            "limit": {"context": cell["context"], "input": cell["input_limit"], "output": cell["max_output"]},
            "cost": without_none(prices) | {"tiers": tiers},
            "interleaved": True if interleaved == "true" else interleaved and {"field": interleaved},
            "provider": cell["overrides"],
        }
    )


def without_none(row):
    return {name: value for name, value in row.items() if value is not None}


def differences(built, day, api):
    """Cells that differ from the second reading, as (id, column, cell, expected)."""
    rows = [
        (f"{provider_id}/{model_id}", expected(day, provider_id, provider, model_id, model))
        for provider_id, provider in api.items()
        for model_id, model in provider["models"].items()
    ]
    assert built.index.tolist() == [model_id for model_id, _ in rows]
    different = []
    for name in built.columns.intersection(list(rows[0][1])):
        cells = built[name].astype(object).where(built[name].notna(), None)
        for (model_id, row), cell in zip(rows, cells.tolist(), strict=True):
            if cell != row[name] or (cell is True or cell is False) != isinstance(row[name], bool):
                different.append((model_id, name, cell, row[name]))
    return different


def test_all_rows_of_the_bundled_file_in_every_column():
    day, api = unpacked(BUNDLED)
    assert (len(api), sum(len(provider["models"]) for provider in api.values())) == (225, 8337)
    built = build_frame(read(BUNDLED))
    own = {  # what nbkit's own tables say
        *("vendor", "path", "protocol", "callable", "why_not", "has_key"),
        *("gdpr_compliant", "chinese", "is_nsfw"),
    }
    provider_id, provider = next(iter(api.items()))
    read_again = expected(day, provider_id, provider, *next(iter(provider["models"].items())))
    assert {column.name for column in COLUMNS} == set(built.columns) == {*read_again, *own}
    assert len(COLUMNS) <= 60  # pandas shows a longer row in an abridged form
    assert differences(built, day, api) == []


def test_the_second_reading_would_see_a_difference(api):
    built = build_frame(build(parse(api), Meta("", DAY)))
    api["acme"]["models"]["beta"] |= {"name": "Other", "temperature": True, "limit": {"context": 1, "output": 64_000}}
    assert {name for _, name, _, _ in differences(built, DAY, api)} == {"name", "temperature", "context"}


COST = {"input": 1, "output": 5}
ODD = {  # what is said about a model -> what one would get wrong
    "nothing": {},
    "no-cost": {"cost": {}},
    "free": {"cost": {"input": 0, "output": 0}},
    "legacy-tier": {"cost": COST | {"context_over_200k": {"input": 9, "output": 9}}},
    "tiers": {
        "cost": COST
        | {
            "tiers": [
                {"input": 4, "output": 9, "reasoning": 7, "tier": {"type": "context", "size": 256_000}},
                {"input": 2, "output": 6, "input_audio": 3, "tier": {"size": 32_000}},
            ]
        }
    },
    "every-price": {"cost": {price: number / 7 for number, price in enumerate(PRICES)}},
    "unknown-price": {"cost": COST | {"image": 0.04}},
    "zero-limits": {"limit": {"context": 0, "output": 0}},
    "three-limits": {"limit": {"context": 400_000, "input": 272_000, "output": 128_000}},
    "huge-limit": {"limit": {"context": 10_000_000, "output": 2**33}},
    "month": {"release_date": "2025-12", "knowledge": "2024-02", "last_updated": "2026-01"},
    "leap-day": {"release_date": "2024-02-29", "last_updated": "2024-02"},
    "epoch": {"release_date": "1970-01-01", "last_updated": "1970-01-01", "knowledge": "1970-01-01"},
    "announced": {"release_date": "2026-10-15"},
    "said-no": {"structured_output": False, "temperature": False, "attachment": False, "tool_call": False},
    "said-yes": {"structured_output": True, "temperature": True, "attachment": True, "tool_call": True},
    "no-options": {"reasoning": True, "reasoning_options": []},
    "null-effort": {"reasoning": True, "reasoning_options": [{"type": "effort", "values": [None, "low", "high"]}]},
    "only-null": {"reasoning": True, "reasoning_options": [{"type": "effort", "values": [None]}]},
    "budget-from-0": {"reasoning_options": [{"type": "budget_tokens", "min": 0}, {"type": "toggle"}]},
    "budget-boundless": {"reasoning_options": [{"type": "budget_tokens", "min": -1, "max": 32_768}]},
    "budget-max": {"reasoning_options": [{"type": "budget_tokens", "max": 32_768}]},
    "new-option": {"reasoning_options": [{"type": "mood", "values": ["calm"]}]},
    "interleaved": {"interleaved": True},
    "not-interleaved": {"interleaved": False},
    "interleaved-field": {"interleaved": {"field": "reasoning_details"}},
    "no-words": {"modalities": {"input": [], "output": []}},
    "all-words": {"modalities": {"input": list(reversed(WORDS)), "output": list(WORDS)}},
    "new-words": {"modalities": {"input": ["smell", "images"], "output": ["text"]}},
    "attachment-only": {"attachment": True, "modalities": {"input": ["text"], "output": ["text"]}},
    "beta": {"status": "beta"},
    "deprecated": {"status": "deprecated"},
    "modes": {
        "experimental": {
            "modes": {
                "fast": {"cost": {"input": 8, "output": 40}, "provider": {"body": {"service_tier": "priority"}}},
                "pro": {"provider": {"body": {"reasoning": {"mode": "pro"}}, "headers": {"x-beta": "1"}}},
            }
        }
    },
    "no-modes": {"experimental": {"modes": {}}},
    "new-modes": {"experimental": {"modes": ["fast"], "other": 1}},
    "own-npm": {"provider": {"npm": "@ai-sdk/anthropic"}},
    "own-api": {"provider": {"api": "https://other.test/v1", "shape": "completions"}},
    "own-body": {"provider": {"body": {"speed": "fast"}}},
    "own-headers": {"provider": {"headers": {"x-mode": "fast"}, "body": {}}},
    "a/b/c:free@1~x": {"canonical_model_id": "a/b", "family": "Hy", "name": "  Spaced ", "description": " "},
    "twin": {"name": "Ünïcode ✓ 模型", "description": "Grüße"},
    "TWIN": {"name": "Ünïcode ✓ 模型", "description": "Grüße"},
}


@pytest.fixture(scope="module")
def odd():
    """The oddities, at a provider that says everything, at one that says little, and at one that says nothing."""
    whole = {
        "name": " Whole ",
        "npm": "@ai-sdk/groq",
        "api": "https://${HOST}/v1",
        "env": ["HOST", "A_KEY"],
        "doc": "d",
    }
    little = {"name": "Little", "npm": "@ai-sdk/openai", "env": []}
    return {
        name: json.loads(json.dumps(about | {"models": {model: {"name": model} | row for model, row in ODD.items()}}))
        for name, about in {"whole": whole, "a.little": little, "302": {}}.items()
    }


def test_oddities_read_twice(odd, tmp_path):
    snapshot = build(parse(odd), Meta("", DAY))
    assert differences(build_frame(snapshot), DAY, odd) == []
    write(tmp_path / "odd.gz", snapshot)
    assert differences(build_frame(read(tmp_path / "odd.gz")), *unpacked(tmp_path / "odd.gz")) == []


def test_unknown_is_not_zero_and_not_no(odd):
    built = build_frame(build(parse(odd), Meta("", DAY)))
    nothing, zero, no = (built.loc[f"whole/{name}"] for name in ("nothing", "budget-from-0", "said-no"))
    assert nothing[["temperature", "structured_output", "budget_min", "context", "input_cost", "age_days"]].isna().all()
    assert (zero.budget_min, pd.isna(zero.budget_max), no.temperature, no.structured_output) == (0, True, False, False)
    assert built.loc["whole/free", ["input_cost", "output_cost"]].tolist() == [0, 0]
    assert built.loc["whole/announced", "age_days"] == -15
    assert built.loc["whole/leap-day", "age_days"] == 944
