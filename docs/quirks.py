"""Prints docs/quirks.md: what nbkit changes in requests, and how it bills, for whom and why.

The rows are those of the TOML tables in `nbkit/providers/`; their sources are the comments that stand there: above a
table, behind its header, or behind a key. `docs/tables.py` calls this.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from nbkit.billing.money import format_price
from nbkit.providers import tables as rows

_HEAD = """# Quirks

What a protocol, a provider or a model does not take as others do, and what nbkit does about it. A call goes by all rows
that match it: the protocol's, the provider's, the model's (`*` stands for anything), then those of
[your own file](overrides.md). `completion.changes` lists what was done in a call, and `strict=True` raises instead. "An
error" is an `UnsupportedFeatureError`, before anything is sent.

The sources are of November 2026. AI is the source of the npm packages `@ai-sdk/*`, PA that of pydantic-ai, LL that of
litellm.

"""
_TABLES = (
    ("Protocols", "protocol_defaults", "protocol"),
    ("Providers", "provider_defaults", "provider"),
    ("Models", "model_overrides", "model"),
)
_BILLS = """
## Bills

How providers bill beside the catalog's rates, which are USD per million tokens.

"""
_SAY: dict[str, str] = {  # key of a row -> what is done
    "drop": "leaves out {}",
    "take": "sends {}",
    "schema_drop": "leaves {} out of JSON schemas",
    "schema_top_drop": "puts the parts of a tool's schema together where it has {} at the top",
    "stop_max": "sends the first {} stop sequences",
    "tool_names": "renames tools that are not {}",
    "call_ids": "gives tool calls other ids where theirs are not {}",
    "media_types": "reads {}",
    "budget_min": "a reasoning budget is at least {} tokens",
    "budget_apart": "a reasoning budget is not a part of `max_tokens`",
    "temperature_max": "clamps `temperature` to {}",
    "reasoning": "reasoning is asked for by {}",
    "also": "options that only these have go by {}",
    "protocol": "is called by {}",
    "body": "adds {}",
    "headers": "sends the headers {}",
    "why_not": "is not called: {}",
    "like": "as {}",
}
_LACKS: dict[str, str] = {  # a capability that is missing -> what is done
    "n": "`n` above 1 is an error",
    "tools": "tools are an error",
    "vision": "images are an error",
    "pdf": "documents are an error",
    "audio": "audio is an error",
    "user": "leaves out `user`",
    "image_urls": "fetches images that have an address, and sends their data",
    "json_output": "tells the model to answer in JSON instead of `json_object`",
    "json_schema": "tells the model the schema of its answer",
    "json_with_tools": "tells the model the form of its answer where there are tools",
    "json_streaming": "an answer in a form comes in one piece",
    "json_content": "joins the texts of a turn",
    "null_content": "empty text instead of null beside tool calls",
    "empty_content": "leaves out empty turns",
    "empty_output": "an empty tool output says so",
    "system": "system turns are the user's",
    "multiple_system": "merges system turns",
    "later_system": "later system turns are the user's, in `<system>` tags",
    "last_system": "moves a last system turn before the turn that is answered",
    "only_system": "a lone system turn is the user's",
    "only_assistant": "adds a turn of the user where there is none",
    "repeating_roles": "merges turns of the same role",
    "first_assistant": "begins with a turn of the user",
    "last_assistant": "ends with a turn of the user",
    "trailing_space": "trims a last turn of the assistant",
    "user_after_tool": "puts a turn of the assistant between a tool's output and the user's",
    "parallel_calls": "sends parallel tool calls one after another",
    "output_media": "images of a tool's output go into a turn of the user",
    "cache_marks": "leaves out `cache_control`",
    "blank_stop": "leaves out blank stop sequences",
    "tool_choice": "`tool_choice` is auto, and `none` sends no tools",
    "tool_choice_required": "a forced `tool_choice` is auto",
    "tool_choice_named": "a named tool is forced by sending only that one",
}
_DIALECT: dict[str, str] = {  # a field of the dialect -> what it does
    "max_tokens_field": "sends `max_tokens` as {}",
    "system_role": "the role of system turns is {}",
    "stream_usage": "usage of streams comes unasked",
    "replay_reasoning": "earlier reasoning goes back as {}",
    "short_tool_ids": "ids of tool calls become nine letters and digits",
    "names": "`name` goes with messages of {} only",
    "continues": "marks a last turn of the assistant, which is to be continued: {}",
    "json_schema": "a schema goes as {}",
    "tool_choice_required": 'sends the `tool_choice` "required" as {}',
    "phase": "marks the assistant's messages as commentary or answer",
    "call_ids": "leaves out the ids of tool calls, which are joined by their order",
    "before_gemini_3": "media of a tool's output stand beside it",
    "reasoning_on": "beside the option of reasoning sends {}",
    "reasoning_off": "switches reasoning off by {}",
    "reasoning_excludes": "while it reasons, leaves out {}",
    "reasoning_format": "signed reasoning goes back, {}",
    "cost_header": "the price that a header {} names is the bill",
    "cuts_prompts": "says where the server has cut a prompt",
}
_NOTHING: dict[str, str] = {  # the same, where its value is empty
    "also": "has no other protocol",
    "reasoning": "reasoning cannot be asked for",
    "schema_top_drop": "sends a tool's schema as it is",
    "replay_reasoning": "leaves out earlier reasoning",
    "reasoning_off": "reasoning is switched off by its effort",
}
_PRICES: dict[str, str] = {  # key of a row -> what is billed
    "lanes": "service tier {}",
    "regions": "where it was computed in {}",
    "derived": "the rate of {}",
    "rates": "the rate of {}",
    "tool_prices": "tool {}",
    "cost": "the price of {}",
}
_REPORTED = {
    "reported_cost": "the price of a call is what the provider reports in {}",
    "reported_cost_unit": "in units of {} USD",
    "own_key_cost": "with a key of your own there, {} is added",
}
_HIDDEN = {"base_url", "env", "auth", "health", "module", "properties", "own_key"}
"""Keys of docs/providers.md, docs/keys.md and the catalog; `own_key` stands beside `own_key_cost`."""


@dataclass
class _Table:
    """A table of a TOML file: its row, and the comments about all of it, or about one key."""

    row: Mapping[str, Any]
    sources: list[str]
    of_keys: dict[str, list[str]] = field(default_factory=dict)


def render_quirks() -> str:
    """Render the page."""
    files = {name: _read_tables(name) for _, name, _ in _TABLES}
    parts = [
        f"## {title}\n\n"
        + _write_table(
            kind, ((name, _say_request(table.row), _list(table, bills=False)) for name, table in file.items())
        )
        for (title, _, kind), file in zip(_TABLES, files.values(), strict=True)
    ]
    bills = (
        (name, _say_bill(table.row), _list(table, bills=True))
        for file in files.values()
        for name, table in file.items()
    )
    return _HEAD + "\n".join(parts) + _BILLS + _write_table("provider or model", bills)


# ---- the comments


_COMMENT = re.compile(r'^((?:[^"#]|"[^"]*")*)#\s*(.+)$')
_HEADER = re.compile(r"""^\[(?:"([^"]*)"|([\w-]+))(?:\.(\w+))?""")


def _read_tables(name: str) -> dict[str, _Table]:
    """Read a file's tables with their comments. A comment above a table holds for those below, up to the next one."""
    text = Path(rows.__file__).with_name(f"{name}.toml").read_text("utf-8")
    tables = {key: _Table(row, []) for key, row in rows.table(name).items()}
    table, part, section, above, comes_after = None, "", "", "", ""
    for line in text.splitlines():
        code, comment = match.groups() if (match := _COMMENT.match(line)) else (line, "")
        kind = "code" if code.strip() else "comment" if comment else "blank"
        kind = "section" if comment.startswith("----") else kind
        if kind == "section":
            section, above = comment.strip("- "), ""
        elif kind == "comment":
            if comes_after == "section":
                section, kind = f"{section}: {comment}", "section"
            else:
                above = f"{above} {comment}" if comes_after == "comment" else comment
        elif kind == "blank" and comes_after == "comment":
            above = ""  # it was about the file
        elif header := _HEADER.match(code):
            table, part = tables[header[1] or header[2]], header[3] or ""
            above = "" if comment else above
            _add(table, part, comment or above or section.partition(": ")[2])
        elif kind == "code" and table:
            _add(table, part or code.partition("=")[0].split(".")[0].strip(), comment)
        comes_after = kind
    return tables


def _add(table: _Table, key: str, comment: str) -> None:
    known = table.of_keys.setdefault(key, []) if key else table.sources
    if comment and comment not in known:
        known.append(comment)


def _list(table: _Table, *, bills: bool) -> str:
    """Write the sources of the requests' or the bills' keys of a table."""
    reported = bills and not _REPORTED.keys().isdisjoint(table.row.get("dialect", ()))
    keys = [key for key in table.of_keys if (key in _PRICES) == bills or (key == "dialect" and reported)]
    of_keys = (text for key in keys if key not in _HIDDEN for text in table.of_keys[key])
    texts = dict.fromkeys([*table.sources, *of_keys])
    return "; ".join(re.sub(r"https://([^/\s:;,)]+)[^\s:;,)]*", r"[\1](\g<0>)", text) for text in texts)


# ---- the words


def _say_request(row: Mapping[str, Any]) -> Iterator[str]:
    for key, value in row.items():
        if key in _NOTHING and not value:
            yield _NOTHING[key]
        elif key in _SAY:
            yield _SAY[key].format(_write(value))
        elif key == "efforts":
            yield "`reasoning_effort` " + ", ".join(f"{old} → {new}" for old, new in value.items())
        elif key == "assume":
            yield "where the catalog does not say that it takes schemas, tells the model the schema of its answer"
        elif key == "own_server":
            yield "at an address that you give: " + "; ".join(_say_request(value))
        elif key == "capabilities":
            yield from (f"takes `{name}`" if has else _LACKS[name] for name, has in value.items())
        elif key == "dialect":
            yield from _say_dialect(value)
        elif key not in _PRICES and key not in _HIDDEN:
            raise KeyError(f"docs/quirks.py has no words for {key!r}")


def _say_dialect(dialect: Mapping[str, Any]) -> Iterator[str]:
    for key, value in dialect.items():
        if key in _NOTHING and not value:
            yield _NOTHING[key]
        elif key == "rename":
            yield from (f"sends `{old}` as `{new}`" for old, new in value.items())
        elif key not in _REPORTED and key not in _HIDDEN:
            yield _DIALECT[key].format(_write(value))


def _say_bill(row: Mapping[str, Any]) -> Iterator[str]:
    for key, prices in row.items():
        if key in _PRICES:
            text = "; ".join(f"{name}: {_write_price(key, price)}" for name, price in prices.items())
            yield _PRICES[key].format(text.replace("*:", "any other region:"))
    yield from (
        _REPORTED[key].format(_write(value)) for key, value in row.get("dialect", {}).items() if key in _REPORTED
    )


def _write(value: Any) -> str:
    """Write a value as code, a list of them with commas."""
    if isinstance(value, list | tuple):
        return ", ".join(map(_write, value)) or "nothing"
    if isinstance(value, Mapping):
        return f"`{json.dumps(value)}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _write_price(key: str, price: Any) -> str:
    """Write one price: a factor, a rate, or USD a call."""
    if key == "derived":
        return " + ".join(f"{factor:g} x {bucket}" for bucket, factor in price.items())
    if not isinstance(price, Mapping):
        return f"{price:g} x" if key in ("lanes", "regions") else format_price(price)
    note = f" ({price['note']})" if "note" in price else ""
    words = {"call": "{}", "request": "{} for an answer"}
    rates = (words.get(name, name + " {}").format(format_price(usd)) for name, usd in price.items() if name != "note")
    return ", ".join(rates) + note


def _write_table(kind: str, lines: Iterator[tuple[str, Iterator[str], str]]) -> str:
    """Write the lines that say something; neighbors that say the same are one line."""
    text = f"| {kind} | what nbkit does | source |\n| --- | --- | --- |\n"
    cells = ((name, "<br>".join(says), source) for name, says, source in lines)
    for (said, source), same in groupby((cell for cell in cells if cell[1]), itemgetter(1, 2)):
        names = ", ".join(f"`{name}`" for name, *_ in same)
        text += f"| {names} | {said} | {source} |\n"
    return text
