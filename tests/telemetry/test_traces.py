"""`nbkit.trace`: each call is a span and metrics of OpenTelemetry, by the conventions for generative AI."""

import contextlib
import logging
import os
import subprocess
import sys

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from scripted_provider import WHOLE, piece, sse, streamed, whole
from test_calls import KEY, PRICED, both, four

import nbkit
from nbkit.errors import BudgetExceededError, RateLimitError, StreamError
from nbkit.settings import override
from nbkit.telemetry import listeners

PROMPT = "canary-of-the-prompt"
MODEL = PRICED.partition("/")[2]


@four
def test_a_call_is_a_span(provider, exported, call, good):
    provider.says(whole({"error": {"message": "busy"}}, 503), good())
    with nbkit.tag("experiment-3"):
        completion = call(provider.adapter(PRICED), PROMPT, max_tokens=100, top_p=0.5, seed=7, stop=["end"])
    (span,) = exported.spans
    assert (span.name, span.kind, span.status.status_code) == (f"chat {MODEL}", SpanKind.CLIENT, StatusCode.UNSET)
    assert span.parent is None
    assert span.instrumentation_scope.name == "nbkit"
    attributes = dict(span.attributes)
    first = attributes.pop("gen_ai.response.time_to_first_chunk", None)
    assert (first is not None) == (attributes.pop("gen_ai.request.stream", False)) == (good is streamed)
    assert len(attributes.pop("nbkit.call")) == 32
    dropped = {"gen_ai.request.stop_sequences", "gen_ai.request.top_p"} - attributes.keys()
    assert all(name.rpartition(".")[2][:4] in str(completion.changes) for name in dropped)
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openrouter",
        "gen_ai.request.model": MODEL,
        "gen_ai.request.max_tokens": 100,
        "gen_ai.request.seed": 7,
        "gen_ai.response.id": "c1",
        "gen_ai.response.model": "m1",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 1000,
        "gen_ai.usage.output_tokens": 50,
        "server.address": "127.0.0.1",
        "server.port": provider.http.server_port,
        "operation.cost": completion.cost,
        "nbkit.attempts": 2,
        "nbkit.tags": ("experiment-3",),
    } | {
        name: attributes[name]
        for name in ("gen_ai.request.stop_sequences", "gen_ai.request.top_p")
        if name in attributes
    }
    assert not [word for word in (PROMPT, "Hello", KEY) if word in exported.text()]


@four
def test_a_call_is_counted_in_the_metrics(provider, exported, call, good):
    provider.says(good())
    completion = call(provider.adapter(PRICED), "Hi")
    metrics = exported.metrics()
    labels = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openrouter",
        "gen_ai.request.model": MODEL,
        "gen_ai.response.model": "m1",
    }
    place = {"server.address": "127.0.0.1", "server.port": provider.http.server_port}
    assert metrics["operation.cost"] == [(completion.cost, 1, labels)]
    tokens = {point[2].pop("gen_ai.token.type"): point for point in metrics["gen_ai.client.token.usage"]}
    assert tokens == {"input": (1000, 1, labels | place), "output": (50, 1, labels | place)}
    ((seconds, count, where),) = metrics["gen_ai.client.operation.duration"]
    assert (count, where) == (1, labels | place)
    assert seconds > 0
    first = metrics.get("gen_ai.client.operation.time_to_first_chunk", [])
    assert [point[1] for point in first] == [1] * (good is streamed)


def test_every_kind_of_token_and_option_has_its_attribute(provider, exported):
    usage = {
        "prompt_tokens": 1000,
        "completion_tokens": 500,
        "prompt_tokens_details": {"cached_tokens": 400, "audio_tokens": 30},
        "completion_tokens_details": {"reasoning_tokens": 200, "audio_tokens": 20},
    }
    choices = [WHOLE["choices"][0] | {"index": index} for index in range(2)]
    provider.says(whole(WHOLE | {"usage": usage, "choices": choices}))
    options = {"temperature": 0.25, "top_p": 0.5, "presence_penalty": 0.1, "frequency_penalty": 0.2, "stop": "end"}
    provider.adapter().execute("Hi", n=2, response_format="json_object", extra_headers={"x-mine": KEY}, **options)
    (span,) = exported.spans
    expected = {
        "gen_ai.request.temperature": 0.25,
        "gen_ai.request.top_p": 0.5,
        "gen_ai.request.presence_penalty": 0.1,
        "gen_ai.request.frequency_penalty": 0.2,
        "gen_ai.request.stop_sequences": ("end",),
        "gen_ai.request.choice.count": 2,
        "gen_ai.output.type": "json",
        "gen_ai.response.finish_reasons": ("stop", "stop"),
        "gen_ai.usage.input_tokens": 1000,
        "gen_ai.usage.output_tokens": 500,
        "gen_ai.usage.cache_read.input_tokens": 400,
        "gen_ai.usage.reasoning.output_tokens": 200,
        "gen_ai.usage.audio.input_tokens": 30,
        "gen_ai.usage.audio.output_tokens": 20,
    }
    assert {name: span.attributes.get(name) for name in expected} == expected
    assert "operation.cost" not in span.attributes  # the price of this model is unknown
    assert KEY not in exported.text()


@four
def test_the_span_of_the_caller_is_the_parent_and_is_current_again_behind_the_call(provider, exported, call, good):
    provider.says(good(), good())
    with exported.tracer.start_as_current_span("mine") as mine:
        call(provider.adapter(), "Hi")
        with exported.tracer.start_as_current_span("after"):
            pass
    chat, after, _ = exported.spans
    assert chat.parent.span_id == after.parent.span_id == mine.get_span_context().span_id


def test_what_a_caller_does_while_an_answer_streams_is_not_below_the_call(provider, exported):
    provider.says(streamed())
    with exported.tracer.start_as_current_span("mine") as mine, provider.adapter().stream("Hi") as stream:
        for _ in stream:
            with exported.tracer.start_as_current_span("inside"):
                pass
    assert {span.parent.span_id for span in exported.spans if span.parent} == {mine.get_span_context().span_id}


@pytest.mark.parametrize("limited", [False, True], ids=["", "with a budget"])
def test_calls_in_other_threads_and_on_the_portal_have_the_parent_of_their_cell(exported, limited):
    with (
        exported.tracer.start_as_current_span("cell") as cell,
        nbkit.budget(usd=1) if limited else contextlib.nullcontext(),
    ):
        nbkit.compare("Hi", ["demo/swift", "demo/sage"]).wait()
    *chats, _ = exported.spans
    assert sorted(span.name for span in chats) == ["chat sage", "chat swift"]
    assert {span.parent.span_id for span in chats} == {cell.get_span_context().span_id}
    assert {span.attributes["gen_ai.provider.name"] for span in chats} == {"demo"}


@four
def test_a_failed_call_is_an_error_without_the_providers_words(provider, exported, call, good):
    fault = whole({"error": {"message": f"slow down: {PROMPT}", "code": "limited"}}, 429, x_request_id="req_7")
    provider.says(fault, fault, fault)
    with pytest.raises(RateLimitError):
        call(provider.adapter(PRICED), PROMPT)
    (span,) = exported.spans
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "RateLimitError, HTTP 429, code limited, request req_7"
    assert span.attributes["error.type"] == "nbkit.errors.RateLimitError"
    assert span.attributes["nbkit.attempts"] == 3
    assert span.events == ()
    assert PROMPT not in exported.text()
    metrics = exported.metrics()
    assert metrics["gen_ai.client.operation.duration"][0][2]["error.type"] == "nbkit.errors.RateLimitError"
    assert not {"operation.cost", "gen_ai.client.token.usage"} & metrics.keys()


@four
def test_a_model_that_stands_in_has_a_span_beside_the_first_ones(provider, exported, call, good):
    provider.says(whole({"error": {"message": "bad"}}, 500), good())
    first, second = (provider.adapter(name, max_retries=0) for name in ("lab/m1", "den/m2"))
    with exported.tracer.start_as_current_span("mine") as mine:
        completion = call(nbkit.get_adapter(first, fallback=second), "Hi")
    failed, answered, _ = exported.spans
    assert completion.text == "Hello"
    assert [span.name for span in (failed, answered)] == ["chat m1", "chat m2"]
    assert failed.attributes["error.type"] == "nbkit.errors.ProviderError"
    assert answered.status.status_code is StatusCode.UNSET
    assert {span.parent.span_id for span in (failed, answered)} == {mine.get_span_context().span_id}


@both
def test_a_stream_that_breaks_off_is_an_error_with_the_cost_of_its_part(provider, exported, call):
    provider.says(streamed(sse(piece("Hel"))))
    with pytest.raises(StreamError) as caught:
        call(provider.adapter(PRICED), "Hi")
    (span,) = exported.spans
    assert span.status.description.startswith("StreamError, HTTP 200: the stream ended without")
    assert span.attributes["operation.cost"] == caught.value.partial.cost > 0


def test_a_stream_that_is_left_ends_its_span_also_behind_the_end_of_the_trace(provider, exported):
    provider.says(streamed())
    with exported.trace():
        stream = provider.adapter(PRICED).stream("Hi")
        next(iter(stream))
    assert exported.spans == ()
    stream.close()
    (span,) = exported.spans
    assert span.status.status_code is StatusCode.UNSET
    assert span.attributes["operation.cost"] == stream.completion.cost > 0
    provider.says(whole())
    provider.adapter(PRICED).execute("Hi")
    assert len(exported.spans) == 1  # the trace that took the place of the fixture's is over


def test_a_replayed_call_says_so_and_has_no_tokens(exported, tmp_path):
    path = tmp_path / "demo.replay.jsonl"
    for _ in range(2):
        with nbkit.replay(path):
            nbkit.get_adapter("demo/swift").execute("Hi")
    paid, replayed = exported.spans
    assert paid.attributes["operation.cost"] > 0
    assert (replayed.attributes["nbkit.replayed"], replayed.attributes["operation.cost"]) == (True, 0.0)
    assert not [name for name in replayed.attributes if name.startswith("gen_ai.usage")]
    metrics = exported.metrics()
    assert [point[1] for point in metrics["operation.cost"]] == [1]
    assert [point[2].get("nbkit.replayed") for point in metrics["gen_ai.client.operation.duration"]] == [None, True]


@four
def test_a_call_that_a_budget_refuses_is_an_error(provider, exported, call, good):
    provider.says(good())
    with nbkit.budget(usd=1e-9), pytest.raises(BudgetExceededError):
        call(provider.adapter(PRICED), "Hi")
    (span,) = exported.spans
    assert span.attributes["error.type"] == "nbkit.errors.BudgetExceededError"
    assert "nothing was sent" in span.status.description
    assert provider.requests == []


# ---- on and off


def test_another_trace_takes_the_place_of_the_first_and_ends_with_its_block(provider, exported):
    provider.says(*[whole() for _ in range(3)])
    adapter = provider.adapter()
    adapter.execute("Hi")
    with exported.trace():
        adapter.execute("Hi")
    adapter.execute("Hi")
    assert len(exported.spans) == 2


def test_a_fault_of_an_exporter_costs_nothing(provider, exported, caplog):
    class Full(InMemorySpanExporter):
        def export(self, spans):
            raise OSError("full disk")

    exported.tracer_provider.add_span_processor(SimpleSpanProcessor(Full()))
    provider.says(whole())
    with caplog.at_level(logging.CRITICAL, "opentelemetry"):
        assert provider.adapter().execute("Hi").text == "Hello"


PROGRAM = """
import sys
import nbkit
{before}
print(nbkit.get_adapter("demo/swift").execute("Hi").finish_reason)
print("opentelemetry" in sys.modules)
"""
SETUP = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(
    SimpleSpanProcessor(ConsoleSpanExporter(formatter=lambda span: span.name + chr(10)))
)
"""
MISSING = "sys.modules['opentelemetry.util.genai'] = None"


@pytest.mark.parametrize(
    ("before", "setting", "lines", "errors"),
    [
        ("", "0", ["stop", "False"], ""),
        (SETUP, "1", ["chat swift", "stop", "True"], ""),
        (MISSING, "1", ["stop", "True"], "NBKIT_TRACE has no effect: traces need OpenTelemetry"),
    ],
    ids=["off", "by the setting", "not installed"],
)
def test_the_setting_switches_it_on_and_without_it_opentelemetry_is_not_loaded(before, setting, lines, errors):
    environment = os.environ | {"NBKIT_TRACE": setting, "NBKIT_OFFLINE": "1", "NBKIT_DEMO_TOKENS_PER_SECOND": "0"}
    program = PROGRAM.format(before=before)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.splitlines() == lines
    assert errors in done.stderr
    assert len(done.stderr.splitlines()) == bool(errors)


def test_a_call_of_trace_without_opentelemetry_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "nbkit.telemetry.tracer", None)
    with pytest.raises(nbkit.errors.ConfigError, match=r"traces need OpenTelemetry .*pip install 'nbkit-llm\[otel\]'"):
        nbkit.trace()


def test_a_setting_within_a_block_traces_the_calls_of_the_block(provider):
    provider.says(*[whole() for _ in range(3)])
    with override(trace=True):
        provider.adapter().execute("Hi")
        (tracer,) = listeners._list_current()
        with override(max_retries=1):
            assert listeners._list_current() == (tracer,)
        with override(trace=False):
            assert listeners._list_current() == ()
    assert tracer not in listeners._list_current()
