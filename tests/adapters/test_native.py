"""Content that only one protocol has a form for is sent back unchanged, to that protocol alone: server tools' work.

Every answer is read whole and streamed, becomes a turn, goes through JSON, and is sent again; what is sent is judged by
the types of the vendors' own SDKs.
"""

import asyncio
import json
from importlib import import_module

import pytest
from answers import read, responses
from anthropic.types.beta.message_create_params import MessageCreateParamsNonStreaming
from native_blocks import ANTHROPIC, CITED, DONE, LEAD, RESULTS, SEARCH, USE, stream_blocks
from official import check
from pydantic_core import to_json
from scripted_provider import sse, streamed, whole
from test_requests import endpoint

from nbkit.adapters.prepare import prepare
from nbkit.bulk.panel import Panel
from nbkit.conversation.completion import ChatCompletion
from nbkit.conversation.turns import Conversation
from nbkit.errors import ToolLoopError, UnsupportedFeatureError
from nbkit.protocols import PROTOCOLS
from nbkit.providers.tables import provider_defaults


def go_on(completion, *more):
    """The conversation behind an answer, through JSON: with the outputs of its calls, else with the given turns."""
    outputs = [{"role": "tool", "tool_call_id": call.id, "content": "4"} for call in completion.tool_calls]
    conversation = Conversation("Does it rain?") + completion + [*outputs, *more]
    assert Conversation.model_validate_json(conversation.model_dump_json()) == conversation
    assert Conversation(json.loads(json.dumps(conversation.to_openai()))) == conversation
    assert ChatCompletion.from_dict(json.loads(json.dumps(completion.to_dict()))) == completion
    return conversation


def send(name, conversation, **options):
    prepared = prepare(conversation, {"max_tokens": 100} | options, model(name), False)
    return prepared, json.loads(to_json(prepared.request.body))


def model(name):
    providers = {"anthropic-messages": "anthropic", "openai-responses": "openai", "gemini-generate": "google"}
    return endpoint(name, **provider_defaults(providers.get(name, "")))


def read_both(name, events, body):
    """The answer, which is the same streamed and whole."""
    completion = read(name, whole=body)
    assert read(name, stream=events).turn == completion.turn
    return completion


@pytest.mark.parametrize(("blocks", "stop"), ANTHROPIC.values(), ids=[f"W11: {name}" for name in ANTHROPIC])
def test_blocks_of_anthropic_are_sent_back_unchanged(blocks, stop):
    container = {"id": "container_1", "expires_at": "2026-11-27T00:00:00Z"}
    usage = {"input_tokens": 3, "output_tokens": 5}
    body = {"id": "m", "content": blocks, "stop_reason": stop, "usage": usage, "container": container}
    completion = read_both("anthropic-messages", stream_blocks(blocks, stop, container), body)
    paused = stop in ("pause_turn", "compaction")
    assert completion.native.paused is paused
    for more in ([], [{"role": "user", "content": "Thanks."}]):
        conversation = go_on(completion, *more)
        prepared, request = send("anthropic-messages", conversation, strict=not more)
        check(request, MessageCreateParamsNonStreaming)
        sent = [one for message in request["messages"] if message["role"] == "assistant" for one in message["content"]]
        assert ("container" in request) == (not more)  # only while the answer goes on: containers expire
        if more and not completion.tool_calls and blocks[-1] is SEARCH:
            assert [str(change) for change in prepared.changes] == [
                "dropped server_tool_use: it has no result, and the answer does not go on"
            ]
            assert sent == blocks[:-1]
        else:
            assert (sent, prepared.changes) == (blocks, ())
        if not more and not completion.tool_calls and paused:
            assert request["messages"][-1]["role"] == "assistant"
    _, vertex = send("anthropic-vertex", go_on(completion))
    assert vertex["messages"] == send("anthropic-messages", go_on(completion))[1]["messages"]


SEARCHED = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}}
REASONING = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "Hm."}, {"type": "summary_text", "text": "So."}],
    "encrypted_content": "ZW5j",
}
MESSAGE = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "It rains.", "annotations": []}],
}
ANNOTATED = MESSAGE | {
    "content": [
        {
            "type": "output_text",
            "text": "It rains.",
            "annotations": [
                {"type": "url_citation", "start_index": 0, "end_index": 2, "title": "X", "url": "https://x"}
            ],
        }
    ]
}
PLAIN = {"role": "assistant", "content": "It rains."}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": '{"x":1}'}
SENT_CALL = {key: value for key, value in CALL.items() if key != "id"}
RESPONSES = {
    "a search with annotations": ([REASONING, SEARCHED, ANNOTATED], [REASONING, SEARCHED, ANNOTATED]),
    "searches between reasoning": (
        [REASONING, SEARCHED, REASONING | {"id": "rs_2"}, SEARCHED | {"id": "ws_2"}, MESSAGE],
        [REASONING, SEARCHED, REASONING | {"id": "rs_2"}, SEARCHED | {"id": "ws_2"}, PLAIN],
    ),
    "a phase": ([MESSAGE | {"phase": "commentary"}, SEARCHED], [PLAIN | {"phase": "commentary"}, SEARCHED]),
    "files": [[item := {"type": "file_search_call", "id": "fs", "status": "completed", "queries": ["q"]}, MESSAGE],
              [item, PLAIN]],
    "code": [[item := {"type": "code_interpreter_call", "id": "ci", "status": "completed", "container_id": "c",
                       "code": "1", "outputs": [{"type": "logs", "logs": "1"}]}, MESSAGE], [item, PLAIN]],
    "an image": [[item := {"type": "image_generation_call", "id": "ig", "status": "completed", "result": "aQ=="}],
                 [item]],
    "MCP": [
        [listed := {"type": "mcp_list_tools", "id": "ml", "server_label": "s", "tools": [
            {"name": "f", "input_schema": {"type": "object"}}]},
         item := {"type": "mcp_call", "id": "mc", "server_label": "s", "name": "f", "arguments": "{}", "output": "1"},
         MESSAGE],
        [listed, item, PLAIN]],
    "an MCP call to approve": [
        [item := {"type": "mcp_approval_request", "id": "ma", "server_label": "s", "name": "f", "arguments": "{}"}],
        [item]],
    "a compaction": [[item := {"type": "compaction", "id": "cmp", "encrypted_content": "ZW5j"}, MESSAGE],
                     [item, PLAIN]],
    "own tools beside the caller's": [[REASONING, SEARCHED, CALL], [REASONING, SEARCHED, SENT_CALL]],
    "a computer that waits for its user": [
        [SEARCHED, {"type": "computer_call", "id": "cc", "call_id": "call_9", "status": "completed",
                    "action": {"type": "screenshot"}, "pending_safety_checks": []}, MESSAGE], [SEARCHED, PLAIN]],
    "a shell of OpenAI's": [
        [item := {"type": "shell_call", "id": "sh", "call_id": "call_8", "status": "completed",
                  "action": {"commands": ["ls"]}},
         output := {"type": "shell_call_output", "id": "so", "call_id": "call_8", "output": [
             {"stdout": "a", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}]}, MESSAGE],
        [item, output, PLAIN]],
}  # fmt: skip


def stream_items(output):
    for index, item in enumerate(output):
        started = {key: value for key, value in item.items() if key in ("type", "id", "call_id", "name", "role")}
        yield {"type": "response.output_item.added", "output_index": index, "item": started | {"status": "in_progress"}}
        if item["type"] == "message":
            for piece in ("It ", "rains."):
                yield {
                    "type": "response.output_text.delta",
                    "output_index": index,
                    "item_id": item["id"],
                    "delta": piece,
                }
        yield {"type": "response.output_item.done", "output_index": index, "item": item}


@pytest.mark.parametrize("final", [True, False], ids=["with all items at the end", "with none at the end"])
@pytest.mark.parametrize(("output", "expected"), RESPONSES.values(), ids=[f"W11: {name}" for name in RESPONSES])
def test_items_of_openai_are_sent_back_unchanged(output, expected, final):
    events = responses(*stream_items(output), output=output if final else [])
    body = {"id": "r", "status": "completed", "output": output}
    completion = read_both("openai-responses", events, body)
    prepared, request = send("openai-responses", go_on(completion, {"role": "user", "content": "Thanks."}))
    import_module("official_openai_responses").validate(request, prepared.request.path)
    outputs = [{"type": "function_call_output", "call_id": "call_1", "output": "4"}] if completion.tool_calls else []
    assert request["input"][1:-1] == expected + outputs
    assert prepared.changes == ()


def test_items_that_the_end_alone_has_stand_in_their_place():
    events = responses(*stream_items([MESSAGE]), output=[SEARCHED, MESSAGE])
    assert send("openai-responses", go_on(read("openai-responses", events)))[1]["input"][1:] == [SEARCHED, PLAIN]


RUN = {"executableCode": {"language": "PYTHON", "code": "print(2)"}}
RAN_CODE = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2"}}
IMAGE = {"inlineData": {"mimeType": "image/png", "data": "aQ=="}, "thoughtSignature": "c2ln"}
THOUGHT = {"text": "Hm.", "thought": True}
GOOGLE_CALL = {"functionCall": {"id": "call_1", "name": "f", "args": {"x": 1}}, "thoughtSignature": "c2ln"}
GEMINI = {
    "code": [THOUGHT, {"text": "I count. "}, RUN, RAN_CODE, {"text": "Two."}],
    "signed code": [RUN | {"thoughtSignature": "YQ=="}, RAN_CODE, {"text": "Two.", "thoughtSignature": "Yg=="}],
    "images": [THOUGHT, {"text": "Here: "}, IMAGE, {"text": "and "}, IMAGE],
    "code, then a call": [{"text": "I count. "}, RUN, RAN_CODE, GOOGLE_CALL],
    "a search beside calls": [
        {"toolCall": {"toolType": "GOOGLE_SEARCH_WEB", "args": {"queries": ["q"]}, "id": "s"},
         "thoughtSignature": "YQ=="},
        {"toolResponse": {"toolType": "GOOGLE_SEARCH_WEB", "response": {"x": 1}, "id": "s"}}, GOOGLE_CALL],
}  # fmt: skip


@pytest.mark.parametrize("parts", GEMINI.values(), ids=[f"W11: {name}" for name in GEMINI])
def test_parts_of_gemini_are_sent_back_unchanged(parts):
    split = [
        piece
        for part in parts
        for piece in (
            [{"text": part["text"][:2]}, part | {"text": part["text"][2:]}] if set(part) == {"text"} else [part]
        )
    ]
    events = [{"candidates": [{"content": {"parts": [part]}}]} for part in split]
    end = {"finishReason": "STOP"}
    completion = read_both(
        "gemini-generate",
        [*events, {"candidates": [end]}],
        {"candidates": [{"content": {"parts": parts}} | end]},
    )
    prepared, request = send("gemini-generate", go_on(completion, {"role": "user", "content": "Thanks."}))
    import_module("official_gemini_generate").validate(request, prepared.request.path)
    assert request["contents"][1]["parts"] == parts
    assert prepared.changes == ()


SEARCHING = {"content": [LEAD, SEARCH, RESULTS, CITED], "stop_reason": "end_turn", "usage": {}}


@pytest.mark.parametrize("name", [name for name, row in PROTOCOLS.items() if row.native != "anthropic-messages"])
def test_other_protocols_leave_it_out_and_say_so(name):
    conversation = go_on(read("anthropic-messages", whole=SEARCHING), {"role": "user", "content": "Thanks."})
    prepared, request = send(name, conversation)
    assert "srv_1" not in json.dumps(request)
    assert "I look it up. It rains." in json.dumps(request)
    change = "dropped server_tool_use, web_search_tool_result, citations: only anthropic-messages takes it back"
    assert change in map(str, prepared.changes)
    with pytest.raises(UnsupportedFeatureError, match="only anthropic-messages takes it back"):
        send(name, conversation, strict=True)
    assert conversation[1].native


def test_an_edited_turn_is_sent_as_it_is_now():
    turn = read("anthropic-messages", whole=SEARCHING).turn
    edited = turn.model_copy(update={"content": "I look it up. Sunshine, all day."})
    _, request = send("anthropic-messages", Conversation(["Hi", edited, "Thanks."]))
    sent = request["messages"][1]["content"]
    assert sent == [LEAD, SEARCH, RESULTS, {"type": "text", "text": "Sunshine, all day."}]
    shorter = turn.model_copy(update={"content": "I look"})
    _, request = send("anthropic-messages", Conversation(["Hi", shorter, "Thanks."]))
    assert request["messages"][1]["content"] == [{"type": "text", "text": "I look"}, SEARCH, RESULTS]


def test_ids_of_calls_that_are_replaced_are_replaced_among_the_blocks():
    completion = read("anthropic-messages", whole={"content": [LEAD, SEARCH, USE], "stop_reason": "tool_use"})
    again = go_on(completion) + go_on(completion)[1:]
    _, request = send("anthropic-messages", again)
    calls = [one for message in request["messages"] for one in message["content"] if one["type"] == "tool_use"]
    results = [one for message in request["messages"] for one in message["content"] if one["type"] == "tool_result"]
    assert [one["id"] for one in calls] == [one["tool_use_id"] for one in results] == ["toolu_1", "toolu_1_2"]


# Going on by itself


def pause(number):
    search = SEARCH | {"id": f"srv_{number}"}
    return sse(*stream_blocks([LEAD, search, RESULTS | {"tool_use_id": f"srv_{number}"}], "pause_turn", None))


END = sse(*stream_blocks([CITED], "end_turn", None))


def sync_run(adapter, **limits):
    with adapter.run("Does it rain?", **limits) as run:
        return [event.text for event in run], run


def async_run(adapter, **limits):
    async def main():
        async with adapter.arun("Does it rain?", **limits) as run:
            return [event.text async for event in run], run

    return asyncio.run(main())


@pytest.mark.parametrize("drive", [sync_run, async_run])
def test_w11_a_run_goes_on_where_the_provider_pauses(provider, drive):
    provider.says(streamed(pause(1)), streamed(pause(2)), streamed(END))
    texts, run = drive(provider.adapter(protocol="anthropic-messages"))
    assert "".join(texts) == "I look it up. I look it up. It rains."
    assert [one.finish_reason for one in run.completions] == ["pause_turn", "pause_turn", "stop"]
    assert [turn.role for turn in run.conversation] == ["user", "assistant", "assistant", "assistant"]
    first, second, third = (body["messages"] for _, _, body in provider.requests)
    assert [len(messages) for messages in (first, second, third)] == [1, 2, 2]
    assert [one["type"] for one in third[1]["content"]] == ["text", "server_tool_use", "web_search_tool_result"] * 2


@pytest.mark.parametrize("drive", [sync_run, async_run])
def test_w11_a_run_that_pauses_is_bounded(provider, drive):
    provider.says(streamed(pause(1)), streamed(pause(2)), streamed(END))
    with pytest.raises(
        ToolLoopError, match=r"not done after 2 answers \(max_turns\).*the provider's own tools"
    ) as loop:
        drive(provider.adapter(protocol="anthropic-messages"), max_turns=2)
    assert len(provider.requests) == 2
    assert loop.value.conversation[-1].native.paused


def test_w11_a_paused_answer_goes_on_when_the_conversation_is_sent_again(provider):
    body = {"content": [LEAD, SEARCH], "stop_reason": "pause_turn", "usage": {"input_tokens": 1, "output_tokens": 1}}
    provider.says(whole(body), whole(body | {"content": [RESULTS, CITED], "stop_reason": "end_turn"}))
    adapter = provider.adapter(protocol="anthropic-messages")
    conversation = Conversation("Does it rain?")
    conversation += adapter.execute(conversation)
    conversation += adapter.execute(conversation)
    assert provider.requests[1][2]["messages"][1] == {"role": "assistant", "content": [LEAD, SEARCH]}
    assert conversation.turns[-1].text == "It rains."
    provider.says(whole(body | {"content": [DONE], "stop_reason": "end_turn"}))
    adapter.execute(conversation + "Thanks.")
    sent = provider.requests[0][2]["messages"]
    assert sent[1]["content"] == [LEAD, SEARCH, RESULTS, CITED]


def test_w11_a_panel_goes_on_where_the_provider_pauses(provider):
    provider.says(streamed(pause(1)), streamed(END), streamed(END))
    panel = Panel([provider.adapter(protocol="anthropic-messages")]).ask("Does it rain?")
    panel.wait()
    panel.ask("And now?").wait()
    (conversation,) = panel.conversations.values()
    assert [turn.role for turn in conversation] == ["user", "assistant", "assistant", "user", "assistant"]
    assert [one["type"] for one in provider.requests[2][2]["messages"][1]["content"]] == [
        "text", "server_tool_use", "web_search_tool_result", "text"]  # fmt: skip
    assert panel.panes[0].answers[0].completion.usage.input == 6
