"""Text of calls for logs and spans: never a key, and prompts, answers and providers' words only where asked for."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from nbkit.conversation.completion import ChatCompletion
from nbkit.conversation.turns import Conversation
from nbkit.errors import AdapterError, BudgetExceededError, ConfigError, NbkitError, TransportError
from nbkit.json_text import write_json

_BASE64 = re.compile(r"[A-Za-z0-9+/_=-]{512,}")
_QUOTED = re.compile(r"[:,]?(?: got)? ?['\"{\[].*", re.DOTALL)
"""The part of an answer that stands in an error about it, to the end of the message."""
_masks: list[Callable[[str], str]] = []


def add_mask(mask: Callable[[str], str]) -> None:
    """Say what replaces keys in a text; called whenever a text may have one."""
    _masks.append(mask)


def hide_keys(text: str) -> str:
    """Replace keys by `[key]`."""
    for mask in _masks:
        text = mask(text)
    return text


def write_prompt(conversation: Conversation | None) -> str:
    """Write a conversation as JSON in OpenAI's format, without keys; images and files are cut."""
    return _write([turn.model_dump() for turn in conversation.turns] if conversation else [])


def write_answer(completion: ChatCompletion) -> str:
    """Write an answer as JSON in OpenAI's format, without keys."""
    return _write(completion.turn.model_dump())


def _write(value: Any) -> str:
    text = write_json(value, fallback=str).decode()
    return hide_keys(_BASE64.sub(lambda long: f"[{len(long[0])} characters]", text))


def strip_url(url: str) -> str:
    """Return an address without query and user, which may hold keys."""
    address = urlsplit(url)
    return address._replace(netloc=address.netloc.rpartition("@")[2], query="", fragment="").geturl()


def describe_error(error: NbkitError, *, whole: bool) -> str:
    """Say what went wrong: the kind of error, what is known of it, and its message.

    A provider's own words may repeat the prompt, as may the message of an answer that was not kept, and what cannot be
    read is quoted: all that is there with `whole` only.
    """
    own, message, facts = isinstance(error, BudgetExceededError | ConfigError), str(error), [type(error).__name__]
    if isinstance(error, AdapterError):
        own, message = error.body is None, error.message
        if not (whole or isinstance(error, TransportError)):
            message = _QUOTED.sub("", message)
        facts += [f"HTTP {error.status}"] if error.status else []
        facts += [f"code {error.code}"] if error.code else []
        facts += [f"request {error.request_id}"] if error.request_id else []
    return ", ".join(facts) + (f": {hide_keys(message)}" if own or whole else "")
