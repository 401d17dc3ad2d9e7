"""Names and schemas of tools as each protocol takes them, and the caller's names on what comes back."""

import json
from importlib import import_module

import pytest
from pydantic_core import to_json
from scripted_provider import USAGE, sse, streamed
from test_fitted_requests import CALLING, add, model, send

from nbkit import Tool
from nbkit.adapters.prepare import prepare
from nbkit.errors import ConfigError, UnsupportedFeatureError
from nbkit.protocols import PROTOCOLS

LONG = "server__" + "a_very_long_name_of_a_tool_" * 5


def names_in(body):
    """Every name of a tool in a request, without those of outputs."""
    text = json.dumps(body, ensure_ascii=False)
    return {part.split('"')[0] for part in text.replace('"name": "', "\0").split("\0")[1:]}


@pytest.mark.parametrize("name", CALLING)
@pytest.mark.parametrize("tool", ["fs.read", "math/add", "a b", "Ünï", "9lives", LONG, "say-hi", "plain"])
def test_a16_every_tool_has_a_name_that_the_protocol_takes(name, tool):
    turns = [
        {"role": "user", "content": "Go."},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "function": {"name": tool, "arguments": "{}"}}],
        },
        {"role": "tool", "content": "1", "tool_call_id": "c", "name": tool},
    ]
    prepared = prepare(turns, {"tools": [{"name": tool}], "tool_choice": tool}, model(name), False)
    sent = next((new for new, old in prepared.names.items() if old == tool), tool)
    assert tool == sent or tool not in names_in(prepared.request.body)
    assert sent in names_in(prepared.request.body)
    official = import_module(f"official_{PROTOCOLS[name].module}")
    official.validate(json.loads(to_json(prepared.request.body)), prepared.request.path)
    assert [change.what for change in prepared.changes].count("names of tools") == (2 if sent != tool else 0)
    prepare(turns, {"tools": [{"name": tool}], "tool_choice": "auto", "strict": True}, model(name), False)


def test_a16_long_names_that_begin_alike_stay_apart():
    tools = [{"name": LONG + "read"}, {"name": LONG + "write"}]
    assert len(names_in(send("Go.", model("openai-chat"), tools=tools)[0])) == 2


@pytest.mark.parametrize("name", ["anthropic-messages", "bedrock-converse", "openai-chat", "openai-responses"])
@pytest.mark.parametrize("ids", [("a b", "a_b", "a/b"), ("x" * 70 + "1", "x" * 70 + "2", "x" * 64), ("ü", "é", "_")])
def test_h_different_ids_of_calls_stay_different(name, ids):
    calls = [{"id": one, "function": {"name": "f", "arguments": "{}"}} for one in ids]
    outputs = [{"role": "tool", "content": one, "tool_call_id": one} for one in ids]
    prepared = prepare(["Go.", {"role": "assistant", "tool_calls": calls}, *outputs], {}, model(name), False)
    made, *answered = prepared.conversation.turns[1:]
    assert [call.id for call in made.tool_calls] == [turn.tool_call_id for turn in answered]
    assert len({call.id for call in made.tool_calls}) == 3
    assert [turn.content for turn in answered] == list(ids)


@pytest.mark.parametrize(
    ("tools", "problem"),
    [
        (["a.b", "a_b"], "tools 'a.b' and 'a_b' would both be called 'a_b' there: rename one"),
        (["a.b", "a/b"], "tools 'a.b' and 'a/b' would both be called 'a_b'"),
        (["a", "a"], "two tools have the same name: a, a"),
    ],
)
def test_a16_names_that_would_be_the_same_are_refused(tools, problem):
    with pytest.raises(ConfigError, match=problem):
        prepare("Go.", {"tools": [{"name": name} for name in tools]}, model("openai-chat"), False)


@pytest.mark.parametrize("name", CALLING)
@pytest.mark.parametrize("parameters", [{"type": "object"}, {}, {"properties": None}, None])
def test_a17_a_tool_without_arguments_has_properties_all_the_same(name, parameters):
    body, _ = send("Go.", model(name), tools=[{"name": "now", "parameters": parameters}])
    text = json.dumps(body)
    assert '"properties": {}' in text
    assert '"type": "object"' in text


def test_a17_a_schema_of_something_else_names_the_tool():
    with pytest.raises(ConfigError, match="tool f: parameters: expected the JSON schema of an object, got 'array'"):
        send("Go.", model("openai-chat"), tools=[{"name": "f", "parameters": {"type": "array"}}])


X, Y, N = {"type": "string"}, {"type": "integer"}, {"type": "object", "properties": {"n": {"type": "null"}}}
BY_MODE = [
    {"type": "object", "properties": {"mode": {"const": "a"}, "x": X}, "required": ["mode", "x"]},
    {"type": "object", "properties": {"mode": {"const": "b"}, "y": Y}, "required": ["mode", "y"]},
]
TOPS = {  # what is given -> what is sent beside "type": "object", and the hint
    "objects": (
        {"oneOf": BY_MODE},
        {"properties": {"mode": {"enum": ["a", "b"]}, "x": X, "y": Y}, "required": ["mode"]},
        'Give mode = "a" and x; or mode = "b" and y.',
    ),
    "closed objects": (
        {"anyOf": [one | {"additionalProperties": False} for one in BY_MODE]},
        {"properties": {"mode": {"enum": ["a", "b"]}, "x": X, "y": Y}, "required": ["mode"],
         "additionalProperties": False},
        'Give mode = "a" and x; or mode = "b" and y.',
    ),
    "one of two properties": (
        {"type": "object", "properties": {"x": X, "y": Y}, "anyOf": [{"required": ["x"]}, {"required": ["y"]}]},
        {"properties": {"x": X, "y": Y}},
        "Give x; or y.",
    ),
    "beside a required one": (
        {"properties": {"x": X, "y": Y}, "required": ["x"], "oneOf": [{"required": ["y"]}, {}]},
        {"properties": {"x": X, "y": Y}, "required": ["x"]},
        "Give y; or nothing else.",
    ),
    "types that differ": (
        {"anyOf": [{"properties": {"x": X}}, {"properties": {"x": Y}}, {"type": "null"}]},
        {"properties": {"x": {"anyOf": [X, Y]}}},
        "",
    ),
    "parts": (
        {"allOf": [{"properties": {"x": X}, "required": ["x"]}, {"$ref": "#/$defs/more"}],
         "$defs": {"more": {"properties": {"y": Y}, "required": ["y"]}}},
        {"properties": {"x": X, "y": Y}, "required": ["x", "y"],
         "$defs": {"more": {"properties": {"y": Y}, "required": ["y"]}}},
        "",
    ),
    "a reference": (
        {"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "object", "properties": {"x": X}}}},
        {"properties": {"x": X}, "$defs": {"a/b": {"type": "object", "properties": {"x": X}}}},
        "",
    ),
    "alternatives in a part": (
        {"allOf": [{"properties": {"x": X}}, {"oneOf": BY_MODE}], "description": "D."},
        {"properties": {"x": X, "mode": {"enum": ["a", "b"]}, "y": Y}, "required": ["mode"], "description": "D."},
        'Give mode = "a" and x; or mode = "b" and y.',
    ),
}  # fmt: skip


def read_tool(name, body):
    """The description and the schema of a request's only tool."""
    (tool,) = body["toolConfig"]["tools"] if name == "bedrock-converse" else body["tools"]
    tool = tool.get("function") or tool.get("toolSpec") or tool
    tool = tool["functionDeclarations"][0] if "functionDeclarations" in tool else tool
    schema = tool.get("parameters") or tool.get("input_schema") or tool.get("parametersJsonSchema")
    return tool.get("description", ""), schema or tool["inputSchema"]["json"]


@pytest.mark.parametrize("name", CALLING)
@pytest.mark.parametrize(("given", "sent", "hint"), TOPS.values(), ids=[f"A17: {case}" for case in TOPS])
def test_a_schema_with_alternatives_at_the_top_becomes_one_object(name, given, sent, hint):
    before = json.dumps(given)
    tool = {"name": "f", "description": "F.", "parameters": given}
    body, changes = send("Go.", model(name), tools=[tool])
    described, schema = read_tool(name, body)
    assert (described, schema) == ("F." + ("\n\n" + hint if hint else ""), {"type": "object"} | sent)
    (change,) = [change for change in changes if "parameters of tool f" in change]
    assert "at the top level of a schema" in change
    with pytest.raises(UnsupportedFeatureError, match="parameters of tool f"):
        send("Go.", model(name), tools=[tool], strict=True)
    assert json.dumps(given) == before


@pytest.mark.parametrize("name", CALLING)
def test_alternatives_deeper_in_a_schema_are_sent_as_they_are(name):
    given = {"type": "object", "properties": {"x": {"anyOf": [X, Y]}, "deep": {"oneOf": BY_MODE}}}
    body, changes = send("Go.", model(name), tools=[{"name": "f", "parameters": given}])
    assert read_tool(name, body)[1] == given
    assert not any("parameters" in change for change in changes)


def test_a_row_can_say_that_a_provider_takes_alternatives():
    given = {"type": "object", "properties": {}, "oneOf": BY_MODE}
    body, changes = send("Go.", model("openai-chat", schema_top_drop=[]), tools=[{"name": "f", "parameters": given}])
    assert (read_tool("openai-chat", body)[1], changes) == (given, [])


def test_a_strict_tool_is_not_strict_where_its_properties_become_optional():
    tool = {"name": "f", "parameters": {"anyOf": BY_MODE}, "strict": True}
    body, changes = send("Go.", model("openai-chat"), tools=[tool])
    assert "strict" not in body["tools"][0]["function"]
    assert "dropped strict of tool f: not every property is required any more" in changes


@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": [X, Y]},
        {"allOf": [N, X]},
        {"$ref": "https://example.com/schema"},
        {"$ref": "#"},
        {"$ref": "#/$defs/gone", "$defs": {}},
    ],
)
def test_alternatives_without_an_object_are_refused(schema):
    with pytest.raises(ConfigError, match=r"tool f: parameters: expected the JSON schema of an object: it is not"):
        send("Go.", model("openai-chat"), tools=[{"name": "f", "parameters": schema}])


@pytest.mark.parametrize("key", ["parameters", "input_schema", "inputSchema"])
def test_tools_of_anthropic_and_mcp_are_read(key):
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
    assert Tool.model_validate({"name": "f", "description": "F.", key: schema}).parameters == schema


def ask_for(name):
    call = {"index": 0, "id": "c", "function": {"name": name, "arguments": '{"a": 1, "b": 2}'}}
    choice = {"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"}
    return sse({"choices": [choice]}, {"choices": [], "usage": USAGE}, b"[DONE]")


def test_a15_the_function_runs_under_its_own_name(provider):
    provider.says(streamed(ask_for("math_add")), streamed())
    run = provider.adapter().run("1 + 2?", tools=[Tool(name="math.add", function=add)], tool_choice="math.add")
    pieces = [event for event in run if getattr(event, "tool_calls", ())]
    assert [call.name for piece in pieces for call in piece.tool_calls] == ["math.add"]
    assert (run.results[0].content, run.completions[0].tool_calls[0].name) == ("3", "math.add")
    assert [turn.tool_calls[0].name for turn in run.conversation if hasattr(turn, "tool_calls")] == ["math.add"]
    first, second = (body for _, _, body in provider.requests)
    assert first["tool_choice"]["function"]["name"] == first["tools"][0]["function"]["name"] == "math_add"
    assert second["messages"][1]["tool_calls"][0]["function"]["name"] == "math_add"
