"""Attacks on a secret: nothing shows it but `reveal()`."""

import copy
import io
import json
import logging
import pickle
import pprint
import traceback

import pytest
from pydantic_core import to_json
from rich.console import Console
from rich.traceback import Traceback

from nbkit.secret import Secret

KEY = "sk-proj-q7Zt2mVx9LwK4nBc8RyP1hGd"


def write_log(secret):
    out = io.StringIO()
    record = logging.LogRecord("x", logging.DEBUG, "x", 1, "%s %r", (secret, secret), None)
    out.write(logging.StreamHandler(out).format(record))
    return out.getvalue()


def write_rich(secret):
    """A traceback as rich writes it, with the values of the frame."""
    out = io.StringIO()
    try:
        raise ValueError(secret)
    except ValueError:
        Console(file=out, width=200).print(Traceback(show_locals=True))
    return out.getvalue()


def write_frames(secret):
    try:
        raise ValueError(secret)
    except ValueError as error:
        return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


VIEWS = [
    repr,
    str,
    pprint.pformat,
    lambda one: f"{one} {one!r}",
    write_log,
    write_rich,
    write_frames,
]
VIEWS += [
    lambda one: repr({"key": [one]}),
    lambda one: to_json(one, fallback=str).decode(),
    lambda one: " ".join(dir(one)),
]


@pytest.mark.parametrize("show", VIEWS)
def test_what_is_shown_of_a_secret(show):
    shown = show(Secret(KEY))
    assert KEY[:9] not in shown
    assert KEY[-5:] not in shown


@pytest.mark.parametrize(
    "act", [pickle.dumps, json.dumps, copy.copy, copy.deepcopy, vars, to_json, lambda one: one.__getstate__()[0]]
)
def test_what_cannot_be_done_with_a_secret(act):
    with pytest.raises((TypeError, ValueError)) as refused:  # pydantic's is a ValueError
        act(Secret(KEY))
    assert KEY not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (KEY, "sk-...1hGd"),
        ("gsk_q7Zt2mVx9LwK4nBc", "gsk_...4nBc"),
        ("9f3b61c07de24a58b1c6", "...b1c6"),
        ("sk-short", "..."),
        ("", "..."),
    ],
)
def test_the_ends_of_a_long_one_are_shown(text, shown):
    assert (str(Secret(text)), repr(Secret(text))) == (shown, f"Secret('{shown}')")
    assert Secret(text).reveal() == text


def test_it_is_equal_to_one_of_the_same_text_only():
    assert Secret(KEY) == Secret(KEY)
    assert len({Secret(KEY), Secret(KEY), Secret("x")}) == 2
    assert Secret(KEY) != KEY
    assert not Secret("")
