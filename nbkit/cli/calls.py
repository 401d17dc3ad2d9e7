"""`nbkit ask`, `compare`, `health` and `local`: what asks models, providers and the servers of this machine.

Answers are hostile text: on their way to a terminal, what controls it is spelled out.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import nbkit
from nbkit.billing.money import format_usd
from nbkit.cli.commands import JSON, Command, print_frame
from nbkit.errors import ArgumentError, ModelNotFoundError
from nbkit.rendering.sanitize import visible

if TYPE_CHECKING:
    from nbkit.conversation.completion import ChatCompletion

_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "--system": {"metavar": "TEXT", "help": "the system prompt"},
    "--max-tokens": {"type": int, "metavar": "N", "help": "tokens of the answer at most"},
    "--temperature": {
        "type": float,
        "metavar": "T",
        "help": "0: nearly the same answer each time; higher: more varied",
    },
}


def _ask(options: argparse.Namespace) -> bool:
    """Ask one model and print its answer as it arrives; tokens and cost are printed on standard error.

    Without a prompt, standard input is the prompt; - stands for it among other words.
    """
    prompt = _read_prompt(options.prompt)
    adapter = nbkit.get_adapter(options.model, base_url=options.base_url, fallback=options.fallback)
    text = ""
    try:
        with adapter.stream(_add_system(options.system, prompt), **_read_options(options)) as stream:
            for chunk in stream:
                if chunk.text and not options.json:
                    text = visible(chunk.text)
                    sys.stdout.write(text)
                    sys.stdout.flush()
        completion = stream.completion
    finally:  # also where the answer broke off
        sys.stdout.write("\n" if text and not text.endswith("\n") else "")
    if options.json:
        sys.stdout.write(json.dumps(completion.to_dict(), indent=1, default=str) + "\n")
    answered = "".join(f"; {change}" for change in completion.changes if change.kind == "answered")
    sys.stderr.write(f"nbkit: {adapter.model_id}, {_describe(completion)}{visible(answered)}\n")
    return True


def _compare(options: argparse.Namespace) -> bool:
    """Ask several models the same at the same time; print their answers one after the other.

    The models come first, the prompt behind them; without a prompt, standard input is the prompt.
    """
    from nbkit.bulk.panel import Panel

    models, words = _split(options.words)
    if not models:
        raise ArgumentError("compare: expected the ids of models, then the prompt")
    panel = Panel(models, **_read_options(options))
    panel.ask(_add_system(options.system, _read_prompt(words))).wait()
    rows = panel.rows()
    if options.json:
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
    for pane in () if options.json else panel.panes:
        answer = pane.answers[-1]
        facts = [_describe(answer.completion)] if answer.completion else []
        sys.stdout.write(f"== {visible(', '.join([pane.label, *facts]))}\n")
        if answer.text or not answer.error:
            sys.stdout.write(f"{visible(answer.text).rstrip()}\n")
        if answer.error:
            sys.stdout.write(f"failed: {visible(str(answer.error))}\n")
        sys.stdout.write("\n")
    sys.stderr.write(f"nbkit: {panel.spent}\n")
    return any(row["status"] == "done" for row in rows)


def _health(options: argparse.Namespace) -> bool:
    """Ask providers for their lists of models, which is free: those with a key, or the named ones."""
    rows = nbkit.health(options.providers or None, seconds=options.seconds)
    return print_frame(rows, tuple(rows.columns), options, "no provider has a key")


def _local(options: argparse.Namespace) -> bool:
    """Find the models that Ollama, LM Studio, llama.cpp and vLLM serve on this machine."""
    rows = nbkit.local_models(seconds=options.seconds)
    columns = ("vendor", "context", "vision", "tools", "reasoning", "protocol", "name")
    return print_frame(rows, columns, options, "no server of models answers on this machine")


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """Split words into ids of models, or names of models, and the prompt behind them."""
    for place, word in enumerate(words):
        if word == "-" or not _is_model(word):
            return words[:place], words[place:]
    return words, []


def _is_model(word: str) -> bool:
    """Tell whether a word is a model's id or name; a misspelled id is one, and the call says what is wrong."""
    if "/" in word and not any(map(str.isspace, word)):
        return True
    try:
        nbkit.get_model(word)
    except ModelNotFoundError:
        return False
    return True


def _read_prompt(words: list[str]) -> str:
    """Join the words of a prompt; standard input stands for -, and for all where there are none."""
    texts = [sys.stdin.buffer.read().decode("utf-8", "replace") if word == "-" else word for word in words or ["-"]]
    prompt = " ".join(texts).strip()
    if not prompt:
        raise ArgumentError("the prompt is empty: write it behind the model, or send it to standard input")
    return prompt


def _add_system(system: str | None, prompt: str) -> list[dict[str, str]]:
    head = [{"role": "system", "content": system}] if system else []
    return [*head, {"role": "user", "content": prompt}]


def _read_options(options: argparse.Namespace) -> dict[str, Any]:
    given = {name: getattr(options, name) for name in ("max_tokens", "temperature")}
    return {name: value for name, value in given.items() if value is not None}


def _describe(completion: ChatCompletion) -> str:
    """Describe an answer in a few words: tokens, cost, time, and why it ended early."""
    usage, timing = completion.usage, completion.timing
    facts = [f"{usage.prompt_tokens:,} + {usage.completion_tokens:,} tokens" if usage else "tokens unknown"]
    facts.append(format_usd(completion.cost) if completion.cost is not None else "cost unknown")
    if timing and timing.total is not None:
        facts.append(f"{timing.total:.1f} s")
    if completion.finish_reason not in (None, "stop"):
        facts.append(f"finish reason {completion.finish_reason}")
    return ", ".join(facts)


def _seconds(default: float) -> dict[str, Mapping[str, Any]]:
    text = f"seconds to wait for each at most; default: {default:g}"
    return {"--seconds": {"type": float, "default": default, "metavar": "S", "help": text}}


_MODEL = {"metavar": "MODEL", "help": "an id, a path or a name"}
COMMANDS = (
    Command(
        "ask",
        "ask one model",
        _ask,
        {
            "model": _MODEL,
            "prompt": {"nargs": "*", "metavar": "PROMPT", "help": "what to ask; default: standard input"},
            **_OPTIONS,
            "--fallback": {
                "action": "append",
                "default": [],
                "metavar": "MODEL",
                "help": "a model to ask where the one before it cannot answer; may be repeated",
            },
            "--base-url": {"metavar": "URL", "help": "the address of a server, such as http://127.0.0.1:8000/v1"},
            "--json": {"action": "store_true", "help": "the whole completion as JSON"},
        },
    ),
    Command(
        "compare",
        "ask several models the same",
        _compare,
        {
            "words": {"nargs": "+", "metavar": "MODEL... PROMPT", "help": "ids of models, then what to ask"},
            **_OPTIONS,
            "--json": {"action": "store_true", "help": "one object for each model: text, tokens, cost, seconds, error"},
        },
    ),
    Command(
        "health",
        "which providers answer, and accept your key",
        _health,
        {
            "providers": {"nargs": "*", "metavar": "PROVIDER", "help": "default: those that have a key"},
            **_seconds(5.0),
            **JSON,
        },
    ),
    Command("local", "which models run on this machine", _local, {**_seconds(1.0), **JSON}),
)
