"""Choose, compare and pay for language models in a notebook.

The public names stand once, in `__init__.pyi` beside this file, with the rooms that they come from. Type checkers and
editors read it as a stub; here each of its import lines becomes a name that is loaded on first use (PEP 562). So
`import nbkit` loads nothing else, asks no network, and leaves pydantic, pandas and Jupyter alone until they are needed.
What has no name here is imported from its room: `from nbkit.conversation.content import ImageEntry`.
"""

from importlib import import_module

__version__ = "0.1.0"

_stub = __spec__.loader.get_data(f"{__path__[0]}/__init__.pyi").decode()
_ROOMS = {words[3]: words[1] for words in map(str.split, _stub.splitlines()) if words[:1] == ["from"]}
__all__ = sorted(_ROOMS)  # noqa: PLE0605 - it is a list
"""What `from nbkit import *` gives: all public names but `catalog`, which would be loaded, perhaps fetched, at once."""


def __getattr__(name: str) -> object:
    if name == "catalog":  # the frame in force: a refresh replaces it, so it is never kept here
        return import_module("nbkit.choose.frame").catalog()
    if name not in _ROOMS:
        raise AttributeError(f"module 'nbkit' has no attribute {name!r}")
    room = import_module(_ROOMS[name])
    # a package re-exports nothing, so what comes from one is a module: errors, plots, settings
    value = import_module(f"{room.__name__}.{name}") if hasattr(room, "__path__") else getattr(room, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(["catalog", *__all__, *(name for name in globals() if name.startswith("__"))])


def _write_completion(completion: object) -> object:
    """How a cell shows a completion. `conversation` has it and may not know the notebook room, which is above it."""
    return import_module("nbkit.notebook.export").write_completion(completion)


def _write_conversation(conversation: object) -> object:
    """How a cell shows a conversation."""
    return import_module("nbkit.notebook.conversation").write_conversation(conversation)


def load_ipython_extension(ipython: object) -> None:
    """`%load_ext nbkit`."""
    import_module("nbkit.notebook.extension").load_ipython_extension(ipython)


def unload_ipython_extension(ipython: object) -> None:
    """`%unload_ext nbkit`."""
    import_module("nbkit.notebook.extension").unload_ipython_extension(ipython)
