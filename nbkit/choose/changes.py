"""Changes between two catalogs: models added and removed, prices, limits, abilities."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from nbkit.arguments import describe as describe_value
from nbkit.choose.frame import build_frame, catalog
from nbkit.errors import ArgumentError, CatalogError
from nbkit.modelsdev.fetch import MAX_BYTES, decode
from nbkit.modelsdev.records import RATES
from nbkit.modelsdev.snapshot import BUNDLED, CACHED, Snapshot, is_snapshot, read
from nbkit.settings import settings

Source = Literal["current", "bundled", "cached"] | str | Path | pd.DataFrame

_ORDER = ("removed", "deprecated", "repriced", "changed", "added")
_PRICES = (*(f"{rate}_cost" for rate in RATES), "tiers")
_MODALITIES = ("text", "image", "audio", "video", "pdf")
_FIELDS = (
    *_PRICES,
    *("status", "context", "input_limit", "max_output"),
    *("tools", "reasoning", "structured_output", "temperature", "open_weights"),
    *(f"{word}_in" for word in _MODALITIES),
    *(f"{word}_out" for word in _MODALITIES),
)


def changes(old: Source = "bundled", new: Source = "current") -> pd.DataFrame:
    """List what changed from one catalog to another: one row for each change of each model.

    Each side is "current" (the catalog in force), "bundled" (the one that comes with nbkit), "cached" (the newest on
    this machine), the path of an api.json (gzipped or not) or of a snapshot file, or a DataFrame from `load_catalog()`.

    The columns are

    - `id`, the model's.
    - `change`: "removed", "deprecated" (its status became that), "repriced", "changed" (a limit, an ability, another
      status) or "added". Rows are in this order, then by id.
    - `field`, the column of the catalog that changed; None for models removed or added.
    - `before` and `after`, its values; None where unknown. Prices are USD per million tokens, lengths tokens.
    - `percent`, how much larger a number became.

    `attrs["old"]` and `attrs["new"]` hold the source, date and number of rows of both sides. Raises CatalogError for a
    side that cannot be read or lacks columns of the catalog.
    """
    before, after = _read(old), _read(new)
    rows = sorted(_find_differences(before, after), key=lambda row: (_ORDER.index(row[1]), row[0]))
    ids, kinds, fields, olds, news, percent = zip(*rows, strict=True) if rows else ((),) * 6
    result = pd.DataFrame(
        {
            "id": pd.Series(ids, dtype="str"),
            "change": pd.Series(kinds, dtype="str"),
            "field": pd.Series(fields, dtype="str"),
            "before": pd.Series(olds, dtype=object),
            "after": pd.Series(news, dtype=object),
            "percent": pd.Series(percent, dtype="float64"),
        }
    )
    result.attrs |= {"old": _describe(old, before), "new": _describe(new, after)}
    return result


_Row = tuple[str, str, str | None, Any, Any, float | None]


def _find_differences(before: pd.DataFrame, after: pd.DataFrame) -> Iterator[_Row]:
    for model_id in before.index.difference(after.index):
        yield model_id, "removed", None, None, None, None
    for model_id in after.index.difference(before.index):
        yield model_id, "added", None, None, None, None
    shared = after.index.intersection(before.index)
    for name in _FIELDS:
        columns = _read_column(before, name, shared), _read_column(after, name, shared)
        for model_id, old, new in zip(shared, *columns, strict=True):
            if old != new:
                yield model_id, _classify(name, new), name, old, new, _compute_percent(old, new)


def _read_column(rows: pd.DataFrame, name: str, ids: pd.Index) -> list[Any]:
    """Read a column of these models, None where unknown. Raises CatalogError for a missing column."""
    if name not in rows.columns:
        raise CatalogError(f"changes() compares whole catalogs; one has no column {name!r}")
    column = rows[name].reindex(ids)
    return [None if missing else value for value, missing in zip(column.tolist(), column.isna(), strict=True)]


def _classify(name: str, value: Any) -> str:
    if name == "status" and value == "deprecated":
        return "deprecated"
    return "repriced" if name in _PRICES else "changed"


def _compute_percent(old: Any, new: Any) -> float | None:
    numbers = all(type(value) in (int, float) for value in (old, new))
    return round((new / old - 1) * 100, 1) if numbers and old else None


def _describe(source: Source, rows: pd.DataFrame) -> dict[str, Any]:
    named = isinstance(source, pd.DataFrame) or source == "current"
    return {
        "source": rows.attrs.get("source") if named else str(source),
        "date": rows.attrs.get("date"),
        "rows": len(rows),
    }


def _read(source: Source) -> pd.DataFrame:
    if isinstance(source, pd.DataFrame):
        return source
    if not isinstance(source, str | Path):
        expected = '"current", "bundled", "cached", a path or a DataFrame of the catalog'
        raise ArgumentError(f"changes(): expected {expected}, got {describe_value(source)}")
    if source == "current":
        return catalog()
    if source == "bundled":
        return build_frame(read(BUNDLED))
    return build_frame(read(settings().cache_dir / CACHED) if source == "cached" else _read_file(Path(source)))


def _read_file(path: Path) -> Snapshot:
    """Read a snapshot file, or an api.json as of the day that its file was written. Raises CatalogError."""
    try:
        with path.open("rb") as file:
            start = file.read(32)
        if is_snapshot(start):
            return read(path)
        packed = start[:2] == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        written = datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat()
    except (OSError, EOFError, zlib.error) as error:
        problem = f"{path}: {error}"
    else:
        if len(content) <= MAX_BYTES:
            return decode(content, url=str(path), day=written)
        problem = f"{path}: more than {MAX_BYTES >> 20} MiB"
    raise CatalogError(problem)
