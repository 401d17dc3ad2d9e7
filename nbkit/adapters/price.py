"""A decoded answer with its bill, its timing, and the changes that were made for it.

The decoder has just made it for this call alone, so it is filled in place.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from math import inf
from typing import Any

from msgspec.structs import replace

from nbkit.adapters.fit_tools import restore_names
from nbkit.adapters.prepare import Prepared
from nbkit.billing.cost import Cost, Lane, bill, estimate_tokens
from nbkit.conversation.completion import Change, ChatCompletion, Timing, Usage, fill_completion
from nbkit.modelsdev.current import current_snapshot
from nbkit.providers.endpoints import Endpoint
from nbkit.providers.prices import find_listed_cost

_LONG_PROMPT = 2000
"""Tokens from which on an estimate is good enough to see that a prompt was cut."""
_LANE_FIELDS = dict.fromkeys(("service_tier", "serviceTier", "speed")).keys()
"""The fields of a request that choose a lane: OpenAI and relatives, Google and Bedrock, Anthropic."""
_MOST_MODELS = 100
"""Models of one provider whose rates an endpoint keeps; an answer may name any."""
_OWN_TOOLS = ("function", "custom")
"""The types of the caller's tools in a chat request; any other type is a tool that the provider runs."""
_CREATED_FIELDS = ("created", "created_at", "createTime")
_YEAR_2000, _YEAR_3000 = 946_684_800, 32_503_680_000


def price_completion(answer: ChatCompletion, prepared: Prepared, endpoint: Endpoint, timing: Timing) -> ChatCompletion:
    """Complete a whole answer."""
    changes = _report_cut(answer.usage, prepared) if endpoint.dialect.cuts_prompts else ()
    given, requested = max(len(answer.choices), 1), prepared.options.n or 1
    if given < requested:
        changes += (Change("dropped", "n", f"the provider gave {given} of {requested} answers"),)
    if changes:
        answer = replace(answer, changes=answer.changes + changes)
    return _complete(answer, prepared, endpoint, timing, partial=False)


def price_partial(so_far: ChatCompletion, prepared: Prepared, endpoint: Endpoint, timing: Timing) -> ChatCompletion:
    """Complete what arrived of an answer.

    The cost is an estimate until the provider counts the tokens; it is 0 where nothing was sent, and unknown where the
    answer was to come in one piece.
    """
    usage, notes = so_far.usage, list[str]()
    if not timing.attempts:
        usage = Usage()
    elif prepared.stream and (usage is None or not usage.completion_tokens):
        prompt = usage or Usage(input=estimate_tokens(prepared.conversation.text))
        usage = replace(prompt, output=estimate_tokens(so_far.text), reasoning=estimate_tokens(so_far.reasoning))
        notes.append("token counts are estimated: the provider had not counted them yet")
    return _complete(replace(so_far, usage=usage), prepared, endpoint, timing, partial=True, notes=notes)


def read_reported_cost(answer: ChatCompletion, header: str) -> ChatCompletion:
    """Take the price in USD that a header names, where the answer has none; a gateway may mean "unknown" by 0."""
    try:
        usd = float(header)
    except ValueError:
        return answer
    return fill_completion(answer, reported_cost=usd) if answer.reported_cost is None and 0 < usd < inf else answer


def _complete(
    answer: ChatCompletion,
    prepared: Prepared,
    endpoint: Endpoint,
    timing: Timing,
    *,
    partial: bool,
    notes: Sequence[str] = (),
) -> ChatCompletion:
    cost, model = _find_cost(answer.model, endpoint)
    charges = answer.charges
    priced = bill(
        answer.usage,
        cost,
        reported=answer.reported_cost,
        catalog_date=endpoint.catalog_date or (current_snapshot().meta.date if model else None),
        partial=partial,
        lane=_find_lane(answer, prepared),
        charges=charges,
        others={name: _find_listed(name, endpoint) for name, _ in charges.models},
        notes=(*notes, *_list_uncounted(answer, prepared, endpoint)),
        model=model,
    )
    answer = restore_names(answer, prepared.names)
    kind, changes = prepared.options.answer_type, prepared.changes + answer.changes
    for choice in answer.choices:
        fill_completion(choice, answer_type=kind)
    created = answer.created or _read_created(answer.raw) or int(time.time())
    return fill_completion(answer, created=created, bill=priced, timing=timing, changes=changes, answer_type=kind)


def _find_cost(answered: str, endpoint: Endpoint) -> tuple[Cost | None, str]:
    """Find the rates of the model that answered, and its name where it is another one than was called.

    A router, an alias or a fallback answers with the name of another model. A price that the user gives is the price.
    """
    called = endpoint.cost
    if answered in ("", endpoint.model) or (called is not None and called.source == "user"):
        return called, ""
    listed = _find_listed(answered, endpoint)
    if listed is None or listed == called:
        return called, ""
    return listed, answered


def _find_listed(name: str, endpoint: Endpoint) -> Cost | None:
    """Find the rates of a model of the same provider; an endpoint keeps them, for its answers name the same ones."""
    known = endpoint.costs
    if name not in known:
        if len(known) >= _MOST_MODELS:
            known.clear()
        known[name] = find_listed_cost(endpoint.provider, name, endpoint.protocol)
    return known[name]


def _list_uncounted(answer: ChatCompletion, prepared: Prepared, endpoint: Endpoint) -> list[str]:
    """List what the request asked for, what may be billed, and what the answer does not count."""
    body = prepared.request.body
    notes = ["guardrails: not in the price"] if "guardrailConfig" in body else []  # Bedrock
    if "tools" in body and endpoint.protocol == "openai-chat" and not answer.charges.tools:  # Groq, Z.ai ...
        kinds = {tool.get("type") for tool in body["tools"] if isinstance(tool, dict)}
        notes += [f"{kind}: not in the price" for kind in kinds if isinstance(kind, str) and kind not in _OWN_TOOLS]
    return notes


def _find_lane(answer: ChatCompletion, prepared: Prepared) -> Lane | None:
    """Find the lane that served the answer: the one that the provider names, else the one that was requested."""
    if answer.service_tier:
        return Lane(answer.service_tier)
    requested = find_requested_lane(prepared.request.body)
    return Lane(requested, requested=True) if requested is not None else None


def find_requested_lane(body: Mapping[str, Any]) -> str | None:
    """Find the lane that the body of a request asks for, in the provider's word."""
    for name in _LANE_FIELDS & body.keys():
        value = body[name]
        lane = value.get("type") if isinstance(value, dict) else value  # Bedrock: {"type": "priority"}
        if isinstance(lane, str):
            return lane
    return None


def _read_created(raw: Any) -> int | None:
    """Read when the answer was made, in seconds since 1970, where the provider says it."""
    body: Mapping[str, Any] = raw if isinstance(raw, dict) else {}
    value = next((body[name] for name in _CREATED_FIELDS if body.get(name)), None)
    if isinstance(value, str):  # Ollama and Google write a day and a time
        try:
            value = datetime.fromisoformat(value).timestamp()
        except ValueError:
            return None
    return int(value) if isinstance(value, int | float) and _YEAR_2000 < value < _YEAR_3000 else None


def _report_cut(usage: Usage | None, prepared: Prepared) -> tuple[Change, ...]:
    """List a change where the server counted far fewer tokens than were sent: it cut the rest of the prompt."""
    sent = estimate_tokens(prepared.conversation.text)
    if usage is None or sent < _LONG_PROMPT or usage.prompt_tokens > 0.6 * sent:
        return ()
    why = f"the model read {usage.prompt_tokens} of about {sent} tokens: a larger num_ctx reads more"
    return (Change("dropped", "part of the prompt", why),)
