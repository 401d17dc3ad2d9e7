"""The columns of the catalog: how each is computed from a snapshot of models.dev.

To add a column add one `Column` to COLUMNS; if the JSON field is new, read it in `modelsdev/records.py` first. Prices
are USD per million tokens, lengths are tokens; what models.dev does not say is missing, never False or 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from nbkit.modelsdev.records import RATES, Provider
from nbkit.modelsdev.snapshot import Factor, Snapshot
from nbkit.providers.credentials import has_key
from nbkit.providers.routes import Route, find_routes
from nbkit.providers.tables import all_provider_defaults, user_rows
from nbkit.providers.vendors import infer_vendor, match_vendor, path_of

Dtype = Literal["bool", "boolean", "float64", "Int64", "datetime64[s]", "category", "str", "object"]


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
    return _field(f"{rate}_cost", "float64", f"USD per million tokens {_PRICED[rate]}; 0: free or a subscription plan")


def _age_days(snapshot: Snapshot) -> Factor:
    today = date.fromisoformat(snapshot.meta.date).toordinal()

    def age(release_date: str | None) -> int | None:  # "YYYY-MM-DD" or "YYYY-MM"
        return today - date.fromisoformat(f"{release_date}-01"[:10]).toordinal() if release_date else None

    return snapshot.derive(age, "release_date")


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


@lru_cache(1)
def _find_vendors(snapshot: Snapshot, _user_text: str) -> Factor:
    """Find the vendor of every model. `_user_text`: the user's patterns; vendors are found anew when they change."""
    patterns = user_rows("vendors")
    canonical, providers = snapshot.factor("canonical"), snapshot.factor("provider")
    named = [name and name.partition("/")[0] for name in canonical.values]
    vendors = (
        (patterns and match_vendor(model, patterns)) or named[code] or infer_vendor(model, providers.values[host])
        for code, model, host in zip(canonical.codes, snapshot.values("model"), providers.codes, strict=True)
    )
    positions: dict[str, int] = {}
    codes = [positions.setdefault(vendor, len(positions)) for vendor in vendors]
    return Factor(list(positions), codes)


def _vendors(snapshot: Snapshot) -> Factor:
    return _find_vendors(snapshot, repr(user_rows("vendors")))


def _paths(snapshot: Snapshot) -> list[str]:
    rows = zip(snapshot.values("provider"), _vendors(snapshot).rows, snapshot.values("model"), strict=True)
    return [path_of(provider.id, vendor, model) for provider, vendor, model in rows]


def _route(name: str, dtype: Dtype, doc: str, value: Callable[[Route], Any]) -> Column:
    """Describe a column that says something of the route to a model."""
    return Column(name, dtype, doc, lambda snapshot: find_routes(snapshot).map(value))


def _has_key(snapshot: Snapshot) -> Factor:
    rows = all_provider_defaults()

    def has(provider: Provider) -> bool:
        env = rows.get(provider.id, {}).get("env")
        return has_key(provider if env is None else replace(provider, env=tuple(env)))

    return snapshot.derive(has, "provider")


COLUMNS: tuple[Column, ...] = (
    _provider("provider", "category", "who serves the model: models.dev's id", lambda provider: provider.id),
    _field("model", "str", "the model's name at its provider, as requests spell it"),
    _field("name", "str", "the model's name for people; not unique"),
    _modality("vision", "reads images", "image", "inputs"),
    _field("tools", "bool", "calls tools"),
    _field("reasoning", "bool", "reasons before it answers"),
    *(_rate(rate) for rate in RATES),
    _field(
        "tiers", "object", "{size, rates} by size: USD per million tokens where the prompt is longer than size tokens"
    ),
    _field("context", "Int64", "most tokens of prompt and answer together"),
    _field("input_limit", "Int64", "most tokens of the prompt alone"),
    _field("max_output", "Int64", "most tokens of one answer"),
    _field("release_date", "datetime64[s]", "day of release; the first where only the month is known"),
    Column("age_days", "Int64", "days from its release to the catalog's date, `attrs['date']`", _age_days),
    _field("last_updated", "datetime64[s]", "day of the last change; the first where only the month is known"),
    _field("knowledge", "datetime64[s]", "day on which its knowledge ends; the first where only the month is known"),
    _field("family", "category", "the family that models.dev puts the model in"),
    _field("canonical", "str", "vendor/model, the same for the same model at every provider"),
    _field("structured_output", "boolean", "answers in a given JSON schema"),
    _field("temperature", "boolean", "accepts a temperature"),
    _field("attachment", "bool", "accepts files, as the provider says; the *_in columns are more exact"),
    _field("open_weights", "bool", "its weights are public"),
    _field("status", "category", "deprecated, beta, alpha; missing: generally available"),
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
    _field("interleaved", "category", "the field that carries reasoning back to the model; true: not named"),
    *(_modality(f"{word}_in", f"reads {word}", word, "inputs") for word in _MODALITIES),
    *(_modality(f"{word}_out", f"writes {word}", word, "outputs") for word in _MODALITIES),
    _field("description", "str", "one sentence about the model"),
    _provider("provider_name", "category", "the provider's name for people", lambda provider: provider.name),
    _provider_or_own("npm", "category", "the npm package that calls it, which tells the protocol"),
    _provider_or_own("api", "str", "base URL; ${NAMES} stand for variables; missing: the package knows it"),
    _derive(
        "shape",
        "category",
        "the form of request it wants whatever its npm package: responses or completions",
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
    _derive(
        "modes", "str", "its experimental modes (fast, priority, pro), separated by spaces", _modes, "experimental"
    ),
    _field(
        "experimental",
        "object",
        "{modes: {name: {cost, provider}}}: USD per million tokens, the body and headers that choose the mode",
    ),
    _derive(
        "headers_body",
        "object",
        "further fields and headers of every request to this model",
        lambda own: {key: own[key] for key in ("headers", "body") if key in own} or None,
        "overrides",
    ),
    Column(
        "vendor",
        "category",
        "who made the model: as in canonical, else inferred from its name, or unknown",
        _vendors,
    ),
    Column("path", "str", "provider/vendor/model", _paths),
    _route("protocol", "category", "the wire format it is called with", lambda route: route.protocol),
    _route("callable", "bool", "get_adapter can call it, given a key", lambda route: not route.why_not),
    _route("why_not", "str", "why get_adapter cannot; missing where it can", lambda route: route.why_not or None),
    Column("has_key", "bool", "a key of its provider is set in the environment: yes or no", _has_key),
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
"""The columns that a chooser reads first; the others follow in the order of COLUMNS."""


def list_columns() -> list[Column]:
    """List every column of the catalog, in its order."""
    rest = {column.name: column for column in COLUMNS}
    return [rest.pop(name) for name in ORDER] + list(rest.values())
