"""C6, A30, A31: what people do to a frame of the catalog, and what nbkit then does with it.

Each operation gives a frame back; each public function that takes rows of the catalog must take that frame too.
"""

from __future__ import annotations

import io
import itertools
import json
import pickle
import sqlite3
import warnings

import numpy as np
import pandas as pd
import pytest

import nbkit
from nbkit import plots
from nbkit.choose.estimate import NOTES

WORKLOAD = {"input_tokens": 300_000, "output_tokens": 2_000, "cached_tokens": 1_000}


@pytest.fixture(scope="module")
def catalog():
    """A part of the catalog with tiers, plans, unknown prices, models without text, and every dtype."""
    whole = nbkit.load_catalog()
    tiered = whole[whole["tiers"].notna()].head(40)
    silent = whole[~whole["text_out"]].head(20)
    return pd.concat([tiered, silent, whole[whole["provider"].isin(["openai", "groq", "gitlab"])]]).pipe(
        lambda rows: rows[~rows.index.duplicated()]
    )


def through_csv(rows):
    return pd.read_csv(io.StringIO(rows.to_csv()), index_col="id")


def through_sql(rows):
    with sqlite3.connect(":memory:") as database:
        rows.to_sql("models", database)
        return pd.read_sql("select * from models", database, index_col="id")


def through_json(rows):
    return pd.read_json(io.StringIO(rows.to_json(orient="table")), orient="table")


def as_parquet(rows):
    """What `read_parquet` gives back; the real one where it can be had."""
    try:
        packed = io.BytesIO()
        rows.to_parquet(packed)
        return pd.read_parquet(packed)
    except ImportError:
        return pd.DataFrame({name: pd.array(rows[name].tolist(), dtype=rows[name].dtype) for name in rows}, rows.index)


def filled(rows):
    text = rows.select_dtypes("str").columns
    numbers = rows.select_dtypes("number").columns
    return rows.fillna(dict.fromkeys(text, "none") | dict.fromkeys(numbers, 0))


OPERATIONS = {
    "nothing": lambda rows: rows,
    "copy": lambda rows: rows.copy(),
    "a filter": lambda rows: rows[rows["vision"] & ~rows["deprecated"] & (rows["input_cost"] < 5)],
    "no rows": lambda rows: rows.head(0),
    "one row": lambda rows: rows.head(1),
    "query": lambda rows: rows.query("reasoning and provider != vendor"),
    "provider == vendor": lambda rows: rows[rows["provider"] == rows["vendor"]],
    "sort": lambda rows: rows.sort_values(["vendor", "release_date", "input_cost"]),
    "sample": lambda rows: rows.sample(frac=1, random_state=0),
    "drop_duplicates": lambda rows: rows.drop_duplicates(),
    "one of each name": lambda rows: rows.drop_duplicates("name"),
    "concat": lambda rows: pd.concat([rows.head(9), nbkit.demo_models(), rows.tail(9)]),
    "assign": lambda rows: rows.assign(mine=1, status=rows["status"].fillna("available")),
    "insert in place": lambda rows: rows.copy().assign(vendor=lambda frame: frame["vendor"].str.upper()),
    "reset_index": lambda rows: rows.reset_index(),
    "set_index": lambda rows: rows.set_index("path"),
    "groupby head": lambda rows: rows.groupby("provider").head(3),
    "merge": lambda rows: rows.reset_index().merge(pd.DataFrame({"provider": ["openai"], "mine": [1]})).set_index("id"),
    "nlargest": lambda rows: rows.nlargest(20, "context"),
    "convert_dtypes": lambda rows: rows.convert_dtypes(),
    "infer_objects": lambda rows: rows.astype(object).infer_objects(),
    "object": lambda rows: rows.astype(object),
    "category": lambda rows: rows.astype(dict.fromkeys(rows.select_dtypes("str"), "category")),
    "fillna": filled,
    "transposed twice": lambda rows: rows.T.T,
    "pickle": lambda rows: pickle.loads(pickle.dumps(rows)),  # noqa: S301 - our own
    "csv": through_csv,
    "sql": through_sql,
    "json": through_json,
    "parquet": as_parquet,
}
FUNCTIONS = {
    "estimate": lambda rows: nbkit.estimate(rows, **WORKLOAD),
    "search": lambda rows: nbkit.search("gpt cheap vision", rows),
    "show": nbkit.show,
    "pick": nbkit.pick,
    "plots.prices": plots.prices,
    "plots.history": plots.history,
    "plots.context": plots.context,
    "plots.capabilities": plots.capabilities,
    "plots.workload": lambda rows: plots.workload(nbkit.estimate(rows, **WORKLOAD)),
    "plots.conversation": lambda rows: plots.conversation(rows, 2),
    "changes": lambda rows: nbkit.changes(rows, rows),
}


@pytest.mark.filterwarnings("ignore::nbkit.modelsdev.records.CatalogWarning")  # a part may have no model that fits
@pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")  # of what the operation itself does
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_frames_survive_what_people_do_to_them(catalog, operation, function, capsys):
    rows = OPERATIONS[operation](catalog)
    if function == "changes" and not rows.index.is_unique:
        pytest.skip("two catalogs are compared by id")
    FUNCTIONS[function](rows)


@pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")
@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name not in ("fillna", "insert in place")])
def test_an_estimate_is_the_same_after_it(catalog, operation):
    """A31: the tiers count in a frame that comes back from a file, too."""
    rows = OPERATIONS[operation](catalog)
    key = ["provider", "model"]
    before, after = (nbkit.estimate(one, **WORKLOAD).set_index(key)["cost"] for one in (catalog, rows))
    shared = after.index.intersection(before.index)
    assert len(shared) >= len(rows) - 18  # those of the demo provider
    np.testing.assert_allclose(after[shared].astype(float), before[shared].astype(float))


# ---- pandas alone


def test_each_two_columns_can_be_compared(catalog):
    for one, other in itertools.combinations(catalog.columns, 2):
        assert len(catalog[catalog[one] == catalog[other]]) + len(catalog[catalog[one] != catalog[other]]) <= len(
            catalog
        )
    assert len(nbkit.catalog[nbkit.catalog["provider"] == nbkit.catalog["vendor"]]) == 368


@pytest.mark.parametrize("column", nbkit.load_catalog().columns)
def test_each_column_can_be_counted_filled_and_grouped(catalog, column):
    values = catalog[column]
    assert values.nunique() == len(values.dropna().unique())
    assert values.value_counts().gt(0).all()  # A32: only what is there
    assert not values.isin([object()]).any()
    instead = {"str": "anything", "bool": True, "boolean": False, "Int64": 0, "float64": 0.0}
    filler = instead.get(str(values.dtype), pd.Timestamp("2026-01-01"))
    full = values.fillna(filler)
    assert full.dtype == values.dtype
    assert full.notna().all()
    assert catalog.groupby(column).size().sum() == values.notna().sum()
    assert catalog.drop_duplicates(column)[column].is_unique
    assert len(catalog.sort_values(column)) == len(catalog)


def test_no_cell_is_nested(catalog):
    assert not catalog.map(lambda cell: isinstance(cell, list | tuple | dict | set)).to_numpy().any()
    tiers = catalog["tiers"].dropna().map(json.loads)
    assert all(tier["size"] > 0 and tier["rates"] for one in tiers for tier in one)
    assert catalog.nunique().gt(0).sum() > 50
    assert len(catalog.drop_duplicates()) == len(catalog)


def test_a_row_is_shown_whole_and_a_wide_frame_shows_what_a_chooser_reads(catalog):
    assert repr(catalog.iloc[0]).count("\n") == len(catalog.columns)
    shown = catalog.columns[:10].tolist() + catalog.columns[-10:].tolist()
    for name in ("name", "input_cost", "output_cost", "context", "release_date", "callable", "has_key"):
        assert name in shown
    assert not {"env", "api", "path", "experimental", "tiers", "why_not"} & set(shown)


SUBSETS = [
    ["input_cost", "output_cost"],
    ["name", "provider", "input_cost", "output_cost"],
    ["input_cost", "output_cost", "tiers", "context"],
]


@pytest.mark.parametrize("columns", SUBSETS, ids=" ".join)
def test_a_few_columns_are_enough_for_an_estimate_and_a_table(catalog, columns, capsys):
    estimated = nbkit.estimate(catalog[columns], input_tokens=10, output_tokens=10)
    assert set(estimated["note"]) <= set(NOTES)
    nbkit.show(estimated)
    with pytest.raises(ValueError, match="rows of the catalog; these have no column 'output_cost'"):
        nbkit.estimate(catalog[["input_cost"]], input_tokens=10, output_tokens=10)


def test_pandas_warns_of_nothing(catalog):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        filled(catalog).groupby(["vendor", "provider"]).agg({"input_cost": "median", "name": "count"})
        catalog.pivot_table(index="vendor", columns="status", values="output_cost", aggfunc="min")
        pd.concat([catalog, nbkit.demo_models()]).dtypes.eq(catalog.dtypes).all()
