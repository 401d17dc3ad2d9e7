"""Calls as spans and metrics of OpenTelemetry. Loaded where traces are asked for: it imports OpenTelemetry.

Names and places of the attributes are those of opentelemetry-util-genai, which follows the conventions for generative
AI (https://github.com/open-telemetry/semantic-conventions-genai); `operation.cost`, in USD, is as pydantic-ai has it.
A replayed answer used no tokens and cost nothing now: its span has no usage, from which a backend would price it.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.metrics import MeterProvider, get_meter
from opentelemetry.util.genai.completion_hook import load_completion_hook
from opentelemetry.util.genai.handler import TelemetryHandler
from opentelemetry.util.genai.invocation import InferenceInvocation, ToolInvocation
from opentelemetry.util.genai.types import Error
from opentelemetry.util.genai.utils import fq_exception_type

from nbkit import __version__
from nbkit.billing.entry import CallFacts
from nbkit.conversation.completion import ChatCompletion
from nbkit.conversation.tools import ToolCall
from nbkit.conversation.turns import ToolOutputTurn
from nbkit.errors import AdapterError, NbkitError
from nbkit.telemetry.content import describe_error, hide_keys
from nbkit.telemetry.listener import EndTool, Listener
from nbkit.telemetry.messages import write_input, write_output, write_tools

_SCOPE = "nbkit"
_OPTIONS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "max_tokens": "max_tokens",
    "stop": "stop_sequences",
    "seed": "seed",
    "n": "request_choice_count",
    "reasoning_effort": "reasoning_level",
}
"""An option -> the invocation's name for it."""
_PORTS = {"https": 443, "http": 80}


class Tracer(Listener):
    """Writes a span for each call and each tool's function, and the metrics of both."""

    def __init__(
        self, *, tracer_provider: Any = None, meter_provider: MeterProvider | None = None, logger_provider: Any = None
    ) -> None:
        self._handler = TelemetryHandler(
            tracer_provider=tracer_provider,
            meter_provider=meter_provider,
            logger_provider=logger_provider,
            completion_hook=load_completion_hook(),
            instrumentation_scope_name=_SCOPE,
            instrumentation_scope_version=__version__,
        )
        meter = get_meter(_SCOPE, __version__, meter_provider)
        self._costs = meter.create_histogram("operation.cost", unit="{USD}", description="Monetary cost")
        self._open: dict[str, InferenceInvocation] = {}

    @property
    def pending(self) -> bool:
        """Whether a span is open."""
        return bool(self._open)

    def begin(self, call: CallFacts) -> None:
        """Begin the span of a call, below the one that is current here."""
        address = urlsplit(call.url)
        invocation = self._handler.inference(
            _load_names().get(call.provider, call.provider),
            request_model=call.model,
            server_address=address.hostname,
            server_port=address.port or _PORTS.get(address.scheme) if address.hostname else None,
        )
        invocation.suspend()  # what the caller does while the answer streams is not a part of the call
        self._open[call.id] = invocation
        options = call.list_options() if call.list_options else {}
        for name, attribute in _OPTIONS.items():
            if options.get(name) is not None:
                setattr(invocation, attribute, options[name])
        if "response_format" in options:
            invocation.output_type = "json"
        if call.stream:
            invocation.request_stream = True
        invocation.attributes["nbkit.call"] = call.id
        if call.tags:
            invocation.attributes["nbkit.tags"] = call.tags
        if self._handler.should_capture_content():
            invocation.input_messages = write_input(call.conversation)
            if tools := options.get("tools"):
                invocation.tool_definitions = write_tools(tools)

    def begin_answer(self, call: CallFacts) -> None:
        """Note the time to the first piece."""
        if invocation := self._open.get(call.id):
            invocation.record_stream_chunk()

    def end(self, call: CallFacts, completion: ChatCompletion | None, error: NbkitError | None) -> None:
        """End the span of a call."""
        invocation = self._open.pop(call.id, None)
        if invocation is None:
            return
        try:
            if completion is not None:
                self._describe(invocation, completion)
            if isinstance(error, AdapterError):
                invocation.attributes["nbkit.attempts"] = error.attempts
        finally:
            if error is None:
                invocation.stop()
            else:
                whole = self._handler.should_capture_content()
                invocation.fail(Error(describe_error(error, whole=whole), fq_exception_type(error)))

    def _describe(self, invocation: InferenceInvocation, completion: ChatCompletion) -> None:
        usage, bill = completion.usage, completion.bill
        reasons = [one.finish_reason for one in completion.choices or (completion,)]
        invocation.response_id = completion.id or None
        invocation.response_model_name = completion.model or None
        invocation.finish_reasons = [reason for reason in reasons if reason] or None
        if self._handler.should_capture_content():
            invocation.output_messages = write_output(completion)
        if completion.cost is not None:
            invocation.attributes["operation.cost"] = float(completion.cost)
        if bill is not None and bill.is_replay:
            invocation.attributes["nbkit.replayed"] = invocation.metric_attributes["nbkit.replayed"] = True
            return
        if completion.timing is not None:
            invocation.attributes["nbkit.attempts"] = completion.timing.attempts
            if completion.timing.waited:
                invocation.attributes["nbkit.waited"] = completion.timing.waited
        if usage is not None:
            invocation.input_tokens, invocation.output_tokens = usage.prompt_tokens, usage.completion_tokens
            invocation.cache_read_input_tokens = usage.cached_tokens
            invocation.cache_write_input_tokens = usage.cache_write + usage.cache_write_1h
            invocation.thinking_tokens = usage.reasoning
            invocation.audio_input_tokens = usage.input_audio + usage.cache_read_audio
            invocation.audio_output_tokens = usage.output_audio
            invocation.image_output_tokens = usage.output_image
        if completion.cost is not None:
            self._costs.record(completion.cost, _label_cost(invocation), invocation.context)

    def begin_tool(self, call: ToolCall) -> EndTool:
        """Begin the span of a tool's function, which is the current one while the function runs."""
        invocation = self._handler.tool(call.name, tool_type="function")
        invocation.tool_call_id = call.id or None
        if invocation.should_capture_content:
            invocation.arguments = hide_keys(call.arguments)
        return lambda content, error: _end_tool(invocation, content, error)


def _end_tool(invocation: ToolInvocation, content: Any, error: Exception | None) -> None:
    whole = invocation.should_capture_content
    if whole:
        invocation.tool_result = hide_keys(ToolOutputTurn(content=content, tool_call_id="").text)
    if error is None:
        invocation.stop()
    else:
        invocation.fail(Error(hide_keys(str(error)) if whole else None, fq_exception_type(error)))


def _label_cost(invocation: InferenceInvocation) -> dict[str, Any]:
    labels = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": invocation.provider,
        "gen_ai.request.model": invocation.request_model,
        "gen_ai.response.model": invocation.response_model_name,
    }
    return {name: value for name, value in labels.items() if value is not None}


@cache
def _load_names() -> dict[str, str]:
    return tomllib.loads((files("nbkit.telemetry") / "provider_names.toml").read_text("utf-8"))
