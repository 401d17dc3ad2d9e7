"""Requests judged by the types of Google's own SDK (google-genai), which forbid unknown keys."""

from __future__ import annotations

import re
import warnings
from typing import Any

from pydantic import TypeAdapter

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the SDK's own, while it is imported
    from google.genai import types

# The types are those of a request's parts: the SDK has none for the body as a whole.
FIELDS = {
    "contents": TypeAdapter(list[types.Content]),
    "systemInstruction": TypeAdapter(types.Content),
    "generationConfig": TypeAdapter(types.GenerationConfig),
    "tools": TypeAdapter(list[types.Tool]),
    "serviceTier": TypeAdapter(types.ServiceTier),
    "toolConfig": TypeAdapter(types.ToolConfig),
}
PATH = re.compile(r"/(models|tunedModels)/[^/:?]+:(generateContent|streamGenerateContent\?alt=sse)")


def validate(body: dict[str, Any], path: str) -> None:
    """Raise ValueError or UserWarning where Google's SDK could not have written the request."""
    if not PATH.fullmatch(path):
        raise ValueError(f"the path is {path!r}")
    if not body.get("contents"):
        raise ValueError("contents are missing")
    for content in body["contents"]:
        if content.get("role") not in ("user", "model") or not content.get("parts"):
            raise ValueError("a content has a role, user or model, and parts")
    for key, value in body.items():
        if key not in FIELDS:
            raise ValueError(f"unknown key {key}")
        _refuse_snake_case(value, key)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # the SDK warns of a word that it does not know, and takes it
            FIELDS[key].validate_python(value)


def _refuse_snake_case(value: Any, where: str) -> None:
    """The SDK takes both spellings, the wire has camelCase; what is in schemas, arguments and outputs is the user's."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_snake_case(item, f"{where}.{index}")
    elif isinstance(value, dict):
        for key, item in value.items():
            if "_" in key:
                raise ValueError(f"{where}.{key} is not camelCase")
            if key not in ("args", "response", "parametersJsonSchema", "responseJsonSchema"):
                _refuse_snake_case(item, f"{where}.{key}")
