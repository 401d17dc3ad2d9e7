from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from nbkit.demo.provider import PROVIDER

ANTHROPIC = ("sage", "tortoise")
MODELS = list(PROVIDER["models"])
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@dataclass
class Answer:
    text: str = ""
    reasoning: str = ""
    calls: tuple[tuple[str, str, Any], ...] = ()
    finish: str | None = None
    usage: dict[str, Any] | None = None


def post(demo, model, messages, /, **fields) -> httpx2.Response:
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    body = {"model": model, "messages": messages}
    if model in ANTHROPIC:
        return demo.post("/messages", json=body | {"max_tokens": 10_000} | fields)
    options = {"stream_options": {"include_usage": True}} if fields.get("stream") else {}
    return demo.post("/chat/completions", json=body | options | fields)


def call_model(demo, model, messages, /, **fields) -> Answer:
    response = post(demo, model, messages, **fields)
    assert response.status_code == 200, response.text
    read = (anthropic_whole, anthropic_stream) if model in ANTHROPIC else (openai_whole, openai_stream)
    return read[1](response.text) if fields.get("stream") else read[0](response.json())


def openai_whole(body) -> Answer:
    choice = body["choices"][0]
    message = choice["message"]
    calls = [(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in message.get("tool_calls", [])]
    return Answer(
        message["content"] or "",
        message.get("reasoning_content", ""),
        tuple((id, name, json.loads(written)) for id, name, written in calls),
        choice["finish_reason"],
        body["usage"],
    )


def openai_stream(text) -> Answer:
    answer, calls = Answer(), {}
    *lines, done = [event.removeprefix("data: ") for event in text.strip().split("\n\n")]
    assert done == "[DONE]"
    chunks = [json.loads(line) for line in lines]
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1]["choices"] == []
    answer.usage = chunks[-1]["usage"]
    for chunk in chunks[:-1]:
        assert answer.finish is None
        choice = chunk["choices"][0]
        answer.finish = choice["finish_reason"]
        answer.text += choice["delta"].get("content") or ""
        answer.reasoning += choice["delta"].get("reasoning_content", "")
        for call in choice["delta"].get("tool_calls", []):
            known = calls.setdefault(call["index"], [call.get("id"), call["function"].get("name"), ""])
            known[2] += call["function"]["arguments"]
    answer.calls = tuple((id, name, json.loads(written)) for id, name, written in calls.values())
    return answer


def anthropic_whole(body) -> Answer:
    blocks = body["content"]
    return Answer(
        "".join(block["text"] for block in blocks if block["type"] == "text"),
        "".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
        tuple((b["id"], b["name"], b["input"]) for b in blocks if b["type"] == "tool_use"),
        body["stop_reason"],
        body["usage"],
    )


def anthropic_stream(text) -> Answer:
    events = []
    for event in text.strip().split("\n\n"):
        name, data = event.split("\n")
        events.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {events[-1]['type']}"
    message, content = events[0]["message"], []
    assert (message["content"], message["stop_reason"]) == ([], None)
    for event in events[1:-1]:
        match event["type"]:
            case "content_block_start":
                assert event["index"] == len(content)
                content.append(dict(event["content_block"], written=""))
            case "content_block_delta":
                delta = event["delta"]
                field = {"input_json_delta": "partial_json"}.get(delta["type"], delta["type"].removesuffix("_delta"))
                into = "written" if field == "partial_json" else field
                content[event["index"]][into] += delta[field]
            case "message_delta":
                message |= event["delta"] | {"usage": message["usage"] | event["usage"]}
    assert events[-1] == {"type": "message_stop"}
    for block in content:
        if block["type"] == "tool_use":
            block["input"] = json.loads(block["written"])
    return anthropic_whole(message | {"content": content})


def tool(model, name="get_weather"):
    if model in ANTHROPIC:
        return {"name": name, "input_schema": WEATHER}
    return {"type": "function", "function": {"name": name, "parameters": WEATHER}}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "fields",
    [{}, {"max_tokens": 40}, {"max_tokens": 180}, {"tools": True}],
    ids=["plain", "short", "half", "tools"],
)
def test_a_stream_has_the_same_content_as_the_whole_answer(demo, model, fields):
    prompt = "Explain recursion"
    if "tools" in fields:
        prompt, fields = "The weather in Oslo?", {"tools": [tool(model), tool(model, "weather_map")]}
    whole = call_model(demo, model, prompt, **fields)
    assert call_model(demo, model, prompt, stream=True, **fields) == whole
    output = whole.usage.get("output_tokens", whole.usage.get("completion_tokens"))
    assert 0 < output <= fields.get("max_tokens", 10_000)


@pytest.mark.parametrize(("model", "reason"), [("swift", "length"), ("sage", "max_tokens")])
def test_max_tokens_cuts_the_answer_and_the_reasoning_with_it(demo, model, reason):
    whole, cut = (
        call_model(demo, model, "Explain recursion"),
        call_model(demo, model, "Explain recursion", max_tokens=110),
    )
    assert cut.finish == reason
    assert whole.text.startswith(cut.text)
    assert 0 < len(cut.text) < len(whole.text)
    assert cut.reasoning == whole.reasoning


def test_reasoning_is_counted_and_can_be_switched_off(demo):
    sage, scholar = (call_model(demo, model, "Explain recursion") for model in ("sage", "scholar"))
    assert 0 < sage.usage["output_tokens_details"]["thinking_tokens"] < sage.usage["output_tokens"]
    details = scholar.usage["completion_tokens_details"]
    assert 0 < details["reasoning_tokens"] < scholar.usage["completion_tokens"]
    assert call_model(demo, "sage", "Explain recursion", thinking={"type": "disabled"}).reasoning == ""
    assert call_model(demo, "scholar", "Explain recursion", reasoning_effort="none").reasoning == ""


def test_stop_sequences(demo):
    assert call_model(demo, "swift", "echo: one two three", stop=["three", "two"]).text == "one "
    assert call_model(demo, "swift", "echo: one two", stop="two").finish == "stop"
    body = post(demo, "tortoise", "echo: one two", stop_sequences=["two"]).json()
    assert (body["stop_reason"], body["stop_sequence"]) == ("stop_sequence", "two")


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [False, True])
def test_echo_repeats_its_text_exactly(demo, model, stream):
    hostile = '<img src=x onerror="alert(1)"> [x](javascript:alert(1))\n\n\u2028 "quotes" \\ 👩‍👩‍👧 \x1b[31m '
    assert call_model(demo, model, f"Please echo: {hostile}", stream=stream).text == hostile
    assert call_model(demo, model, "echo:", stream=stream).text == ""


@pytest.mark.parametrize("model", MODELS)
def test_all_before_the_last_prompt_counts_as_cached(demo, model):
    opening = [{"role": "user", "content": "Explain recursion"}, {"role": "assistant", "content": "It recurs."}]
    first = call_model(demo, model, opening[:1]).usage
    second = call_model(demo, model, [*opening, {"role": "user", "content": "shorter"}]).usage
    if model in ANTHROPIC:
        assert first["cache_read_input_tokens"] == 0
        assert second["cache_read_input_tokens"] > first["input_tokens"] > second["input_tokens"] > 0
    else:
        assert first["prompt_tokens_details"]["cached_tokens"] == 0
        cached = second["prompt_tokens_details"]["cached_tokens"]
        assert first["prompt_tokens"] < cached < second["prompt_tokens"]
        assert second["total_tokens"] == second["prompt_tokens"] + second["completion_tokens"]


def test_tools_round_trip_over_chat_completions(demo):
    conversation = [{"role": "user", "content": "Weather in Oslo?"}]
    called = post(demo, "swift", conversation, tools=[tool("swift")]).json()["choices"][0]
    assert called["finish_reason"] == "tool_calls"
    call = called["message"]["tool_calls"][0]
    assert json.loads(call["function"]["arguments"]) == {"city": "Oslo"}
    output = {"role": "tool", "tool_call_id": call["id"], "content": "4 degrees,\nrain"}
    answer = call_model(demo, "swift", [*conversation, called["message"], output], tools=[tool("swift")])
    assert "> 4 degrees,\n> rain" in answer.text
    assert answer.finish == "stop"
    assert (
        post(demo, "swift", [*conversation, called["message"], output | {"tool_call_id": "other"}]).status_code == 400
    )


def test_tools_round_trip_over_messages(demo):
    conversation = [{"role": "user", "content": "Weather in Oslo?"}]
    called = post(demo, "sage", conversation, tools=[tool("sage")]).json()
    assert called["stop_reason"] == "tool_use"
    assert called["content"][0]["input"] == {"city": "Oslo"}
    output = {"type": "tool_result", "tool_use_id": called["content"][0]["id"], "content": "4 degrees"}
    turns = [*conversation, {"role": "assistant", "content": called["content"]}]
    answer = call_model(demo, "sage", [*turns, {"role": "user", "content": [output]}], tools=[tool("sage")])
    assert "> 4 degrees" in answer.text
    wrong = {"role": "user", "content": [output | {"tool_use_id": "other"}]}
    assert post(demo, "sage", [*turns, wrong]).status_code == 400


def test_thinking_images_and_a_system_prompt_are_taken(demo):
    first = post(demo, "sage", "Explain recursion").json()
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    turns = [
        {"role": "user", "content": "Explain recursion"},
        {"role": "assistant", "content": first["content"]},
        {"role": "user", "content": [image, {"type": "text", "text": "And this?"}]},
    ]
    answer = call_model(demo, "sage", turns, system="Be kind.")
    assert "1 image" in answer.text
    assert answer.usage["input_tokens"] > 256
    linked = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    seen = [{"role": "developer", "content": "Be kind."}, {"role": "user", "content": [linked]}]
    assert call_model(demo, "swift", seen).usage["prompt_tokens"] > 256


@pytest.mark.parametrize(
    ("model", "fields", "status", "kind"),
    [
        ("swift", {"messages": []}, 400, "invalid_request_error"),
        ("swift", {"messages": [{"role": "wizard", "content": "x"}]}, 400, "invalid_request_error"),
        ("swift", {"messages": [{"role": "user", "content": [{"type": "video"}]}]}, 400, "invalid_request_error"),
        ("swift", {"max_tokens": 0}, 400, "invalid_request_error"),
        ("swift", {"stream": "yes"}, 400, "invalid_request_error"),
        ("swift", {"model": None}, 400, "invalid_request_error"),
        ("swift", {"model": "gpt"}, 404, "invalid_request_error"),
        ("sage", {"max_tokens": None}, 400, "invalid_request_error"),
        ("sage", {"messages": [{"role": "assistant", "content": "x"}]}, 400, "invalid_request_error"),
        ("sage", {"messages": [{"role": "user", "content": 1}]}, 400, "invalid_request_error"),
        ("sage", {"max_tokens": True}, 400, "invalid_request_error"),
        ("sage", {"tools": ["x"]}, 400, "invalid_request_error"),
        ("brittle", {"messages": [{"role": "user", "content": "Please fail"}]}, 500, "server_error"),
        ("brittle", {"messages": [{"role": "user", "content": "a rate limit"}]}, 429, "rate_limit_error"),
    ],
)
def test_errors_come_in_the_shape_of_their_protocol(demo, model, fields, status, kind):
    response = post(demo, model, "Hello", **fields)
    assert (response.status_code, response.json()["error"]["type"]) == (status, kind)
    assert response.json()["error"]["message"]
    assert (response.json().get("type") == "error") is (model in ANTHROPIC)
    assert ("retry-after" in response.headers) is (status == 429)


@pytest.mark.parametrize("stream", [False, True])
def test_a_cut_answer_breaks_off_in_the_middle(demo, stream):
    with pytest.raises(httpx2.RemoteProtocolError):
        post(demo, "brittle", "Explain recursion, but cut it", stream=stream)
    assert call_model(demo, "brittle", "Explain recursion", stream=stream).text


def test_usage_is_streamed_only_to_who_asks_for_it(demo):
    response = post(demo, "swift", "echo: hi", stream=True, stream_options=None)
    chunks = [json.loads(event[6:]) for event in response.text.strip().split("\n\n")[:-1]]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, "stop"]
    assert not any("usage" in chunk for chunk in chunks)
