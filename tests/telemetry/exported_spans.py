"""The SDK's exporters in memory, and the attributes that a span may have."""

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import nbkit

TABLE = {  # semantic-conventions-genai, span of an inference and of a tool's execution: attribute -> type
    "gen_ai.operation.name": str,
    "gen_ai.provider.name": str,
    "gen_ai.request.model": str,
    "gen_ai.request.stream": bool,
    "gen_ai.request.temperature": float,
    "gen_ai.request.top_p": float,
    "gen_ai.request.top_k": (int, float),
    "gen_ai.request.max_tokens": int,
    "gen_ai.request.stop_sequences": tuple,
    "gen_ai.request.seed": int,
    "gen_ai.request.choice.count": int,
    "gen_ai.request.frequency_penalty": float,
    "gen_ai.request.presence_penalty": float,
    "gen_ai.request.reasoning.level": str,
    "gen_ai.output.type": str,
    "gen_ai.response.id": str,
    "gen_ai.response.model": str,
    "gen_ai.response.finish_reasons": tuple,
    "gen_ai.response.time_to_first_chunk": float,
    "gen_ai.usage.input_tokens": int,
    "gen_ai.usage.output_tokens": int,
    "gen_ai.usage.cache_read.input_tokens": int,
    "gen_ai.usage.cache_write.input_tokens": int,
    "gen_ai.usage.reasoning.output_tokens": int,
    "gen_ai.usage.audio.input_tokens": int,
    "gen_ai.usage.audio.output_tokens": int,
    "gen_ai.usage.image.output_tokens": int,
    "gen_ai.input.messages": str,
    "gen_ai.output.messages": str,
    "gen_ai.tool.definitions": str,
    "gen_ai.tool.name": str,
    "gen_ai.tool.type": str,
    "gen_ai.tool.call.id": str,
    "gen_ai.tool.call.arguments": str,
    "gen_ai.tool.call.result": str,
    "server.address": str,
    "server.port": int,
    "error.type": str,
    "operation.cost": float,  # pydantic-ai's
    "nbkit.call": str,
    "nbkit.attempts": int,
    "nbkit.waited": float,
    "nbkit.replayed": bool,
    "nbkit.tags": tuple,
}


class Exported:
    """What the SDK's exporters in memory got."""

    def __init__(self):
        self.exporter, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracer_provider = TracerProvider(shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.meter_provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self.tracer = self.tracer_provider.get_tracer("test")

    def trace(self):
        return nbkit.trace(tracer_provider=self.tracer_provider, meter_provider=self.meter_provider)

    @property
    def spans(self):
        for span in (spans := self.exporter.get_finished_spans()):
            for name, value in span.attributes.items():
                assert isinstance(value, TABLE[name]), name
        return spans

    def metrics(self):
        """Name of a metric -> the sum, the count and the attributes of each of its points."""
        data = self.reader.get_metrics_data()
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics] if data else []
        assert {scope.scope.name for scope in scopes} <= {"nbkit"}
        return {
            metric.name: [(point.sum, point.count, dict(point.attributes)) for point in metric.data.data_points]
            for scope in scopes
            for metric in scope.metrics
        }

    def text(self):
        return "".join(span.to_json() for span in self.spans) + repr(self.metrics())
