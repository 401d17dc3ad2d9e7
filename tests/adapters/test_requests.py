"""What is sent: from a conversation and its options to the body, for every protocol (`tests/protocols/vectors`)."""

import copy
import json
from importlib import import_module
from pathlib import Path

import pytest
from pydantic_core import to_json

from nbkit.adapters.prepare import prepare
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.turns import Conversation
from nbkit.errors import UnsupportedFeatureError
from nbkit.protocols import PROTOCOLS
from nbkit.protocols.wire import Dialect
from nbkit.providers.capabilities import tolerance_of
from nbkit.providers.endpoints import Endpoint
from nbkit.providers.tables import protocol_defaults, provider_defaults

VECTORS = Path(__file__).parents[1] / "protocols" / "vectors"
ENCODE = [(name, row) for name in PROTOCOLS for row in json.loads((VECTORS / f"{name}.json").read_text())["encode"]]


def endpoint(protocol, dialect=(), **row):
    """A model that the catalog does not know, at a provider with this row in the tables."""
    rows = [protocol_defaults(protocol), row]
    takes = tolerance_of(None, rows)
    dialect = Dialect(**{"max_output": takes.max_output} | dict(dialect))
    return Endpoint("lab", "m", protocol, "https://lab.example", dialect=dialect, tolerance=takes)


@pytest.mark.parametrize(("name", "vector"), ENCODE, ids=[f"{name}: {row['name']}" for name, row in ENCODE])
def test_vectors(name, vector):
    turns = copy.deepcopy(vector["turns"])
    conversation, options = Conversation(turns), vector.get("options", {})
    before = conversation.model_dump_json(), ExecuteOptions.of(options)
    of = endpoint(name, vector.get("dialect", {}), **vector.get("takes", {}))

    prepared = prepare(conversation, options, of, vector.get("stream", False))

    assert json.loads(to_json(prepared.request.body)) == vector["body"]
    assert prepared.request.path == vector.get("path", prepared.request.path)
    assert [f"{change.kind} {change.what}" for change in prepared.changes] == vector.get("changes", [])
    assert turns == vector["turns"]
    assert (conversation.model_dump_json(), ExecuteOptions.of(options)) == before


PNG = "data:image/png;base64,iVBORw0KGgo="
PDF = "data:application/pdf;base64,JVBERi0xLjQ="
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
OTHER = {"id": "call_2", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
WEATHER = {
    "name": "weather",
    "description": "The weather now.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"], "additionalProperties": False}


def said(role, content, **more):
    return {"role": role, "content": content} | more


ASKED = said("user", "The weather in Oslo and Rome?")
OPAQUE = {"signature": "c2ln", "id": "rs_1"}
HARD = {
    "a string": "Hello",
    "the assistant first": [said("assistant", "Ask me."), said("user", "Hi")],
    "only the system": [said("system", "Say hello.")],
    "only the assistant": [said("assistant", "Once upon a time ")],
    "the system in the middle": [said("system", "A"), said("user", "Hi"), said("system", "B"), said("user", "Ho")],
    "two of the system": [said("system", "A"), said("developer", "B"), said("user", "Hi")],
    "repeated roles": [said("user", "1"), said("user", "2"), said("assistant", "3"), said("assistant", "4"),
                       said("user", "5")],
    "empty content": [said("user", ""), said("assistant", ""), said("user", "Hi"), said("assistant", "  "),
                      said("user", ["", "x"])],
    "the assistant last, white at the end": [said("user", "Go on."), said("assistant", "It is \n")],
    "parallel tools": [ASKED, said("assistant", "Let me see.", tool_calls=[CALL, OTHER]),
                       said("tool", "3 C", tool_call_id="call_1"), said("tool", "19 C", tool_call_id="call_2")],
    "tool output without text": [ASKED, said("assistant", None, tool_calls=[CALL]),
                                 said("tool", "", tool_call_id="call_1"), said("user", "And now?")],
    "tool output in pieces": [ASKED, said("assistant", None, tool_calls=[CALL]),
                              said("tool", ["3 C", {"type": "image_url", "image_url": PNG}], tool_call_id="call_1")],
    "tool arguments that are no JSON": [
        ASKED,
        said("assistant", None, tool_calls=[{"id": "call 1/x", "function": {"name": "weather", "arguments": "Oslo"}}]),
        said("tool", "3 C", tool_call_id="call 1/x")],
    "a deprecated function call": [ASKED, said("assistant", None, function_call={"name": "weather", "arguments": "{}"}),
                                   said("function", "3 C", name="weather")],
    "images and text": [said("user", ["Look", {"type": "image_url", "image_url": PNG}, "and tell."])],
    "a document": [said("user", [{"type": "file", "file": {"file_data": PDF, "filename": "a.pdf"}}, "Sum up."])],
    "names": [said("user", "Hi", name="ada"), said("assistant", "Ho", name="bot"), said("user", "Hi")],
    "plain reasoning": [said("user", "1+1?"), said("assistant", "2", reasoning_content="Add."), said("user", "And 2?")],
    **{
        f"reasoning of {form}": [
            ASKED,
            said("assistant", "Hm.", tool_calls=[CALL], reasoning=[{"text": "Think.", "format": form} | OPAQUE | data]),
            said("tool", "3 C", tool_call_id="call_1"),
        ]
        for form, data in (
            ("anthropic-claude-v1", {}), ("google-gemini-v1", {}), ("openai-responses-v1", {"data": "ZW5j"}))
    },
}  # fmt: skip
OPTIONS = {
    "nothing": {},
    "sampling": {"temperature": 1.9, "top_p": 0.9, "top_k": 40, "min_p": 0.1, "seed": 7, "stop": "END",
                 "max_tokens": 5000, "presence_penalty": 0.1, "frequency_penalty": 0.1, "user": "u1"},
    "tools": {"tools": [WEATHER], "tool_choice": "auto", "parallel_tool_calls": False, "prompt_cache": "auto"},
    "some tool": {"tools": [WEATHER | {"strict": True}], "tool_choice": "required"},
    "one tool": {"tools": [WEATHER, {"name": "other"}], "tool_choice": "weather"},
    "no tool": {"tools": [WEATHER], "tool_choice": "none"},
    "JSON": {"response_format": {"type": "json_object"}},
    "a schema": {"response_format": {"type": "json_schema",
                                     "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}}},
    "an effort": {"reasoning_effort": "low"},
    "a budget": {"reasoning_budget": 2000},
    "no reasoning": {"reasoning_effort": "none"},
}  # fmt: skip
ASKS = [(turns, {}) for turns in HARD.values()] + [("Hi, in JSON.", options) for options in OPTIONS.values()]


def official(protocol):
    """The check by the official SDK's own request types."""
    return import_module(f"official_{PROTOCOLS[protocol].module}").validate


@pytest.mark.parametrize(("turns", "options"), ASKS, ids=[*HARD, *OPTIONS])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_official_sdks_would_send_the_same_types(name, stream, turns, options):
    given = copy.deepcopy(turns)
    own = {"openai-chat": provider_defaults("openai")}.get(name, {})  # others take more than OpenAI does
    of = endpoint(name, **own)
    if turns is HARD["a document"] and "pdf" in of.tolerance.capabilities.lacks():
        with pytest.raises(UnsupportedFeatureError, match="does not read documents"):
            prepare(turns, options, of, stream)
        return
    prepared = prepare(turns, options, of, stream)
    official(name)(json.loads(to_json(prepared.request.body)), prepared.request.path)
    assert turns == given
