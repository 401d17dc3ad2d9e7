"""Choose, compare and pay for language models in a notebook.

Every public name, grouped by the file it comes from. All are loaded on first use (PEP 562), so `import nbkit` takes a
few milliseconds, asks no network, and leaves pydantic, pandas and Jupyter alone until they are needed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nbkit import errors

if TYPE_CHECKING:
    import pandas as pd

    from nbkit.adapters.adapter import BaseAdapter
    from nbkit.adapters.factory import AdapterFactory, get_adapter
    from nbkit.adapters.run import ToolResult
    from nbkit.billing.tokens import TokenCount, count_tokens
    from nbkit.choose.changes import changes
    from nbkit.choose.coverage import provider_table
    from nbkit.choose.estimate import estimate
    from nbkit.choose.frame import aload_catalog, demo_models, load_catalog
    from nbkit.choose.local_models import local_models
    from nbkit.choose.offers import offers
    from nbkit.choose.search import search
    from nbkit.conversation.completion import Bill, Change, ChatCompletion, ChatCompletionChunk, Usage
    from nbkit.conversation.content import AudioEntry, FileEntry, ImageEntry, Reasoning, TextEntry
    from nbkit.conversation.media import attach
    from nbkit.conversation.options import ExecuteOptions
    from nbkit.conversation.tools import Tool, ToolCall
    from nbkit.conversation.turns import (
        ContentTurn,
        Conversation,
        FunctionCallTurn,
        FunctionOutputTurn,
        ToolOutputTurn,
        ToolsCallTurn,
        Turn,
    )
    from nbkit.notebook import plots
    from nbkit.notebook.chat import Chat
    from nbkit.notebook.compare import Comparison, compare
    from nbkit.notebook.show import show
    from nbkit.notebook.widgets.pick import pick
    from nbkit.providers.capabilities import ModelCapabilities
    from nbkit.providers.health import health
    from nbkit.providers.models import Model, ModelFilter, ModelProperties, get_model
    from nbkit.providers.trust import trust

    catalog: pd.DataFrame

__version__ = "0.1.0"

_HOMES = {
    "adapters.adapter": ("BaseAdapter",),
    "adapters.factory": ("AdapterFactory", "get_adapter"),
    "adapters.run": ("ToolResult",),
    "billing.tokens": ("TokenCount", "count_tokens"),
    "conversation.completion": ("Bill", "Change", "ChatCompletion", "ChatCompletionChunk", "Usage"),
    "conversation.content": ("AudioEntry", "FileEntry", "ImageEntry", "Reasoning", "TextEntry"),
    "conversation.media": ("attach",),
    "conversation.options": ("ExecuteOptions",),
    "conversation.tools": ("Tool", "ToolCall"),
    "conversation.turns": (
        "ContentTurn",
        "Conversation",
        "FunctionCallTurn",
        "FunctionOutputTurn",
        "ToolOutputTurn",
        "ToolsCallTurn",
        "Turn",
    ),
    "choose.estimate": ("estimate",),
    "notebook.chat": ("Chat",),
    "notebook.compare": ("Comparison", "compare"),
    "notebook.show": ("show",),
    "notebook.widgets.pick": ("pick",),
    "choose.frame": ("aload_catalog", "demo_models", "load_catalog"),
    "providers.capabilities": ("ModelCapabilities",),
    "choose.changes": ("changes",),
    "providers.health": ("health",),
    "choose.local_models": ("local_models",),
    "providers.models": ("Model", "ModelFilter", "ModelProperties", "get_model"),
    "choose.offers": ("offers",),
    "choose.coverage": ("provider_table",),
    "choose.search": ("search",),
    "providers.trust": ("trust",),
}
_HOME = {name: f"nbkit.{home}" for home, names in _HOMES.items() for name in names}

__all__ = [
    "AdapterFactory",
    "AudioEntry",
    "BaseAdapter",
    "Bill",
    "Change",
    "Chat",
    "ChatCompletion",
    "ChatCompletionChunk",
    "Comparison",
    "ContentTurn",
    "Conversation",
    "ExecuteOptions",
    "FileEntry",
    "FunctionCallTurn",
    "FunctionOutputTurn",
    "ImageEntry",
    "Model",
    "ModelCapabilities",
    "ModelFilter",
    "ModelProperties",
    "Reasoning",
    "TextEntry",
    "TokenCount",
    "Tool",
    "ToolCall",
    "ToolOutputTurn",
    "ToolResult",
    "ToolsCallTurn",
    "Turn",
    "Usage",
    "aload_catalog",
    "attach",
    "catalog",
    "changes",
    "compare",
    "count_tokens",
    "demo_models",
    "errors",
    "estimate",
    "get_adapter",
    "get_model",
    "health",
    "load_catalog",
    "local_models",
    "offers",
    "pick",
    "plots",
    "provider_table",
    "search",
    "show",
    "trust",
]


def __getattr__(name: str) -> Any:
    if name == "catalog":  # the frame in force: a refresh replaces it
        return import_module("nbkit.choose.frame").catalog()
    if name == "plots":
        return import_module("nbkit.notebook.plots")
    if name not in _HOME:
        raise AttributeError(f"module 'nbkit' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(ipython: Any) -> None:
    """`%load_ext nbkit`."""
    import_module("nbkit.notebook.extension").load_ipython_extension(ipython)


def unload_ipython_extension(ipython: Any) -> None:
    """`%unload_ext nbkit`."""
    import_module("nbkit.notebook.extension").unload_ipython_extension(ipython)
