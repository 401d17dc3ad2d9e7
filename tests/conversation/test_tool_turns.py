"""Tool calls and their outputs: each call has an id of its own and one output behind it, or the turn is named."""

import pytest

from nbkit import Conversation
from nbkit.conversation.tool_turns import NO_OUTPUT, check_outputs
from nbkit.conversation.transforms import fit_turns
from nbkit.errors import ConversationError


def call(call_id="c1", name="f", arguments="{}"):
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def calls(*made, content=None, **more):
    return {"role": "assistant", "content": content, "tool_calls": list(made)} | more


def output(call_id="c1", content="1", **more):
    return {"role": "tool", "content": content, "tool_call_id": call_id} | more


def user(content="Go."):
    return {"role": "user", "content": content}


WHOLE = {
    "A20: a call in the middle": (
        [user(), calls(call()), user("Never mind.")],
        [user(), calls(call()), output(content=NO_OUTPUT, name="f"), user("Never mind.")],
        ["transformed call c1 of f"],
    ),
    "A20: a call at the end": (
        [user(), calls(call())],
        [user(), calls(call()), output(content=NO_OUTPUT, name="f")],
        ["transformed call c1 of f"],
    ),
    "A20: one of two calls": (
        [user(), calls(call(), call("c2", "g")), output("c2"), user()],
        [user(), calls(call(), call("c2", "g")), output("c2"), output(content=NO_OUTPUT, name="f"), user()],
        ["transformed call c1 of f"],
    ),
    "H: an output after the answer": (
        [user(), calls(call()), {"role": "assistant", "content": "Hm."}, user(), output()],
        [user(), calls(call()), output(), {"role": "assistant", "content": "Hm."}, user()],
        ["transformed turns"],
    ),
    "H: two turns with calls before their outputs": (
        [user(), calls(call()), calls(call("c2")), output(), output("c2")],
        [user(), calls(call()), output(), calls(call("c2")), output("c2")],
        ["transformed turns"],
    ),
    "H: the same id in two turns": (
        [user(), calls(call()), output(), calls(call()), output(content="2")],
        [user(), calls(call()), output(), calls(call("c1_2")), output("c1_2", "2")],
        ["transformed ids of tool calls"],
    ),
    "H: the same id twice in one turn": (
        [user(), calls(call(), call()), output(), output(content="2")],
        [user(), calls(call(), call("c1_2")), output(), output("c1_2", "2")],
        ["transformed ids of tool calls"],
    ),
    "H: no ids": (
        [user(), calls(call(""), call("")), output("", "1"), output("", "2")],
        [user(), calls(call("call_2"), call("call_3")), output("call_2", "1"), output("call_3", "2")],
        ["transformed ids of tool calls"],
    ),
    "A19: numbers that JSON does not have": (
        [user(), calls(call(arguments='{"a": NaN, "b": [1e999, 1]}')), output()],
        [user(), calls(call(arguments='{"a":null,"b":[null,1]}')), output()],
        ["transformed arguments of f"],
    ),
    "A19: a text that only looks so": (
        [user(), calls(call(arguments='{"a": "NaN 1e999"}')), output()],
        [user(), calls(call(arguments='{"a": "NaN 1e999"}')), output()],
        [],
    ),
    "H: the function calls of old": (
        [user(), {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}, user()],
        [user(), calls(call("call_function_1")), output("call_function_1", NO_OUTPUT, name="f"), user()],
        ["renamed function_call", "transformed call call_function_1 of f"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("given", "sent", "changed"), WHOLE.values(), ids=WHOLE)
def test_histories_are_made_whole(given, sent, changed):
    conversation = Conversation(given)
    check_outputs(conversation)
    fitting, changes = fit_turns(conversation, {"function_calls", "whole_calls"})
    assert fitting.to_openai() == Conversation(sent).to_openai()
    assert [f"{change.kind} {change.what}" for change in changes] == changed
    assert fit_turns(fitting, {"function_calls", "whole_calls"}) == (fitting, ())


def test_a_signature_that_stands_apart_follows_its_call():
    details = [{"type": "reasoning.encrypted", "data": "s", "id": "c1", "format": "google-gemini-v1"}]
    given = [user(), calls(call()), output(), calls(call(), reasoning_details=details), output()]
    fitting, _ = fit_turns(Conversation(given), {"whole_calls"})
    assert [turn.reasoning[0].id for turn in fitting if getattr(turn, "reasoning", ())] == ["c1_2"]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ([user(), output("c9")], r"turn 1 \(tool\): no turn before it makes the call 'c9'"),
        ([output(), user(), calls(call())], r"turn 0 \(tool\): no turn before it makes the call 'c1'"),
        ([user(), calls(call()), output(), output()], r"turn 3 \(tool\): a second output of the call 'c1'"),
        ([user(), {"role": "function", "name": "f", "content": "1"}],
         r"turn 1 \(function\): no turn before it makes a call of the function f"),
    ],
)  # fmt: skip
def test_an_output_without_its_call_names_the_turn(given, problem):
    with pytest.raises(ConversationError, match=problem):
        check_outputs(Conversation(given))
