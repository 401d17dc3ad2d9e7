"""OpenAI's legacy text completions: `POST {base}/completions`, which base models and some local servers speak alone.

Wire facts: platform.openai.com/docs/api-reference/completions, the types of the `openai` package, and what vLLM,
llama.cpp and Text Generation Inference send.

The prompt. One turn of the user or of the assistant is the prompt as it is, and the model continues it. Several turns,
or one of the system, become a transcript, which is listed in the request's `changes`:

    System:
    You are brief.

    User:
    Hello

    Assistant:

It ends where the model's turn begins; a last turn of the assistant ends it as it is, and is continued. The next turn of
the user, which the model would invent, is a stop sequence, unless the caller gave as many as OpenAI takes.
Earlier tool calls stand as `name(arguments)` below the assistant's text, their outputs are turns of the tool.

The limit. Without `max_tokens` OpenAI and vLLM stop after 16 tokens, and llama.cpp does not stop. So 1,024 are sent, or
what the model writes at most, if that is less: a larger limit is refused where prompt and limit together do not fit
into the context, which is often 2,048 or 4,096 tokens here. An answer that reaches it has the finish reason `length`.

Usage: as with chat completions, `prompt_tokens` includes cached tokens and `completion_tokens` includes reasoning.

An answer, whole or streamed, is one of chat completions with `text` in the place of message and delta, and is read as
one: its reasoning is a leading `<think>` block.
"""

from __future__ import annotations

from typing import Any

from nbkit.conversation.completion import ChatCompletion
from nbkit.conversation.content import TextEntry
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.turns import AnyTurn, Conversation, ToolsCallTurn
from nbkit.protocols import openai_chat
from nbkit.protocols.openai_chat import FRAMING, error
from nbkit.protocols.wire import Dialect, WireRequest
from nbkit.protocols.writing import Draft

__all__ = ["FRAMING", "Decoder", "decode", "encode", "error"]

PATH = "/completions"
DEFAULT_MAX_TOKENS = 1024
MAX_STOPS = 4
"""Stop sequences that OpenAI takes."""
NEXT_TURN = "\nUser:"

_ROLES = {"system": "System", "developer": "System", "user": "User", "assistant": "Assistant", "tool": "Tool"}
_SAME_NAME = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "n",
    "user",
)


# ---- encode


def encode(
    conversation: Conversation, options: ExecuteOptions, model: str, dialect: Dialect, stream: bool
) -> WireRequest:
    """Write a request. Nothing is lost without being listed in its `changes`."""
    draft = Draft(dialect, {"model": model})
    stops = list(options.stop or ())
    texts = [_encode_turn(draft, turn) for turn in conversation]
    if _is_prompt(conversation.turns):
        draft.body["prompt"] = texts[0]
    else:
        draft.body["prompt"] = _join_transcript(draft, conversation.turns, texts)
        stops += [NEXT_TURN] if len(stops) < MAX_STOPS else []
    if stream:
        draft.body["stream"] = True
        if dialect.stream_usage:
            draft.body["stream_options"] = {"include_usage": True}
    draft.put("max_tokens", options.max_tokens or min(dialect.max_output or DEFAULT_MAX_TOKENS, DEFAULT_MAX_TOKENS))
    for name in _SAME_NAME:
        draft.put(name, getattr(options, name))
    draft.put("logprobs", options.logprobs)
    draft.put("stop", stops or None)
    return draft.request(PATH)


def _is_prompt(turns: tuple[AnyTurn, ...]) -> bool:
    """Return whether the conversation is one text that the model can continue as it is."""
    return len(turns) == 1 and turns[0].role in ("user", "assistant") and not isinstance(turns[0], ToolsCallTurn)


def _encode_turn(draft: Draft, turn: AnyTurn) -> str:
    """Write a turn's text and tool calls."""
    if getattr(turn, "reasoning", ()):
        draft.change("dropped", "reasoning", "a prompt is text alone")
    if getattr(turn, "name", None) and turn.role != "tool":
        draft.change("dropped", f"name of the {turn.role}", "a transcript names the roles")
    for entry in turn.entries:
        if not isinstance(entry, TextEntry):
            draft.change("dropped", f"{entry.type} of the {turn.role}", "a prompt is text alone")
    calls = turn.tool_calls if isinstance(turn, ToolsCallTurn) else ()
    return "\n".join([*filter(None, [turn.text]), *(f"{call.name}({call.arguments})" for call in calls)])


def _join_transcript(draft: Draft, turns: tuple[AnyTurn, ...], texts: list[str]) -> str:
    """Join the turns, each below its role; the last of them is the model's."""
    draft.change("transformed", "conversation", "the API takes one prompt: a transcript that names the roles")
    parts = [f"{_ROLES[turn.role]}:\n{text}" for turn, text in zip(turns, texts, strict=True)]
    if turns[-1].role != "assistant":
        parts.append("Assistant:\n")
    return "\n\n".join(parts)


# ---- decode


def decode(body: Any, dialect: Dialect) -> ChatCompletion:
    """Read a whole answer. Raises an AdapterError where it is an error, or has no choices."""
    return Decoder(dialect).read_whole(body)


class Decoder(openai_chat.Decoder):
    """Builds a completion from a stream's events; the text of a choice is read where chat completions have none."""

    ANSWER = "a text completion"
