"""%%chat, %%compare and %nbkit.

A `{{name}}` in a cell, or among its models, is replaced once by the variable of that name. Values are not scanned
again: a text that means its braces literally goes in through a variable.
"""

from __future__ import annotations

import re
import shlex
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pandas as pd
from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments

from nbkit.billing import total as tally
from nbkit.choose.frame import catalog
from nbkit.errors import NbkitError
from nbkit.notebook.chat import Chat
from nbkit.notebook.compare import Comparison, compare
from nbkit.notebook.completion import keyed

_BRACES = re.compile(r"\{\{\s*(\w+)\s*\}\}")
# Keys of OpenAI, Anthropic and many others (sk-), Google, Groq, Hugging Face, xAI. A digit tells them from words.
_KEY = re.compile(r"\b(sk-|AIza|gsk_|hf_|xai-)(?=[\w-]*\d)[\w-]{20,}")


@dataclass(frozen=True, slots=True)
class _Begun:
    """A chat and what it was begun with."""

    chat: Chat
    system: str | None
    options: dict[str, Any]


_chats: dict[str, _Begun] = {}
"""The notebook's chats by model. Survives `%reload_ext`."""


def _options(magic: Callable[..., Any]) -> Callable[..., Any]:
    """The options that both cell magics take."""
    for option in (
        argument("--max-tokens", type=int, metavar="N", help="most tokens of an answer"),
        argument("--temperature", type=float, metavar="T", help="0 repeats itself, 1 varies"),
        argument("--system", metavar="TEXT", help="the system prompt"),
        argument("-o", "--out", metavar="NAME", help="put the result into the variable NAME"),
    ):
        magic = option(magic)
    return magic


@magics_class
class NbkitMagics(Magics):
    """The magics that `%load_ext nbkit` adds."""

    @no_var_expand
    @magic_arguments()
    @argument("model", help="a model id, as in the catalog's index")
    @_options
    @argument("--new", action="store_true", help="begin again; so does another --system")
    @cell_magic
    def chat(self, line: str, cell: str) -> None:
        """Say the cell to a model, continuing this notebook's chat with it."""
        asked, prompt = self._read(self.chat, line, cell)
        model, *more = self._models([asked.model]) or [""]
        if more:
            raise UsageError(f"{asked.model}: a chat is with one model; %%compare asks several")
        with _one_line():
            options, begun = _call_options(asked), _chats.get(model)
            said: Any = prompt
            if begun is None or asked.new or asked.system not in (None, begun.system):
                begun = _Begun(Chat(model, system=asked.system, **options), asked.system, options)
            elif options not in ({}, begun.options):  # a chat keeps its options: another takes over what was said
                said = begun.chat.conversation + prompt
                begun = _Begun(Chat(model, **options), begun.system, options)
            _chats[model] = begun
            self._keep(asked.out, begun.chat)
            begun.chat(said)

    @no_var_expand
    @magic_arguments()
    @argument("model", nargs="+", help="model ids; {{name}} stands for a variable that holds one, or a list of them")
    @_options
    @cell_magic
    def compare(self, line: str, cell: str) -> Comparison:
        """Ask several models the same, side by side."""
        asked, prompt = self._read(self.compare, line, cell)
        with _one_line():
            comparison = compare(_said(asked.system, prompt), self._models(asked.model), **_call_options(asked))
        self._keep(asked.out, comparison)
        return comparison

    @no_var_expand
    @magic_arguments()
    @argument(
        "what",
        nargs="*",
        help="nothing: the catalog, your keys, what was spent; total: only what was spent; nest on: let your own cells "
        "call asyncio.run, at the price of slower tasks until the kernel restarts",
    )
    @line_magic
    def nbkit(self, line: str) -> None:
        """Say what the catalog is, which keys are set and what this notebook has spent."""
        what = " ".join(_parse(self.nbkit, line).what)
        if what not in _SAYS:
            raise UsageError(f"%nbkit {what}: there are {', '.join(filter(None, _SAYS))}, and %nbkit alone")
        with _one_line():
            print(_SAYS[what]())  # noqa: T201  # what the magic is for

    def _read(self, magic: Any, line: str, cell: str) -> tuple[Namespace, str]:
        """The arguments and the prompt. Raises UsageError before anything is sent."""
        if key := _KEY.search(f"{line}\n{cell}"):
            raise UsageError(
                f"this cell holds what looks like an API key ({key[1]}...), so nothing was sent: replace that key, the "
                "notebook's history has it now, and set the new one in the environment"
            )
        asked = _parse(magic, _BRACES.sub(r"{{\1}}", line))  # without spaces it is one argument
        asked.system = asked.system and self._expand(asked.system)
        prompt = self._expand(cell).strip()
        if not prompt:
            raise UsageError("the cell is empty: write the prompt below the first line")
        return asked, prompt

    def _expand(self, text: str) -> str:
        return _BRACES.sub(lambda found: str(self._value(found[1])), text)

    def _value(self, name: str) -> Any:
        if name not in self.shell.user_ns:
            raise UsageError(f"{{{{{name}}}}}: there is no variable {name!r}")
        return self.shell.user_ns[name]

    def _models(self, names: list[str]) -> list[str]:
        """Model names, a `{{name}}` that holds several being several."""
        models: list[str] = []
        for name in names:
            found = _BRACES.fullmatch(name)
            value = self._value(found[1]) if found else self._expand(name)
            several = [value] if isinstance(value, str) or not isinstance(value, Iterable) else list(value)
            if not all(isinstance(model, str) for model in several):
                raise UsageError(f"{name}: expected a model id or a list of them, not {type(value).__name__}")
            models += several
        return models

    def _keep(self, name: str | None, value: Any) -> None:
        if name is not None:
            self.shell.push({name: value})


def status() -> str:
    """What the catalog is, whose keys are set, what was spent: three lines."""
    frame = catalog()
    age = f", {frame.attrs['age_days']} days old" if frame.attrs["age_days"] else ""
    reason = f"; {frame.attrs['reason']}" if frame.attrs["reason"] else ""
    ready = sorted(keyed())
    keys = f"{len(ready)} ({', '.join(ready)})" if ready else "none found; the models of demo/ need none"
    return f"catalog: {summary(frame)}{age}{reason}\nproviders with a key: {keys}\n{spent()}"


def summary(frame: pd.DataFrame) -> str:
    """How many models there are, and where the list comes from."""
    source = f"{frame.attrs['source']}, {frame.attrs['date']}"
    return f"{len(frame):,} models of {frame['provider'].nunique()} providers ({source})"


def spent() -> str:
    """What this notebook's calls have cost, in USD."""
    total = tally.total()
    return f"this notebook: {total} for {total.calls:,} {'call' if total.calls == 1 else 'calls'}"


def nest() -> str:
    """Let cells call `asyncio.run` although the kernel's own loop is running. Patches asyncio until the restart."""
    try:
        import nest_asyncio2
    except ImportError:
        raise UsageError("nest-asyncio2 is not installed: pip install 'nbkit[nest]'") from None
    nest_asyncio2.apply()
    return "asyncio.run works in cells now, until the kernel restarts"


_SAYS: dict[str, Callable[[], str]] = {"": status, "total": spent, "nest on": nest}


def _parse(magic: Any, line: str) -> Namespace:
    """Options may stand anywhere; quotes group words and are not part of them, unlike in IPython's own split."""
    try:
        words = shlex.split(line)
    except ValueError as broken:
        raise UsageError(f"{broken}: {line.strip()}") from None
    parsed: Namespace = magic.parser.parse_intermixed_args(words)
    return parsed


def _said(system: str | None, prompt: str) -> Any:
    if system is None:
        return prompt
    return [{"role": "system", "content": system}, {"role": "user", "content": prompt}]


def _call_options(asked: Namespace) -> dict[str, Any]:
    given = {"temperature": asked.temperature, "max_tokens": asked.max_tokens}
    return {name: value for name, value in given.items() if value is not None}


@contextmanager
def _one_line() -> Iterator[None]:
    """What nbkit raises on purpose explains itself: no traceback."""
    try:
        yield
    except NbkitError as error:
        raise UsageError(" ".join(str(error).split())) from None
