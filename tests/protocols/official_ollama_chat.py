"""Requests judged by the types of Ollama's own SDK, and for what it does not name, by api/types.go of the server."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

from ollama import Message, Options, Tool
from ollama._types import ChatRequest
from pydantic import BaseModel


def validate(body: dict[str, Any], path: str) -> None:
    """Raise ValueError where the body is not a chat request, or has an unknown key."""
    if path != "/api/chat":
        raise ValueError(f"the path is {path!r}")
    if not isinstance(body.get("stream"), bool):
        raise ValueError("stream is missing: Ollama takes it as true")
    _check(ChatRequest, body, "truncate", "shift")
    _check(Options, body.get("options", {}), "min_p")  # docs/modelfile.mdx
    for message in body["messages"]:
        images = message.get("images", ())
        wrapped = {"images": [{"value": image} for image in images]} if images else {}  # the SDK sends the value alone
        _check(Message, message | wrapped, "tool_call_id")
        if message["role"] not in ("system", "user", "assistant", "tool"):
            raise ValueError(f"unknown role {message['role']}")
        for call in message.get("tool_calls", ()):
            _check(Message.ToolCall, call, "id")
            _check(Message.ToolCall.Function, call["function"])
        for image in images:
            b64decode(image, validate=True)
    for tool in body.get("tools", ()):
        _check(Tool, tool)
        _check(Tool.Function, tool["function"])


def _check(model: type[BaseModel], value: dict[str, Any], *also: str) -> None:
    if unknown := set(value) - set(model.model_fields) - set(also):
        raise ValueError(f"unknown keys for {model.__name__}: {', '.join(sorted(unknown))}")
    model.model_validate_json(json.dumps(value), strict=True)
