"""The request that is sent: from a conversation and its options to the body, for every protocol.

The vectors (tests/protocols/vector_files.py) say what each protocol makes of its own cases; the requests for hard
conversations and many options are judged by the types of the vendors' own SDKs (tests/protocols/official_*.py).
"""

import copy
import json
from importlib import import_module

import pytest
from pydantic_core import to_json
from vector_files import load

from nbkit.adapters.prepare import prepare
from nbkit.conversation.content import AudioEntry, FileEntry, ImageEntry
from nbkit.conversation.options import ExecuteOptions
from nbkit.conversation.turns import Conversation
from nbkit.errors import UnsupportedFeatureError
from nbkit.protocols import PROTOCOLS
from nbkit.protocols.wire import Dialect
from nbkit.providers.capabilities import tolerance_of
from nbkit.providers.endpoints import Endpoint
from nbkit.providers.tables import protocol_defaults, provider_defaults

ENCODE = [(name, vector) for name in PROTOCOLS for vector in load(name).encode]


def endpoint(protocol, dialect=(), **row):
    """A model that the catalog does not know, at a provider with this row in the tables."""
    tolerance = tolerance_of(None, [protocol_defaults(protocol), row])
    dialect = Dialect(**{"max_output": tolerance.max_output} | dict(dialect))
    return Endpoint("lab", "m", protocol, "https://lab.example", dialect=dialect, tolerance=tolerance)


@pytest.mark.parametrize(("name", "vector"), ENCODE, ids=[f"{name}: {vector.name}" for name, vector in ENCODE])
def test_vectors(name, vector):
    turns = copy.deepcopy(vector.turns)
    conversation = Conversation(turns)
    before = conversation.model_dump_json(), ExecuteOptions.of(vector.options)

    prepared = prepare(conversation, vector.options, endpoint(name, vector.dialect, **vector.row), vector.stream)

    assert json.loads(to_json(prepared.request.body)) == vector.body
    assert vector.path in (None, prepared.request.path)
    assert [f"{change.kind} {change.what}" for change in prepared.changes] == vector.changes
    assert turns == vector.turns
    assert prepare(conversation, vector.options, prepared.endpoint, vector.stream) == prepared
    assert (conversation.model_dump_json(), ExecuteOptions.of(vector.options)) == before


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


def turn(role, content, **more):
    return {"role": role, "content": content} | more


QUESTION = turn("user", "The weather in Oslo and Rome?")
OPAQUE = {"signature": "c2ln", "id": "rs_1"}
HARD = {
    "a string": "Hello",
    "the assistant first": [turn("assistant", "Ask me."), turn("user", "Hi")],
    "only the system": [turn("system", "Say hello.")],
    "only the assistant": [turn("assistant", "Once upon a time ")],
    "the system in the middle": [turn("system", "A"), turn("user", "Hi"), turn("system", "B"), turn("user", "Ho")],
    "two of the system": [turn("system", "A"), turn("developer", "B"), turn("user", "Hi")],
    "repeated roles": [turn("user", "1"), turn("user", "2"), turn("assistant", "3"), turn("assistant", "4"),
                       turn("user", "5")],
    "empty content": [turn("user", ""), turn("assistant", ""), turn("user", "Hi"), turn("assistant", "  "),
                      turn("user", ["", "x"])],
    "the assistant last, white at the end": [turn("user", "Go on."), turn("assistant", "It is \n")],
    "parallel tools": [QUESTION, turn("assistant", "Let me see.", tool_calls=[CALL, OTHER]),
                       turn("tool", "3 C", tool_call_id="call_1"), turn("tool", "19 C", tool_call_id="call_2")],
    "tool output without text": [QUESTION, turn("assistant", None, tool_calls=[CALL]),
                                 turn("tool", "", tool_call_id="call_1"), turn("user", "And now?")],
    "tool output in pieces": [QUESTION, turn("assistant", None, tool_calls=[CALL]),
                              turn("tool", ["3 C", {"type": "image_url", "image_url": PNG}], tool_call_id="call_1")],
    "tool arguments that are not JSON": [
        QUESTION,
        turn("assistant", None, tool_calls=[{"id": "call 1/x", "function": {"name": "weather", "arguments": "Oslo"}}]),
        turn("tool", "3 C", tool_call_id="call 1/x")],
    "a deprecated function call": [
        QUESTION, turn("assistant", None, function_call={"name": "weather", "arguments": "{}"}),
        turn("function", "3 C", name="weather")],
    "images and text": [turn("user", ["Look", {"type": "image_url", "image_url": PNG}, "and tell."])],
    "a document": [turn("user", [{"type": "file", "file": {"file_data": PDF, "filename": "a.pdf"}}, "Sum up."])],
    "names": [turn("user", "Hi", name="ada"), turn("assistant", "Ho", name="bot"), turn("user", "Hi")],
    "plain reasoning": [turn("user", "1+1?"), turn("assistant", "2", reasoning_content="Add."), turn("user", "And 2?")],
    **{
        f"reasoning of {form}": [
            QUESTION,
            turn("assistant", "Hm.", tool_calls=[CALL], reasoning=[{"text": "Think.", "format": form} | OPAQUE | data]),
            turn("tool", "3 C", tool_call_id="call_1"),
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
CASES = [(turns, {}) for turns in HARD.values()] + [("Hi, in JSON.", options) for options in OPTIONS.values()]
READS = {ImageEntry: "vision", FileEntry: "pdf", AudioEntry: "audio"}


def needed(turns, options):
    """The capabilities without which a protocol refuses a call, because nothing can stand in for them."""
    entries = [type(entry) for turn in Conversation(turns) for entry in turn.entries]
    tools = {"tools"} if "tools" in options else set()
    return tools | {READS[kind] for kind in entries if kind in READS}


@pytest.mark.parametrize(("turns", "options"), CASES, ids=[*HARD, *OPTIONS])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_official_sdks_would_send_the_same_types(name, stream, turns, options):
    given = copy.deepcopy(turns)
    model = endpoint(name, **provider_defaults(load(name).official_provider))
    if needed(turns, options) & model.tolerance.capabilities.list_missing():
        with pytest.raises(UnsupportedFeatureError, match="lists models that do"):
            prepare(turns, options, model, stream)
        return
    prepared = prepare(turns, options, model, stream)
    official = import_module(f"official_{PROTOCOLS[name].module}")
    official.validate(json.loads(to_json(prepared.request.body)), prepared.request.path)
    assert turns == given
