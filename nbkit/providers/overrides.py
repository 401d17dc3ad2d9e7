"""The user's overrides file, a TOML file (setting `overrides`) whose rows win over those of nbkit's tables.

    [providers.groq]                   # by models.dev's id: the keys of provider_defaults.toml
    drop = ["seed"]

    [models."openrouter/*-preview"]    # by pattern: the keys of model_overrides.toml
    capabilities = { vision = true }

    [vendors]                          # regular expression at the start of a word of a model's name -> its vendor
    "my-llama" = "me"

The file may be missing. It must not hold API keys: those are read from environment variables.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from math import inf
from pathlib import Path
from typing import Any

from nbkit.arguments import describe, suggest
from nbkit.billing.cost import BUCKETS
from nbkit.conversation.options import OPTIONS
from nbkit.conversation.values import read_as
from nbkit.errors import ConfigError
from nbkit.protocols import PROTOCOLS
from nbkit.protocols.wire import Dialect
from nbkit.providers.capabilities import ModelCapabilities
from nbkit.providers.key_shapes import find_keys

_ROW = {  # key -> what its value must be
    "drop": "a list of options",
    "take": "a list of options",
    "efforts": "a table",
    "reasoning": 'a list of "effort" and "budget"',
    "schema_drop": "a list of keywords",
    "schema_top_drop": "a list of keywords",
    "also": "a list of protocols",
    "assume": "a table",
    "media_types": "a list of media types",
    "stop_max": "a number",
    "tool_names": "text",
    "call_ids": "text",
    "budget_min": "a number",
    "budget_apart": "true or false",
    "max_output": "a number",
    "temperature_max": "a number",
    "temperature_scale": "a number",
    "headers": "a table",
    "body": "a table",
    "protocol": "text",
    "why_not": "text",
    "capabilities": "a table",
    "properties": "a table",
    "dialect": "a table",
    "cost": "a table of USD per million tokens",
    "rates": "a table of USD per million tokens",
    "lanes": "a table",
    "derived": "a table",
    "regions": "a table",
    "tool_prices": "a table of USD per call",
}
KEYS = {
    "models": _ROW | {"same_as": "text"},
    "providers": _ROW
    | {
        "base_url": "text",
        "auth": "text",
        "env": "a list of variables",
        "health": "text",
        "limits": "a table of numbers",
    },
}
_SECRETS = {"api_key", "key", "token", "authorization", "x-api-key", "api-key", "x-goog-api-key"}
_NO_KEY = "an API key must not be in this file: set its variable, or pass api_key="
_KINDS: dict[str, type | tuple[type, ...]] = {
    "a list": list,
    "a table": dict,
    "a number": (int, float),
    "text": str,
    "true": bool,
}
_WORDS: dict[str, tuple[str, ...]] = {  # key -> the words that may stand in its value
    "drop": OPTIONS,
    "take": OPTIONS,
    "reasoning": ("effort", "budget"),
    "protocol": tuple(PROTOCOLS),
    "also": tuple(PROTOCOLS),
    "assume": ("json_schema",),
    "auth": ("bearer", "x-api-key", "api-key", "x-goog-api-key", "aws", "google", "none"),
    "capabilities": tuple(name.removeprefix("supports_") for name in ModelCapabilities.__struct_fields__),
    "properties": ("open_source", "chinese", "gdpr_compliant", "is_nsfw"),
    "dialect": Dialect.__struct_fields__,
    "derived": BUCKETS,
    "rates": BUCKETS,
}
_TYPES: dict[str, Any] = {  # key -> the type of what is inside of its value
    **dict.fromkeys(("drop", "take", "reasoning", "schema_drop", "schema_top_drop"), list[str]),
    **dict.fromkeys(("also", "media_types", "env"), list[str]),
    **dict.fromkeys(("stop_max", "budget_min", "max_output"), int),
    **dict.fromkeys(("efforts", "headers"), dict[str, str]),
    **dict.fromkeys(("assume", "capabilities", "properties"), dict[str, bool]),
    "dialect": Dialect,
    "derived": dict[str, dict[str, float]],
    "limits": dict[str, int],
}
_COST = (*BUCKETS, "request", "tiers")


@lru_cache(2)
def read(path: Path, _changed: int) -> dict[str, Any]:
    """Read the tables of the file; it is read again when the time of its last change, `_changed`, is another one.

    Raises ConfigError, which names the file, the table and the wrong key.
    """
    data, problem = _parse(path)
    if problem:
        raise ConfigError(f"{path}: {problem}")
    check(data, str(path))
    return data


def _parse(path: Path) -> tuple[dict[str, Any], str]:
    """Parse the file, or say what the problem is: a traceback may print the locals of the frames that raise."""
    try:
        text = path.read_text("utf-8")
        data = tomllib.loads(text)
    except RecursionError:
        return {}, "nested too deeply"
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as invalid:
        return {}, str(invalid)
    return (data, "") if not find_keys(text) else ({}, _NO_KEY)


def check(data: dict[str, Any], where: str) -> None:
    """Raise ConfigError for the first wrong key of an overrides file; `where` names the file."""
    _check_known(data, (*KEYS, "vendors"), where)
    for kind, allowed in KEYS.items():
        for name, row in _tables(data, kind, where):
            check_row(row, allowed, f"{where}: [{kind}.{name!r}]")
    for pattern, vendor in _table(data.get("vendors", {}), f"{where}: [vendors]").items():
        try:
            re.compile(pattern)
        except re.error as invalid:
            problem = f"{where}: [vendors]: {pattern!r} is not a regular expression: {invalid}"
        else:
            problem = "" if isinstance(vendor, str) else f"{where}: [vendors]: {pattern!r}: expected a vendor's name"
        if problem:
            raise ConfigError(problem)


def check_row(row: Mapping[str, Any], allowed: dict[str, str], where: str) -> None:
    """Raise ConfigError for the first key of a provider's or a model's row that is wrong."""
    if _SECRETS & {name.lower() for name in (*row, *_table(row.get("headers", {}), f"{where}: headers"))}:
        raise ConfigError(f"{where}: {_NO_KEY}")
    _check_known(row, allowed, where)
    for key, value in row.items():
        expected = allowed[key]
        if not isinstance(value, next(kind for start, kind in _KINDS.items() if expected.startswith(start))):
            raise ConfigError(f"{where}: {key}: expected {expected}, got {describe(value)}")
    if "cost" in row:
        check_cost(row["cost"], f"{where}: cost")
    _check_pricing(row, where)
    for key in ("tool_names", "call_ids"):
        _check_expression(row.get(key, ""), f"{where}: {key}")
    for key, words in _WORDS.items():
        value = row.get(key, ())  # "aws:bedrock-mantle" is the scheme aws
        _check_known([value.partition(":")[0]] if isinstance(value, str) else value, words, f"{where}: {key}")
    for key in _TYPES.keys() & row.keys():
        _check_type(row[key], _TYPES[key], f"{where}: {key}")


def _check_type(value: Any, kind: Any, where: str) -> None:
    try:
        read_as(kind, value)
        return
    except ValueError as invalid:
        problem = str(invalid)
    raise ConfigError(f"{where}: {problem}")


def _check_pricing(row: Mapping[str, Any], where: str) -> None:
    """Check how a provider bills beside rates: lanes, regions, tools."""
    for lane, value in row.get("lanes", {}).items():
        rates = value if isinstance(value, Mapping) else {"factor": value}
        _check_known(rates, (*BUCKETS, "factor"), f"{where}: lanes: {lane}")
        for name, number in rates.items():
            _check_number(number, f"{where}: lanes: {lane}: {name}")
    for tool, value in row.get("tool_prices", {}).items():
        price = value if isinstance(value, Mapping) else {"call": value}
        _check_known(price, ("call", "request", "note"), f"{where}: tool_prices: {tool}")
        if not {"call", "request"} & price.keys():
            raise ConfigError(f"{where}: tool_prices: {tool}: expected call or request, in USD")
        for name in price.keys() - {"note"}:
            _check_number(price[name], f"{where}: tool_prices: {tool}: {name}")
    for key in ("regions", "rates"):
        for name, number in row.get(key, {}).items():
            _check_number(number, f"{where}: {key}: {name}")


def _check_expression(pattern: str, where: str) -> None:
    problem = ""
    try:
        re.compile(pattern)
    except re.error as invalid:
        problem = f"{where}: {pattern!r} is not a regular expression: {invalid}"
    if problem:
        raise ConfigError(problem)


def check_cost(cost: Any, where: str) -> None:
    """Raise ConfigError for the first thing that is wrong in a table of prices; `where` names it."""
    cost = _table(cost, where)
    _check_known(cost, _COST, where)
    tiers = cost.get("tiers", [])
    if not isinstance(tiers, list | tuple):
        raise ConfigError(f"{where}: tiers: expected a list of tables with size and prices, got {describe(tiers)}")
    for place, tier in enumerate(tiers):
        at = f"{where}: tiers[{place}]"
        _check_known(_table(tier, at), ("size", *BUCKETS), at)
        if type(size := tier.get("size")) is not int or size < 0:
            raise ConfigError(f"{at}: size: expected a number of tokens, got {describe(size)}")
    for key, price in [item for part in (cost, *tiers) for item in part.items() if item[0] not in ("tiers", "size")]:
        _check_number(price, f"{where}: {key}")


def _check_number(value: Any, where: str) -> None:
    """Refuse what is not a price: text, a truth value, a negative or infinite number."""
    if type(value) not in (int, float) or not 0 <= value < inf:
        raise ConfigError(f"{where}: expected a number that is not negative, got {describe(value)}")


def _tables(data: dict[str, Any], kind: str, where: str) -> list[tuple[str, Mapping[str, Any]]]:
    table = _table(data.get(kind, {}), f"{where}: [{kind}]")
    return [(name, _table(row, f"{where}: [{kind}.{name!r}]")) for name, row in table.items()]


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        got = "text" if isinstance(value, str) else describe(value)  # it may be a key
        raise ConfigError(f"{where}: expected a table, got {got}")
    return value


def _check_known(names: Any, allowed: Any, where: str) -> None:
    for name in names:
        if not isinstance(name, str):
            raise ConfigError(f"{where}: expected text, got {describe(name)}")
        if name not in allowed:
            raise ConfigError(f"{where}: unknown {name!r}{suggest(name, allowed)}")
