"""Golden bills: what providers report, whole and streamed, is billed as a person does it with the price list."""

import json

import pytest
from golden_bills import ROWS
from golden_usage import PRICES

from nbkit.adapters.factory import get_adapter
from nbkit.adapters.prepare import prepare
from nbkit.adapters.price import price_completion
from nbkit.conversation.completion import Timing
from nbkit.protocols import protocol

TIMING = Timing(None, 1.0)


def chat(usage, body, extra):
    head = {"id": "c1", "object": "chat.completion", "model": "m", **body}
    message = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    piece = {"index": 0, "delta": {"role": "assistant", "content": "Hi"}, "finish_reason": None}
    end = {"index": 0, "delta": {}, "finish_reason": "stop"}
    events = [head | {"choices": [piece]}, head | {"choices": [end]}, head | {"choices": [], "usage": usage}]
    return head | {"choices": [message], "usage": usage}, [("", event) for event in events] + [("", b"[DONE]")]


def completions(usage, body, extra):
    head = {"id": "c1", "object": "text_completion", "model": "m", **body}
    piece, end = ({"index": 0, "text": text, "finish_reason": why} for text, why in (("Hi", None), ("", "stop")))
    whole = head | {"choices": [{"index": 0, "text": "Hi", "finish_reason": "stop"}], "usage": usage}
    events = [head | {"choices": [piece]}, head | {"choices": [end]}, head | {"choices": [], "usage": usage}]
    return whole, [("", event) for event in events] + [("", b"[DONE]")]


def responses(usage, body, extra):
    item = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}
    output = [*extra.get("output", ()), item]
    whole = {"id": "r1", "model": "m", "status": "completed", "output": output, "usage": usage, **body}
    place = {"output_index": len(output) - 1, "content_index": 0}
    items = [{"type": "response.output_item.done", "output_index": n, "item": one} for n, one in enumerate(output[:-1])]
    return whole, [
        *(("", event) for event in items),
        ("", {"type": "response.output_text.delta", "delta": "Hi", **place}),
        ("", {"type": "response.completed", "response": whole}),
    ]


def anthropic(usage, body, extra):
    whole = {"id": "a1", "model": "m", "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn"}
    whole |= {"usage": usage, **body}
    known = {key: value for key, value in usage.items() if key not in ("iterations", "server_tool_use")}
    known |= {"output_tokens": min(usage["output_tokens"], 1)}
    start = whole | {"content": [], "stop_reason": None, "usage": known}
    return whole, [
        ("", {"type": "message_start", "message": start}),
        ("", {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        ("", {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}}),
        ("", {"type": "content_block_stop", "index": 0}),
        ("", {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}),
        ("", {"type": "message_stop"}),
    ]


def gemini(usage, body, extra):
    grounding = {"groundingMetadata": extra["grounding"]} if "grounding" in extra else {}
    candidate = {"content": {"role": "model", "parts": [{"text": "Hi"}]}, "finishReason": "STOP"} | grounding
    first = {"candidates": [{"content": {"role": "model", "parts": [{"text": "H"}]}}]}
    last = {"candidates": [candidate | {"content": {"role": "model", "parts": [{"text": "i"}]}}]}
    known = {key: value for key, value in usage.items() if "andidates" not in key and "houghts" not in key}
    whole = {"candidates": [candidate], "usageMetadata": usage, **body}
    return whole, [("", first | {"usageMetadata": known}), ("", last | {"usageMetadata": usage, **body})]


def cohere(usage, body, extra):
    whole = {"id": "co1", "message": {"role": "assistant", "content": [{"type": "text", "text": "Hi"}]}}
    end = {"finish_reason": "COMPLETE", "usage": usage}
    return whole | end, [
        ("", {"type": "message-start", "id": "co1", "delta": {"message": {"role": "assistant", "content": []}}}),
        ("", {"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}}),
        ("", {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "Hi"}}}}),
        ("", {"type": "content-end", "index": 0}),
        ("", {"type": "message-end", "delta": end}),
    ]


def bedrock(usage, body, extra):
    message = {"message": {"role": "assistant", "content": [{"text": "Hi"}]}}
    whole = {"output": message, "stopReason": "end_turn", "usage": usage, **body}
    return whole, [
        ("messageStart", {"role": "assistant"}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hi"}}),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("messageStop", {"stopReason": "end_turn"}),
        ("metadata", {"usage": usage, **body}),
    ]


def ollama(usage, body, extra):
    message = {"role": "assistant", "content": "Hi"}
    end = {"done": True, "done_reason": "stop", **usage}
    return {"model": "m", "message": message} | end, [
        ("", {"model": "m", "message": message, "done": False}),
        ("", {"model": "m", "message": {"role": "assistant", "content": ""}} | end),
    ]


SHAPES = {
    "openai-chat": chat,
    "openai-completions": completions,
    "openai-responses": responses,
    "anthropic-messages": anthropic,
    "anthropic-vertex": anthropic,
    "gemini-generate": gemini,
    "cohere-v2": cohere,
    "bedrock-converse": bedrock,
    "ollama-chat": ollama,
}


@pytest.fixture(autouse=True)
def somewhere(monkeypatch):
    for name in ("AZURE_RESOURCE_NAME", "GOOGLE_VERTEX_PROJECT", "GOOGLE_VERTEX_LOCATION", "AWS_REGION"):
        monkeypatch.setenv(name, "somewhere")


def price_both(model, usage, extra):
    """The completions of a usage object, whole and streamed, with their bills."""
    endpoint = get_adapter(model, api_key="k", protocol=extra.get("protocol")).endpoint
    module, body = protocol(endpoint.protocol), dict(extra.get("body", {}))
    if endpoint.protocol not in ("bedrock-converse", "cohere-v2", "ollama-chat", "gemini-generate"):
        body.setdefault("model", endpoint.model)
    whole, events = SHAPES[endpoint.protocol](usage, body, extra)
    decoder = module.Decoder(endpoint.dialect)
    for name, event in events:
        decoder.feed(name, event if isinstance(event, bytes) else json.dumps(event).encode())
    prepared = prepare("Hi", {}, endpoint, False)
    answers = module.decode(json.loads(json.dumps(whole)), endpoint.dialect), decoder.finish()
    return [price_completion(answer, prepared, endpoint, TIMING) for answer in answers]


@pytest.mark.parametrize(
    ("model", "usage", "total", "source", "extra"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_golden_bills(model, usage, total, source, extra):
    whole, streamed = price_both(model, usage, extra)
    bill = whole.bill
    assert (whole.text, bill.total, bill.source) == ("Hi", total, source)
    for name in ("saved", "difference", "tier", "lane", "model"):
        if name in extra:
            assert getattr(bill, name) == extra[name], name
    assert bool(bill.notes) == (source == "estimate")
    assert (streamed.text, streamed.usage, streamed.charges, streamed.bill) == (
        whole.text, whole.usage, whole.charges, bill,
    )  # fmt: skip
    if source in ("catalog", "user"):  # every line has a price, and they add up
        assert sum(line.usd for line in bill.lines) == pytest.approx(total, rel=1e-12)


def test_there_are_enough_golden_bills():
    assert len(ROWS) >= 80
    spoken = {get_adapter(row[1], api_key="k", protocol=row[5].get("protocol")).endpoint.protocol for row in ROWS}
    assert spoken == SHAPES.keys()


@pytest.mark.parametrize("model", PRICES)
def test_the_golden_bills_are_worked_out_with_the_prices_of_the_catalog(model):
    rates = get_adapter(model, api_key="k").endpoint.cost.rates
    assert {name: rates[name] for name in PRICES[model]} == PRICES[model]
