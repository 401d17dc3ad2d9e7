"""Every model of the catalog: a hard conversation with many options becomes a request, or says why not."""

import pytest

from nbkit.adapters.prepare import prepare
from nbkit.choose.coverage import list_reach
from nbkit.errors import ProviderNotSupportedError, UnsupportedFeatureError
from nbkit.modelsdev.current import current_snapshot
from nbkit.providers.endpoints import resolve_endpoint

CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
HARD = [
    {"role": "system", "content": "A"},
    {"role": "assistant", "content": "B "},
    {"role": "user", "content": ""},
    {"role": "user", "content": "C"},
    {"role": "system", "content": "D"},
    {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning": [{"text": "t", "signature": "s"}]},
    {"role": "tool", "tool_call_id": "call_1", "content": ""},
    {"role": "user", "content": "E"},
]
OPTIONS = {
    "temperature": 1.9,
    "max_tokens": 10**8,
    "seed": 7,
    "stop": "END",
    "reasoning_effort": "minimal",
    "prompt_cache": "auto",
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
    "tools": [{"name": "f", "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}}}],
    "tool_choice": "f",
}
TOOLLESS = {name: value for name, value in OPTIONS.items() if not name.startswith("tool")}


def test_every_model_has_a_request_or_a_reason(monkeypatch):
    snapshot = current_snapshot()
    for name in {name for row in list_reach(snapshot) for name in row.needs}:
        monkeypatch.setenv(name, "here.example")
    prepared, refused = 0, []
    for model_id in snapshot.ids:
        record = snapshot.record(model_id)
        try:
            endpoint = resolve_endpoint(record.provider, record.model, record)
        except ProviderNotSupportedError as reason:
            refused.append(str(reason))
            continue
        if not endpoint.tolerance.capabilities.supports_tools:
            with pytest.raises(UnsupportedFeatureError, match="does not call tools"):
                prepare(HARD, OPTIONS, endpoint, True)
        options = OPTIONS if endpoint.tolerance.capabilities.supports_tools else TOOLLESS
        prepared += bool(prepare(HARD, options, endpoint, True).request.body)
    assert prepared + len(refused) == len(snapshot.ids) == 8337
    assert prepared >= 0.99 * len(snapshot.ids)
    assert all(len(reason) > 60 for reason in refused)
