"""All models of models.dev, held column by column, and the one small file that they are read from and written to.

Most columns repeat themselves: of 8,337 models there are 225 providers, 791 descriptions and 213 lists of tiers. So a
column is a `Factor`, its distinct values and for each row the position of its value: little is parsed, a record costs
one look at each column, and what follows from a column is computed once for each distinct value, not for each row.

The file, bundled in the wheel and in the same format in the user's cache, is gzipped: a line of JSON (schema, url,
date, etag, rows, each column's distinct values), then for each column, in the same order, the positions as unsigned
16-bit little-endian numbers. Nothing outside this module knows that format. The gzip header's own time stamp carries
the date, so that two files are compared without unpacking them.

Measured with the 8,337 models of 30 September 2026; CPU to unpack and parse (Python 3.11, pydantic_core.from_json):

    api.json as it is                        527 kB    82 ms
    rows, one list for each model            413 kB    33 ms
    columns, plain lists                     290 kB    33 ms
    distinct values, codes as JSON numbers   232 kB    11 ms
    distinct values, codes as bytes          217 kB     6 ms
    ASCII, and each price by itself          222 kB     5 ms    <- this

The standard library's json takes 1 ms longer, but importing pydantic_core would take 20.
"""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from array import array
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
BUNDLED = Path(__file__).with_name("snapshot.gz")
"""The snapshot file that comes with nbkit."""


@dataclass(frozen=True, slots=True)
class Factor:
    """A column of few distinct values, as R and pandas' Categorical have it."""

    values: Sequence[Any]
    """The distinct values."""
    codes: Sequence[int]
    """For each row, the position of its value in `values`."""

    @classmethod
    def of(cls, rows: Iterable[Any]) -> Factor:
        """Build one from a value for each row; equal values are those of equal repr."""
        positions: dict[str, int] = {}
        values: list[Any] = []
        codes = array("H")
        for value in rows:
            code = positions.setdefault(repr(value), len(values))
            if code == len(values):
                values.append(value)
            codes.append(code)
        return cls(values, codes)

    @property
    def rows(self) -> list[Any]:
        """One value for each row."""
        values = self.values
        return [values[code] for code in self.codes]

    def __getitem__(self, row: int) -> Any:
        return self.values[self.codes[row]]

    def __len__(self) -> int:
        return len(self.codes)

    def map(self, function: Callable[[Any], Any]) -> Factor:
        """Call a function once for each distinct value."""
        return Factor([function(value) for value in self.values], self.codes)


@dataclass(frozen=True, slots=True)
class Meta:
    """Where the models come from, and when they were fetched."""

    url: str
    date: str
    """The day on which they were fetched, YYYY-MM-DD."""
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
    """All models of models.dev at one time. Columns are named by FIELDS."""

    meta: Meta
    _columns: dict[str, Factor]

    def __len__(self) -> int:
        return len(self._columns["model"])

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the models come from, as plain data: source, date, age_days, rows, reason."""
        meta = self.meta
        return {
            "source": meta.source,
            "date": meta.date,
            "age_days": meta.age_days,
            "rows": len(self),
            "reason": meta.reason,
        }

    @cached_property
    def providers(self) -> dict[str, Provider]:
        """The providers by id."""
        return {provider.id: provider for provider in self.distinct("provider")}

    @cached_property
    def ids(self) -> list[str]:
        """The model ids, "provider/model", in the order of the rows."""
        providers = self._columns["provider"]
        prefixes = [f"{provider.id}/" for provider in providers.values]
        return [prefixes[code] + model for code, model in zip(providers.codes, self.values("model"), strict=True)]

    @cached_property
    def _row(self) -> dict[str, int]:
        return {model_id: row for row, model_id in enumerate(self.ids)}

    def record(self, model_id: str) -> Record | None:
        """Return one model by its id; None where the snapshot does not have it."""
        row = self._row.get(model_id)
        if row is None:
            return None
        fields = {name: column.values[column.codes[row]] for name, column in self._columns.items()}
        rates = {rate: price for name, rate in _PRICES.items() if (price := fields.pop(name)) is not None}
        return Record(rates=rates, **fields)

    def factor(self, name: str) -> Factor:
        """Return a column as its distinct values and their positions."""
        return self._columns[name]

    def distinct(self, name: str) -> Sequence[Any]:
        """Return the distinct values of a column, in the order in which they first occur."""
        return self._columns[name].values

    def values(self, name: str) -> list[Any]:
        """Return a column as one value for each row."""
        return self._columns[name].rows

    def derive(self, function: Callable[..., Any], *names: str) -> Factor:
        """Compute a column from others: `function` is called once for each distinct combination of their values."""
        if len(names) == 1:
            return self._columns[names[0]].map(function)
        return self._combine(names).map(lambda values: function(*values))

    def _combine(self, names: tuple[str, ...]) -> Factor:
        """The distinct combinations of the values of some columns; kept, because several columns follow from them."""
        if names not in self._combinations:
            columns = [self._columns[name] for name in names]
            positions: dict[tuple[int, ...], int] = {}
            keys = zip(*(column.codes for column in columns), strict=True)
            codes = array("H", [positions.setdefault(key, len(positions)) for key in keys])
            values = [
                tuple(column.values[code] for column, code in zip(columns, key, strict=True)) for key in positions
            ]
            self._combinations[names] = Factor(values, codes)
        return self._combinations[names]

    @cached_property
    def _combinations(self) -> dict[tuple[str, ...], Factor]:
        return {}


def build(records: Sequence[Record], meta: Meta) -> Snapshot:
    """Build a snapshot from parsed records."""
    prices = {name: Factor.of(record.rates.get(rate) for record in records) for name, rate in _PRICES.items()}
    others = (name for name in FIELDS if name not in prices)
    return Snapshot(meta, {name: Factor.of(getattr(record, name) for record in records) for name in others} | prices)


def read_date(path: Path) -> str:
    """Read the date of a snapshot file from its first bytes; "" where it is missing or not a snapshot."""
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
        head, _, packed = gzip.decompress(path.read_bytes()).partition(b"\n")
        data = json.loads(head)
        if data["schema"] != SCHEMA:
            raise CatalogError(f"{path.name}: schema {data['schema']} instead of {SCHEMA}")
        rows, codes = data["rows"], _unpack(packed)
        if len(codes) != rows * len(FIELDS):
            raise CatalogError(f"{path.name}: its columns are not complete")
        columns = {
            name: Factor(_revive(name, data["values"][name]), codes[number * rows : (number + 1) * rows])
            for number, name in enumerate(FIELDS)
        }
        return Snapshot(Meta(url=data["url"], date=data["date"], etag=data["etag"]), columns)
    except (OSError, EOFError, zlib.error, ValueError, TypeError, LookupError) as broken:
        problem = f"{path.name}: {broken}"
    raise CatalogError(problem)


def _revive(name: str, values: list[Any]) -> list[Any]:
    """Turn what JSON has for a column's values into what `Record` has."""
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
        "values": {name: snapshot.distinct(name) for name in FIELDS},
    }
    head = json.dumps(data, separators=(",", ":"), default=asdict).encode()  # ASCII is parsed faster
    packed = b"".join(_pack(snapshot.factor(name).codes) for name in FIELDS)
    noon = datetime.fromisoformat(f"{snapshot.meta.date}T12:00:00+00:00")
    write_atomically(path, gzip.compress(head + b"\n" + packed, mtime=int(noon.timestamp())), mode=mode)


def _pack(codes: Sequence[int]) -> bytes:
    packed = array("H", codes)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def _unpack(packed: bytes) -> array[int]:
    codes = array("H", packed)
    if sys.byteorder == "big":
        codes.byteswap()
    return codes


def with_source(snapshot: Snapshot, source: Source, reason: str | None) -> Snapshot:
    """Copy a snapshot with another source, and the reason why it is not fresher."""
    return replace(snapshot, meta=replace(snapshot.meta, source=source, reason=reason))
