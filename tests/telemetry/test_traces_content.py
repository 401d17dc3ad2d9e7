"""Tools' functions as spans, and content in spans: only where the standard variable allows it, never with a key."""

import asyncio
import json

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.trace import SpanKind
from scripted_provider import WHOLE, piece, sse, streamed, whole
from test_calls import KEY, four

import nbkit

PROMPT, ANSWER = "canary-of-the-prompt", "canary-of-the-answer"
CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


def calls(name, arguments):
    call = {"index": 0, "id": "t1", "function": {"name": name, "arguments": json.dumps(arguments)}}
    delta = {"id": "c1", "choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]}
    return streamed(sse(delta, b"[DONE]"))


def run(adapter, tool):
    return adapter.run("Hi", tools=[tool]).completion


def arun(adapter, tool):
    async def pump():
        return await adapter.arun("Hi", tools=[tool])

    return asyncio.run(pump())


@pytest.mark.parametrize("call", [run, arun])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("fails", [False, True], ids=["", "fails"])
def test_a_tools_function_is_a_span_below_the_callers(provider, exported, call, is_async, fails):
    def tell(city: str) -> str:
        with exported.tracer.start_as_current_span("inside"):
            if fails:
                raise ValueError(f"{ANSWER} {city}")
            return f"{ANSWER} {city}"

    async def atell(city: str) -> str:
        return tell(city)

    function = atell if is_async else tell
    provider.says(calls(function.__name__, {"city": PROMPT}), streamed())
    with exported.tracer.start_as_current_span("mine") as mine:
        call(provider.adapter(), function)
    first, inside, tool, second, _ = exported.spans
    assert (tool.name, tool.kind) == (f"execute_tool {function.__name__}", SpanKind.INTERNAL)
    assert {span.parent.span_id for span in (first, tool, second)} == {mine.get_span_context().span_id}
    assert inside.parent.span_id == tool.context.span_id
    expected = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": function.__name__,
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": "t1",
    } | ({"error.type": "ValueError"} if fails else {})
    assert dict(tool.attributes) == expected
    assert not [word for word in (PROMPT, ANSWER) if word in tool.to_json() + repr(exported.metrics())]
    assert exported.metrics()["gen_ai.execute_tool.duration"][0][1] == 1


# ---- content


@four
def test_content_is_written_where_the_standard_variable_allows_it_and_keys_are_replaced(
    provider, exported, monkeypatch, call, good
):
    monkeypatch.setenv(CONTENT, "SPAN_ONLY")
    text = f"{ANSWER} {KEY}"
    answer = WHOLE | {"choices": [{"index": 0, "message": {"content": text}, "finish_reason": "stop"}]}
    provider.says(streamed(sse(piece(text, "stop"), b"[DONE]")) if good is streamed else whole(answer))
    image = "data:image/png;base64,aGVsbG8="
    conversation = [
        {"role": "system", "content": "be kind"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": f"{PROMPT} {KEY}"},
                {"type": "image_url", "image_url": {"url": image}},
                {"type": "image_url", "image_url": {"url": "https://pictures.test/a.png"}},
            ],
        },
        {"role": "assistant", "tool_calls": [{"id": "t1", "function": {"name": "look", "arguments": '{"at":1}'}}]},
        {"role": "tool", "tool_call_id": "t1", "content": "a cat"},
    ]
    with exported.trace():
        call(provider.adapter(), conversation, tools=[look])
    (span,) = exported.spans
    system, user, assistant, tool = json.loads(span.attributes["gen_ai.input.messages"])
    assert system == {"role": "system", "parts": [{"content": "be kind", "type": "text"}], "name": None}
    assert [part["type"] for part in user["parts"]] == ["text", "blob", "uri"]
    assert user["parts"][0]["content"] == f"{PROMPT} [key]"
    assert (user["parts"][1]["content"], user["parts"][1]["mime_type"]) == ("aGVsbG8=", "image/png")
    assert assistant["parts"] == [{"arguments": '{"at":1}', "name": "look", "id": "t1", "type": "tool_call"}]
    assert tool["parts"] == [{"response": "a cat", "id": "t1", "type": "tool_call_response"}]
    (answered,) = json.loads(span.attributes["gen_ai.output.messages"])
    assert answered["parts"] == [{"content": f"{ANSWER} [key]", "type": "text"}]
    assert [one["name"] for one in json.loads(span.attributes["gen_ai.tool.definitions"])] == ["look"]
    assert KEY not in exported.text()


def look(at: int) -> str:
    """Look at something."""
    return f"{ANSWER} {at} {KEY}"


def test_content_goes_into_events_alone_where_the_variable_says_so(provider, exported, monkeypatch):
    monkeypatch.setenv(CONTENT, "EVENT_ONLY")
    logs = InMemoryLogRecordExporter()
    events = LoggerProvider(shutdown_on_exit=False)
    events.add_log_record_processor(SimpleLogRecordProcessor(logs))
    provider.says(whole())
    with nbkit.trace(tracer_provider=exported.tracer_provider, logger_provider=events):
        provider.adapter().execute(f"{PROMPT} {KEY}")
    (event,) = logs.get_finished_logs()
    assert event.log_record.event_name == "gen_ai.client.inference.operation.details"
    assert event.log_record.attributes["gen_ai.input.messages"][0]["parts"][0]["content"] == f"{PROMPT} [key]"
    assert PROMPT not in exported.text()


def test_content_of_tools_and_errors_follows_the_same_variable(provider, exported, monkeypatch):
    monkeypatch.setenv(CONTENT, "SPAN_ONLY")
    provider.says(calls("look", {"at": 1}), whole({"error": {"message": f"no: {PROMPT}"}}, 400))
    with exported.trace(), pytest.raises(nbkit.errors.BadRequestError):
        run(provider.adapter(), look)
    _, tool, failed = exported.spans
    assert json.loads(tool.attributes["gen_ai.tool.call.arguments"]) == {"at": 1}
    assert tool.attributes["gen_ai.tool.call.result"] == f"{ANSWER} 1 [key]"
    assert failed.status.description == f"BadRequestError, HTTP 400: no: {PROMPT}"
