"""Prompts with names in them: `Translate {{text}} into {{language}}`.

A `{{name}}` is replaced once by a value. Values are not scanned again, so a text that contains braces goes in through
one. Other braces are text: `{"a": 1}`, `{x}`, `{{ a + b }}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from nbkit.errors import ConfigError

NAME = re.compile(r"\{\{[ \t]*([^{}\n]*[^{}\s])[ \t]*\}\}")
"""A name in its braces; group 1 is the name. One that is not a word, such as `first name`, is a name if it is known."""


def fill(template: str, values: Mapping[str, Any], kind: str = "value") -> str:
    """Replace the names of a template by their values, as text.

    `kind` says what the values are: "column", "variable". Raises ConfigError for an unknown name, with the most similar
    known one.
    """
    return NAME.sub(
        lambda match: str(values[name]) if (name := _read_name(match, values, kind)) else match[0], template
    )


def list_names(template: str, values: Mapping[str, Any], kind: str = "value") -> tuple[str, ...]:
    """List the names of a template, each once. Raises ConfigError as `fill` does."""
    names = (_read_name(match, values, kind) for match in NAME.finditer(template))
    return tuple(dict.fromkeys(name for name in names if name))


def _read_name(match: re.Match[str], values: Mapping[str, Any], kind: str) -> str:
    """Read a name; "" for braces that are text."""
    name = match[1]
    if name in values:
        return name
    is_word = re.fullmatch(r"\w+", name)
    known = [str(one) for one in values if not str(one).startswith("_")]
    near = get_close_matches(name, known, 1, cutoff=0.6 if is_word else 0.85)
    if not (near or is_word):
        return ""
    hint = f"; did you mean {{{{{near[0]}}}}}?" if near else ""
    raise ConfigError(f"{{{{{name}}}}}: the {kind} {name!r} is not defined{hint}")
