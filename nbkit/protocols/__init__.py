"""How a conversation is written on the wire, sans-IO.

A protocol is its module and one row of `PROTOCOLS`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from nbkit.errors import ProviderNotSupportedError

if TYPE_CHECKING:  # the table is read by the catalog too, which encodes nothing
    from nbkit.protocols.wire import ProtocolModule


PROTOCOLS = {  # name -> the module of this room that speaks it
    "openai-chat": "openai_chat",
    "anthropic-messages": "anthropic_messages",
    "gemini-generate": "gemini_generate",
    "openai-responses": "openai_responses",
    "cohere-v2": "cohere_v2",
    "ollama-chat": "ollama_chat",
    "bedrock-converse": "bedrock_converse",
    "anthropic-vertex": "anthropic_vertex",
}


def protocol(name: str) -> ProtocolModule:
    """The module that speaks a protocol. Raises ProviderNotSupportedError, which names those that there are."""
    if name not in PROTOCOLS:
        raise ProviderNotSupportedError(f"no protocol {name!r}; there are {', '.join(PROTOCOLS)}")
    return cast("ProtocolModule", import_module(f"nbkit.protocols.{PROTOCOLS[name]}"))
