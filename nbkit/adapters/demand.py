"""The most that a prepared call may use, read from the request as it is sent. Pure.

The body is what counts: encoders write a limit of their own where a protocol demands one, and `extra_body` may say
another one than the options do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nbkit.adapters.prepare import Prepared
from nbkit.adapters.price import find_requested_lane
from nbkit.billing.ceiling import Ceiling, Demand, compute_ceiling
from nbkit.billing.cost import Cost
from nbkit.billing.tokens import count_tokens
from nbkit.conversation.content import AudioEntry
from nbkit.json_text import write_json
from nbkit.protocols.reading import mapping
from nbkit.providers.endpoints import Endpoint
from nbkit.providers.trust import is_local

TOOL_CALLS = 10
"""Calls of the provider's own tools that an answer is taken to make at most where the request does not limit them."""
_LIMITS = {
    *("max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens"),
    *("maxOutputTokens", "maxTokens", "num_predict"),
}
_BUDGETS = {"budget_tokens", "thinking_budget", "thinkingBudget", "reasoning_budget"}
_COUNTS = {"n", "candidateCount", "best_of", "num_generations"}
_TOOL_LIMITS = {"max_uses", "max_tool_calls"}
_OWN_TOOLS = {"function", "custom", "input_schema", "parameters", "functionDeclarations", "toolSpec", "name"}
"""The keys of a tool that the caller runs; `type` names those that the provider runs."""
_CALLERS_TYPES = {None, "function", "custom"}
_TOOL_FIELDS = {
    *("web_search_options", "search_parameters", "plugins", "connectors", "mcp_servers", "builtin_tools"),
    *("context_management", "enable_search", "search_options"),
}
"""Fields of a body that let the provider work by itself, beside `tools`."""
_OTHER_MODELS = {"models", "fallbacks", "fallback_models"}
_USUAL = {"default", "standard", "standard_only", "on_demand"}


def find_ceiling(prepared: Prepared, endpoint: Endpoint) -> Ceiling:
    """Find the most that a call may cost. A model of this machine that has no price is free."""
    cost = endpoint.cost
    if cost is None and is_local(endpoint.base_url):
        cost = Cost({"input": 0, "output": 0})
    return compute_ceiling(cost, read_demand(prepared, endpoint))


def read_demand(prepared: Prepared, endpoint: Endpoint) -> Demand:
    """Read the most that a call may use."""
    options, takes = prepared.options, endpoint.tolerance
    body = prepared.request.body or (endpoint.body | (options.extra_body or {}))  # images are fetched before the rest
    tool_calls = _count_tool_calls(body)
    prompt: int | None = _count_prompt(prepared, endpoint)
    if tool_calls:  # what they find is read, by each run of the model
        prompt = takes.context * (tool_calls + 1) if takes.context else None
    lane = find_requested_lane(body)
    known = set() if endpoint.cost is None else {*endpoint.cost.lanes, *endpoint.cost.lane_factors}
    chosen = (lane,) if lane and lane.lower() in known else () if lane is None or lane.lower() in _USUAL else None
    others = _OTHER_MODELS & body.keys()
    return Demand(
        prompt=prompt,
        answer=_count_answer(prepared, endpoint, body),
        tool_calls=tool_calls,
        lanes=chosen,
        has_audio=any(isinstance(entry, AudioEntry) for turn in prepared.conversation for entry in turn.media),
        caches_hours=b'"1h"' in write_json(body, fallback=str),
        vague=f"another model may answer ({', '.join(sorted(others))})" if others else "",
    )


def _count_prompt(prepared: Prepared, endpoint: Endpoint) -> int:
    """Count at the upper end of the band, which is that of all models where the catalog does not list this one."""
    options = prepared.options
    model = endpoint.id if endpoint.catalog_date else None
    count = count_tokens(prepared.conversation, model, tools=options.tools or ()).high
    natives = [turn.native.parts for turn in prepared.conversation if turn.native is not None]
    beside = [part for part in (options.response_format, options.extra_body, endpoint.body, natives) if part]
    return count + (count_tokens(write_json(beside, fallback=str).decode()).high if beside else 0)


def _count_answer(prepared: Prepared, endpoint: Endpoint, body: Mapping[str, Any]) -> int | None:
    """Count the tokens of the longest answer, or of all of them where several are wanted."""
    options, takes = prepared.options, endpoint.tolerance
    limits = [number for number in (options.max_tokens, *_read_numbers(body, _LIMITS)) if number and number > 0]
    limit = max(limits) if limits else takes.max_output or takes.context
    if limit is None:
        return None
    budget = max([options.reasoning_budget or 0, *_read_numbers(body, _BUDGETS)])
    if takes.budget_apart and takes.reasoning is not None and options.reasoning_effort != "none":
        limit += budget or takes.reasoning.max_budget or takes.max_output or limit
    elif budget >= limit:
        limit += budget
    answers = max([options.n or 1, *_read_numbers(body, _COUNTS)])
    return limit * answers


def _read_numbers(body: Mapping[str, Any], names: set[str]) -> Iterator[int]:
    """Read the whole numbers of these names, at the top and in the objects below it; lists hold what is said."""
    for name, value in body.items():
        if name in names and type(value) is int:
            yield value
        elif isinstance(value, dict):
            yield from _read_numbers(value, names)


def _count_tool_calls(body: Mapping[str, Any]) -> int:
    """Count the calls that the provider's own tools may make."""
    wrapped = mapping(body.get("toolConfig")).get("tools")  # Bedrock
    tools = [tool for tool in (*(body.get("tools") or ()), *(wrapped or ())) if isinstance(tool, dict)]
    own = [tool for tool in tools if not _is_callers(tool)]
    fields = len(_TOOL_FIELDS & body.keys())
    if not own and not fields:
        return 0
    most = max(_read_numbers(body, {"max_tool_calls"}), default=None)
    each = [max(_read_numbers(tool, _TOOL_LIMITS), default=TOOL_CALLS) for tool in own]
    return most if most is not None else sum(each) + TOOL_CALLS * fields


def _is_callers(tool: Mapping[str, Any]) -> bool:
    """Tell whether a tool is a function of the caller's, in any protocol's form."""
    return tool.get("type") in _CALLERS_TYPES and not _OWN_TOOLS.isdisjoint(tool)
