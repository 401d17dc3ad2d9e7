"""Rows of the matrix: what happens to the connection and to the bytes of an answer, and what is to come of it."""

from fault_player import Play
from matrix import Expect, Row
from protocol_bytes import END, Wire

from nbkit.protocols import PROTOCOLS

SILENT = {"http_timeout": 0.2, "http_answer_timeout": 0.2}
SHORT = {"http_deadline": 0.3}
SSE = tuple(name for name in PROTOCOLS if Wire(name, streamed=True).framing == "sse")
LINES = ("ollama-chat",)

SILENCE = r"^timed out after [\d.]+ s without data from 127"
HELLO = Expect("answer", also=lambda completion: completion.usage is not None)
LOST = "TransportError"


def broken(words="", kind="StreamError", text=lambda wire: "Hel"):
    """A stream that broke off behind "Hel"."""
    return Expect(kind, words, partial=text)


def error(kind, words="", attempts=1, status=0):
    return Expect(kind, words, attempts, status)


def same(play, expect, **more):
    """A row with the same expectation of all calls."""
    return Row(play, expect, expect, **more)


def retried(play, expect, **more):
    return same(play, expect._replace(attempts=3), recovers=True, **more)


BEFORE = {  # no answer has started
    "early_close": retried(lambda wire: Play(), error(LOST, "lost the connection", status=None)),
    "early_reset": retried(lambda wire: Play(then="reset"), error(LOST, "lost the connection", status=None)),
    "close_in_status": same(lambda wire: Play(b"HTTP/1.1 20"), error(LOST, "lost the connection")),
    "close_in_headers": same(lambda wire: Play(b"HTTP/1.1 200 OK\r\ncontent-"), error(LOST, "lost the connection")),
    "reset_in_headers": same(lambda wire: Play(b"HTTP/1.1 200 OK\r\nconte", "reset"), error(LOST, "lost the connec")),
    "close_behind_103": same(
        lambda wire: Play(b"HTTP/1.1 103 Early Hints\r\n\r\n"), error(LOST, "lost the connection")
    ),
    "not_http": same(lambda wire: Play(b"SSH-2.0-OpenSSH_9.6\r\n"), error(LOST, "lost the connection")),
    "stall_deadline": same(lambda wire: Play(then="hang"), error(LOST, "deadline"), limits=SHORT),
    "stall_connect": same(lambda wire: Play(then="hang"), error(LOST, SILENCE), limits=SILENT),
    "stall_headers": same(
        lambda wire: Play(b"HTTP/1.1 200 OK\r\nx-a: b\r\n", "hang"), error(LOST, SILENCE), limits=SILENT
    ),
    "drip_headers": same(
        lambda wire: Play(b"HTTP/1.1 200 OK\r\n", "drip", b"x-a: b\r\n"), error(LOST, "deadline"), limits=SHORT
    ),
    "drip_header": same(
        lambda wire: Play(b"HTTP/1.1 200 OK\r\nx-a: ", "drip", b"b"), error(LOST, "deadline"), limits=SHORT
    ),
    "drip_103": same(
        lambda wire: Play(b"", "drip", b"HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n"),
        error(LOST, "deadline"),
        limits=SHORT,
    ),
    "headers_300": same(
        lambda wire: Play(wire.good.replace(b"\r\n", b"\r\n" + b"".join(b"x-%d: a\r\n" % n for n in range(300)), 1)),
        HELLO,
    ),
    "behind_100_and_103": same(
        lambda wire: Play(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + wire.good), HELLO
    ),
}

BODIES = {  # an answer has started, and may have been paid
    "close_behind_head": same(lambda wire: Play(wire.chunked()), error(LOST, "lost the connection")),
    "reset_behind_head": same(lambda wire: Play(wire.chunked(), "reset"), error(LOST, "lost the connection")),
    "stall_body": same(lambda wire: Play(wire.chunked(), "hang"), error(LOST, SILENCE), limits=SILENT),
    "eof_close_stream": Row(
        lambda wire: Play(wire.chunked(wire.started)), error(LOST, "lost the connection"), broken("lost the connection")
    ),
    "reset_mid": Row(
        lambda wire: Play(wire.chunked(wire.started), "reset"), error(LOST, "lost the"), broken("lost the connection")
    ),
    "stall_mid": Row(
        lambda wire: Play(wire.chunked(wire.started), "hang"),
        error(LOST, SILENCE),
        broken(SILENCE),
        limits=SILENT,
    ),
    "drip_forever": Row(
        lambda wire: Play(wire.chunked(wire.started) + b"ffffff;a=", "drip", b"x"),
        error(LOST, "deadline"),
        broken("deadline"),
        limits=SHORT,
    ),
    "drip_nothing": Row(
        lambda wire: Play(wire.chunked(wire.started), "drip", b"%x\r\n%s\r\n" % (len(wire.nothing), wire.nothing)),
        error(LOST, "deadline"),
        broken("deadline"),
        limits=SHORT,
        protocols=(*SSE, *LINES),
    ),
    "drip_trailers": Row(
        lambda wire: Play(wire.chunked(wire.started) + b"0\r\n", "drip", b"x-a: b\r\n"),
        error(LOST, "deadline"),
        broken("deadline"),
        limits=SHORT,
    ),
    "endless": Row(
        lambda wire: Play(
            wire.chunked(wire.started), "flood", wire.chunked(wire.nothing * 1000)[len(wire.chunked()) :]
        ),
        error(LOST, "deadline"),
        broken("deadline"),
        limits=SHORT,
        protocols=(*SSE, *LINES),
    ),
    "no_finish": Row(
        lambda wire: Play(wire.chunked(wire.unfinished) + END),
        error("ProviderError", "is not JSON"),
        broken("ended without", text=lambda wire: wire.unfinished_text),
    ),
    "truncated_json": Row(
        lambda wire: Play(wire.chunked(wire.torn) + END), error("ProviderError", "is not JSON"), broken()
    ),
    "until_close": same(lambda wire: Play(wire.head + b"\r\n" + wire.body), HELLO),
    "until_close_cut": Row(
        lambda wire: Play(wire.head + b"\r\n" + wire.started), error("ProviderError", "is not JSON"), broken()
    ),
    "byte_by_byte": same(lambda wire: Play(wire.good, "paced"), HELLO),
    "http_10": same(lambda wire: Play(wire.head.replace(b"1.1", b"1.0") + b"\r\n" + wire.body), HELLO),
    "gzip": same(lambda wire: Play(wire.sized(wire.compress(wire.body), content_encoding="gzip")), HELLO),
    "gzip_truncated": Row(
        lambda wire: Play(wire.sized(wire.compress(wire.started, whole=False), content_encoding="gzip")),
        error("ProviderError"),
        broken(),
    ),
    "gzip_damaged": same(
        lambda wire: Play(wire.sized(b"hello", content_encoding="gzip")), error("ProviderError", "decompress")
    ),
    **{
        f"encoding_{name}": same(
            lambda wire, name=name: Play(wire.sized(wire.body, content_encoding=name)),
            error("ProviderError", f"compressed with '{name[:4].strip(', ')}', which was not asked for"),
        )
        for name in ("br", "zstd", "br, gzip")
    },
    "bad_chunk": same(lambda wire: Play(wire.chunked() + b"zz\r\nhello"), error(LOST, "not valid HTTP")),
}

AFTER = {  # the answer is complete: what the connection does then does not count
    "late_hang": same(lambda wire: Play(wire.sized(wire.body) + b"", "hang"), HELLO),
    "late_stall": Row(lambda wire: Play(wire.chunked(wire.body), "hang"), None, HELLO),
    "late_reset": Row(lambda wire: Play(wire.chunked(wire.body), "reset"), None, HELLO),
    "late_cut": Row(lambda wire: Play(wire.chunked(wire.body)), None, HELLO),
    "late_drip": Row(lambda wire: Play(wire.chunked(wire.body) + b"ff;a=", "drip", b"x"), None, HELLO),
    "late_junk": Row(lambda wire: Play(wire.chunked(wire.body, b"data: {oops\n\n<html>\n\n"), "hang"), None, HELLO),
    "late_text": Row(lambda wire: Play(wire.chunked(wire.body + wire.started), "hang"), None, HELLO),
    "late_gzip": Row(
        lambda wire: Play(wire.sized(wire.compress(wire.body, whole=False), content_encoding="gzip")), None, HELLO
    ),
    "late_comments": Row(
        lambda wire: Play(wire.chunked(wire.body), "drip", b"%x\r\n%s\r\n" % (len(wire.nothing), wire.nothing)),
        None,
        HELLO,
        protocols=(*SSE, *LINES),
    ),
    "late_bytes": same(lambda wire: Play(wire.good + b"HTTP/1.1 200 OK\r\n\r\nmore"), HELLO),
}


def text(written, read=None):
    """The piece "Hel" is another text."""
    read = f"{written if read is None else read}lo"
    return same(lambda wire: Play(Wire(wire.protocol, wire.streamed, written).good), Expect("answer", read))


TEXTS = {
    "u2028": text("a\u2028b\u2029c\x85d"),
    "lone_surrogate": text("a\\ud83d", "a\ufffd"),
    "surrogates": text("\\ud83d\\ude00", "\U0001f600"),
    "ctype_latin1": same(
        lambda wire: Play(
            wire.head[:-2] + b"; charset=latin-1\r\n\r\n" + Wire(wire.protocol, wire.streamed, "Grüße").body
        ),
        Expect("answer", "Grüßelo"),
    ),
    "no_ctype": same(lambda wire: Play(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n" + wire.body), HELLO),
    "nul": text("a\\u0000b", "a\x00b"),
    "megabyte": text("x" * 2**20),
    "bom": same(lambda wire: Play(wire.chunked(b"\xef\xbb\xbf" + wire.body) + END), HELLO, protocols=(*SSE, *LINES)),
    "cr": Row(lambda wire: Play(wire.chunked(wire.body.replace(b"\n", b"\r")) + END), None, HELLO, protocols=SSE),
    "crlf": Row(
        lambda wire: Play(wire.chunked(wire.body.replace(b"\n", b"\r\n")) + END),
        None,
        HELLO,
        protocols=(*SSE, *LINES),
    ),
}

DEEP = b'{"a":' * 100_000


NOT_EMPTY = "^(?!.*without a (word|message))"


def garbage(body):
    """A body of 200 that is not an answer, by itself and as an event."""
    return same(
        lambda wire: Play(wire.sized(wire.write(("", body)) if wire.streamed else body)),
        Expect("ProviderError|StreamError", NOT_EMPTY),
    )


GARBAGE = {
    "invalid_json": garbage(b"{oops"),
    "html_200": garbage(b"<html><title>Bad gateway</title></html>"),
    "null": garbage(b"null"),
    "list": garbage(b"[1]"),
    "number": garbage(b"1e400"),
    "object": garbage(b"{}"),
    "deep_json": garbage(DEEP),
    "message": garbage(b'{"message": "hello", "success": true}'),
    "no_choices": garbage(b'{"choices": [], "id": "c1"}'),
    "half_object": garbage(b'{"choices": [{"message"'),
    "other_service": garbage(b'{"result": {"response": "hello"}, "success": true}'),
    "empty": same(lambda wire: Play(wire.sized(b"")), error("ProviderError", "the answer is empty")),
    "status_204": same(
        lambda wire: Play(b"HTTP/1.1 204 No Content\r\n\r\n"), error("ProviderError", "the answer is empty", status=204)
    ),
    "junk_mid": Row(lambda wire: Play(wire.chunked(wire.started + wire.write(("", b"{oops"))) + END), None, broken()),
    "deep_mid": Row(lambda wire: Play(wire.chunked(wire.started + wire.write(("", DEEP))) + END), None, broken()),
}


def in_usage(value):
    """All token counts are this."""
    return same(
        lambda wire: Play(wire.sized(wire.count(value))),
        HELLO._replace(also=lambda completion: completion.usage is None and completion.cost is None),
    )


USAGE = {
    "usage_missing": in_usage(...),
    "usage_null": in_usage(None),
    "usage_negative": in_usage(-5),
    "usage_huge": in_usage(1e30),
    "usage_text": in_usage("many"),
    "usage_true": in_usage(True),
    "usage_double": same(
        lambda wire: Play(wire.sized(wire.count(5.0))),
        HELLO._replace(also=lambda completion: completion.usage is not None),
    ),
}

ROWS = BEFORE | BODIES | AFTER | TEXTS | GARBAGE | USAGE
