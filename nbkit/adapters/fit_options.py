"""Options fitted to a model. Pure; each loss is listed, and what cannot be made good raises first of all."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from nbkit.conversation.completion import Change
from nbkit.conversation.content import AudioEntry, ContentEntry, FileEntry, ImageEntry, TextEntry
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.turns import AnyTurn, Conversation, FunctionCallTurn, ToolsCallTurn, Turn
from nbkit.errors import ConfigError, UnsupportedFeatureError
from nbkit.protocols.writing import fit_budget
from nbkit.providers.capabilities import ModelCapabilities, ReasoningControl, Tolerance

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32768, "max": 65536}
"""Tokens of reasoning that stand for an effort where a model takes a budget, and the reverse."""

_READS: dict[
    type, tuple[str, str, str]
] = {  # kind of entry -> the capability that reads it, what it is called, how to find models that do
    ImageEntry: ("supports_vision", "images", "catalog[catalog.vision]"),
    FileEntry: ("supports_pdf", "documents", "catalog[catalog.pdf_in]"),
    AudioEntry: ("supports_audio", "audio", "catalog[catalog.audio_in]"),
}


def check_capabilities(conversation: Conversation, options: ExecuteOptions, can: ModelCapabilities, model: str) -> None:
    """Raise UnsupportedFeatureError for what the model cannot do, and nothing can stand in for."""
    if all(map(_is_empty, conversation)):
        where = ": turn 0 has no content" if conversation.turns else ""
        raise UnsupportedFeatureError(f"{model}: the conversation is empty{where}", model=model, feature="empty")
    if options.tools and not can.supports_tools:
        message = f"{model} does not call tools; catalog[catalog.tools] lists models that do"
        raise UnsupportedFeatureError(message, model=model, feature="tools")
    if options.tool_choice not in ("auto", "none", "required", None):
        names = [tool.name for tool in options.tools or ()]
        if names and options.tool_choice not in names:
            raise ConfigError(f"tool_choice: unknown tool {options.tool_choice!r}; the tools are {', '.join(names)}")
    if (options.n or 1) > 1 and not can.supports_n:
        message = f"{model} gives one answer per call, not n={options.n}: call it several times"
        raise UnsupportedFeatureError(message, model=model, feature="n")
    for index, turn in enumerate(conversation):
        for entry in turn.media:
            flag, what, where = _READS.get(type(entry), ("", "", ""))
            if flag and not getattr(can, flag):
                raise UnsupportedFeatureError(
                    f"{model} does not read {what} ({_name_turn(conversation, index)}); {where} lists models that do",
                    model=model,
                    feature=flag.removeprefix("supports_"),
                )


def _name_turn(conversation: Conversation, index: int) -> str:
    """Name a turn as a reader counts: "the prompt", "turn 2 (user)"."""
    role = conversation[index].role
    return "the prompt" if index == len(conversation) - 1 and role == "user" else f"turn {index + 1} ({role})"


def _is_empty(turn: AnyTurn) -> bool:
    """Tell whether a turn has neither text, other than white space, nor media nor calls."""
    if isinstance(turn, Turn):
        return not turn.content.strip()
    calls = isinstance(turn, ToolsCallTurn | FunctionCallTurn)
    return not calls and all(isinstance(entry, TextEntry) and not entry.text.strip() for entry in turn.entries)


def list_losses(conversation: Conversation, options: ExecuteOptions, takes: Tolerance) -> frozenset[str]:
    """List the options of a call that a model does not take, and the media that it does not read."""
    if not options.given and conversation.is_text:
        return frozenset()
    can = takes.capabilities
    dropped = takes.drop | (set() if can.supports_user else {"user"})
    lost = set((dropped - {"strict"}) & options.given)
    if (options.n or 1) > 1 and not can.supports_n:
        lost.add("n")
    kinds: set[type[ContentEntry]] = {type(entry) for turn in conversation for entry in turn.media}
    lost |= {_READS[kind][1] for kind in kinds if kind in _READS and not getattr(can, _READS[kind][0])}
    return frozenset(lost)


def fit_options(
    conversation: Conversation, options: ExecuteOptions, takes: Tolerance
) -> tuple[Conversation, ExecuteOptions, tuple[Change, ...]]:
    """Fit the conversation and the options to what the model takes; the third value lists every change."""
    given = options.given
    if not given:
        return conversation, options, ()
    fitting = _Fitting(options)
    can = takes.capabilities
    for name in sorted(takes.drop | (set() if can.supports_user else {"user"})):
        fitting.drop(name, "the model does not take it")
    if fitting["n"] == 1:
        fitting.values["n"] = None
    for names, fit in _FITS:
        if not names.isdisjoint(given):
            fit(fitting, takes)
    instruction = _fit_format(fitting, can, conversation)
    if instruction:
        at = next(
            (n for n, turn in enumerate(conversation) if turn.role not in ("system", "developer")), len(conversation)
        )
        turns = conversation.turns
        conversation = Conversation((*turns[:at], Turn(role="system", content=instruction), *turns[at:]))
    return conversation, fitting.options(), tuple(dict.fromkeys(fitting.changes))


class _Fitting:
    """Options being fitted, with the changes made to them."""

    def __init__(self, requested: ExecuteOptions) -> None:
        self.requested = requested
        self.values: dict[str, Any] = {}
        self.changes: list[Change] = []

    def __getitem__(self, name: str) -> Any:
        return self.values[name] if name in self.values else getattr(self.requested, name)

    def change(self, kind: str, what: str, why: str, value: Any) -> None:
        self.values[what] = value
        self.changes.append(Change(kind, what, why))

    def drop(self, name: str, why: str) -> None:
        if name == "strict":
            self._drop_strict(why)
        elif self[name] is not None:
            self.change("dropped", name, why, None)

    def _drop_strict(self, why: str) -> None:
        """`strict` of a tool: the option of that name is nbkit's own."""
        for tool in self["tools"] or ():
            if tool.strict is not None:
                self.changes.append(Change("dropped", f"strict of tool {tool.name}", why))
        if any(tool.strict is not None for tool in self["tools"] or ()):
            self.values["tools"] = tuple(replace(tool, strict=None) for tool in self["tools"])

    def options(self) -> ExecuteOptions:
        return replace(self.requested, **self.values) if self.values else self.requested


def _fit_temperature(fitting: _Fitting, takes: Tolerance) -> None:
    if not takes.capabilities.supports_temperature:
        fitting.drop("temperature", "the model takes none")
    value, scale, most = fitting["temperature"], takes.temperature_scale, takes.temperature_max
    if value is None:
        return
    if scale != 1:
        value *= scale
        fitting.change("transformed", "temperature", f"the model's scale is {scale:g} times OpenAI's: {value:g}", value)
    if most is not None and value > most:
        fitting.change("clamped", "temperature", f"the model's goes from 0 to {most:g}", most)


def _fit_limit(fitting: _Fitting, takes: Tolerance) -> None:
    limit, most = fitting["max_tokens"], takes.max_output
    if limit is not None and most is not None and limit > most:
        fitting.change("clamped", "max_tokens", f"the model writes at most {most} tokens", most)


def _fit_stop(fitting: _Fitting, takes: Tolerance) -> None:
    """Leave out stop sequences that are refused: empty ones everywhere, blank ones and too many where a row says so."""
    stops: tuple[str, ...] = fitting["stop"] or ()
    blank = takes.capabilities.supports_blank_stop
    kept = tuple(text for text in dict.fromkeys(stops) if text and (blank or text.strip()))
    left_out = [text for text in dict.fromkeys(stops) if text not in kept]
    if left_out:
        why = "a stop sequence must not be white space alone" if any(left_out) else "a stop sequence must not be empty"
        what = "stop" if not kept else f"stop {', '.join(map(repr, left_out))}"
        fitting.changes.append(Change("dropped", what, why))
    if takes.stop_max is not None and len(kept) > takes.stop_max:
        why = f"the model takes {takes.stop_max} stop sequences: the first ones"
        fitting.changes.append(Change("clamped", "stop", why))
        kept = kept[: takes.stop_max]
    if stops:
        fitting.values["stop"] = kept or None


def _fit_tools(fitting: _Fitting, takes: Tolerance) -> None:
    """Fit the choice among the tools to what the model can be told."""
    can, tools, choice = takes.capabilities, fitting["tools"] or (), fitting["tool_choice"]
    if not tools:
        for option in ("tool_choice", "parallel_tool_calls"):
            fitting.drop(option, "no tools are given")
        fitting.values["tools"] = None
        return
    if choice == "none" and not can.supports_tool_choice:
        fitting.change("transformed", "tool_choice", "the model cannot be told: no tools are sent", None)
        fitting.values |= {"tools": None, "parallel_tool_calls": None}
        return
    if choice not in ("auto", "none", "required", None) and not can.supports_tool_choice_named:
        why = f"the model cannot be told which: only {choice} is sent"
        fitting.change("transformed", "tool_choice", why, "required")
        fitting.values["tools"] = tuple(tool for tool in tools if tool.name == choice)
    if fitting["tool_choice"] not in ("auto", "none", None) and not can.supports_tool_choice_required:
        fitting.change("transformed", "tool_choice", "the model cannot be made to call a tool: auto", "auto")
    if fitting["tool_choice"] is not None and not can.supports_tool_choice:
        fitting.values["tool_choice"] = None  # auto is what it does anyway


def _fit_schemas(fitting: _Fitting, takes: Tolerance) -> None:
    """Take the keywords that the provider refuses out of the schemas of the tools and of the answer."""
    refused = takes.schema_drop
    if not refused:
        return
    tools = tuple(
        replace(tool, parameters=_strip_keywords(tool.parameters, refused)) for tool in fitting["tools"] or ()
    )
    if tools and tools != fitting["tools"]:
        fitting.change("transformed", "tools", f"without {', '.join(sorted(refused))} in their schemas", tools)
    wanted = fitting["response_format"] or {}
    if (stripped := _strip_keywords(wanted, refused)) != wanted:
        why = f"without {', '.join(sorted(refused))} in its schema"
        fitting.change("transformed", "response_format", why, stripped)


def _strip_keywords(schema: Any, refused: frozenset[str], names: bool = False) -> Any:
    """Copy a JSON schema without some keywords; `names`: its keys are names of properties, not keywords."""
    if isinstance(schema, list):
        return [_strip_keywords(item, refused) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _strip_keywords(value, refused, names=not names and key in ("properties", "$defs", "definitions"))
        for key, value in schema.items()
        if names or key not in refused
    }


def _fit_reasoning(fitting: _Fitting, takes: Tolerance) -> None:
    """Express the effort or the budget in the terms that the model knows; a budget of 0 is the effort `none`."""
    if fitting["reasoning_budget"] == 0:
        fitting.values |= {"reasoning_budget": None, "reasoning_effort": fitting["reasoning_effort"] or "none"}
    control = takes.reasoning
    if control is None:
        if fitting["reasoning_effort"] == "none":
            fitting.values["reasoning_effort"] = None
        fitting.drop("reasoning_effort", "the model does not reason")
        return fitting.drop("reasoning_budget", "the model does not reason")
    _fit_kind(fitting, control)
    effort, budget = fitting["reasoning_effort"], fitting["reasoning_budget"]
    if effort is not None:
        _fit_effort(fitting, effort, control)
    if budget:
        within = min(max(budget, control.min_budget or 0), control.max_budget or budget)
        if within != budget:
            fitting.change("clamped", "reasoning_budget", f"the model takes {within} tokens", within)
        _leave_room(fitting, takes, control.min_budget)
    return None


def _leave_room(fitting: _Fitting, takes: Tolerance, smallest: int | None) -> None:
    """Leave room for the answer where the tokens of reasoning count as a part of `max_tokens`."""
    budget, limit = fitting["reasoning_budget"], fitting["max_tokens"]
    if limit is None or takes.budget_apart:
        return None
    within, least = fit_budget(budget, limit), max(takes.budget_min or 1, smallest or 1)
    if within < min(least, budget):
        why = f"{limit} tokens of max_tokens have no room for it beside the answer"
        return fitting.drop("reasoning_budget", why)
    if within < budget:
        why = f"a part of max_tokens, of which some are left for the answer: {within}"
        fitting.change("clamped", "reasoning_budget", why, within)
    return None


def _fit_kind(fitting: _Fitting, control: ReasoningControl) -> None:
    """Turn an effort into a budget, or a budget into an effort, where the model knows only the other."""
    effort, budget = fitting["reasoning_effort"], fitting["reasoning_budget"]
    if effort:
        fitting.drop("reasoning_budget", "there is a reasoning_effort")
        if effort == "none" or "effort" in control.kinds:
            return
        if "budget" not in control.kinds:
            return fitting.drop("reasoning_effort", "the model takes none")
        budget = _BUDGETS[effort]
        fitting.change("transformed", "reasoning_effort", f"the model takes a budget: {budget} tokens", None)
        fitting.values["reasoning_budget"] = budget
    elif budget and "budget" not in control.kinds:
        if "effort" not in control.kinds:
            return fitting.drop("reasoning_budget", "the model takes none")
        effort = next((name for name, most in _BUDGETS.items() if budget <= most), "max")
        fitting.drop("reasoning_budget", "the model takes an effort")
        fitting.values["reasoning_effort"] = effort
    return None


def _fit_effort(fitting: _Fitting, effort: str, control: ReasoningControl) -> None:
    """Express the effort in the model's words."""
    if effort in control.substitutes:
        why, instead = f"the model has no {effort}", control.substitutes[effort]
    elif effort == "none" and not control.can_disable:
        why, instead = "the model always thinks", _find_nearest(effort, control.efforts)
        if instead == "none":
            return fitting.drop("reasoning_effort", why)
    elif effort != "none" and control.efforts and effort not in control.efforts:
        why, instead = f"the model has no {effort}", _find_nearest(effort, control.efforts)
    else:
        return None
    return fitting.change("transformed", "reasoning_effort", f"{why}: {instead}", instead)


def _find_nearest(effort: str, known: tuple[str, ...]) -> str:
    """Find the known effort that comes closest, the smaller of two."""
    ranked = [name for name in known if name in EFFORTS and name != "none"]
    return min(ranked, key=lambda name: abs(EFFORTS.index(name) - EFFORTS.index(effort)), default=effort)


def _fit_format(fitting: _Fitting, can: ModelCapabilities, conversation: Conversation) -> str:
    """Fit the form of the answer; returns the instruction for a model that cannot be held to it, else ""."""
    wanted = fitting["response_format"]
    kind = (wanted or {}).get("type")
    if kind not in ("json_object", "json_schema"):
        if wanted and kind == "text":
            fitting.values["response_format"] = None
        return ""
    schema = (wanted.get("json_schema") or {}).get("schema")
    beside_tools = bool(fitting["tools"]) and not can.supports_json_with_tools
    if kind == "json_schema" and can.supports_json_schema and not beside_tools:
        return ""
    instruction = "Answer with a JSON object" + (
        f" that follows this JSON schema:\n{json.dumps(schema)}" if schema else "."
    )
    if beside_tools or not can.supports_json_output:
        fitting.change("transformed", "response_format", "the model cannot be held to it: it is told to", None)
    elif kind == "json_schema":
        why = "the model cannot be held to a schema, only to JSON: it is told the schema"
        fitting.change("transformed", "response_format", why, {"type": "json_object"})
    elif "json" in conversation.text.lower():
        return ""
    else:
        fitting.change("transformed", "response_format", "the prompt must speak of JSON: it is told to", wanted)
    return instruction


_FITS: tuple[tuple[frozenset[str], Callable[[_Fitting, Tolerance], None]], ...] = (
    (frozenset(("temperature",)), _fit_temperature),
    (frozenset(("max_tokens",)), _fit_limit),
    (frozenset(("stop",)), _fit_stop),
    (frozenset(("tools", "tool_choice", "parallel_tool_calls")), _fit_tools),
    (frozenset(("tools", "response_format")), _fit_schemas),
    (frozenset(("reasoning_effort", "reasoning_budget")), _fit_reasoning),
)
"""The options that each one is about, in the order in which they are fitted."""
