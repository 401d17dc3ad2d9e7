"""Rows of the matrix: what the server says when it refuses, and how it reports an error within an answer."""

from fault_player import Play
from fault_server import KEY, respond
from matrix import Expect, Row
from matrix_rows import DEEP, LINES, SILENT, SSE, broken, error, same
from protocol_bytes import END, WORDS

KINDS = {
    400: "BadRequestError", 401: "AuthenticationError", 402: "BadRequestError", 403: "AuthenticationError",
    404: "BadRequestError", 405: "BadRequestError", 413: "BadRequestError", 422: "BadRequestError",
    408: "BadRequestError", 409: "BadRequestError", 425: "BadRequestError", 429: "RateLimitError", 500: "ProviderError",
    502: "ProviderError", 503: "ProviderError", 504: "ProviderError", 529: "ProviderError", 600: "ProviderError",
}  # fmt: skip
AGAIN = (408, 409, 425, 429, 500, 502, 503, 504, 529, 600)
SAYS = {"error": {"message": WORDS, "code": "some_code"}}


def refused(status, body=SAYS, attempts=1, recovers=False, also=lambda error: True, words=WORDS, **headers):
    expect = Expect(KINDS[status], words, attempts, status, also=also)
    return same(lambda wire: Play(respond(body, status, **headers)), expect, recovers=recovers)


def waits(seconds):
    return lambda error: error.retry_after == seconds


STATUSES = {
    **{
        f"s{status}": refused(status, attempts=3 if status in AGAIN else 1, recovers=status in AGAIN)
        for status in KINDS
    },
    "s429_ra": refused(429, attempts=3, recovers=True, also=waits(0.001), retry_after="0.001"),
    "s429_ra_ms": refused(429, attempts=3, recovers=True, also=waits(0.001), retry_after_ms="1"),
    "s429_ra_long": refused(429, also=waits(61), retry_after="61"),
    "s429_ra_date": refused(
        429, also=lambda error: error.retry_after > 10**6, retry_after="Fri, 31 Dec 2100 23:59:59 GMT"
    ),
    "s429_ra_past": refused(429, attempts=3, also=waits(None), retry_after="Fri, 31 Dec 1999 23:59:59 GMT"),
    "s429_ra_junk": refused(429, attempts=3, also=waits(None), retry_after="soon"),
    "s429_ra_nan": refused(429, attempts=3, also=waits(None), retry_after="nan"),
    "s429_ra_negative": refused(429, attempts=3, also=waits(None), retry_after="-5"),
    "s429_quota": refused(429, {"error": {"message": WORDS, "code": "insufficient_quota"}}),
    "s503_ra": refused(503, attempts=3, recovers=True, also=waits(0.001), retry_after="0.001"),
    "s503_ra_deadline": Row(
        lambda wire: Play(respond(SAYS, 503, retry_after="50")),
        Expect("ProviderError", WORDS, 1, 503, also=waits(50)),
        Expect("ProviderError", WORDS, 1, 503, also=waits(50)),
        limits={"http_deadline": 5},  # ten times as long: the same
    ),
    "should_retry": refused(400, attempts=3, recovers=True, x_should_retry="true"),
    "should_not_retry": refused(503, x_should_retry="false"),
    "s500_empty": refused(500, b"", attempts=3, words="HTTP 500"),
    "s500_html": refused(500, b"<html><title>Bad gateway</title>", attempts=3, words="Bad gateway"),
    "s500_huge": refused(500, b"x" * 2**20, attempts=3, words="xxx"),
    "s500_deep": refused(500, DEEP, attempts=3, words=""),
    "s400_echo": refused(400, {"error": {"message": f"{WORDS} for {KEY}", "code": KEY}}),
    "s400_event": refused(400, b'event: error\ndata: {"error": {"message": "' + WORDS.encode() + b'"}}\n\n'),
    "s400_gzip": same(
        lambda wire: Play(respond(wire.compress(b'{"message": "%s"}' % WORDS.encode()), 400, content_encoding="gzip")),
        Expect("BadRequestError", WORDS, 1, 400),
    ),
    "s400_br": same(
        lambda wire: Play(respond(b"\x0b\x02\x80", 400, content_encoding="br")),
        Expect("BadRequestError", "HTTP 400", 1, 400),
    ),
    "s400_cut": same(
        lambda wire: Play(respond(SAYS, 400)[:-9]), Expect("BadRequestError", "The server is out", 1, 400)
    ),
    "s400_stall": same(
        lambda wire: Play(respond(SAYS, 400)[:-9], "hang"),
        Expect("BadRequestError", "The server is out", 1, 400),
        limits=SILENT,
    ),
    "s500_stall": same(
        lambda wire: Play(respond(SAYS, 500)[:-9], "hang"),
        Expect("ProviderError", "The server is out", 3, 500),
        limits=SILENT,
    ),
}
REDIRECTS = {
    f"r{status}": same(
        lambda wire, status=status: Play(respond(b"", status, location="https://h.test/v2?a=b")),
        Expect("TransportError", "redirects to https://h.test/v2; nbkit does not follow", 1, status),
    )
    for status in (301, 302, 303, 307, 308)
} | {
    "r307_nowhere": same(
        lambda wire: Play(respond(b"", 307)), Expect("TransportError", "names no usable address", 1, 307)
    ),
    "s304": same(lambda wire: Play(b"HTTP/1.1 304 Not Modified\r\n\r\n"), Expect("TransportError", "", 1, 304)),
}


def in_event(body):
    """An error that comes before any text, in each stream of server-sent events."""
    return lambda wire: Play(wire.chunked(wire.write(("", body))) + END)


FAILS = "ProviderError"
IN_ANSWERS = {
    "error_first": Row(
        lambda wire: Play(wire.chunked(wire.failing) + END),
        error(FAILS, WORDS),
        error(FAILS, WORDS, attempts=3),
        recovers=False,
    ),
    "error_before_text": Row(
        lambda wire: Play(wire.chunked(wire.before + wire.failing) + END), None, error(FAILS, WORDS, attempts=3)
    ),
    "error_mid": Row(lambda wire: Play(wire.chunked(wire.started + wire.failing) + END), None, broken(WORDS)),
    "error_mid_hang": Row(lambda wire: Play(wire.chunked(wire.started + wire.failing), "hang"), None, broken(WORDS)),
    "error_field": Row(
        lambda wire: Play(wire.chunked(wire.started + b'error: {"message": "%s"}\n\n' % WORDS.encode()) + END),
        None,
        broken(WORDS),
        protocols=SSE,
    ),
    "error_bare": Row(
        lambda wire: Play(wire.chunked(wire.started + b'{\n "error": {"message": "%s"}\n}' % WORDS.encode()) + END),
        None,
        broken(WORDS),
        protocols=(*SSE, *LINES),
    ),
    "error_text": Row(
        lambda wire: Play(wire.chunked(wire.started + WORDS.encode()) + END),
        None,
        broken(WORDS),
        protocols=(*SSE, *LINES),
    ),
}
SHAPES = {
    "object": {"error": {"message": WORDS}},
    "string": {"error": WORDS},
    "null_choices": {"choices": None, "error_type": "ServerError", "error_message": WORDS},
    "flat": {"message": WORDS, "code": "server_error"},
    "detail": {"detail": WORDS},
    "list": [{"error": {"code": 500, "message": WORDS, "status": "INTERNAL"}}],
    "errors": {"success": False, "errors": [{"code": 7003, "message": WORDS}], "result": None},
    "vllm": {"object": "error", "message": WORDS, "code": 500},
    "base_resp": {"base_resp": {"status_code": 1000, "status_msg": WORDS}},
}
IN_ANSWERS |= {
    f"error_{code}": Row(
        in_event(b'{"error": {"message": "%s", "type": "%s"}}' % (WORDS.encode(), code.encode())),
        None, error(kind, WORDS, attempts), protocols=SSE, recovers=attempts == 3)
    for code, kind, attempts in (
        ("overloaded_error", FAILS, 3), ("rate_limit_exceeded", "RateLimitError", 3),
        ("invalid_request_error", "BadRequestError", 1), ("insufficient_quota", "RateLimitError", 1))
}  # fmt: skip
IN_ANSWERS |= {
    f"shape_{name}": Row(
        lambda wire, shape=shape: Play(
            wire.chunked(
                wire.started + wire.write(shape) if wire.streamed else respond(shape).partition(b"\r\n\r\n")[2]
            )
            + END
        ),
        Expect("ProviderError|BadRequestError|RateLimitError", WORDS),
        broken(WORDS),
    )
    for name, shape in SHAPES.items()
}

ERRORS = STATUSES | REDIRECTS | IN_ANSWERS
