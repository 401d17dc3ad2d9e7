"""The catalog: a snapshot as one plain pandas DataFrame, one row a model.

To add a column add one `Column` to COLUMNS, or hand it to `frame` as an extra; if the JSON field is new, read it in
`records.py`. Prices are USD per million tokens, lengths are tokens; what models.dev does not say is missing (NaN, NA,
NaT), never False or 0.

Measured for 8,337 models (CPU, Python 3.11, pandas 3.1): 5 ms to import these modules, 7 ms to read the bundled file,
9 ms to build the frame where pyarrow is not installed; 1 ms for `catalog[catalog.vision]`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from pandas.arrays import BooleanArray, IntegerArray

from nbkit.modelsdev.records import RATES, Provider
from nbkit.modelsdev.snapshot import Coded, Snapshot

Dtype = Literal["bool", "boolean", "float64", "Int64", "datetime64[s]", "category", "str", "object"]


class Column(NamedTuple):
    """One column of the catalog.

    `doc` names the unit. `values` takes it out of a snapshot: one value a row, None where unknown, or a `Coded`
    (`Snapshot.derive`), which is cheaper where values repeat. "bool" knows no None, "boolean" does.
    """

    name: str
    dtype: Dtype
    doc: str
    values: Callable[[Snapshot], Coded | Sequence[Any]]


def derived(name: str, dtype: Dtype, doc: str, function: Callable[..., Any], *fields: str) -> Column:
    """A column computed from fields of `Record`."""
    return Column(name, dtype, doc, lambda snapshot: snapshot.derive(function, *fields))


def _stored(name: str, dtype: Dtype, doc: str) -> Column:
    """A field of `Record` as it is."""
    return Column(name, dtype, doc, lambda snapshot: snapshot.columns[name])


def _modality(name: str, doc: str, word: str, field: str) -> Column:
    return derived(name, "bool", doc, lambda words: word in words, field)


def _provider(name: str, dtype: Dtype, doc: str, function: Callable[[Provider], Any]) -> Column:
    return derived(name, dtype, doc, function, "provider")


def _overridden(name: str, doc: str, dtype: Dtype) -> Column:
    """A provider's attribute that a model may override."""
    return derived(
        name, dtype, doc, lambda provider, own: own.get(name, getattr(provider, name)), "provider", "overrides"
    )


def _rate(rate: str) -> Column:
    return _stored(f"{rate}_cost", "float64", f"USD per million tokens {_PRICED[rate]}; 0: free or a subscription plan")


def _age_days(snapshot: Snapshot) -> Coded:
    today = date.fromisoformat(snapshot.meta.date).toordinal()

    def age(released: str | None) -> int | None:  # "YYYY-MM-DD" or "YYYY-MM"
        return today - date.fromisoformat(f"{released}-01"[:10]).toordinal() if released else None

    return snapshot.derive(age, "release_date")


def _option(name: str, dtype: Dtype, doc: str, kind: str, read: Callable[[Mapping[str, Any]], Any]) -> Column:
    """What the first reasoning option of this kind says; None where there is none."""

    def value(options: Sequence[Mapping[str, Any]]) -> Any:
        return next((read(option) for option in options if option["type"] == kind), None)

    return derived(name, dtype, doc, value, "reasoning_options")


def _efforts(option: Mapping[str, Any]) -> str:
    return " ".join(value for value in option.get("values", ()) if value is not None)


def _modes(experimental: Mapping[str, Any] | None) -> str | None:
    modes = (experimental or {}).get("modes")
    return " ".join(modes) if modes and isinstance(modes, dict) else None


_MODALITIES = ("text", "image", "audio", "video", "pdf")
_PRICED = {
    "input": "of prompt",
    "output": "of answer",
    "cache_read": "of prompt that are read from the provider's cache",
    "cache_write": "of prompt that are written to the provider's cache",
    "reasoning": "of reasoning, where they cost other than the answer's",
    "input_audio": "of audio that it hears",
    "output_audio": "of audio that it speaks",
}

COLUMNS: tuple[Column, ...] = (
    _provider("provider", "category", "who serves the model: models.dev's key", lambda provider: provider.id),
    _stored("model", "str", "the model's name at its provider, as it goes on the wire"),
    _stored("name", "str", "the model's name for people; not unique"),
    _modality("vision", "reads images", "image", "inputs"),
    _stored("tools", "bool", "calls tools"),
    _stored("reasoning", "bool", "thinks before it answers"),
    *(_rate(rate) for rate in RATES),
    _stored(
        "tiers", "object", "{size, rates} by size: USD per million tokens where the prompt is longer than size tokens"
    ),
    _stored("context", "Int64", "tokens of prompt and answer together"),
    _stored("input_limit", "Int64", "tokens of the prompt alone"),
    _stored("max_output", "Int64", "tokens of one answer"),
    _stored("release_date", "datetime64[s]", "day of release; the first where only the month is known"),
    Column("age_days", "Int64", "days from its release to the catalog's date, `attrs['date']`", _age_days),
    _stored("last_updated", "datetime64[s]", "day of the last change; the first where only the month is known"),
    _stored("knowledge", "datetime64[s]", "what it knows ends here; the first where only the month is known"),
    _stored("family", "category", "models that belong together, as models.dev groups them"),
    _stored("canonical", "str", "vendor/model, the same for the same model at every provider"),
    _stored("structured_output", "boolean", "answers in a given JSON schema"),
    _stored("temperature", "boolean", "takes a temperature"),
    _stored("attachment", "bool", "takes files, as the provider says; the *_in columns are more exact"),
    _stored("open_weights", "bool", "its weights are public"),
    _stored("status", "category", "deprecated, beta, alpha; missing: generally available"),
    derived("deprecated", "bool", "on its way out", lambda status: status == "deprecated", "status"),
    _option("efforts", "str", "the reasoning efforts it takes, separated by spaces", "effort", _efforts),
    derived(
        "toggle",
        "bool",
        "reasoning can be switched off",
        lambda options: any(option["type"] == "toggle" for option in options),
        "reasoning_options",
    ),
    _option("budget_min", "Int64", "least tokens of reasoning", "budget_tokens", lambda option: option.get("min")),
    _option("budget_max", "Int64", "most tokens of reasoning", "budget_tokens", lambda option: option.get("max")),
    _stored("interleaved", "category", "the field that carries reasoning back; true: not named"),
    *(_modality(f"{word}_in", f"reads {word}", word, "inputs") for word in _MODALITIES),
    *(_modality(f"{word}_out", f"writes {word}", word, "outputs") for word in _MODALITIES),
    _stored("description", "str", "one sentence about the model"),
    _provider("provider_name", "category", "the provider's name for people", lambda provider: provider.name),
    _overridden("npm", "the npm package that serves it, which tells the protocol", "category"),
    _overridden("api", "base URL; ${NAMES} stand for variables; missing: the package knows it", "str"),
    derived(
        "shape",
        "category",
        "responses or completions, whatever the npm package",
        lambda own: own.get("shape"),
        "overrides",
    ),
    _provider(
        "env",
        "str",
        "variables that hold the provider's key, separated by spaces",
        lambda provider: " ".join(provider.env),
    ),
    _provider("doc", "str", "the provider's documentation", lambda provider: provider.doc),
    derived(
        "modes", "str", "its experimental modes (fast, priority, pro), separated by spaces", _modes, "experimental"
    ),
    _stored(
        "experimental",
        "object",
        "{modes: {name: {cost, provider}}}: USD per million tokens, the body and headers that ask for it",
    ),
    derived(
        "headers_body",
        "object",
        "what every request to this model holds besides",
        lambda own: {key: own[key] for key in ("headers", "body") if key in own} or None,
        "overrides",
    ),
)

ORDER = (
    "provider",
    "vendor",
    "model",
    "name",
    "vision",
    "tools",
    "reasoning",
    "input_cost",
    "output_cost",
    "context",
    "max_output",
    "release_date",
    "protocol",
    "has_key",
)
"""What a chooser reads first, whoever adds it; the other columns follow in the order of their rows."""


def frame(snapshot: Snapshot, extra: Sequence[Column] = ()) -> pd.DataFrame:
    """Build the DataFrame: the index is the model id, `attrs` says where the rows come from and how old they are."""
    columns = {column.name: column for column in (*COLUMNS, *extra)}
    names = [name for name in ORDER if name in columns] + [name for name in columns if name not in ORDER]
    index = pd.Index(snapshot.ids, name="id", dtype="str")
    data = {name: _array(columns[name].values(snapshot), columns[name].dtype) for name in names}
    built = pd.DataFrame(data, index=index)  # copied into one block a dtype: filters take half the time
    built.attrs.update(snapshot.provenance.items())
    return built


def _array(column: Coded | Sequence[Any], dtype: Dtype) -> Any:
    """Convert the distinct values, then repeat them."""
    if isinstance(column, Coded):
        values, codes = column.values, np.frombuffer(column.codes, "<u2")
    else:
        values, codes = column, np.arange(len(column))
    if dtype == "category":
        names = sorted({value for value in values if value is not None})
        place = {name: number for number, name in enumerate(names)}
        numbers = np.array([place.get(value, -1) for value in values], "int32")
        return pd.Categorical.from_codes(numbers[codes], categories=pd.Index(names, dtype="str"))
    if dtype in ("bool", "float64", "datetime64[s]"):
        return np.array(values, dtype)[codes]
    if dtype == "object":
        return np.fromiter(values, object, len(values))[codes]
    if dtype in ("Int64", "boolean"):
        array, plain = (IntegerArray, "int64") if dtype == "Int64" else (BooleanArray, "bool")
        unknown = np.array([value is None for value in values], "bool")
        return array(np.array([value or 0 for value in values], plain)[codes], unknown[codes])
    return pd.array(values, dtype="str").take(codes)
