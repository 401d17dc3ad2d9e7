"""Requests by the types of the `openai` package."""

from official import check
from openai.types.responses.response_create_params import ResponseCreateParams


def validate(body, path):
    """Raise AssertionError where the request is not valid."""
    assert path == "/responses"
    check(body, ResponseCreateParams)
