"""Wire formats, sans-IO: how a conversation is written as a request, and how an answer is read.

A protocol is its module and one row of `PROTOCOLS`; CONTRIBUTING.md has the recipe for another.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, cast

from nbkit.errors import ProviderNotSupportedError

if TYPE_CHECKING:  # the table is read by the catalog too, which encodes nothing
    from nbkit.protocols.wire import ProtocolModule


class ProtocolRow(NamedTuple):
    """A protocol, as the other rooms know it."""

    module: str
    """The module of this room that speaks it. A face of it, at the demo or in the tests, has the same name."""
    models: str = ""
    """Path of the list of models, seen from the base URL, which costs nothing to read; "" where there is none."""
    native: str = ""
    """The protocol under whose name turns keep what is in its own form (`NativeContent`); "" where nothing is kept."""


PROTOCOLS = {
    "openai-chat": ProtocolRow("openai_chat", models="models"),
    "anthropic-messages": ProtocolRow("anthropic_messages", models="models", native="anthropic-messages"),
    "gemini-generate": ProtocolRow("gemini_generate", models="models", native="gemini-generate"),
    "openai-responses": ProtocolRow("openai_responses", models="models", native="openai-responses"),
    "cohere-v2": ProtocolRow("cohere_v2", models="../v1/models"),
    "ollama-chat": ProtocolRow("ollama_chat", models="api/tags"),
    "bedrock-converse": ProtocolRow("bedrock_converse"),
    "anthropic-vertex": ProtocolRow("anthropic_vertex", native="anthropic-messages"),
    "openai-completions": ProtocolRow("openai_completions", models="models"),
}


@cache
def protocol(name: str) -> ProtocolModule:
    """Import the module that speaks a protocol. Raises ProviderNotSupportedError, which lists those that there are."""
    if name not in PROTOCOLS:
        raise ProviderNotSupportedError(f"unknown protocol {name!r}; there are {', '.join(PROTOCOLS)}")
    return cast("ProtocolModule", import_module(f"nbkit.protocols.{PROTOCOLS[name].module}"))
