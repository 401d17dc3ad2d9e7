"""Claude on Vertex (`POST .../models/{model}:rawPredict`, `:streamRawPredict`): Anthropic's messages by another path.

The model is in the path; in its place the body names the version (cloud.google.com/vertex-ai, "Claude models").
"""

from __future__ import annotations

from typing import Any

from nbkit.demo.faces import anthropic_messages
from nbkit.demo.faces.anthropic_messages import (
    ID_PREFIX,
    REQUEST_ID,
    STREAM_TYPE,
    write_error,
    write_events,
    write_whole,
)
from nbkit.demo.request import DemoRequest, require_field

__all__ = ["ID_PREFIX", "PATH", "REQUEST_ID", "STREAM_TYPE", "parse", "write_error", "write_events", "write_whole"]

PATH = r"/v1/models/(?P<model>[^:/]+):(?P<action>rawPredict|streamRawPredict)"
VERSION = "vertex-2023-10-16"


def parse(body: dict[str, Any], model: str, action: str) -> DemoRequest:
    """Read the request of a body and its path. Raises ValueError, naming the wrong field."""
    if require_field(body, "anthropic_version", str) != VERSION:
        raise ValueError(f"anthropic_version: must be {VERSION}")
    if "model" in body:
        raise ValueError("model: Extra inputs are not permitted")
    return anthropic_messages.parse(body | {"model": model, "stream": action == "streamRawPredict"})
