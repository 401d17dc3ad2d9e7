"""Requests by the service model of Bedrock in the `botocore` package."""

import re
from base64 import b64decode
from functools import cache

from botocore.session import Session
from botocore.validate import ParamValidator


@cache
def shape():
    return Session().get_service_model("bedrock-runtime").operation_model("Converse").input_shape


def validate(body, path):
    """Raise AssertionError where the request is not valid."""
    match = re.fullmatch(r"/model/([^/]+)/converse(-stream)?", path)
    assert match
    request = {"modelId": match[1]} | decode_blobs(body, shape())
    assert set(request) <= set(shape().members)
    report = ParamValidator().validate(request, shape())
    assert not report.has_errors(), report.generate_report()


def decode_blobs(value, kind):
    """Return the value with bytes where the wire has base64; also check what botocore leaves to the server."""
    if kind.type_name == "blob":
        return b64decode(value, validate=True)
    if kind.type_name == "list" and isinstance(value, list):
        return [decode_blobs(item, kind.member) for item in value]
    if kind.type_name == "structure" and isinstance(value, dict) and not getattr(kind, "is_document_type", False):
        assert set(value) <= set(kind.members), f"{kind.name} does not have the key: {set(value) - set(kind.members)}"
        assert len(value) == 1 or not getattr(kind, "is_tagged_union", False), f"{kind.name}: {value}"
        return {name: decode_blobs(item, kind.members[name]) for name, item in value.items()}
    if kind.type_name == "string" and "pattern" in kind.metadata:
        assert re.fullmatch(kind.metadata["pattern"], value), f"{kind.name}: {value}"
    if kind.type_name == "string" and kind.enum:
        assert value in kind.enum, f"{kind.name}: {value}"
    return value
