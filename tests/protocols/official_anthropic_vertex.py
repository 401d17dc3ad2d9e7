"""Requests by the types of the `anthropic` package, without what Vertex has in the path."""

import re

import official_anthropic_messages


def validate(body, path):
    """Raise AssertionError where the request is not valid."""
    assert re.fullmatch(r"/models/[^/:]+:(rawPredict|streamRawPredict)", path)
    assert "model" not in body
    assert body["anthropic_version"] == "vertex-2023-10-16"
    rest = {key: value for key, value in body.items() if key != "anthropic_version"}
    official_anthropic_messages.validate(rest | {"model": "m"}, "/messages")
