"""The catalog as one small file: bundled in the wheel, and in the same format in the user's cache.

The file is gzipped: a line of JSON (schema, url, date, etag, rows, each column's distinct values), then for each
column, in the same order, one code a row: the index of its value as an unsigned 16-bit little-endian number. Most
columns repeat themselves: of 8,337 rows there are 225 providers, 791 descriptions and 213 lists of tiers. So little is
parsed, a record costs one look at each column, and a DataFrame's column is converted value by value, not row by row.
The gzip header's own time stamp carries the date, so that two files are compared without unpacking them.

Measured with the 8,337 models of 30 September 2026; CPU to unpack and parse (Python 3.11, pydantic_core.from_json):

    api.json as it is                        527 kB    82 ms
    rows, one list for each model            413 kB    33 ms
    columns, plain lists                     290 kB    33 ms
    distinct values, codes as JSON numbers   232 kB    11 ms
    distinct values, codes as bytes          217 kB     6 ms
    ASCII, and each price by itself          222 kB     5 ms    <- this

The standard library's json takes 1 ms longer, but importing pydantic_core would cost 20.
"""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from nbkit.errors import CatalogError
from nbkit.files import write_atomically
from nbkit.modelsdev.records import RATES, Provider, Record

Source = Literal["fetched", "cached", "bundled"]
SCHEMA = 2
_PRICES = {f"{rate}_cost": rate for rate in RATES}
FIELDS = (*(field.name for field in fields(Record) if field.name != "rates"), *_PRICES)
"""The columns of the file: Record's fields, but each rate by itself, because most of their combinations are unique."""
_TUPLES = ("inputs", "outputs", "tiers", "reasoning_options")


def pack(codes: Sequence[int]) -> bytes:
    """The codes of a column as `Coded` holds them."""
    return struct.pack(f"<{len(codes)}H", *codes)


@dataclass(frozen=True, slots=True)
class Coded:
    """A column: its distinct values, and for each row the index of its value (unsigned 16-bit, little-endian)."""

    values: Sequence[Any]
    codes: bytes

    @classmethod
    def of(cls, rows: Iterable[Any]) -> Coded:
        """Encode one value a row; equal values are those of equal repr."""
        index: dict[str, int] = {}
        values: list[Any] = []
        codes: list[int] = []
        for value in rows:
            code = index.setdefault(repr(value), len(values))
            if code == len(values):
                values.append(value)
            codes.append(code)
        return cls(values, pack(codes))

    @property
    def indices(self) -> tuple[int, ...]:
        """For each row the index of its value."""
        return struct.unpack(f"<{len(self.codes) // 2}H", self.codes)

    @property
    def rows(self) -> list[Any]:
        """One value a row."""
        values = self.values
        return [values[code] for code in self.indices]

    def __getitem__(self, row: int) -> Any:
        return self.values[int.from_bytes(self.codes[2 * row : 2 * row + 2], "little")]


@dataclass(frozen=True, slots=True)
class Meta:
    """Where the rows come from."""

    url: str
    date: str
    """The day they were fetched, YYYY-MM-DD."""
    etag: str | None = None
    source: Source = "bundled"
    reason: str | None = None
    """Why they are not fresher, where they could be."""

    @property
    def age_days(self) -> int:
        """Days since they were fetched."""
        return max(0, (datetime.now(UTC).date() - date.fromisoformat(self.date)).days)


@dataclass(frozen=True, eq=False)
class Snapshot:
    """All records, encoded by column; `columns` has one for each of FIELDS."""

    meta: Meta
    columns: dict[str, Coded]

    def __len__(self) -> int:
        return len(self.columns["model"].codes) // 2

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the rows come from, as plain data: source, date, age_days, rows, reason."""
        meta = self.meta
        return {
            "source": meta.source,
            "date": meta.date,
            "age_days": meta.age_days,
            "rows": len(self),
            "reason": meta.reason,
        }

    @cached_property
    def ids(self) -> list[str]:
        """The model ids, "provider/model", in the order of the rows."""
        prefixes = [f"{provider.id}/" for provider in self.columns["provider"].values]
        models = self.columns["model"].rows
        return [prefixes[code] + model for code, model in zip(self.columns["provider"].indices, models, strict=True)]

    @cached_property
    def _row(self) -> dict[str, int]:
        return {model_id: row for row, model_id in enumerate(self.ids)}

    def record(self, model_id: str) -> Record | None:
        """One model by its id; None where there is none."""
        row = self._row.get(model_id)
        if row is None:
            return None
        found = {name: column[row] for name, column in self.columns.items()}
        rates = {rate: price for name, rate in _PRICES.items() if (price := found.pop(name)) is not None}
        return Record(rates=rates, **found)

    def derive(self, function: Callable[..., Any], *names: str) -> Coded:
        """A column computed from others: `function` is called once for each distinct combination of their values."""
        chosen = [self.columns[name] for name in names]
        if len(chosen) == 1:
            return Coded([function(value) for value in chosen[0].values], chosen[0].codes)
        if names not in self._combined:
            index: dict[tuple[int, ...], int] = {}
            keys = zip(*(column.indices for column in chosen), strict=True)
            codes = [index.setdefault(key, len(index)) for key in keys]
            self._combined[names] = Coded(list(index), pack(codes))
        combined = self._combined[names]
        values = [
            function(*(column.values[code] for column, code in zip(chosen, key, strict=True)))
            for key in combined.values
        ]
        return Coded(values, combined.codes)

    @cached_property
    def _combined(self) -> dict[tuple[str, ...], Coded]:
        """The distinct combinations of some columns' codes, as far as they have been asked for."""
        return {}


def build(records: Sequence[Record], meta: Meta) -> Snapshot:
    """Encode parsed records."""
    prices = {name: Coded.of(record.rates.get(rate) for record in records) for name, rate in _PRICES.items()}
    others = (name for name in FIELDS if name not in prices)
    return Snapshot(meta, {name: Coded.of(getattr(record, name) for record in records) for name in others} | prices)


def bundled() -> Path:
    """The snapshot that comes with nbkit."""
    return Path(__file__).with_name("snapshot.gz")


def stamp(path: Path) -> str:
    """The date of a snapshot file, from its first bytes; "" where there is no such file or it is no snapshot."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError:
        return ""
    if len(head) < 8 or head[:2] != b"\x1f\x8b":
        return ""
    return datetime.fromtimestamp(int.from_bytes(head[4:], "little"), UTC).date().isoformat()


def read(path: Path) -> Snapshot:
    """Read a snapshot file. Raises CatalogError where it is missing, broken or of another schema."""
    try:
        head, _, codes = gzip.decompress(path.read_bytes()).partition(b"\n")
        data = json.loads(head)
        if data["schema"] != SCHEMA:
            raise CatalogError(f"{path.name}: schema {data['schema']} instead of {SCHEMA}")
        size = 2 * data["rows"]
        if len(codes) != size * len(FIELDS):
            raise CatalogError(f"{path.name}: a column is cut")
        columns = {
            name: Coded(_revived(name, data["values"][name]), codes[number * size : (number + 1) * size])
            for number, name in enumerate(FIELDS)
        }
        return Snapshot(Meta(url=data["url"], date=data["date"], etag=data["etag"]), columns)
    except (OSError, EOFError, zlib.error, ValueError, TypeError, LookupError) as broken:
        problem = f"{path.name}: {broken}"
    raise CatalogError(problem)


def _revived(name: str, values: list[Any]) -> list[Any]:
    if name == "provider":
        return [Provider(**{**value, "env": tuple(value["env"])}) for value in values]
    return [tuple(value) for value in values] if name in _TUPLES else values


def write(path: Path, snapshot: Snapshot, *, mode: int = 0o600) -> None:
    """Write a snapshot file, whole or not at all, making its directory (for this user only) if need be.

    Raises OSError.
    """
    data = {
        "schema": SCHEMA,
        "url": snapshot.meta.url,
        "date": snapshot.meta.date,
        "etag": snapshot.meta.etag,
        "rows": len(snapshot),
        "values": {name: snapshot.columns[name].values for name in FIELDS},
    }
    head = json.dumps(data, separators=(",", ":"), default=asdict).encode()  # ASCII is parsed faster
    codes = b"".join(snapshot.columns[name].codes for name in FIELDS)
    noon = datetime.fromisoformat(f"{snapshot.meta.date}T12:00:00+00:00")
    packed = gzip.compress(head + b"\n" + codes, mtime=int(noon.timestamp()))
    write_atomically(path, packed, mode=mode)


def with_source(snapshot: Snapshot, source: Source, reason: str | None) -> Snapshot:
    """The same snapshot, saying where it came from and why it is not fresher."""
    return replace(snapshot, meta=replace(snapshot.meta, source=source, reason=reason))
