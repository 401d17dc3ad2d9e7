"""What changed between two catalogs: models that came and went, prices, limits, what they can do."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from nbkit.choose.frame import build_frame, catalog
from nbkit.errors import CatalogError
from nbkit.modelsdev.fetch import MAX_BYTES, decode
from nbkit.modelsdev.records import RATES
from nbkit.modelsdev.snapshot import Snapshot, bundled, read
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
    """What is different in `new`: one row for each change of each model, without a row where nothing changed.

    Each side is "current" (the catalog in force), "bundled" (the one that came with nbkit), "cached" (the one on this
    machine), the path of an api.json (also gzipped) or a snapshot file, or a DataFrame from `load_catalog()`.

    `id` is the model's; `change` is "removed", "deprecated" (its status became that), "repriced", "changed" (a limit,
    an ability, another status) or "added", in this order. `field` is the column of the catalog, `before` and `after`
    its values: prices in USD per million tokens, lengths in tokens, None where unknown; `percent` is how much more a
    number became. `attrs["old"]` and `attrs["new"]` say the source, date and rows of both sides. Raises CatalogError.
    """
    before, after = _read(old), _read(new)
    found = sorted(_differences(before, after), key=lambda row: (_ORDER.index(row[1]), row[0]))
    ids, kinds, fields, was, became, percent = zip(*found, strict=True) if found else ((),) * 6
    result = pd.DataFrame(
        {
            "id": pd.Series(ids, dtype="str"),
            "change": pd.Series(kinds, dtype="str"),
            "field": pd.Series(fields, dtype="str"),
            "before": pd.Series(was, dtype=object),
            "after": pd.Series(became, dtype=object),
            "percent": pd.Series(percent, dtype="float64"),
        }
    )
    result.attrs |= {"old": _about(old, before), "new": _about(new, after)}
    return result


_Row = tuple[str, str, str | None, Any, Any, float | None]


def _differences(before: pd.DataFrame, after: pd.DataFrame) -> Iterator[_Row]:
    for model_id in before.index.difference(after.index):
        yield model_id, "removed", None, None, None, None
    for model_id in after.index.difference(before.index):
        yield model_id, "added", None, None, None, None
    shared = after.index.intersection(before.index)
    for name in _FIELDS:
        for model_id, was, is_now in zip(
            shared, _values(before, name, shared), _values(after, name, shared), strict=True
        ):
            if was != is_now:
                yield model_id, _kind(name, is_now), name, was, is_now, _percent(was, is_now)


def _values(rows: pd.DataFrame, name: str, ids: pd.Index) -> list[Any]:
    """A column as plain values, None where unknown."""
    if name not in rows.columns:
        raise CatalogError(f"changes() compares whole catalogs; this one has no column {name!r}")
    column = rows[name].reindex(ids)
    return [None if missing else value for value, missing in zip(column.tolist(), column.isna(), strict=True)]


def _kind(name: str, value: Any) -> str:
    if name == "status" and value == "deprecated":
        return "deprecated"
    return "repriced" if name in _PRICES else "changed"


def _percent(was: Any, is_now: Any) -> float | None:
    numbers = all(type(value) in (int, float) for value in (was, is_now))
    return round((is_now / was - 1) * 100, 1) if numbers and was else None


def _about(source: Source, rows: pd.DataFrame) -> dict[str, Any]:
    said = rows.attrs.get("source") if isinstance(source, pd.DataFrame) or source == "current" else str(source)
    return {"source": said, "date": rows.attrs.get("date"), "rows": len(rows)}


def _read(source: Source) -> pd.DataFrame:
    if isinstance(source, pd.DataFrame):
        return source
    if source == "current":
        return catalog()
    if source == "bundled":
        return build_frame(read(bundled()))
    return build_frame(read(settings().cache_dir / "models.dev.gz") if source == "cached" else _file(Path(source)))


def _file(path: Path) -> Snapshot:
    """A snapshot file, or an api.json as of the day that its file was written."""
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        written = datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat()
    except (OSError, EOFError, zlib.error) as broken:
        problem = f"{path}: {broken}"
    else:
        if packed and content.startswith(b'{"schema"'):
            return read(path)
        if len(content) <= MAX_BYTES:
            return decode(content, url=str(path), day=written)
        problem = f"{path}: more than {MAX_BYTES >> 20} MiB"
    raise CatalogError(problem)
