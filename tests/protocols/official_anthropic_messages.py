"""Requests by the types of the `anthropic` package."""

from anthropic.types.message_create_params import MessageCreateParams
from official import check

SAMPLING = {"temperature": float, "top_p": float, "top_k": int}
"""Older models take these still; version 2 of the package does not name them any more."""


def validate(body, path):
    """Raise AssertionError where the request is not valid."""
    assert path == "/messages"
    check({name: value for name, value in body.items() if name not in SAMPLING}, MessageCreateParams)
    for name in SAMPLING.keys() & body.keys():
        check(body[name], SAMPLING[name], (name,))
