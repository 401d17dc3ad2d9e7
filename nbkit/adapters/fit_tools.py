"""Names and schemas of tools fitted to what a provider takes; the names of answers are mapped back. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from msgspec.structs import replace

from nbkit.adapters.fit_schemas import flatten_schema, is_object
from nbkit.conversation.completion import Change, ChatCompletion, ChatCompletionChunk
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.tools import Tool, ToolCall
from nbkit.conversation.turns import AnyTurn, Conversation, ToolOutputTurn, ToolsCallTurn
from nbkit.errors import ConfigError

_SAFE = re.compile(r"[^a-zA-Z0-9_-]")
_HASH = 8  # digits
_CHOICES = ("auto", "none", "required", None)


def fit_tools(
    conversation: Conversation, options: ExecuteOptions, names: str, refused: frozenset[str] = frozenset()
) -> tuple[Conversation, ExecuteOptions, Mapping[str, str], tuple[Change, ...]]:
    """Give tools names that fully match the regular expression `names`, in options and turns, and whole schemas.

    The schemas lose the keywords `refused` at their top level.

    The third value maps the names that are sent to those of the caller, where they differ. Raises ConfigError where two
    tools have one name, or would be sent under one.
    """
    tools = options.tools or ()
    if not tools and conversation.is_text:
        return conversation, options, {}, ()
    sent = {tool.name: _fit_name(tool.name, names) for tool in tools}
    _refuse_collisions([tool.name for tool in tools], sent)
    changes = [
        Change("renamed", "names of tools", f"{old} is sent as {new}") for old, new in sent.items() if old != new
    ]
    flat = tuple(_flatten(tool, refused, changes) for tool in tools)
    fitting = tuple(_fit_tool(tool, sent[tool.name]) for tool in flat)
    if any(new is not old for new, old in zip(fitting, tools, strict=True)):
        choice = options.tool_choice
        choice = choice if choice in _CHOICES else sent.get(choice, _fit_name(choice, names))
        options = replace(options, tools=fitting, tool_choice=choice)
    turns = [_fit_turn(turn, names) for turn in conversation] if names else list(conversation)
    if any(new is not old for new, old in zip(turns, conversation, strict=True)):
        changes.append(Change("renamed", "names of tools", "those of earlier calls too"))
        conversation = Conversation(turns)
    return conversation, options, {new: old for old, new in sent.items() if new != old}, tuple(changes)


def fit_ids(conversation: Conversation, ids: str) -> tuple[Conversation, tuple[Change, ...]]:
    """Give tool calls and their outputs ids that fully match the regular expression `ids`; different ones stay so."""
    if not ids or conversation.is_text:
        return conversation, ()
    sent: dict[str, str] = {}
    for call in (call for turn in conversation if isinstance(turn, ToolsCallTurn) for call in turn.tool_calls):
        if call.id not in sent:
            fitting = _fit_name(call.id, ids)
            sent[call.id] = _add_hash(fitting, call.id) if fitting in sent.values() else fitting
    if all(old == new for old, new in sent.items()):
        return conversation, ()
    change = Change("transformed", "ids of tool calls", "the provider takes other characters, or fewer")
    return Conversation([_renew_ids(turn, sent) for turn in conversation]), (change,)


def _renew_ids(turn: AnyTurn, sent: Mapping[str, str]) -> AnyTurn:
    if isinstance(turn, ToolsCallTurn):
        calls = tuple(replace(call, id=sent[call.id]) for call in turn.tool_calls)
        return replace(turn, tool_calls=calls)
    if isinstance(turn, ToolOutputTurn):
        return replace(turn, tool_call_id=sent.get(turn.tool_call_id, turn.tool_call_id))
    return turn


def _add_hash(name: str, whole: str) -> str:
    """Put a hash of the whole name in the place of the name's end: names that begin alike stay apart."""
    return f"{name[: -_HASH - 1]}_{sha256(whole.encode()).hexdigest()[:_HASH]}"


def _refuse_collisions(names: list[str], sent: Mapping[str, str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(sent[name], name)
        if other != name:
            raise ConfigError(f"tools {other!r} and {name!r} would both be called {sent[name]!r} there: rename one")
    if len(seen) < len(names):
        raise ConfigError(f"two tools have the same name: {', '.join(names)}")


def _fit_name(name: str, names: str) -> str:
    """Return the name, or one that fits: without other characters, not too long, and then with a hash at its end."""
    if not names or re.fullmatch(names, name):
        return name
    fitting = _SAFE.sub("_", name)
    if not re.fullmatch(names, fitting):
        fitting = fitting.replace("-", "_")
    if not re.fullmatch(names, fitting[:1]):
        fitting = f"_{fitting}"
    longest = next((size for size in range(len(fitting), 0, -1) if re.fullmatch(names, fitting[:size])), 0)
    return fitting if longest == len(fitting) else _add_hash(fitting[:longest], name)


def _flatten(tool: Tool, refused: frozenset[str], changes: list[Change]) -> Tool:
    """Make one object of a schema that has alternatives at its top level; what is lost is told in the description.

    Raises ConfigError where none of them is an object.
    """
    if refused.isdisjoint(tool.parameters):
        return tool
    try:
        schema, hints = flatten_schema(tool.parameters, refused)
    except ValueError as problem:
        raise ConfigError(f"tool {tool.name}: parameters: expected the JSON schema of an object: {problem}") from None
    refused_here = ", ".join(sorted(refused & tool.parameters.keys()))
    why = f"the provider takes no {refused_here} at the top level of a schema"
    changes.append(Change("transformed", f"parameters of tool {tool.name}", why))
    update: dict[str, Any] = {"parameters": schema, "description": "\n\n".join(filter(None, (tool.description, hints)))}
    if tool.strict and set(schema.get("required", ())) != set(schema["properties"]):
        changes.append(Change("dropped", f"strict of tool {tool.name}", "not every property is required any more"))
        update["strict"] = None
    return replace(tool, **update)


def _fit_tool(tool: Tool, name: str) -> Tool:
    """Give a tool its name, and a schema of an object with properties: several refuse one without.

    Raises ConfigError for a schema of something else.
    """
    schema = tool.parameters
    if not is_object(schema):
        raise ConfigError(
            f"tool {tool.name}: parameters: expected the JSON schema of an object, got {schema['type']!r}"
        )
    whole = schema | {
        "type": "object",
        "properties": properties if isinstance(properties := schema.get("properties"), dict) else {},
    }
    if name == tool.name and whole == schema:
        return tool
    return replace(tool, name=name, parameters=whole)


def _fit_turn(turn: AnyTurn, names: str) -> AnyTurn:
    if isinstance(turn, ToolsCallTurn):
        calls = _rename(turn.tool_calls, {call.name: _fit_name(call.name, names) for call in turn.tool_calls})
        return turn if calls is turn.tool_calls else replace(turn, tool_calls=calls)
    if isinstance(turn, ToolOutputTurn) and turn.name and (name := _fit_name(turn.name, names)) != turn.name:
        return replace(turn, name=name)
    return turn


def _rename(calls: tuple[ToolCall, ...], names: Mapping[str, str]) -> tuple[ToolCall, ...]:
    if all(names.get(call.name, call.name) == call.name for call in calls):
        return calls
    return tuple(replace(call, name=names.get(call.name, call.name)) for call in calls)


def restore_names(completion: ChatCompletion, names: Mapping[str, str]) -> ChatCompletion:
    """Give the calls of an answer, and of all answers beside it, the caller's names of the tools."""
    if not names:
        return completion
    choices = tuple(restore_names(choice, names) for choice in completion.choices)
    return replace(completion, tool_calls=_rename(completion.tool_calls, names), choices=choices)


def restore_chunk(chunk: ChatCompletionChunk, names: Mapping[str, str]) -> ChatCompletionChunk:
    """Give the calls in a piece of an answer the caller's names of the tools."""
    if not names or not chunk.tool_calls:
        return chunk
    calls: Any = tuple(replace(call, name=names.get(call.name, call.name)) for call in chunk.tool_calls)
    return replace(chunk, tool_calls=calls)
