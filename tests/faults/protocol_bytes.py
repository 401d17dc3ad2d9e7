"""What a server sends in each protocol: made from the first vector of its file, an answer "Hello" in two pieces."""

import json
import zlib
from dataclasses import dataclass
from functools import cached_property

from fault_server import chunk, respond
from stream_writers import CONTENT_TYPES, WRITERS, write_frame
from vector_files import load

from nbkit.protocols import protocol

END = b"0\r\n\r\n"
WORDS = "The server is out of order"

# How a protocol reports in a stream that its server failed: the name of the event, and its JSON.
_FAILING = {
    "openai-chat": ("", {"error": {"message": WORDS, "type": "server_error"}}),
    "openai-completions": ("", {"error": {"message": WORDS, "type": "server_error"}}),
    "openai-responses": ("error", {"type": "error", "code": "server_error", "message": WORDS}),
    "anthropic-messages": ("error", {"type": "error", "error": {"type": "overloaded_error", "message": WORDS}}),
    "anthropic-vertex": ("error", {"type": "error", "error": {"type": "overloaded_error", "message": WORDS}}),
    "gemini-generate": ("", {"error": {"code": 503, "message": WORDS, "status": "UNAVAILABLE"}}),
    "cohere-v2": ("message-end", {"type": "message-end", "delta": {"finish_reason": "ERROR", "error": WORDS}}),
    "ollama-chat": ("", {"error": WORDS}),
    "bedrock-converse": ("serviceUnavailableException", {"message": WORDS}),
}


@dataclass(frozen=True)
class Wire:
    """A protocol, streamed or not. `text` stands for the first piece, "Hel", as it is written in JSON."""

    protocol: str
    streamed: bool
    text: str = "Hel"

    @cached_property
    def framing(self):
        return protocol(self.protocol).FRAMING

    @cached_property
    def events(self):
        """The name and the data of each event."""
        pairs = load(self.protocol).decode[0].pairs()
        return [(name, self._spell(json.loads(data)) if data[:1] in b"{[" and data != b"[DONE]" else data)
                for name, data in pairs]  # fmt: skip

    def _spell(self, value):
        return json.dumps(value, ensure_ascii=False).replace("Hel", self.text).encode("utf-8")

    def write(self, *events):
        """The bytes of events: a tuple of name and data, or JSON."""
        pairs = [event if isinstance(event, tuple) else ("", event) for event in events]
        return b"".join(
            WRITERS[self.framing](name, data if isinstance(data, bytes) else json.dumps(data).encode())
            for name, data in pairs
        )

    @cached_property
    def head(self):
        kind = CONTENT_TYPES[self.framing] if self.streamed else "application/json"
        return f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n".encode()

    def chunked(self, *parts):
        """Head and parts of a body, each of them a chunk; without the last chunk."""
        return self.head + b"transfer-encoding: chunked\r\n\r\n" + b"".join(map(chunk, parts))

    def sized(self, body, **headers):
        """Head and body, and the end of the connection."""
        kind = CONTENT_TYPES[self.framing] if self.streamed else "application/json"
        return respond(body, **{"content_type": kind} | headers)

    @cached_property
    def body(self):
        """The whole answer."""
        return self.write(*self.events) if self.streamed else self._spell(load(self.protocol).decode[0].whole)

    @cached_property
    def good(self):
        return self.chunked(self.body) + END

    def _find(self, sign, start=0):
        return next(i for i, (_, data) in enumerate(self.events) if i >= start and sign in data)

    @cached_property
    def before(self):
        """The body up to the first text."""
        return self.write(*self.events[: self._find(self.text.encode())]) if self.streamed else b""

    @cached_property
    def started(self):
        """The body as far as "Hel", or half of it where it is not streamed."""
        if not self.streamed:
            return self.body[: len(self.body) // 2]
        return self.write(*self.events[: self._find(self.text.encode()) + 1])

    @cached_property
    def torn(self):
        """The body up to the middle of the event behind "Hel"."""
        return self.body[: len(self.started) + 20]

    @cached_property
    def unfinished(self):
        """The body up to its finish signal; not streamed, all but the last bytes."""
        return self.write(*self.events[: self._end]) if self.streamed else self.body[:-2]

    @cached_property
    def _end(self):
        signal = load(self.protocol).signal.encode()
        compact = [data.replace(b'": ', b'":').replace(b", ", b",") for _, data in self.events]
        return next(i for i, data in enumerate(compact) if signal in data)

    @cached_property
    def unfinished_text(self):
        return "Hello" if any(b'"lo"' in data for _, data in self.events[: self._end]) else "Hel"

    @cached_property
    def failing(self):
        """The event that says that the server has failed; not streamed, the body."""
        name, body = _FAILING[self.protocol]
        if not self.streamed:
            return json.dumps({"error": {"message": WORDS, "type": "server_error"}}).encode()
        if self.framing == "aws-event-stream":
            headers = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
            return write_frame(headers, json.dumps(body).encode())
        return self.write((name, json.dumps(body).encode()))

    @cached_property
    def nothing(self):
        """Bytes of a body that say nothing: a comment, white space; b"" where there are none."""
        if not self.streamed:
            return b" "
        return {"sse": b": still here\n\n", "ndjson": b"\n"}.get(self.framing, b"")

    def count(self, value):
        """The whole answer with another value in the place of each count of tokens; `...` takes the usage away."""
        if not self.streamed:
            return json.dumps(_count(load(self.protocol).decode[0].whole, value)).encode()
        counted = [
            (name, data if data == b"[DONE]" else json.dumps(_count(json.loads(data), value)).encode())
            for name, data in self.events
        ]
        return self.write(*counted)

    def compress(self, data, whole=True):
        """Compress by gzip; not whole: the end of it is missing, though all data are there."""
        packer = zlib.compressobj(wbits=31)
        return packer.compress(data) + packer.flush(zlib.Z_FINISH if whole else zlib.Z_SYNC_FLUSH)


_USAGES = ("usage", "usageMetadata", "prompt_eval_count", "prompt_eval_cached_count", "eval_count")


def _count(value, to, inside=False):
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if to is not ... or key not in _USAGES}
        return {key: _count(item, to, inside or key in _USAGES) for key, item in kept.items()}
    if isinstance(value, list):
        return [_count(item, to, inside) for item in value]
    return to if inside and isinstance(value, int) else value
