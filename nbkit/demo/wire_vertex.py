"""Claude on Vertex (`POST .../models/{model}:rawPredict`, `:streamRawPredict`): Anthropic's messages by another path.

The model is in the path; in its place the body names the version (cloud.google.com/vertex-ai, "Claude models").
"""

from __future__ import annotations

from typing import Any

from nbkit.demo import wire_anthropic
from nbkit.demo.dialog import Request, required
from nbkit.demo.wire_anthropic import ID_PREFIX, REQUEST_ID, STREAM_TYPE, error, events, whole

__all__ = ["ID_PREFIX", "PATH", "REQUEST_ID", "STREAM_TYPE", "error", "events", "parse", "whole"]

PATH = r"/v1/models/(?P<model>[^:/]+):(?P<action>rawPredict|streamRawPredict)"
VERSION = "vertex-2023-10-16"


def parse(body: dict[str, Any], model: str, action: str) -> Request:
    """The request of a body and its path. Raises ValueError, saying which field is wrong."""
    if required(body, "anthropic_version", str) != VERSION:
        raise ValueError(f"anthropic_version: must be {VERSION}")
    if "model" in body:
        raise ValueError("model: Extra inputs are not permitted")
    return wire_anthropic.parse(body | {"model": model, "stream": action == "streamRawPredict"})
