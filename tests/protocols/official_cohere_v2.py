"""Requests judged by the types of Cohere's own SDK."""

from __future__ import annotations

import json
from typing import Any, get_args, get_type_hints

from cohere.types.thinking_type import ThinkingType
from cohere.v2.client import V2Client
from cohere.v2.types.v2chat_request_tool_choice import V2ChatRequestToolChoice
from pydantic import BaseModel, TypeAdapter

HINTS = get_type_hints(V2Client.chat)


def validate(body: dict[str, Any], path: str) -> None:
    """Raise ValueError where the body is not a chat request, or has a key that the SDK does not know."""
    if path != "/chat":
        raise ValueError(f"the path is {path!r}")
    if {"model", "messages", "stream"} - set(body):
        raise ValueError("a field is missing")
    if not isinstance(body["stream"], bool):
        raise ValueError("stream: not a bool")
    words = {V2ChatRequestToolChoice: body.get("tool_choice"), ThinkingType: body.get("thinking", {}).get("type")}
    for known, word in words.items():  # the SDK takes any word beside those that it knows
        TypeAdapter(get_args(known)[0] | None).validate_python(word)
    for key, value in body.items():
        if key == "stream":
            continue
        if key not in HINTS:
            raise ValueError(f"unknown key {key}")
        _refuse_unknown(TypeAdapter(HINTS[key]).validate_json(json.dumps(value), strict=True), key)


def _refuse_unknown(value: Any, where: str) -> None:
    """The SDK's models take any key; what they do not know is in `model_extra`."""
    if isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _refuse_unknown(item, f"{where}.{index}")
    if isinstance(value, BaseModel):
        if value.model_extra:
            raise ValueError(f"unknown keys in {where}: {', '.join(value.model_extra)}")
        for name in type(value).model_fields:
            _refuse_unknown(getattr(value, name), f"{where}.{name}")
