"""%%chat, %%compare and %nbkit.

A `{{name}}` in a cell, or among its models, is replaced once by the variable of that name. Values are not scanned
again: a text that contains literal braces goes in through a variable.
"""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from difflib import get_close_matches
from typing import Any

import pandas as pd
from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments
from msgspec import Struct

from nbkit.adapters.limits import change_limit, describe_lines
from nbkit.arguments import read_models
from nbkit.billing.entry import running_cell
from nbkit.billing.total import TOTAL, Sum
from nbkit.bookkeeping.budgets import describe_budgets
from nbkit.bookkeeping.ledger import ledger
from nbkit.bookkeeping.replay import switch_replay
from nbkit.bookkeeping.spending import name_kinds
from nbkit.choose.frame import catalog
from nbkit.choose.search import search
from nbkit.conversation.media import attach
from nbkit.conversation.template import fill
from nbkit.errors import ArgumentError, LedgerError, NbkitError
from nbkit.installed import name_extra
from nbkit.notebook.cells import read_name, split_words
from nbkit.notebook.chat import Chat
from nbkit.notebook.compare import Comparison, compare
from nbkit.notebook.completion import find_keyed_providers
from nbkit.notebook.guard import describe_keys, find_keys_here, switch_guard
from nbkit.providers.circuits import describe_failing
from nbkit.providers.env_file import load_env
from nbkit.secret import hide_in_url
from nbkit.settings import Settings, settings

_BRACES = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_LONE = re.compile(r"%%(chat|compare)(\s|$)")


class _Session(Struct, frozen=True):
    """A chat, and the system prompt and options that it was created with."""

    chat: Chat
    system: str | None
    options: dict[str, Any]


_sessions: dict[str, _Session] = {}
"""The notebook's chats, by model id. Survives `%reload_ext`."""


def _add_options(magic: Callable[..., Any]) -> Callable[..., Any]:
    """Give a cell magic the options that both of them take."""
    for option in (
        argument("--max-tokens", type=int, metavar="N", help="maximum length of an answer, in tokens"),
        argument(
            "--temperature", type=float, metavar="T", help="0: nearly the same answer each time; higher: more varied"
        ),
        argument("--system", metavar="TEXT", help="the system prompt"),
        argument(
            "--image",
            action="append",
            default=[],
            metavar="PATH",
            help="a picture or PDF to send with the prompt; {{name}} stands for a variable that holds one, such as a "
            "figure; may be repeated",
        ),
        argument("-o", "--out", type=read_name, metavar="NAME", help="put the result into the variable NAME"),
    ):
        magic = option(magic)
    return magic


@magics_class
class NbkitMagics(Magics):
    """The magics that `%load_ext nbkit` adds."""

    @no_var_expand
    @magic_arguments()
    @argument("model", help="a model id, as in the catalog's index")
    @_add_options
    @argument("--new", action="store_true", help="start a new conversation; so does another --system")
    @cell_magic
    def chat(self, line: str, cell: str) -> None:
        """Send the cell to a model, as the next turn of this notebook's conversation with it."""
        arguments, prompt = self._read(self.chat, line, cell)
        models = self._expand_models([arguments.model])
        if len(models) != 1:
            raise UsageError(f"%%chat takes one model, {arguments.model} holds {len(models)}; %%compare takes several")
        (model,) = models
        with _errors_in_one_line():
            options, session = _read_options(arguments), _sessions.get(model)
            if session is None or arguments.new or arguments.system not in (None, session.system):
                session = _Session(Chat(model, system=arguments.system, **options), arguments.system, options)
            elif options not in ({}, session.options):
                session = _Session(session.chat.switch(model, **options), session.system, options)
            _sessions[model] = session
            self._assign(arguments.out, session.chat)
            session.chat(prompt)

    @no_var_expand
    @magic_arguments()
    @argument("model", nargs="+", help="model ids; {{name}} stands for a variable that holds one, or a list of them")
    @_add_options
    @argument(
        "--blind",
        action="store_true",
        help="hide names, costs and speeds until you vote; a cell of one {{name}} may hold a list of prompts",
    )
    @cell_magic
    def compare(self, line: str, cell: str) -> Comparison:
        """Send the cell to several models and show their answers side by side."""
        arguments, prompt = self._read(self.compare, line, cell)
        with _errors_in_one_line():
            models, options = self._expand_models(arguments.model), _read_options(arguments)
            if arguments.blind and _BRACES.fullmatch(cell.strip()):
                prompt = self._read_value(cell.strip())
            comparison = compare(prompt, models, system=arguments.system, blind=arguments.blind, **options)
        self._assign(arguments.out, comparison)
        return comparison

    @no_var_expand
    @magic_arguments()
    @argument("words", nargs="*", help="words of a name, abilities, prices: sonnet, vision, cheap")
    @line_magic
    def models(self, line: str) -> pd.DataFrame:
        """Search the catalog: the ten models that fit the words best, as a frame."""
        words = " ".join(_parse(self.models, line).words)
        if not words:
            raise UsageError("say what you look for, in words of a name, abilities, prices: %models cheap vision")
        with _errors_in_one_line():
            rows = search(words, limit=10)
        return rows[["name", "input_cost", "output_cost", "context", "has_key"]]

    @no_var_expand
    @magic_arguments()
    @line_magic
    def cost(self, line: str) -> None:
        """Print what this cell has cost so far, what the notebook has, by model, and all notebooks this month."""
        _parse(self.cost, line)
        if here := TOTAL.by_cell().get(running_cell()):
            print(f"this cell: {here} for {_count_calls(here.calls)}")  # noqa: T201  # what the magic is for
        print(describe_spending())  # noqa: T201
        if settings().ledger != "off":
            with _errors_in_one_line():
                print(describe_ledger())  # noqa: T201
        with _errors_in_one_line():
            for text in describe_budgets():
                print(text)  # noqa: T201

    @no_var_expand
    @magic_arguments()
    @argument("what", nargs="*", help="one of the words above")
    @line_magic
    def nbkit(self, line: str) -> None:
        """Print what the catalog is, which keys are set and what this notebook has spent.

        %nbkit total       what it has spent, with a line for each model
        %nbkit settings    the settings in force, and the variables that change them
        %nbkit env [FILE]  read your API keys from a file, by default .env
        %nbkit keys allow  run cells that hold an API key, which are refused otherwise (%nbkit keys refuse)
        %nbkit replay [MODE] [FILE.jsonl]
                           keep answers, and give them again for $0: auto, only (nothing is sent), refresh, off;
                           without a word it tells what is replayed
        %nbkit limit [PROVIDER LIMITS]
                           list the servers that are limited now, or limit one: openai 20rpm,40000tpm,4 (a minute; at
                           once), openai off
        %nbkit nest on     let your cells call asyncio.run, which fails in a notebook without it; until the kernel
                           restarts, tasks are a little slower
        """
        words = _parse(self.nbkit, line).what
        act, most = _ACTS.get(words[0] if words else "", (None, 0))
        if act and len(words) <= most + 1:
            with _errors_in_one_line():
                print(act(*words[1:]))  # noqa: T201  # what the magic is for
            return
        what = " ".join(words)
        if what not in _REPORTS:
            known = ", ".join(f"%nbkit {name}" for name in [*_REPORTS, *_ACTS] if name)
            raise UsageError(f"unknown option {what!r}: use %nbkit, {known}")
        with _errors_in_one_line():
            print(_REPORTS[what]())  # noqa: T201  # what the magic is for

    def _read(self, magic: Any, line: str, cell: str) -> tuple[Namespace, Any]:
        """The arguments and the prompt of a cell, with its images. Raises UsageError before anything is sent."""
        if keys := find_keys_here(f"{line}\n{cell}"):
            raise UsageError(f"nothing was sent: {describe_keys(keys)}")
        arguments = _parse(magic, _BRACES.sub(r"{{\1}}", line))  # without spaces it is one argument
        arguments.system = arguments.system and self._expand(arguments.system)
        prompt = self._expand(cell).strip()
        if not prompt:
            raise UsageError("the cell is empty: write the prompt on the lines below the first")
        with _errors_in_one_line():
            images = [attach(self._read_value(image)) for image in arguments.image]
        return arguments, [prompt, *images] if images else prompt

    def _expand(self, text: str) -> str:
        """The text with its `{{name}}`s replaced by the variables' values."""
        with _errors_in_one_line():
            return fill(text, self.shell.user_ns, "variable")

    def _read_value(self, text: str) -> Any:
        """The variable that an argument `{{name}}` stands for, of any type; else the text, expanded."""
        match = _BRACES.fullmatch(text)
        if match is None:
            return self._expand(text)
        if match[1] not in self.shell.user_ns:
            raise UsageError(f"{text}: the variable {match[1]!r} is not defined")
        return self.shell.user_ns[match[1]]

    def _expand_models(self, names: list[str]) -> list[str]:
        """The model ids of some arguments; a `{{name}}` may hold several."""
        models: list[str] = []
        for name in names:
            try:
                models += read_models(self._read_value(name))
            except ArgumentError as wrong:
                raise UsageError(f"{name}: {wrong}") from None
        return models

    def _assign(self, name: str | None, value: Any) -> None:
        if name is not None:
            self.shell.push({name: value})


_EXAMPLES = {
    "chat": '%%chat demo/swift\nHello\n\n%%chat demo/sage --system "Be brief" -o chat\nExplain {{topic}}',
    "compare": "%%compare demo/swift demo/sage\nHello\n\n%%compare {{models}} --image a.png\nExplain {{topic}}",
}
for _name, _text in _EXAMPLES.items():  # IPython writes one percent sign for all magics
    _magic = getattr(NbkitMagics, _name)
    _help = _magic.__doc__.replace(f"%{_name}", f"%%{_name}")
    _magic.__doc__ = f"{_help}\nTwo examples:\n\n{_text}\n"


def add_body(lines: list[str]) -> list[str]:
    """Put an empty line below a lone %%chat or %%compare: IPython refuses a cell without one, in words of its own."""
    return [*lines, "\n"] if len(lines) == 1 and _LONE.match(lines[0]) else lines


add_body.has_side_effects = True  # type: ignore[attr-defined]  # so IPython does not ask it whether a cell is complete


def describe_status() -> str:
    """Catalog, providers with a key and money spent, a line each."""
    frame = catalog()
    age = ""
    if settings().offline:
        age = f", {frame.attrs['age_days']} days old; {frame.attrs['reason'] or 'offline'}"
    ready = sorted(find_keyed_providers())
    keys = (
        f"{len(ready)} ({', '.join(ready)})"
        if ready
        else "none; nbkit.set_key('openai') asks for one, demo/ needs none"
    )
    lines = [f"catalog: {describe_catalog(frame)}{age}", f"providers with a key: {keys}", describe_total()]
    return "\n".join([*lines, *describe_budgets(), *describe_lines(), *describe_failing()])


def describe_catalog(frame: pd.DataFrame) -> str:
    """Number of models and providers of a catalog, its source and its date; its age where models.dev did not answer."""
    source, reason = f"{frame.attrs['source']}, {frame.attrs['date']}", frame.attrs["reason"]
    if reason and not settings().offline:
        source += f", {frame.attrs['age_days']} days old: {reason}"
    return f"{len(frame):,} models of {frame['provider'].nunique()} providers ({source})"


def describe_total() -> str:
    """Sum of all calls of this process, in USD: one line."""
    total = TOTAL.total()
    return f"this notebook: {total} for {_count_calls(total.calls)}"


def describe_spending() -> str:
    """The total, and where several models were called a line for each, the dearest first."""
    ranked = sorted(TOTAL.by_model().items(), key=lambda item: (-item[1].usd, item[0]))
    if len(ranked) < 2:
        return describe_total()
    names, amounts = (max(len(str(item[part])) for item in ranked) for part in (0, 1))
    lines = (f"  {model:{names}}  {one!s:>{amounts}}  {_count_calls(one.calls)}" for model, one in ranked)
    return "\n".join([describe_total(), *lines])


def describe_ledger() -> str:
    """Money that all notebooks have spent today and this month, by the clock of this machine: one line."""
    today = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        month = ledger(since=datetime(today.year, today.month, 1).astimezone())
    except LedgerError as error:
        return f"today, this month: {error}"
    simulated = name_kinds(month) == "simulated"
    paid = month[~simulated]
    of_today, of_month = (_add_costs(rows["cost"]) for rows in (paid[paid["time"] >= today], paid))
    whose = "all notebooks of the team" if settings().has_team_ledger else "all notebooks"
    return (
        f"{whose}: today {of_today} for {_count_calls(of_today.calls)}, "
        f"this month {of_month} for {_count_calls(of_month.calls)}"
        + (f", not counting {simulated.sum():,} simulated" if simulated.any() else "")
    )


def _add_costs(costs: pd.Series[float]) -> Sum:
    known = costs.dropna()
    return Sum(len(costs), sum((Decimal(str(cost)) for cost in known), Decimal(0)), len(costs) - len(known))


def describe_settings() -> str:
    """The settings in force and their variables, a line each; no user, password or query of a URL."""
    now, usual = settings(), Settings()
    lines = []
    for name in now.__struct_fields__:
        value = getattr(now, name)
        text = str(now.ledger_path) if (name, value) == ("ledger", "") else str(value)
        mark = " " if value == getattr(usual, name) else "*"
        lines.append(f"{mark} NBKIT_{name.upper():{max(map(len, usual.__struct_fields__))}}  {hide_in_url(text)}")
    return "\n".join([*lines, "* is not the default. What a cell sets (%env NAME=value) holds from the next cell on."])


def _count_calls(calls: int) -> str:
    return f"{calls:,} {'call' if calls == 1 else 'calls'}"


def enable_nesting() -> str:
    """Let cells call `asyncio.run` although the kernel's own loop is running. Patches asyncio until the restart."""
    try:
        import nest_asyncio2
    except ImportError:
        raise UsageError(f"nest-asyncio2 is not installed: {name_extra('nest')}") from None
    nest_asyncio2.apply()
    return "asyncio.run works in cells now, until the kernel restarts"


_REPORTS: dict[str, Callable[[], str]] = {
    "": describe_status,
    "total": describe_spending,
    "settings": describe_settings,
    "nest on": enable_nesting,
}


_ACTS: dict[str, tuple[Callable[..., object], int]] = {
    "env": (load_env, 1),
    "limit": (change_limit, 4),
    "keys": (switch_guard, 1),
    "replay": (switch_replay, 2),
}
"""What further words may follow, and how many at most."""


def _parse(magic: Any, line: str) -> Namespace:
    """The arguments of a line. Options may stand anywhere."""
    try:
        words = split_words(line)
    except ValueError as error:
        raise UsageError(f"{error}: {line.strip()}") from None
    known = magic.parser._option_string_actions
    for word in words:
        option = word.partition("=")[0]
        if option.startswith("--") and not any(one.startswith(option) for one in known):
            near = get_close_matches(option, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise UsageError(f"unknown option {option}; {hint}")
    parsed: Namespace = magic.parser.parse_intermixed_args(words)
    return parsed


def _read_options(arguments: Namespace) -> dict[str, Any]:
    """The options of the call that a line gives."""
    options = {"temperature": arguments.temperature, "max_tokens": arguments.max_tokens}
    return {name: value for name, value in options.items() if value is not None}


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    """Show the errors that nbkit raises on purpose without a traceback: their messages explain themselves."""
    try:
        yield
    except NbkitError as error:
        text = str(error).replace("nbkit.search('words')", "%models WORDS")
        raise UsageError(" ".join(text.split())) from None
