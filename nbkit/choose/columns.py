"""The columns of the catalog: how each is computed from a snapshot of models.dev.

To add a column add one `Column` to COLUMNS; if the JSON field is new, read it in `modelsdev/records.py` first. Prices
are USD per million tokens, lengths are tokens; what models.dev does not say is missing, never False or 0. A cell is a
number, a truth value, a day or text: what is nested is JSON text, so that a frame can be saved, compared and counted.
There are 60 columns at most: pandas prints a row of more than 60 values in an abridged form.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any, Literal, NamedTuple

from nbkit.modelsdev.records import RATES, Provider
from nbkit.modelsdev.snapshot import Factor, Snapshot
from nbkit.providers.keyed import find_keyed_providers
from nbkit.providers.properties import find_property
from nbkit.providers.routes import Route, find_routes
from nbkit.providers.tables import all_model_overrides, user_rows
from nbkit.providers.vendors import find_vendors

Dtype = Literal["bool", "boolean", "float64", "Int64", "datetime64[s]", "str"]
"""None is "category": two columns of different categories cannot be compared, and missing ones not be filled."""


class Column(NamedTuple):
    """One column of the catalog.

    `doc` names the unit. `values` computes the column from a snapshot: one value for each row, None where unknown, or
    a `Factor` (`Snapshot.derive`), which is cheaper where values repeat. "bool" has no missing value, "boolean" has.
    """

    name: str
    dtype: Dtype
    doc: str
    values: Callable[[Snapshot], Factor | Sequence[Any]]


# Each function below describes a column of one kind.


def _derive(name: str, dtype: Dtype, doc: str, function: Callable[..., Any], *fields: str) -> Column:
    """Compute a column from fields of `Record`."""
    return Column(name, dtype, doc, lambda snapshot: snapshot.derive(function, *fields))


def _field(name: str, dtype: Dtype, doc: str) -> Column:
    """Take a field of `Record` as it is."""
    return Column(name, dtype, doc, lambda snapshot: snapshot.factor(name))


def _modality(name: str, doc: str, word: str, field: str) -> Column:
    return _derive(name, "bool", doc, lambda words: word in words, field)


def _provider(name: str, dtype: Dtype, doc: str, function: Callable[[Provider], Any]) -> Column:
    return _derive(name, dtype, doc, function, "provider")


def _provider_or_own(name: str, dtype: Dtype, doc: str) -> Column:
    """Take an attribute of the provider, unless the model's record has its own."""
    return _derive(
        name, dtype, doc, lambda provider, own: own.get(name, getattr(provider, name)), "provider", "overrides"
    )


def _rate(rate: str) -> Column:
    name, doc = f"{rate}_cost", f"USD per million tokens {_PRICED[rate]}; 0: free or a subscription plan"
    return Column(name, "float64", doc, lambda snapshot: _find_prices(snapshot, name))


def _find_prices(snapshot: Snapshot, name: str) -> Factor:
    """Find a column of prices; what corrects them is loaded only where a row of the user or of nbkit does."""
    corrects = {"cost", "same_as"}
    rows = [*(row for _, row in all_model_overrides()), *user_rows("providers").values()]
    if not any(corrects & row.keys() for row in rows):
        return snapshot.factor(name)
    from nbkit.providers.prices import find_prices

    return find_prices(snapshot, name)


def _age_days(snapshot: Snapshot) -> Factor:
    today = date.fromisoformat(snapshot.meta.date).toordinal()

    def age(release_date: str | None) -> int | None:  # "YYYY-MM-DD" or "YYYY-MM"
        return today - date.fromisoformat(f"{release_date}-01"[:10]).toordinal() if release_date else None

    return snapshot.derive(age, "release_date")


def _json(name: str, doc: str) -> Column:
    """Write a nested field of `Record` as JSON text; None where it is empty."""

    def write(value: Any) -> str | None:
        return json.dumps(value) if value else None

    return Column(name, "str", doc, lambda snapshot: _find_prices(snapshot, name).map(write))


def _option(name: str, dtype: Dtype, doc: str, kind: str, read: Callable[[Mapping[str, Any]], Any]) -> Column:
    """Read the first reasoning option of this kind; None where there is none."""

    def value(options: Sequence[Mapping[str, Any]]) -> Any:
        return next((read(option) for option in options if option["type"] == kind), None)

    return _derive(name, dtype, doc, value, "reasoning_options")


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
    "reasoning": "of reasoning, where their price differs from that of the answer",
    "input_audio": "of audio in the prompt",
    "output_audio": "of audio in the answer",
}


def _paths(snapshot: Snapshot) -> list[str]:
    vendors = find_vendors(snapshot)
    prefixes = [f"{vendor}/" for vendor in vendors.values]
    rows = zip(snapshot.ids, snapshot.values("model"), vendors.codes, strict=True)
    return [
        model_id if model.startswith(prefix := prefixes[code]) else f"{model_id[: -len(model)]}{prefix}{model}"
        for model_id, model, code in rows
    ]


def _route(name: str, dtype: Dtype, doc: str, value: Callable[[Route], Any]) -> Column:
    """Describe a column that says something of the route to a model."""
    return Column(name, dtype, doc, lambda snapshot: _find_routes(snapshot).map(value))


def _find_routes(snapshot: Snapshot) -> Factor:
    if snapshot.meta.source == "bundled":  # which is what was reviewed: nothing of trust.py is needed
        return find_routes(snapshot)
    from nbkit.providers.trust import find_safe_routes

    return find_safe_routes(snapshot)


def _property(name: str, dtype: Dtype, doc: str) -> Column:
    """Take a field of `ModelProperties`."""
    return Column(name, dtype, doc, lambda snapshot: find_property(snapshot, name))


def _has_key(snapshot: Snapshot) -> Factor:
    keyed = find_keyed_providers(snapshot)
    return snapshot.derive(lambda provider: provider.id in keyed, "provider")


COLUMNS: tuple[Column, ...] = (
    _provider("provider", "str", "who serves the model: models.dev's id", lambda provider: provider.id),
    _field("model", "str", "the model's name at its provider, as requests spell it"),
    _field("name", "str", "the model's name for people; not unique"),
    _modality("vision", "reads images", "image", "inputs"),
    _field("tools", "bool", "calls tools"),
    _field("reasoning", "bool", "reasons before it answers"),
    *(_rate(rate) for rate in RATES),
    _json("tiers", "JSON, [{size, rates}] by size: USD per million tokens where the prompt is longer than size tokens"),
    _field("context", "Int64", "most tokens of prompt and answer together"),
    _field("input_limit", "Int64", "most tokens of the prompt alone"),
    _field("max_output", "Int64", "most tokens of one answer"),
    _field("release_date", "datetime64[s]", "day of release; the first where only the month is known"),
    Column("age_days", "Int64", "days from its release to the catalog's date, `attrs['date']`", _age_days),
    _field("last_updated", "datetime64[s]", "day of the last change; the first where only the month is known"),
    _field("knowledge", "datetime64[s]", "day on which its knowledge ends; the first where only the month is known"),
    _field("family", "str", "the family that models.dev puts the model in"),
    _field("canonical", "str", "vendor/model, the same for the same model at every provider"),
    _field("structured_output", "boolean", "answers in a given JSON schema"),
    _field("temperature", "boolean", "accepts a temperature"),
    _field("attachment", "bool", "accepts files, as the provider says; the *_in columns are more exact"),
    _field("open_weights", "bool", "its weights are public"),
    _field("status", "str", "deprecated, beta, alpha; missing: generally available"),
    _derive(
        "deprecated",
        "bool",
        "status is deprecated: the provider will end it",
        lambda status: status == "deprecated",
        "status",
    ),
    _option("efforts", "str", "the reasoning efforts it accepts, separated by spaces", "effort", _efforts),
    _derive(
        "toggle",
        "bool",
        "reasoning can be switched off",
        lambda options: any(option["type"] == "toggle" for option in options),
        "reasoning_options",
    ),
    _option(
        "budget_min", "Int64", "fewest tokens of a reasoning budget", "budget_tokens", lambda option: option.get("min")
    ),
    _option(
        "budget_max", "Int64", "most tokens of a reasoning budget", "budget_tokens", lambda option: option.get("max")
    ),
    *(_modality(f"{word}_in", f"reads {word}", word, "inputs") for word in _MODALITIES),
    *(_modality(f"{word}_out", f"writes {word}", word, "outputs") for word in _MODALITIES),
    _field("description", "str", "one sentence about the model"),
    _provider("provider_name", "str", "the provider's name for people", lambda provider: provider.name),
    _provider_or_own("api", "str", "base URL; ${NAMES} stand for variables; missing: the package knows it"),
    _provider(
        "env",
        "str",
        "variables that hold the provider's key, separated by spaces",
        lambda provider: " ".join(provider.env),
    ),
    _derive(
        "modes", "str", "its experimental modes (fast, priority, pro), separated by spaces", _modes, "experimental"
    ),
    _json("experimental", "JSON, {modes: {name: {cost, provider}}}: what each mode costs and how it is chosen"),
    Column(
        "vendor",
        "str",
        "who made the model: as in canonical, else inferred from its name, or unknown",
        find_vendors,
    ),
    Column("path", "str", "provider/vendor/model", _paths),
    _route("protocol", "str", "the wire format it is called with", lambda route: route.protocol),
    _route("callable", "bool", "get_adapter can call it, given a key", lambda route: not route.why_not),
    _route("why_not", "str", "why get_adapter cannot; missing where it can", lambda route: route.why_not or None),
    Column("has_key", "bool", "a key of its provider is set in the environment: yes or no", _has_key),
    _property(
        "gdpr_compliant",
        "boolean",
        "its provider offers a data processing agreement under the GDPR to every customer",
    ),
    _property("chinese", "boolean", "its vendor is a Chinese one, whichever provider serves it"),
    _property("is_nsfw", "bool", "made to write what other models refuse to write"),
)

_FIRST = ("provider", "vendor", "model", "name", "vision", "tools", "reasoning", "input_cost", "output_cost", "context")
_LAST = (
    *("max_output", "cache_read_cost", "release_date", "knowledge", "open_weights"),
    *("structured_output", "status", "protocol", "callable", "has_key"),
)
"""What a chooser reads: a notebook shows the first ten and the last ten columns of a wide frame."""


def list_columns() -> list[Column]:
    """List every column of the catalog, in its order."""
    rest = {column.name: column for column in COLUMNS}
    first, last = ([rest.pop(name) for name in names] for names in (_FIRST, _LAST))
    return [*first, *rest.values(), *last]
