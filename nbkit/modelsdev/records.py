"""Records of models, read tolerantly from models.dev's api.json.

`parse` keeps every row that it can trust. A row whose identity, flags, limits or prices are wrong is dropped, and one
warning names the first of them; a date or an option in a form that nobody knows yet is unknown (None), which is not a
reason to lose the model. What is missing is unknown, never False and never 0: a limit of 0 and the date 1970-01-01 are
how models.dev writes "unknown". A price of 0 is a real 0. `context_over_200k` repeats `tiers`, and is not read.

The shape of the file: https://models.dev (MIT, (c) 2025 models.dev), as it was in September 2026.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from msgspec import Struct

from nbkit.errors import CatalogError

RATES = ("input", "output", "cache_read", "cache_write", "reasoning", "input_audio", "output_audio")
"""The prices in models.dev's `cost` that nbkit reads, in USD per million tokens."""

MAX_PROVIDERS, MAX_MODELS = 1_000, 50_000
_MAX_PRICE = 10_000.0  # USD per million tokens
_MAX_COUNT = 10**12  # tokens; a larger number is not a limit
_BOUNDLESS = -1  # models.dev's budget of reasoning without a bound
_MAX_NAME, _MAX_TEXT, _MAX_LIST, _MAX_OBJECT = 200, 2_000, 50, 20_000

# Compiled on first use: reading a snapshot needs none of them.
_PROVIDER_ID = r"(?a)(?!\.{1,2}$|__)[\w.:@+~-]{1,200}"
_MODEL_ID = r"(?a)(?!(?:.*/)?\.{1,2}(?:/|$))[\w.:@/+~-]{1,200}"  # no "." or ".." segment
_ENV_NAME = r"(?a)\w{1,100}"  # "302AI_API_KEY" is one
_HEADER = (  # but not one that decides where a request goes
    r"(?ai)(?!(host|connection|content-length|transfer-encoding|upgrade|forwarded)$|x-forwarded-|proxy-)[\w-]{1,100}"
)
_UNSEEN = (  # control characters (not tab and line ends), bidi overrides and isolates, invisible tags
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]"
)
_DATE = r"(?a)\d{4}-\d\d(-\d\d)?"


class CatalogWarning(UserWarning):
    """A problem of the catalog that does not stop it: rows dropped, a refresh that failed."""


class Provider(Struct, frozen=True):
    """A provider, who serves models, as models.dev describes it."""

    id: str
    name: str
    npm: str
    """The npm package that calls it: it tells the protocol."""
    api: str | None
    """The base URL, which may hold `${NAME}`s of environment variables; None where only the npm package knows it."""
    env: tuple[str, ...]
    """Environment variables that hold its key, host, account or region."""
    doc: str | None


class Record(Struct, frozen=True):
    """One model as models.dev describes it; None: unknown."""

    provider: Provider
    model: str
    """The model's name at its provider, as requests spell it; it may hold slashes."""
    name: str
    family: str | None
    canonical: str | None
    """"vendor/model", the same for the same model at every provider."""
    description: str | None
    attachment: bool
    reasoning: bool
    tools: bool
    structured_output: bool | None
    temperature: bool | None
    open_weights: bool
    inputs: tuple[str, ...]
    """The kinds of content that it reads: text, image, audio, video, pdf."""
    outputs: tuple[str, ...]
    """The kinds of content that it writes, in the same words."""
    context: int | None
    """Most tokens of prompt and answer together."""
    input_limit: int | None
    """Most tokens of the prompt alone."""
    max_output: int | None
    """Most tokens of one answer."""
    rates: Mapping[str, float]
    """USD per million tokens, by the names in RATES; only the known ones."""
    tiers: tuple[Mapping[str, Any], ...]
    """`{"size", "rates"}` by size: the rates of a whole request whose prompt is longer than `size` tokens."""
    knowledge: str | None
    """"YYYY-MM-DD" or "YYYY-MM"; so are the two dates below."""
    release_date: str | None
    last_updated: str | None
    status: str | None
    """"deprecated", "beta", "alpha"; None: generally available."""
    reasoning_options: tuple[Mapping[str, Any], ...]
    """`{"type": "effort" | "toggle" | "budget_tokens", ...}` as models.dev has them."""
    interleaved: str | None
    """The field that carries reasoning back to the model; "true" where models.dev does not name it."""
    experimental: Mapping[str, Any] | None
    """Modes ("fast", "pro") with their own cost, body and headers, as models.dev has them."""
    overrides: Mapping[str, Any]
    """Where this model differs from its provider: npm, api, shape; and what its requests need: body, headers."""

    @property
    def id(self) -> str:
        """The model id, "provider/model": unique."""
        return f"{self.provider.id}/{self.model}"

    @property
    def npm(self) -> str:
        """The npm package that calls this model: it tells the protocol."""
        return str(self.overrides.get("npm", self.provider.npm))

    @property
    def api(self) -> str | None:
        """The base URL for this model."""
        api: str | None = self.overrides.get("api", self.provider.api)
        return api

    @property
    def shape(self) -> str | None:
        """The form of request that the model wants, "responses" or "completions", whatever its npm package."""
        shape: str | None = self.overrides.get("shape")
        return shape

    @property
    def body(self) -> Mapping[str, Any]:
        """Further fields in the body of every request to this model."""
        body: Mapping[str, Any] = self.overrides.get("body", {})
        return body

    @property
    def headers(self) -> Mapping[str, str]:
        """Further headers of every request to this model."""
        headers: Mapping[str, str] = self.overrides.get("headers", {})
        return headers


def parse(data: object, where: str = "models.dev") -> list[Record]:
    """Read a parsed api.json, rows in its order; messages begin with `where` it is from.

    Warns once (CatalogWarning) where rows were dropped. Raises CatalogError where the file as a whole cannot be
    api.json: it is not an object, has no usable model, or more than 1,000 providers or 50,000 models.
    """
    if not isinstance(data, dict) or len(data) > MAX_PROVIDERS:
        raise CatalogError(f"{where}: expected an object of at most {MAX_PROVIDERS} providers")
    records: list[Record] = []
    dropped: list[str] = []
    for provider_id, raw in data.items():
        for result in _read_provider(provider_id, raw):
            if isinstance(result, Record):
                records.append(result)
            else:
                dropped.append(result)
            if len(records) + len(dropped) > MAX_MODELS:
                raise CatalogError(f"{where}: more than {MAX_MODELS} models")
    if not records:
        wrong = f"; wrong: {'; '.join(dropped[:3])}" if dropped else ""
        raise CatalogError(f"{where}: no usable model{wrong}")
    if dropped:
        more = f"; and {len(dropped) - 3} more" if len(dropped) > 3 else ""
        text = f"{where}: dropped {len(dropped)} bad rows: {'; '.join(dropped[:3])}{more}"
        warnings.warn(text, CatalogWarning, stacklevel=2)
    return records


def _read_provider(provider_id: str, raw: object) -> Iterator[Record | str]:
    """Read one provider's records; for a bad row, yield what is wrong with it."""
    models = raw.get("models") if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or not isinstance(models, dict):
        yield f"{provider_id[:60]!r} is not a provider"
        return
    try:
        provider = _provider(provider_id, raw)
    except ValueError as problem:
        yield from (f"{f'{provider_id}/{model}'[:60]!r} ({problem})" for model in models)
        return
    for model, row in models.items():
        try:
            yield _record(provider, model, row)
        except ValueError as problem:
            yield f"{f'{provider_id}/{model}'[:60]!r} ({problem})"


def _provider(provider_id: str, raw: dict[str, Any]) -> Provider:
    if not re.fullmatch(_PROVIDER_ID, provider_id):
        raise ValueError("provider id")
    env = _words(raw, "env")
    if not all(re.fullmatch(_ENV_NAME, name) for name in env):
        raise ValueError("env")
    return Provider(
        id=provider_id,
        name=_text(raw, "name", _MAX_NAME) or provider_id,
        npm=_text(raw, "npm", _MAX_NAME) or "",
        api=_text(raw, "api"),
        env=env,
        doc=_text(raw, "doc"),
    )


def _record(provider: Provider, model: str, raw: object) -> Record:
    if not re.fullmatch(_MODEL_ID, model):
        raise ValueError("model id")
    if not isinstance(raw, dict):
        raise ValueError("not an object")
    modalities, limit, cost = _object(raw, "modalities"), _object(raw, "limit"), _object(raw, "cost")
    interleaved = raw.get("interleaved")
    return Record(
        provider=provider,
        model=model,
        name=_text(raw, "name", _MAX_NAME) or model,
        family=_text(raw, "family", _MAX_NAME),
        canonical=_text(raw, "canonical_model_id", _MAX_NAME),
        description=_text(raw, "description"),
        attachment=_flag(raw, "attachment") or False,
        reasoning=_flag(raw, "reasoning") or False,
        tools=_flag(raw, "tool_call") or False,
        structured_output=_flag(raw, "structured_output"),
        temperature=_flag(raw, "temperature"),
        open_weights=_flag(raw, "open_weights") or False,
        inputs=_words(modalities, "input"),
        outputs=_words(modalities, "output"),
        context=_count(limit, "context") or None,
        input_limit=_count(limit, "input") or None,
        max_output=_count(limit, "output") or None,
        rates=_rates(cost),
        tiers=_tiers(cost),
        knowledge=_date(raw, "knowledge"),
        release_date=_date(raw, "release_date"),
        last_updated=_date(raw, "last_updated"),
        status=_text(raw, "status", _MAX_NAME),
        reasoning_options=_options(raw),
        interleaved=_text(interleaved, "field", _MAX_NAME)
        if isinstance(interleaved, dict)
        else ("true" if interleaved is True else None),
        experimental=_opaque(raw, "experimental") or None,
        overrides=_overrides(_object(raw, "provider")),
    )


# Each function below reads one field, and raises ValueError with the field's name where its value is of the wrong form.


def _object(raw: dict[str, Any], key: str) -> dict[str, Any]:
    value = raw.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(key)
    return value


def _opaque(raw: dict[str, Any], key: str) -> dict[str, Any]:
    """Read an object that is kept as it is, unless it is too large."""
    value = _object(raw, key)
    if len(repr(value)) > _MAX_OBJECT:
        raise ValueError(key)
    return value


def _text(raw: dict[str, Any], key: str, limit: int = _MAX_TEXT) -> str | None:
    value = raw.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > limit:
        raise ValueError(key)
    return re.sub(_UNSEEN, "", value).strip() or None


def _flag(raw: dict[str, Any], key: str) -> bool | None:
    value = raw.get(key)
    if value is not None and not isinstance(value, bool):
        raise ValueError(key)
    return value


def _count(raw: dict[str, Any], key: str) -> int | None:
    value = raw.get(key)
    if value is None:
        return None
    if type(value) is not int or not 0 <= value <= _MAX_COUNT:
        raise ValueError(f"{key} {str(value)[:20]}")
    return value


def _words(raw: dict[str, Any], key: str) -> tuple[str, ...]:
    value = raw.get(key, [])
    if not isinstance(value, list) or len(value) > _MAX_LIST:
        raise ValueError(key)
    if not all(isinstance(word, str) and len(word) <= _MAX_NAME for word in value):
        raise ValueError(key)
    return tuple(value)


def _date(raw: dict[str, Any], key: str) -> str | None:
    """Read a day or a month; None where it is neither."""
    value = raw.get(key)
    if not isinstance(value, str) or not re.fullmatch(_DATE, value) or value == "1970-01-01":
        return None
    try:
        date.fromisoformat(value if len(value) == 10 else f"{value}-01")
    except ValueError:
        return None
    return value


def _rates(cost: dict[str, Any]) -> dict[str, float]:
    return {rate: _price(cost, rate) for rate in RATES if cost.get(rate) is not None}


def _price(cost: dict[str, Any], rate: str) -> float:
    value = cost[rate]
    if type(value) not in (int, float) or not 0 <= value <= _MAX_PRICE:  # NaN compares false
        raise ValueError(f"{rate} price {str(value)[:20]}")
    return float(value)


def _tiers(cost: dict[str, Any]) -> tuple[Mapping[str, Any], ...]:
    raw = cost.get("tiers") or []
    if not isinstance(raw, list) or len(raw) > _MAX_LIST or not all(isinstance(tier, dict) for tier in raw):
        raise ValueError("tiers")
    tiers = []
    for tier in raw:
        condition = _object(tier, "tier")
        size = _count(condition, "size")
        if condition.get("type", "context") != "context" or size is None:
            raise ValueError("tiers")  # a price whose condition is not understood would be a wrong price
        tiers.append({"size": size, "rates": _rates(tier)})
    return tuple(sorted(tiers, key=lambda tier: tier["size"]))


def _options(raw: dict[str, Any]) -> tuple[Mapping[str, Any], ...]:
    value = raw.get("reasoning_options")
    options = value[:_MAX_LIST] if isinstance(value, list) else []
    return tuple(
        {key: value for key, value in option.items() if value != _BOUNDLESS} for option in options if _is_option(option)
    )


def _is_option(option: object) -> bool:
    """Tell whether it is a reasoning option in a form that columns and protocols can read."""
    if not isinstance(option, dict) or not isinstance(option.get("type"), str):
        return False
    values = option.get("values", [])
    bounds = (option.get("min"), option.get("max"))
    return (
        len(repr(option)) <= _MAX_TEXT
        and isinstance(values, list)
        and all(value is None or isinstance(value, str) for value in values)
        and all(bound is None or (type(bound) is int and _BOUNDLESS <= bound <= _MAX_COUNT) for bound in bounds)
    )


def _overrides(raw: dict[str, Any]) -> dict[str, Any]:
    overrides: dict[str, Any] = {key: _text(raw, key) for key in ("npm", "api", "shape")}
    overrides["body"] = _opaque(raw, "body")
    overrides["headers"] = _opaque(raw, "headers")
    for name, value in overrides["headers"].items():
        if not re.fullmatch(_HEADER, name) or not (isinstance(value, str) and value.isascii() and value.isprintable()):
            raise ValueError("headers")
    return {key: value for key, value in overrides.items() if value}
