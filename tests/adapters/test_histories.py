"""Odd but legal histories become requests that the vendors' own SDKs would send; illegal ones are refused by turn.

Every history goes to every protocol, as it would to its usual provider.
"""

import copy
import json
from base64 import b64encode
from importlib import import_module

import pytest
from pydantic_core import to_json
from test_requests import endpoint, needed
from vector_files import load

from nbkit.adapters.prepare import prepare
from nbkit.conversation.fit_media import fit_media
from nbkit.conversation.turns import Conversation
from nbkit.errors import ConversationError, UnsupportedFeatureError
from nbkit.protocols import PROTOCOLS
from nbkit.providers.tables import provider_defaults


def turn(role, content, **more):
    return {"role": role, "content": content} | more


def call(call_id="call_1", name="f", arguments="{}"):
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def calls(*made, content=None, **more):
    return turn("assistant", content, tool_calls=list(made), **more)


def output(call_id="call_1", content="1", **more):
    return turn("tool", content, tool_call_id=call_id, **more)


def image(media_type, data):
    return {"type": "image_url", "image_url": {"url": f"data:{media_type};base64,{b64encode(data).decode()}"}}


def file(media_type, data, **more):
    return {"type": "file", "file": {"file_data": f"data:{media_type};base64,{b64encode(data).decode()}"} | more}


PNG, GIF, JPEG = b"\x89PNG\r\n\x1a\n", b"GIF89a\1", b"\xff\xd8\xff\xe0"
ASK, SAY = turn("user", "Go."), turn("assistant", "Gone.")
MARK = {"cache_control": {"type": "ephemeral"}}
ODD = {
    "a call without its output": [ASK, calls(call()), turn("user", "Never mind.")],
    "a call at the end": [ASK, calls(call())],
    "one output of two": [ASK, calls(call(), call("call_2")), output("call_2")],
    "outputs in another order": [ASK, calls(call(), call("call_2")), output("call_2"), output()],
    "an output after other turns": [ASK, calls(call()), SAY, turn("system", "S"), ASK, output()],
    "calls, then calls": [ASK, calls(call()), calls(call("call_2")), output(), output("call_2")],
    "an id in two turns": [ASK, calls(call()), output(), calls(call()), output()],
    "an id twice in one turn": [ASK, calls(call(), call()), output(), output()],
    "calls without ids": [ASK, calls(call(""), call("")), output(""), output("")],
    "a very long id": [ASK, calls(call("x" * 200)), output("x" * 200)],
    "an id with other characters": [ASK, calls(call("a b/ü")), output("a b/ü")],
    "a tool name with a dot": [ASK, calls(call(name="fs.read")), output(name="fs.read")],
    "a tool name of 200 characters": [ASK, calls(call(name="n" * 200)), output()],
    "arguments with NaN": [ASK, calls(call(arguments='{"a": NaN, "b": -Infinity}')), output()],
    "arguments that are not JSON": [ASK, calls(call(arguments='{"a": ')), output()],
    "arguments that are a list": [ASK, calls(call(arguments="[1]")), output()],
    "no arguments": [ASK, calls(call(arguments="")), output()],
    "an output of null": [ASK, calls(call()), output(content=None)],
    "an output of nothing": [ASK, calls(call()), output(content=[])],
    "an output of white space": [ASK, calls(call()), output(content=" \n")],
    "text and calls, then the user": [ASK, calls(call(), content="Let me see."), output(), ASK],
    "empty turns everywhere": [turn("system", ""), turn("user", ""), ASK, turn("assistant", ""), turn("user", [])],
    "white space everywhere": [turn("system", " "), turn("user", "\n"), ASK, turn("assistant", "\t "), ASK],
    "half a character": [turn("system", "a \ud83d"), turn("user", ["b \ude00 c"]), SAY, turn("user", "\ud83d\ude00")],
    "only the system, twice": [turn("system", "A"), turn("developer", "B")],
    "the system at the end": [ASK, SAY, ASK, turn("system", "Be brief.")],
    "the assistant first and last": [SAY, ASK, SAY],
    "five turns of the user": [ASK] * 5,
    "five turns of the assistant": [SAY] * 5,
    "reasoning under two names": [ASK, turn("assistant", "2", reasoning_content="Add.", reasoning="Add."), ASK],
    "reasoning in the content": [
        ASK, turn("assistant", [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, "2"]), ASK],
    "reasoning alone": [ASK, turn("assistant", "", reasoning_content="Hm."), ASK],
    "marks for a cache": [turn("system", "A", **MARK), turn("user", [{"type": "text", "text": "B", **MARK}])],
    "a message to continue": [ASK, turn("assistant", "It is", prefix=True)],
    "an image under a wrong type": [turn("user", ["Look", image("image/jpg", GIF), image("image/png", JPEG)])],
    "an image as a document": [turn("user", ["Look", file("application/pdf", PNG)])],
    "a document without a name": [turn("user", ["Read", file("application/pdf", b"%PDF-1.7"), file("text/csv", b"a")])],
    "the same document twice": [turn("user", [file("application/pdf", b"%PDF-1.7", filename="ü (1).pdf")] * 2)],
    "an image in an output": [ASK, calls(call()), output(content=["It is", image("image/gif", PNG)]), ASK],
    "the function call of old": [ASK, turn("assistant", None, function_call={"name": "f.g", "arguments": "{}"}), ASK],
}  # fmt: skip
ILLEGAL = {
    "no role": ([ASK, {"content": "x"}], "turn 1"),
    "an unknown role": ([ASK, turn("robot", "x")], "turn 1"),
    "a role of None": ([ASK, turn(None, "x")], "turn 1"),
    "no content": ([ASK, {"role": "user"}], "turn 1"),
    "content of null": ([ASK, turn("user", None)], "turn 1"),
    "content that is a number": ([ASK, turn("user", 3)], "turn 1"),
    "content that is an object": ([ASK, turn("user", {"text": "x"})], "turn 1"),
    "an unknown key": ([ASK, turn("user", "x", contents="y")], "turn 1"),
    "an unknown part": ([ASK, turn("user", [{"type": "video_url"}])], "turn 1"),
    "a part without a type": ([ASK, turn("user", [{"text": "x"}])], "turn 1"),
    "a part of None": ([ASK, turn("user", ["x", None])], "turn 1"),
    "a text part without text": ([ASK, turn("user", [{"type": "text"}])], "turn 1"),
    "thinking of the user": ([ASK, turn("user", [{"type": "thinking", "thinking": "x"}])], "turn 1"),
    "an image without an address": ([ASK, turn("user", [{"type": "image_url", "image_url": ""}])], "turn 1"),
    "an image on this machine": ([ASK, turn("user", [{"type": "image_url", "image_url": "file:///a.png"}])], "turn 1"),
    "an image that is not base64": ([ASK, turn("user", [image("image/png", b"")])], "turn 1"),
    "a file by its id": ([ASK, turn("user", [{"type": "file", "file": {"file_id": "f1"}}])], "turn 1"),
    "a file by its address": ([ASK, turn("user", [{"type": "file", "file": {"file_data": "https://x"}}])], "turn 1"),
    "a recording without data": ([ASK, turn("user", [{"type": "input_audio", "input_audio": {}}])], "turn 1"),
    "bytes of no known type": ([ASK, turn("user", ["x", b"\0\1"])], "turn 1"),
    "an output without an id": ([ASK, calls(call()), turn("tool", "1")], "turn 2"),
    "an output without content": ([ASK, calls(call()), {"role": "tool", "tool_call_id": "call_1"}], "turn 2"),
    "an output without its call": ([ASK, output()], "turn 1"),
    "an output of another call": ([ASK, calls(call()), output("call_9")], "turn 2"),
    "an output before its call": ([ASK, output(), calls(call())], "turn 1"),
    "a second output": ([ASK, calls(call()), output(), output()], "turn 3"),
    "an output of a function that nobody called": ([ASK, turn("function", "1", name="f")], "turn 1"),
    "a call without a name": ([ASK, calls({"id": "c", "function": {"arguments": "{}"}})], "turn 1"),
    "a call with an empty name": ([ASK, calls(call(name=""))], "turn 1"),
    "a call that is text": ([ASK, turn("assistant", None, tool_calls=["f"])], "turn 1"),
    "calls that are not a list": ([ASK, turn("assistant", None, tool_calls=call())], "turn 1"),
    "a number among the turns": ([ASK, 3], "turn 1"),
    "nothing among the turns": ([ASK, None], "turn 1"),
    "nothing but white space": ([turn("user", " \n")], "turn 0"),
    "nothing at all": ([turn("system", ""), turn("user", [])], "turn 0"),
}  # fmt: skip

assert len(ODD) >= 30
assert len(ILLEGAL) >= 30


def model(name):
    return endpoint(name, **provider_defaults(load(name).official_provider))


@pytest.mark.parametrize("turns", ODD.values(), ids=ODD)
@pytest.mark.parametrize("name", PROTOCOLS)
def test_odd_histories_are_sent_as_the_official_sdks_would(name, turns):
    given, to = copy.deepcopy(turns), model(name)
    sent, _ = fit_media(Conversation(turns))
    if needed(sent, {}) & to.tolerance.capabilities.list_missing():
        with pytest.raises(UnsupportedFeatureError, match=r"(the prompt|turn \d).* lists models that do"):
            prepare(turns, {"max_tokens": 100}, to, False)
        return
    prepared = prepare(turns, {"max_tokens": 100}, to, False)
    body = to_json(prepared.request.body, inf_nan_mode="constants")
    import_module(f"official_{PROTOCOLS[name].module}").validate(json.loads(body), prepared.request.path)
    assert b"NaN" not in body.replace(b'"NaN', b"")
    assert turns == given
    again = prepare(turns, {"max_tokens": 100}, to, True)
    assert again.changes == prepared.changes


@pytest.mark.parametrize(("turns", "where"), ILLEGAL.values(), ids=ILLEGAL)
@pytest.mark.parametrize("name", PROTOCOLS)
def test_illegal_histories_are_refused_before_sending_with_the_turn(name, turns, where):
    with pytest.raises((ConversationError, UnsupportedFeatureError), match=where):
        prepare(turns, {}, model(name), False)
