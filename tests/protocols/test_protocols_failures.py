"""What providers say when a call fails, in every shape, and which error it becomes."""

import pickle

import pytest

from nbkit.errors import (
    AuthenticationError,
    BadRequestError,
    ContentFilterError,
    ContextLengthError,
    ProviderError,
    RateLimitError,
)
from nbkit.protocols.failures import MAX_MESSAGE, read_failure

SHAPES = [  # status, body, error, message, code
    (
        "OpenAI",
        404,
        b'{"error": {"message": "No such model", "type": "invalid_request", "param": null, "code": "model_not_found"}}',
        BadRequestError,
        "No such model",
        "model_not_found",
    ),
    (
        "Anthropic",
        529,
        b'{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "r"}',
        ProviderError,
        "Overloaded",
        "overloaded_error",
    ),
    ("a string", 400, b'{"error": "no such field: foo"}', BadRequestError, "no such field: foo", None),
    (
        "a name beside the words",
        400,
        b'{"statusCode": 400, "error": "Bad Request", "message": "seed must be a number"}',
        BadRequestError,
        "seed must be a number",
        None,
    ),
    (
        "a string with a code",
        400,
        b'{"code": "invalid-argument", "error": "Model not found: g"}',
        BadRequestError,
        "Model not found: g",
        "invalid-argument",
    ),
    (
        "flat",
        401,
        b'{"message": "Wrong API Key", "type": "invalid_request_error", "param": "api_key", "code": "wrong_api_key"}',
        AuthenticationError,
        "Wrong API Key",
        "wrong_api_key",
    ),
    (
        "LiteLLM without a database",
        400,
        b'{"error": {"message": "No connected db.", "type": "no_db_connection", "param": null, "code": "400"}}',
        AuthenticationError,
        "No connected db. LiteLLM without a database takes its master key only, and this is another key",
        "400",
    ),
    ("message only", 429, b'{"message": "trial key limit"}', RateLimitError, "trial key limit", None),
    (
        "Google, in a list",
        400,
        b'[{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}]',
        BadRequestError,
        "API key not valid.",
        "INVALID_ARGUMENT",
    ),
    (
        "RFC 7807",
        404,
        b'{"status": 404, "title": "Not Found", "detail": "Function 7: not found for account"}',
        BadRequestError,
        "Not Found: Function 7: not found for account",
        "404",
    ),
    (
        "Cloudflare",
        404,
        b'{"success": false, "errors": [{"code": 7003, "message": "Could not route"}], "result": null}',
        BadRequestError,
        "Could not route",
        "7003",
    ),
    (
        "FastAPI",
        422,
        b'{"detail": [{"loc": ["body", "messages"], "msg": "field required", "type": "value_error.missing"}]}',
        BadRequestError,
        "body.messages: field required",
        None,
    ),
    (
        "a router with the words of the provider behind it",
        400,
        b'{"error": {"message": "Provider returned error", "code": 400,'
        b' "metadata": {"raw": "{\\"error\\": {\\"message\\": \\"images: at most 5\\"}}"}}}',
        BadRequestError,
        "Provider returned error: images: at most 5",
        "400",
    ),
    ("plain text", 400, b"model is not accessible\n", BadRequestError, "model is not accessible", None),
    (
        "HTML with a title",
        502,
        b"<html><head><title>502 Bad\nGateway</title></head><body><h1>x</h1></body></html>",
        ProviderError,
        "502 Bad Gateway",
        None,
    ),
    ("HTML without one", 503, b"<!doctype html><p>Down &amp; out</p>", ProviderError, "Down & out", None),
    ("not UTF-8", 500, b"caf\xe9", ProviderError, "caf\ufffd", None),
    ("empty", 500, b"", ProviderError, "HTTP 500, without a message", None),
    ("empty JSON", 418, b"{}", BadRequestError, "HTTP 418, without a message", None),
    ("a code and no words", 403, b'{"error": {"code": "denied"}}', AuthenticationError, "denied", "denied"),
    ("null", 500, b"null", ProviderError, "HTTP 500, without a message", None),
]


@pytest.mark.parametrize(
    ("status", "body", "kind", "message", "code"), [row[1:] for row in SHAPES], ids=[row[0] for row in SHAPES]
)
def test_shapes(status, body, kind, message, code):
    error = read_failure(body, status)
    assert (type(error), error.message, error.code) == (kind, message, code)
    assert error.body == body.decode("utf-8", "replace")
    assert pickle.loads(pickle.dumps(error)).message == message  # noqa: S301  # our own


@pytest.mark.parametrize(
    ("status", "code", "message", "kind"),
    [
        (400, "context_length_exceeded", "Too long.", ContextLengthError),
        (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum", ContextLengthError),
        (413, "", "This endpoint's maximum context length is 8192 tokens", ContextLengthError),
        (400, "", "Please reduce the length of the messages", ContextLengthError),
        (400, "invalid_request_error", "max_tokens: must be at least 1", BadRequestError),
        (429, "", "Rate limit: input tokens exceed your tier", RateLimitError),
        (400, "content_filter", "The response was filtered", ContentFilterError),
        (400, "invalid_prompt", "Your request was flagged", ContentFilterError),
        (403, "", "openai/x requires moderation on this provider", ContentFilterError),
        (404, "model_not_found", "The model omni-moderation does not exist", BadRequestError),
        (403, "", "context length of your plan", AuthenticationError),
        (None, "authentication_error", "invalid x-api-key", AuthenticationError),
        (None, "insufficient_quota", "Pay first", RateLimitError),
        (None, "RESOURCE_EXHAUSTED", "Later", RateLimitError),
        (None, "not_found_error", "No such model", BadRequestError),
        (None, "server_error", "Sorry", ProviderError),
        (None, "", "Sorry", ProviderError),
        (None, "context_length_exceeded", "Sorry", ContextLengthError),
    ],
)
def test_which_error(status, code, message, kind):
    error = read_failure({"error": {"message": message, "code": code}}, status)
    assert (type(error), error.message) == (kind, message)


@pytest.mark.parametrize(("code", "kind"), [(401, AuthenticationError), (429, RateLimitError), (502, ProviderError)])
def test_a_status_within_the_answer_decides_where_http_has_none(code, kind):
    assert type(read_failure({"error": {"message": "x", "code": code}})) is kind


def test_the_words_are_kept_short():
    assert read_failure(b"x" * 10_000, 500).message == "x" * MAX_MESSAGE
    long = read_failure({"error": {"message": "x" * 10**6}})  # within an answer of 200, which may be 128 MiB
    assert (len(long.message), len(long.body)) == (MAX_MESSAGE, 64 * 2**10)


def test_a_body_made_to_be_deep_is_an_error_all_the_same():
    for body in (b'{"error":' * 50_000, b"[" * 150 + b'"hidden"' + b"]" * 150):
        assert type(read_failure(body, 500)) is ProviderError
