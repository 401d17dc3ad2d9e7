"""Completion after %%chat and %%compare: model ids, by the engine of `nbkit.search`, and options.

A matcher sees the whole line: IPython's own hooks split it at the slash and complete `openai` but not `openai/gpt`.
Measured over 8,342 ids (CPU): 2-4 ms a key press, 0.1 s the first.
"""

from __future__ import annotations

import re
from typing import Any

from IPython import get_ipython
from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher

from nbkit.providers import keyed
from nbkit.providers.known import load_known_snapshot
from nbkit.providers.known_models import load_known_models
from nbkit.providers.registered import list_registered

_LINE = re.compile(r"\s*%%?(?:chat|compare)\s(?:.*\s)?(?P<word>\S*)$")
_VALUE = re.compile(r"(?:-o|--\S+)\s+\S*$")  # the word is an option's, or its value
_OPTION = re.compile(r"\s*%%?(?P<magic>chat|compare)\s(?:.*\s)?(?P<word>-\S*)$")
_LIMIT = 200


@context_matcher()
def match_models(context: CompletionContext) -> SimpleMatcherResult:
    """Complete the word at the cursor where the magics take a model or an option."""
    line = context.text_until_cursor
    if match := _OPTION.match(line):
        options = [option for option in list_options(match["magic"]) if option.startswith(match["word"])]
        return _offer(options, match["word"], "option")
    match = _LINE.match(line)
    if not match or _VALUE.search(line):
        return SimpleMatcherResult(completions=[])
    return _offer(complete(match["word"]), match["word"], "model")


def _offer(texts: list[str], word: str, kind: str) -> SimpleMatcherResult:
    completions = [SimpleCompletion(text=text, type=kind) for text in texts]
    return SimpleMatcherResult(completions=completions, matched_fragment=word, suppress=True, ordered=True)


def list_options(magic: str) -> list[str]:
    """List the options of a cell magic, in the order of its help."""
    shell: Any = get_ipython()
    actions = shell.find_cell_magic(magic).parser._actions
    return [name for action in reversed(actions) for name in action.option_strings if name.startswith("--")]


def complete(word: str) -> list[str]:
    """List the model ids that fit a word, of which the last letters may not be typed yet.

    First come those that begin with it; among these and among the others, those that can be called without another key.
    A word with a slash is an id being typed: where ids hold it, only these are listed.
    Otherwise the order is that of `nbkit.search`; ids that hold the letters only, in no word of a name, come last.
    """
    known, word, registered = load_known_models(), word.lower(), list_registered()
    ranked = [known.ids[place] for place in known.rank(word, unfinished=True)] if word else []
    held = [model for model in known.ids if word in model.lower()]
    if "/" in word and held:  # an id is being typed, not words
        ranked = [model for model in ranked if word in model.lower()]
    held.sort(key=lambda model: "" if _provider(model) in registered else model)
    ready = {*registered, *find_keyed_providers()}

    def defer(model: str) -> tuple[bool, bool]:
        return not model.lower().startswith(word), _provider(model) not in ready

    return sorted(dict.fromkeys([*ranked, *held]), key=defer)[:_LIMIT]


def _provider(model: str) -> str:
    return model.partition("/")[0]


def find_keyed_providers() -> frozenset[str]:
    """Find the providers of the catalog with a key in the environment, as it is now."""
    return keyed.find_keyed_providers(load_known_snapshot())
