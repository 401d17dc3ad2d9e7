"""Turns for models that do not accept every turn: what becomes of them, and that each change is listed."""

import pytest

from nbkit.conversation.transforms import CONTINUE, NO_OUTPUT, PLACEHOLDER, TRANSFORMS, fit_turns
from nbkit.conversation.turns import Conversation
from nbkit.providers.capabilities import ModelCapabilities

CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
IMAGE = {"type": "image_url", "image_url": {"url": "https://x.example/y.png"}}


def text(value):
    return {"type": "text", "text": value}


def system(content):
    return {"role": "system", "content": content}


def user(content):
    return {"role": "user", "content": content}


def assistant(content, **more):
    return {"role": "assistant", "content": content} | more


def tool(content):
    return {"role": "tool", "content": content, "tool_call_id": "c"}


CASES = {
    "system turns are the user's": (
        ["system"],
        [system("A"), user("B")],
        [user("A"), user("B")],
        ["system"],
    ),
    "and are merged with the user's where roles must not repeat": (
        ["system", "repeating_roles"],
        [system("A"), user("B")],
        [user("A\n\nB")],
        ["system", "turns of the user"],
    ),
    "several system turns are one, a later one is the user's": (
        ["multiple_system"],
        [system("A"), {"role": "developer", "content": "B"}, user("C"), system("D")],
        [system("A\n\nB"), user("C"), user("<system>\nD\n</system>")],
        ["system turns", "system turn"],
    ),
    "a later system turn with an image keeps it": (
        ["later_system"],
        [user("C"), system(["D", IMAGE])],
        [user("C"), user([text("<system>\n"), text("D"), IMAGE, text("\n</system>")])],
        ["system turn"],
    ),
    "the system alone": (["only_system"], [system("A")], [user("A")], ["system"]),
    "not alone": (["only_system"], [system("A"), user("B")], [system("A"), user("B")], []),
    "empty texts and turns": (
        ["empty_content"],
        [user(""), user(["", "x"]), assistant(" "), assistant("", tool_calls=[CALL]), tool("")],
        [user([text("x")]), assistant(None, tool_calls=[CALL]), tool("")],
        ["empty turn of the user", "empty turn of the assistant"],
    ),
    "an empty output": (["empty_output"], [tool("")], [tool(NO_OUTPUT)], ["empty tool output"]),
    "repeated roles": (
        ["repeating_roles"],
        [user("A"), user([IMAGE]), assistant("B", reasoning_content="R"), assistant("C", tool_calls=[CALL]), tool("1"),
         tool("2")],
        [user([text("A"), IMAGE]), assistant("B\n\nC", tool_calls=[CALL], reasoning_content="R"), tool("1"), tool("2")],
        ["turns of the user", "turns of the assistant"],
    ),
    "the assistant first": (
        ["first_assistant"],
        [system("S"), assistant("A"), user("B")],
        [system("S"), user(PLACEHOLDER), assistant("A"), user("B")],
        ["turns"],
    ),
    "the assistant alone": (["only_assistant"], [assistant("A")], [assistant("A"), user(CONTINUE)], ["turns"]),
    "the assistant last": (
        ["last_assistant"], [user("A"), assistant("B")], [user("A"), assistant("B"), user(CONTINUE)], ["turns"]
    ),
    "white space at the end": (
        ["trailing_space"], [user("A"), assistant("B \n")], [user("A"), assistant("B")], ["last turn of the assistant"]
    ),
    "white space at the end of entries": (
        ["trailing_space"],
        [user("A"), assistant(["B ", "C "])],
        [user("A"), assistant([text("B "), text("C")])],
        ["last turn of the assistant"],
    ),
    "the user after a tool": (
        ["user_after_tool"],
        [assistant(None, tool_calls=[CALL]), tool("1"), user("B")],
        [assistant(None, tool_calls=[CALL]), tool("1"), assistant("OK"), user("B")],
        ["turns"],
    ),
    "a tool's output after other words": (
        ["whole_calls"],
        [assistant(None, tool_calls=[CALL]), user("B"), system("S"), tool("1"), user("C")],
        [assistant(None, tool_calls=[CALL]), tool("1"), user("B"), system("S"), user("C")],
        ["turns"],
    ),
    "a tool's output without its call": (["whole_calls"], [user("B"), tool("1")], [user("B"), tool("1")], []),
    "parallel calls": (
        ["parallel_calls"],
        [assistant("A", tool_calls=[CALL, CALL | {"id": "d"}]), tool("1"), tool("2") | {"tool_call_id": "d"},
         user("B")],
        [assistant("A", tool_calls=[CALL]), tool("1"), assistant(None, tool_calls=[CALL | {"id": "d"}]),
         tool("2") | {"tool_call_id": "d"}, user("B")],
        ["parallel tool calls"],
    ),
    "images that tools gave": (
        ["output_media"],
        [assistant(None, tool_calls=[CALL]), tool(["1", IMAGE]), tool("2"), user("C")],
        [assistant(None, tool_calls=[CALL]), tool("1"), tool("2"), user([text("From c:"), IMAGE]), user("C")],
        ["tool output"],
    ),
    "content as strings": (
        ["json_content"],
        [user(["A", "B"]), user(["C", IMAGE]), assistant(None, tool_calls=[CALL])],
        [user("AB"), user([text("C"), IMAGE]), assistant("", tool_calls=[CALL])],
        [],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("lacks", "given", "wanted", "changed"), CASES.values(), ids=CASES)
def test_transforms(lacks, given, wanted, changed):
    conversation = Conversation(given)
    before = conversation.model_dump_json()
    fitting, changes = fit_turns(conversation, lacks)
    assert fitting.to_openai() == Conversation(wanted).to_openai()
    assert [change.what for change in changes] == changed
    assert conversation.model_dump_json() == before


@pytest.mark.parametrize("given", [case[1] for case in CASES.values()], ids=CASES)
def test_nothing_happens_twice_nor_to_a_model_that_takes_it(given):
    conversation = Conversation(given)
    assert fit_turns(conversation, []) == (conversation, ())
    everything = TRANSFORMS.keys() - {"system"}  # a user's turn that was the system's can be told from no other
    once, _ = fit_turns(conversation, everything)
    assert fit_turns(once, everything) == (once, ())


def test_each_transform_is_a_capability():
    assert {f"supports_{name}" for name in TRANSFORMS.keys() - {"function_calls", "whole_calls", "empty_lists"}} <= set(
        ModelCapabilities.__slots__
    )
