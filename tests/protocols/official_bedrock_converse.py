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
    found = re.fullmatch(r"/model/([^/]+)/converse(-stream)?", path)
    assert found
    asked = {"modelId": found[1]} | decoded(body, shape())
    assert set(asked) <= set(shape().members)
    report = ParamValidator().validate(asked, shape())
    assert not report.has_errors(), report.generate_report()


def decoded(value, kind):
    """The value with bytes where the wire has base64; patterns and unions hold what botocore leaves to the server."""
    if kind.type_name == "blob":
        return b64decode(value, validate=True)
    if kind.type_name == "list" and isinstance(value, list):
        return [decoded(item, kind.member) for item in value]
    if kind.type_name == "structure" and isinstance(value, dict) and not getattr(kind, "is_document_type", False):
        assert set(value) <= set(kind.members), f"{kind.name} knows no such key: {set(value) - set(kind.members)}"
        assert len(value) == 1 or not getattr(kind, "is_tagged_union", False), f"{kind.name}: {value}"
        return {name: decoded(item, kind.members[name]) for name, item in value.items()}
    if kind.type_name == "string" and "pattern" in kind.metadata:
        assert re.fullmatch(kind.metadata["pattern"], value), f"{kind.name}: {value}"
    if kind.type_name == "string" and kind.enum:
        assert value in kind.enum, f"{kind.name}: {value}"
    return value
