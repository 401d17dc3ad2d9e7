"""What changed between two catalogs."""

from __future__ import annotations

import copy
import gzip
import json
import os
from datetime import UTC, datetime

import pytest

from nbkit import changes, load_catalog
from nbkit.errors import CatalogError
from nbkit.modelsdev.records import parse
from nbkit.modelsdev.snapshot import BUNDLED, Meta, build, read, write
from nbkit.settings import override, settings

COLUMNS = ["id", "change", "field", "before", "after", "percent"]


def model(**more):
    return {
        "name": "Alpha",
        "reasoning": True,
        "tool_call": True,
        "modalities": {"input": ["text"], "output": ["text"]},
        "limit": {"context": 200_000, "output": 64_000},
        "cost": {"input": 2, "output": 10},
    } | more


TIER = {"input": 4, "output": 20, "tier": {"type": "context", "size": 200_000}}
OLD = {
    "acme": {
        "name": "Acme",
        "npm": "x",
        "models": {
            "same": model(cost={"input": 2, "output": 10, "tiers": [TIER]}),
            "retired": model(),
            "old": model(status="beta"),
            "cheaper": model(),
            "priced": model(cost={}),
            "free": model(cost={"input": 0, "output": 0}),
            "tiered": model(),
            "smarter": model(),
        },
    }
}
NEW = copy.deepcopy(OLD)
NEW["acme"]["models"] |= {
    "old": model(status="deprecated"),
    "cheaper": model(cost={"input": 1.5, "output": 10, "cache_read": 0.1}),
    "priced": model(cost={"input": 1, "output": 2}),
    "free": model(cost={"input": 1, "output": 0}),
    "tiered": model(cost={"input": 2, "output": 10, "tiers": [TIER]}),
    "smarter": model(
        modalities={"input": ["text", "image"], "output": ["text"]},
        limit={"context": 400_000, "output": 0},
        structured_output=True,
        status="beta",
    ),
    "fresh": model(),
}
del NEW["acme"]["models"]["retired"]


@pytest.fixture
def files(tmp_path):
    """An api.json, and a snapshot file of what came after it."""
    old, new = tmp_path / "api.json", tmp_path / "new.gz"
    old.write_text(json.dumps(OLD))
    day = datetime(2026, 8, 1, 12, tzinfo=UTC).timestamp()
    os.utime(old, (day, day))
    write(new, build(parse(NEW), Meta("https://models.dev/api.json", "2026-09-01")))
    return old, new


def test_every_kind_of_change(files):
    changed = changes(*files)
    rows = [tuple(row) for row in changed.astype(object).where(changed.notna(), None).itertuples(index=False)]
    tier = {"size": 200_000, "rates": {"input": 4.0, "output": 20.0}}
    assert list(changed.columns) == COLUMNS
    assert rows == [
        ("acme/retired", "removed", None, None, None, None),
        ("acme/old", "deprecated", "status", "beta", "deprecated", None),
        ("acme/cheaper", "repriced", "input_cost", 2.0, 1.5, -25.0),
        ("acme/cheaper", "repriced", "cache_read_cost", None, 0.1, None),
        ("acme/free", "repriced", "input_cost", 0.0, 1.0, None),
        ("acme/priced", "repriced", "input_cost", None, 1.0, None),
        ("acme/priced", "repriced", "output_cost", None, 2.0, None),
        ("acme/tiered", "repriced", "tiers", None, json.dumps([tier]), None),
        ("acme/smarter", "changed", "status", None, "beta", None),
        ("acme/smarter", "changed", "context", 200_000, 400_000, 100.0),
        ("acme/smarter", "changed", "max_output", 64_000, None, None),
        ("acme/smarter", "changed", "structured_output", None, True, None),
        ("acme/smarter", "changed", "image_in", False, True, None),
        ("acme/fresh", "added", None, None, None, None),
    ]


def test_both_sides_are_named(files):
    old, new = files
    attrs = changes(old, str(new)).attrs
    assert attrs["old"] == {"source": str(old), "date": "2026-08-01", "rows": 8}
    assert attrs["new"] == {"source": str(new), "date": "2026-09-01", "rows": 8}


def test_the_reverse_is_the_opposite(files):
    old, new = files
    there, back = changes(old, new), changes(new, old)
    opposite = {"added": "removed", "removed": "added"}
    assert {(row.id, opposite.get(row.change, "")) for row in there.itertuples() if row.change in opposite} == {
        (row.id, row.change) for row in back.itertuples() if row.change in opposite
    }
    assert set(back.change) == {"removed", "repriced", "changed", "added"}  # none became deprecated


def test_nothing_changed_is_an_empty_frame_of_the_same_form(files):
    nothing, something = changes(), changes(*files)
    assert nothing.empty
    assert list(nothing.columns) == COLUMNS
    assert nothing.dtypes.equals(something.dtypes)
    meta = read(BUNDLED).meta
    assert nothing.attrs["old"] == nothing.attrs["new"] == {"source": "bundled", "date": meta.date, "rows": 8337}


def test_frames_and_packed_files_and_the_cache_are_compared_too(files, tmp_path):
    old, new = files
    packed = tmp_path / "api.json.gz"
    packed.write_bytes(gzip.compress(old.read_bytes()))
    assert changes(old, packed).empty

    frame = load_catalog()
    dearer = frame.assign(input_cost=frame.input_cost.where(frame.index != "openai/gpt-6-luna", 99.0))
    repriced = changes(frame, dearer)
    assert repriced[["id", "change", "after"]].to_numpy().tolist() == [["openai/gpt-6-luna", "repriced", 99.0]]
    assert repriced.attrs["new"]["source"] == "bundled"

    with override(cache_dir=tmp_path):
        write(settings().cache_dir / "models.dev.snapshot", read(new))
        assert changes("cached", new).empty


@pytest.mark.parametrize("content", [None, b"", b"{", b"\x1f\x8bcut", b"[]", gzip.compress(b'{"schema":99}', mtime=0)])
def test_a_file_that_is_not_a_catalog_raises(tmp_path, content):
    path = tmp_path / "api.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CatalogError):
        changes(path)
    with pytest.raises(CatalogError, match="no column 'input_cost'"):
        changes(load_catalog()[["name"]])
