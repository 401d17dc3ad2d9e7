"""One row of the catalog as a card to read: what it costs, what it can do, how it is called.

Plain HTML for every reader, and the same lines as text. Facts that the row does not have are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pandas as pd

from nbkit.billing.money import format_usd
from nbkit.choose.abilities import ABILITIES
from nbkit.choose.columns import COLUMNS
from nbkit.modelsdev.records import RATES
from nbkit.notebook.amounts import format_rate
from nbkit.rendering.sanitize import plain_html, visible

_KINDS = ("text", "image", "audio", "video", "pdf")
_FLAGS = ("tools", "reasoning", "structured_output", "open_weights", "chinese", "gdpr_compliant", "is_nsfw")
_DATES = {"release_date": "released", "last_updated": "updated", "knowledge": "knows until"}
_LIMITS = {"context": "context", "input_limit": "prompt", "max_output": "answer"}
_MOST = 500  # characters of a fact


def make_card(row: pd.Series, image: str) -> dict[str, str]:
    """Make the card of one row: text/html and its twin text/plain. `image` is the address of the provider's logo."""
    values = {str(name): value for name, value in row.items() if _is_known(value)}
    title, facts = str(values.get("name", row.name)), list(list_facts(row))
    head = f'<img src="{image}" alt="" width="18" height="18" style="vertical-align:-4px"> ' if image else ""
    lines = "".join(
        f'<tr><th scope="row" style="text-align:left;vertical-align:top">{plain_html(name)}</th>'
        f'<td style="text-align:left;white-space:normal"><bdi>{plain_html(text)}</bdi></td></tr>'
        for name, text in facts
    )
    width = max((len(name) for name, _ in facts), default=0)
    return {
        "text/html": f'<div class="nbk-card tex2jax_ignore mathjax_ignore"><table>'
        f'<caption style="text-align:left;padding-left:6px">{head}<b>{plain_html(_line(title))}</b></caption>'
        f"<tbody>{lines}</tbody></table></div>",
        "text/plain": "\n".join([_line(title), *(f"  {name:<{width}}  {text}" for name, text in facts)]),
    }


def list_facts(row: pd.Series) -> Iterator[tuple[str, str]]:
    """List the facts that a row has, each with its name, in lines of visible characters."""
    values = {str(name): value for name, value in row.items() if _is_known(value)}
    yield from ((name, _line(text)) for name, text in _list_facts(row, values) if text)


def _list_facts(row: pd.Series, values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """List the facts of a row, each with its name, in the order in which a chooser asks for them."""
    yield "id", _find_id(row, values)
    if "description" in values:
        yield "description", values["description"]
    hosts = [f"served by {values.get('provider_name', values.get('provider'))}"] if "provider" in values else []
    makers = [f"made by {values['vendor']}"] if "vendor" in values else []
    yield "offer", ", ".join([*hosts, *makers])
    if "status" in values:
        yield "status", str(values["status"])
    yield "price", _describe_prices(row, values)
    yield from _list_tiers(values.get("tiers"))
    if "cost" in values:
        yield "cost", ", ".join([format_usd(float(values["cost"])), *filter(None, [str(values.get("note", ""))])])
    limits = [f"{word} {int(values[name]):,}" for name, word in _LIMITS.items() if name in values]
    yield "tokens", ", ".join(limits) or _say_unknown(row, *_LIMITS)
    yield from ((side, _list_kinds(row, values, suffix)) for side, suffix in (("reads", "_in"), ("writes", "_out")))
    yield from _list_abilities(row)
    dates = [f"{word} {str(values[name])[:10]}" for name, word in _DATES.items() if name in values]
    yield "dates", ", ".join(dates) or _say_unknown(row, *_DATES)
    if "callable" in values or "protocol" in values:
        yield "call", _describe_call(row, values)
    yield from _list_others(values)


def _find_id(row: pd.Series, values: dict[str, Any]) -> str:
    """Find the model's id: the row's name, unless the frame has another index."""
    return f"{values['provider']}/{values['model']}" if {"provider", "model"} <= values.keys() else str(row.name)


def _say_unknown(row: pd.Series, *names: str) -> str:
    """Say that a fact is not known, where the row has one of these columns; else ""."""
    return "unknown" if set(names).intersection(row.index) else ""


def _describe_prices(row: pd.Series, values: dict[str, Any]) -> str:
    prices = [(rate, values[f"{rate}_cost"]) for rate in RATES if f"{rate}_cost" in values]
    named = ", ".join(f"{rate.replace('_', ' ')} {format_rate(float(price))}" for rate, price in prices)
    return f"{named} per million tokens" if named else _say_unknown(row, "input_cost", "output_cost")


def _list_tiers(tiers: Any) -> Iterator[tuple[str, str]]:
    """List the prices of longer prompts; `tiers` is the catalog's column."""
    for tier in json.loads(tiers) if isinstance(tiers, str) and tiers.startswith("[") else ():
        rates = ", ".join(f"{name.replace('_', ' ')} {format_rate(rate)}" for name, rate in tier["rates"].items())
        yield f"above {tier['size']:,}", rates


def _list_kinds(row: pd.Series, values: dict[str, Any], suffix: str) -> str:
    kinds = ", ".join(kind for kind in _KINDS if values.get(f"{kind}{suffix}") in (True, "True"))
    return kinds or _say_unknown(row, *(f"{kind}{suffix}" for kind in _KINDS))


def _list_abilities(row: pd.Series) -> Iterator[tuple[str, str]]:
    """List what the model can do, what not, and what is not known."""
    answers: dict[str, list[str]] = {"yes": [], "no": [], "unknown": []}
    for name in _FLAGS:
        if name in row.index:
            answer = "unknown" if not _is_known(row[name]) else "yes" if row[name] in (True, "True") else "no"
            answers[answer].append(ABILITIES[name].label)
    yield from ((answer, ", ".join(labels)) for answer, labels in answers.items() if labels)


def _describe_call(row: pd.Series, values: dict[str, Any]) -> str:
    if "why_not" in values:
        return f"not by nbkit: {values['why_not']}"
    key = "set" if values.get("has_key") in (True, "True") else "not set"
    names = f"; key {key}: {values['env'].replace(' ', ' or ')}" if values.get("env") else ""
    return f'nbkit.get_adapter("{_find_id(row, values)}"), {values.get("protocol", "protocol unknown")}{names}'


def _list_others(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """List the columns that the person has added."""
    known = {column.name for column in COLUMNS} | {"cost", "note"}
    for name, value in values.items():
        if name not in known:
            yield name.replace("_", " "), f"{value:,.6g}" if isinstance(value, float) else str(value)


def _is_known(value: Any) -> bool:
    return not (pd.api.types.is_scalar(value) and pd.isna(value))


def _line(value: str) -> str:
    line = visible(" ".join(value.split()))
    return line if len(line) <= _MOST else f"{line[: _MOST - 1]}…"
