"""What the encoders write with: a request's draft, which lists every change made to what was asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from nbkit.conversation.completion import Change
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.tools import Tool, ToolCall
from nbkit.conversation.turns import AnyTurn, FunctionCallTurn, FunctionOutputTurn, ToolOutputTurn, ToolsCallTurn
from nbkit.protocols.wire import Dialect, WireRequest


@dataclass(slots=True)
class Draft:
    """A request being written."""

    dialect: Dialect
    body: dict[str, Any]
    changes: list[Change] = field(default_factory=list)

    def change(self, kind: str, what: str, why: str) -> None:
        """List one change."""
        self.changes.append(Change(kind, what, why))

    def put(self, option: str, value: Any, key: str = "") -> None:
        """Write an option under the protocol's `key`, as the dialect wants it; None is not written."""
        if value is None:
            return
        if option in self.dialect.drop:
            self.change("dropped", option, "the provider does not take it")
            return
        if renamed := self.dialect.rename.get(option):
            self.change("renamed", option, f"the provider calls it {renamed}")
        merge(self.body, nested(renamed or key or option, value))

    def request(self, path: str, headers: dict[str, str] | None = None) -> WireRequest:
        """The finished request; the same change is listed once."""
        return WireRequest(path, self.body, headers or {}, tuple(dict.fromkeys(self.changes)))


def nested(path: str, value: Any) -> dict[str, Any]:
    """`{"a": {"b": value}}` for the dotted path `a.b`."""
    for key in reversed(path.split(".")):
        value = {key: value}
    return dict(value)


def merge(body: dict[str, Any], more: dict[str, Any]) -> None:
    """Add `more` to `body`, object by object."""
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(body.get(key), dict):
            merge(body[key], value)
        else:
            body[key] = value.copy() if isinstance(value, dict) else value


def max_tokens(draft: Draft, options: ExecuteOptions) -> int | None:
    """The answer's limit as asked, clamped to what the model writes at most."""
    asked, most = options.max_tokens, draft.dialect.max_output
    if asked is not None and most is not None and asked > most:
        draft.change("clamped", "max_tokens", f"the model writes at most {most} tokens")
        return most
    return asked


def reasoning(draft: Draft, options: ExecuteOptions) -> tuple[str | None, int | None]:
    """The reasoning effort asked for, in the model's words, and the budget; a budget of 0 is the effort `none`."""
    effort: str | None = options.reasoning_effort
    budget = options.reasoning_budget
    if budget == 0:
        effort, budget = effort or "none", None
    if effort in draft.dialect.efforts:
        instead = draft.dialect.efforts[effort]
        draft.change("transformed", "reasoning_effort", f"the model has no effort {effort}: {instead}")
        effort = instead
    return effort, budget


def tool_choice(draft: Draft, options: ExecuteOptions) -> tuple[tuple[Tool, ...], str | None]:
    """The tools to send and the choice among them, as far as the model can be told."""
    tools, choice = options.tools or (), options.tool_choice
    if not tools:
        for option in ("tool_choice", "parallel_tool_calls"):
            if getattr(options, option) is not None:
                draft.change("dropped", option, "there are no tools")
        return (), None
    if choice in ("auto", "none", None):
        return tools, choice
    named, dialect = choice != "required", draft.dialect
    if named and not (dialect.tool_choice_named and dialect.tool_choice_forced):
        tools = tuple(tool for tool in tools if tool.name == choice)
        draft.change(
            "transformed", "tool_choice", f"the model cannot be told which tool to call: only {choice} is sent"
        )
        choice = "required"
    if not dialect.tool_choice_forced:
        draft.change("transformed", "tool_choice", "the model cannot be made to call a tool: auto")
        choice = "auto"
    return tools, choice


def strict(draft: Draft, tool: Tool) -> dict[str, bool]:
    """The `strict` flag of a tool, where it has one and the provider takes it."""
    if tool.strict is None:
        return {}
    if "strict" in draft.dialect.drop:
        draft.change("dropped", f"strict of tool {tool.name}", "the provider does not take it")
        return {}
    return {"strict": tool.strict}


def modern(draft: Draft, turns: Iterable[AnyTurn]) -> list[AnyTurn]:
    """The turns, with OpenAI's deprecated function calls as tool calls; their ids count the calls."""
    out: list[AnyTurn] = []
    calls: dict[str, str] = {}  # function -> the id of its last call
    for turn in turns:
        if isinstance(turn, FunctionCallTurn):
            function = turn.function_call
            calls[function.name] = made_up = f"call_function_{len(out)}"
            call = ToolCall(id=made_up, name=function.name, arguments=function.arguments)
            out.append(ToolsCallTurn(content=turn.content, tool_calls=(call,), reasoning=turn.reasoning))
        elif isinstance(turn, FunctionOutputTurn):
            answered = calls.get(turn.name, f"call_function_{len(out)}")
            out.append(ToolOutputTurn(content=turn.content, tool_call_id=answered, name=turn.name))
        else:
            out.append(turn)
            continue
        draft.change("transformed", "function_call", "deprecated: sent as a tool call")
    return out
