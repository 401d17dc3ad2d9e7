"""Tool calls as real servers send them: which pieces are one call."""

from answers import WHOLE, anthropic, block, call, chat, delta, feed, gemini, message, read, responses, rows

CALLS = [
    ("A1: two names at one index", "openai-chat", "stream",
     chat(call(WHOLE, "first", 0), call('{"q":2}', "second", 0)), [("first", WHOLE), ("second", '{"q":2}')]),
    ("A1: the same name twice at one index", "openai-chat", "stream",
     chat(call(WHOLE, "first", 0), call('{"q":2}', "first", 0)), [("first", WHOLE), ("first", '{"q":2}')]),
    ("A1: in pieces", "openai-chat", "stream",
     chat(call('{"q"', "first", 0), call(":1}", None, 0), call('{"q"', "second", 0), call(":2}", None, 0)),
     [("first", WHOLE), ("second", '{"q":2}')]),
    ("A1: calls without arguments", "openai-chat", "stream",
     chat(call("", "first", 0), call("", "second", 0)), [("first", "{}"), ("second", "{}")]),
    ("A1: other ids at one index", "openai-chat", "stream",
     chat(call(WHOLE, "first", 0, id="a"), call('{"q":2}', "first", 0, id="b")),
     [("first", WHOLE), ("first", '{"q":2}')]),
    ("F5: one id for two whole calls", "openai-chat", "stream",
     chat(call("{}", "f", 0, id="a"), call(WHOLE, "f", 0, id="a")), [("f", "{}"), ("f", WHOLE)]),
    ("F5: one id and no index", "openai-chat", "stream",
     chat(call("{}", "f", id="a"), call(WHOLE, "f", id="a")), [("f", "{}"), ("f", WHOLE)]),
    ("F5: one id, other indices", "openai-chat", "stream",
     chat(call("{}", "f", 0, id="a"), call(WHOLE, "g", 1, id="a")), [("f", "{}"), ("g", WHOLE)]),
    ("F5: whole answer", "openai-chat", "whole",
     message(tool_calls=[call("{}", "f", id="a")["tool_calls"][0], call(WHOLE, "f", id="a")["tool_calls"][0]]),
     [("f", "{}"), ("f", WHOLE)]),
    ("F5: Cohere", "cohere-v2", "stream",
     [{"type": "tool-call-start", "index": 0, "delta": {"message": call(text, "f", id="a") | {
         "tool_calls": call(text, "f", id="a")["tool_calls"][0]}}} for text in ("{}", WHOLE)]
     + [{"type": "message-end", "delta": {"finish_reason": "TOOL_CALL"}}], [("f", "{}"), ("f", WHOLE)]),
    ("F5: Anthropic, all blocks are number 0", "anthropic-messages", "stream",
     anthropic(block(0, "tool_use", id="a", name="f", input={}), delta(0, "input_json", partial_json=WHOLE),
               block(0, "tool_use", id="b", name="g", input={}), delta(0, "input_json", partial_json="{}"),
               stop="tool_use"), [("f", WHOLE), ("g", "{}")]),
    ("F5: Bedrock, no numbers", "bedrock-converse", "stream",
     [("contentBlockStart", {"start": {"toolUse": {"toolUseId": "a", "name": "f"}}}),
      ("contentBlockDelta", {"delta": {"toolUse": {"input": WHOLE}}}),
      ("contentBlockStart", {"start": {"toolUse": {"toolUseId": "b", "name": "g"}}}),
      ("contentBlockDelta", {"delta": {"toolUse": {"input": "{}"}}}),
      ("messageStop", {"stopReason": "tool_use"})], [("f", WHOLE), ("g", "{}")]),
    ("F5: Responses, no ids and one index", "openai-responses", "stream",
     responses(*({"type": "response.output_item.done", "output_index": 0,
                  "item": {"type": "function_call", "name": "f", "arguments": text}} for text in ("{}", WHOLE))),
     [("f", "{}"), ("f", WHOLE)]),
    ("J: id and name in every piece", "openai-chat", "stream",
     chat(call('{"q"', "f", 0, id="a"), call(":1}", "f", 0, id="a"), call("", "f", 0, id="a")), [("f", WHOLE)]),
    ("J: another id in every piece", "openai-chat", "stream",
     chat(call('{"q"', "f", 0, id="a"), call(":1}", None, 0, id="b")), [("f", WHOLE)]),
    ("J: the index counts pieces", "openai-chat", "stream",
     chat(call('{"q"', "f", 0, id="a"), call(":1}", None, 1, id="a")), [("f", WHOLE)]),
    ("J: a whole call once more at the end", "openai-chat", "stream",
     chat(call('{"q"', "f", 0, id="a"), call(":1}", None, 0), call(WHOLE, "f", 0, id="a")), [("f", WHOLE)]),
    ("J: the name comes later", "openai-chat", "stream",
     chat({"tool_calls": [{"index": 0, "id": "a"}]}, call(WHOLE, "f", 0)), [("f", WHOLE)]),
    ("J: an empty object before the arguments", "openai-chat", "stream",
     chat(call("{}", "f", 0), call('{"q"', None, 0), call(":1}", None, 0)), [("f", WHOLE)]),
    ("R1: both forms", "openai-chat", "whole",
     message(tool_calls=[call(WHOLE, "f", id="a")["tool_calls"][0]], function_call={"name": "f", "arguments": WHOLE}),
     [("f", WHOLE)]),
    ("R1: both forms in every piece", "openai-chat", "stream",
     chat(*(call(text, name, 0, id="a") | {"function_call": {"name": name or "", "arguments": text}}
            for text, name in (('{"q', "f"), ('":1', None), ("}", None)))), [("f", WHOLE)]),
    ("R1: the old form after the new one", "openai-chat", "stream",
     chat(call(WHOLE, "f", 0, id="a"), {"function_call": {"name": "f", "arguments": WHOLE}}), [("f", WHOLE)]),
    ("F12: input is text", "anthropic-messages", "whole",
     {"content": [{"type": "tool_use", "id": "a", "name": "f", "input": "Oslo"}], "stop_reason": "tool_use"},
     [("f", "Oslo")]),
    ("F12: input is text of JSON", "anthropic-messages", "whole",
     {"content": [{"type": "tool_use", "id": "a", "name": "f", "input": '{"q": 1}'}], "stop_reason": "tool_use"},
     [("f", WHOLE)]),
    ("F12: Bedrock", "bedrock-converse", "whole",
     {"output": {"message": {"content": [{"toolUse": {"toolUseId": "a", "name": "f", "input": "Oslo"}}]}},
      "stopReason": "tool_use"}, [("f", "Oslo")]),
    ("F12: Gemini", "gemini-generate", "stream",
     gemini({"functionCall": {"name": "f", "args": "Oslo"}}), [("f", "Oslo")]),
    ("W11: Gemini's streamed arguments", "gemini-generate", "stream",
     gemini({"functionCall": {"name": "f", "id": "a", "willContinue": True}},
            {"functionCall": {"partialArgs": [{"jsonPath": "$.city", "stringValue": "Os", "willContinue": True}],
                              "willContinue": True}},
            {"functionCall": {"partialArgs": [{"jsonPath": "$.city", "stringValue": "lo"},
                                              {"jsonPath": "$.days[1].n", "numberValue": 2},
                                              {"jsonPath": "$['a b']", "boolValue": False},
                                              {"jsonPath": "$.x", "nullValue": "NULL_VALUE"}], "willContinue": True}},
            {"functionCall": {}}),
     [("f", '{"city":"Oslo","days":[null,{"n":2}],"a b":false,"x":null}')]),
    ("W11: and another call behind them", "gemini-generate", "stream",
     gemini({"functionCall": {"name": "f", "willContinue": True,
                              "partialArgs": [{"jsonPath": "$.q", "numberValue": 1}]}},
            {"functionCall": {"name": "g", "args": {}}}), [("f", WHOLE), ("g", "{}")]),
]  # fmt: skip


@rows(CALLS)
def test_tool_calls(name, how, answer, expected):
    completion = read(name, **{how: answer})
    assert [(one.name, one.arguments) for one in completion.tool_calls] == expected
    ids = [one.id for one in completion.tool_calls]
    assert all(ids)
    assert len(set(ids)) == len(ids)
    assert completion.finish_reason == "tool_calls"
    if how == "stream":
        pieces = {}
        for delta in (delta for chunk in feed(name, answer)[1] for delta in chunk.tool_calls):
            pieces[delta.index] = pieces.get(delta.index, "") + delta.name
        assert list(pieces.values()) == [name for name, _ in expected]


def test_halves_in_the_arguments_of_tools():
    halves = [(b'{"q":"\\\\ud83d', "f"), (b"\\\\ude00 \xf0\x9f", ""), (b'\x98\x80"}', "")]
    events = [
        b'{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"%b","arguments":"%b"}}]}}]}'
        % (name.encode(), text.replace(b'"', b'\\"'))
        for text, name in halves
    ]
    (one,) = read("openai-chat", [*events, *chat()]).tool_calls
    assert one.arguments == '{"q":"😀 😀"}'
