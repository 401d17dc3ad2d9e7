"""Requests by the types of the `openai` package."""

from official import check
from openai.types.completion_create_params import CompletionCreateParams


def validate(body, path):
    """Raise AssertionError where the request is not valid."""
    assert path == "/completions"
    check(body, CompletionCreateParams)
