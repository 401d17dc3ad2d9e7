"""Claude on Google's Vertex AI: Anthropic's messages at `POST {base}/models/{model}:rawPredict`, `:streamRawPredict`.

Wire facts: docs.claude.com/en/api/claude-on-vertex-ai. The model stands in the path, the version in the body; the rest
is Anthropic's own, answers included.
"""

from __future__ import annotations

from urllib.parse import quote

from msgspec.structs import replace

from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.turns import Conversation
from nbkit.protocols import anthropic_messages
from nbkit.protocols.anthropic_messages import FRAMING, Decoder, decode, error
from nbkit.protocols.wire import Dialect, WireRequest

__all__ = ["FRAMING", "Decoder", "decode", "encode", "error"]

VERSION = "vertex-2023-10-16"


def encode(
    conversation: Conversation, options: ExecuteOptions, model: str, dialect: Dialect, stream: bool
) -> WireRequest:
    """Write a request. Nothing is lost without being listed in its `changes`."""
    request = anthropic_messages.encode(conversation, options, model, dialect, stream)
    body = {"anthropic_version": VERSION} | {key: value for key, value in request.body.items() if key != "model"}
    path = f"/models/{quote(model, safe='@')}:{'streamRawPredict' if stream else 'rawPredict'}"
    return replace(request, path=path, body=body, headers={})
