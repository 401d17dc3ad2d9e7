"""All models of models.dev, held column by column, and the one small file that they are read from and written to.

Most columns repeat themselves: of 8,337 models there are 225 providers, 791 descriptions and 213 lists of tiers. So a
column is a `Factor`, its distinct values and for each row the position of its value: little is parsed, a record costs
one look at each column, and what follows from a column is computed once for each distinct value, not for each row.

The file, bundled in the wheel and in the same format in the user's cache, is laid out so that one model can be read
without the rest. Its first line has the format's number and the day. The second line is JSON: url, etag, rows, the
check sum of what follows, and of each column the size of its distinct values in bytes. Then come these, a line of ASCII
JSON each, and at last for each column the positions as unsigned 16-bit little-endian numbers. Nothing outside this
module knows that format. It is not packed, because a wheel is a zip file: 225 kB there, 970 kB on disk.

Measured with the 8,337 models of 30 September 2026 in one run, CPU (Python 3.11); api.json takes ten times as long:

                                                          wheel    all columns  one model
    gzipped, all parsed at once                           222 kB       9 ms       11 ms
    not packed, each column parsed when it is asked for   225 kB       5 ms        3 ms    <- this

The standard library's json reads it: of ASCII msgspec's is as slow.
"""

from __future__ import annotations

import json
import sys
import zlib
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import asdict, replace

from nbkit.errors import CatalogError
from nbkit.files import write_atomically
from nbkit.modelsdev.records import RATES, Provider, Record

Source = Literal["fetched", "cached", "bundled"]
_PRICES = {f"{rate}_cost": rate for rate in RATES}
FIELDS = (*(name for name in Record.__struct_fields__ if name != "rates"), *_PRICES)
"""The columns of the file: Record's fields, but each rate by itself, because most of their combinations are unique."""
_TUPLES = ("inputs", "outputs", "tiers", "reasoning_options")
_REVIVED = (*_TUPLES, "provider")
"""Columns whose values are not what JSON has for them."""
_MAGIC = b"nbkit models 3 "
"""How a snapshot file begins; the day follows, and the end of the line."""
BUNDLED = Path(__file__).with_name("models.snapshot")
"""The snapshot file that comes with nbkit."""
_DAY = len("2026-09-30")
CACHED = "models.dev.snapshot"
"""The name of the snapshot file in the user's cache directory."""


class Factor(Struct, frozen=True):
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


class Meta(Struct, frozen=True):
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


_FEW = 8
"""Single models that are looked up, and rows that are read, before it pays to index or to parse all of them."""


class _Columns(dict[str, Factor]):
    """The columns of a file, each parsed when it is asked for; until then one row can be read without the rest."""

    def __init__(self, texts: Mapping[str, bytes], codes: Mapping[str, array[int]]) -> None:
        super().__init__()
        self._texts, self._codes = texts, codes
        self._lines: dict[str, list[bytes]] = {}
        self.rows_read = 0

    def __missing__(self, name: str) -> Factor:
        values = json.loads("[" + self._texts[name].decode("ascii").replace("\n", ",") + "]")
        revived = [_revive(name, value) for value in values] if name in _REVIVED else values
        factor = self[name] = Factor(revived, self._codes[name])
        return factor

    def read_row(self, row: int) -> dict[str, Any]:
        """Read the values of one row."""
        self.rows_read += 1
        return {name: self[name][row] if name in self else self._read_value(name, row) for name in FIELDS}

    def _read_value(self, name: str, row: int) -> Any:
        return _revive(name, json.loads(self._split(name)[self._codes[name][row]]))

    def _split(self, name: str) -> list[bytes]:
        if name not in self._lines:
            self._lines[name] = self._texts[name].split(b"\n")
        return self._lines[name]

    def find_row(self, provider: str, model: str) -> int | None:
        """Find the row of a model by looking through the columns; None where there is none."""
        hosts, models = self._codes["provider"], self._codes["model"]
        row = -1
        try:
            code = self._split("model").index(json.dumps(model).encode())
            while True:
                row = models.index(code, row + 1)
                if self["provider"].values[hosts[row]].id == provider:
                    return row
        except ValueError:  # not one more
            return None


class Snapshot(Struct, frozen=True, eq=False, dict=True):
    """All models of models.dev at one time. Columns are named by FIELDS."""

    meta: Meta
    _columns: dict[str, Factor]

    def __len__(self) -> int:
        return len(self._columns["provider"])

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
        row = self._find_row(model_id)
        return None if row is None else self.record_of(row)

    def _find_row(self, model_id: str) -> int | None:
        if "_row" not in self.__dict__ and isinstance(self._columns, _Columns) and len(self._scans) < _FEW:
            self._scans.append(model_id)
            provider, _, model = model_id.partition("/")
            return self._columns.find_row(provider, model)
        return self._row.get(model_id)

    @cached_property
    def _scans(self) -> list[str]:
        """The ids that were looked up before all of them were indexed."""
        return []

    def record_of(self, row: int) -> Record:
        """Return the model of a row."""
        if isinstance(self._columns, _Columns) and self._columns.rows_read < _FEW:
            fields = self._columns.read_row(row)
        else:
            fields = {name: values[codes[row]] for name, values, codes in self._cells}
        rates = {rate: price for name, rate in _PRICES.items() if (price := fields.pop(name)) is not None}
        return Record(rates=rates, **fields)

    @cached_property
    def _cells(self) -> list[tuple[str, Sequence[Any], Sequence[int]]]:
        """Of each column its name, distinct values and codes: all of them are parsed."""
        return [(name, self._columns[name].values, self._columns[name].codes) for name in FIELDS]

    def find_rows(self, provider: str) -> list[int]:
        """Find the rows of a provider's models."""
        hosts = self._columns["provider"]
        own = {code for code, host in enumerate(hosts.values) if host.id == provider}
        return [row for row, code in enumerate(hosts.codes) if code in own] if own else []

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
            return _read_day(file.read(len(_MAGIC) + _DAY))
    except (OSError, ValueError):
        return ""


def _read_day(start: bytes) -> str:
    """Read the day in the first line of a file. Raises ValueError where it is not a snapshot of this format."""
    if not is_snapshot(start):
        raise ValueError("not a snapshot of this version's format")
    return date.fromisoformat(start[len(_MAGIC) : len(_MAGIC) + _DAY].decode()).isoformat()


def is_snapshot(start: bytes) -> bool:
    """Tell by its first bytes whether a file is a snapshot."""
    return start.startswith(_MAGIC)


def read(path: Path) -> Snapshot:
    """Read a snapshot file. Raises CatalogError where it is missing, broken or of another format."""
    try:
        content = path.read_bytes()
        day = _read_day(content)
        start = content.index(b"\n") + 1
        end = content.index(b"\n", start) + 1
        head = json.loads(content[start:end])
        packed = memoryview(content)[end:]
        if zlib.crc32(packed) != head["crc"]:
            raise CatalogError(f"{path.name}: its content is not what was written")
        meta = Meta(url=head["url"], date=day, etag=head["etag"])
        return Snapshot(meta, _open_columns(packed, head["rows"], [head["sizes"][name] for name in FIELDS]))
    except (OSError, ValueError, TypeError, LookupError, RecursionError) as broken:
        problem = f"{path.name}: {broken}"
    raise CatalogError(problem)


def _open_columns(packed: memoryview, rows: int, sizes: list[int]) -> _Columns:
    """Find each column's distinct values and its codes. Raises ValueError where they are not complete."""
    codes = _unpack(packed[sum(sizes) :])
    if len(codes) != rows * len(FIELDS):
        raise ValueError("its columns are not complete")
    texts, start = {}, 0
    for name, size in zip(FIELDS, sizes, strict=True):
        texts[name] = bytes(packed[start : start + size - 1])  # without the last end of line
        start += size
    return _Columns(texts, {name: codes[row * rows : (row + 1) * rows] for row, name in enumerate(FIELDS)})


def _revive(name: str, value: Any) -> Any:
    """Turn what JSON has for a column's value into what `Record` has."""
    if name == "provider":
        return Provider(**{**value, "env": tuple(value["env"])})
    return tuple(value) if name in _TUPLES else value


def write(path: Path, snapshot: Snapshot, *, mode: int = 0o600) -> None:
    """Write a snapshot file, whole or not at all, making its directory (for this user only) if need be.

    Raises OSError.
    """
    texts = [b"".join(_write_json(value) + b"\n" for value in snapshot.distinct(name)) for name in FIELDS]
    packed = b"".join([*texts, *(_pack(snapshot.factor(name).codes) for name in FIELDS)])
    meta = snapshot.meta
    head = {
        "url": meta.url,
        "etag": meta.etag,
        "rows": len(snapshot),
        "crc": zlib.crc32(packed),
        "sizes": {name: len(text) for name, text in zip(FIELDS, texts, strict=True)},
    }
    content = b"%b%b\n%b\n%b" % (_MAGIC, meta.date.encode(), _write_json(head), packed)
    write_atomically(path, content, mode=mode)


def _write_json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), default=asdict).encode()  # ASCII is parsed faster


def _pack(codes: Sequence[int]) -> bytes:
    packed = array("H", codes)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def _unpack(packed: memoryview) -> array[int]:
    codes = array("H")
    codes.frombytes(packed)
    if sys.byteorder == "big":
        codes.byteswap()
    return codes


def with_source(snapshot: Snapshot, source: Source, reason: str | None) -> Snapshot:
    """Copy a snapshot with another source, and the reason why it is not fresher."""
    return replace(snapshot, meta=replace(snapshot.meta, source=source, reason=reason))
