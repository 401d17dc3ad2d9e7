"""The keys of the vector files, `vectors/<protocol>.json`: what each means, and its default where it may be missing.

A file holds all that the generated tests need to know of a protocol: tests/protocols/ decode and encode with it,
tests/adapters/ calls a server that answers with it. Everything is written from the documented wire format, never
copied from recorded traffic. A key that is not listed here is an error.
"""

import json
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from stream_writers import WRITERS

from nbkit.protocols.wire import Dialect

FOLDER = Path(__file__).parent / "vectors"


@dataclass(frozen=True, kw_only=True)
class Expected:
    """A completion; a value that it does not have must be missing in it, but for the last two."""

    text: str
    id: str = ""
    model: str = ""
    finish_reason: str | None = None
    reasoning: str = ""
    """The text of the reasoning."""
    refusal: str | None = None
    tool_calls: list[list[str]] = field(default_factory=list)
    """[id, name, arguments] of each; arguments as compact JSON."""
    usage: dict[str, int] | None = None
    """Bucket of `Usage` -> tokens, without those that are 0; null where the token counts are unknown."""
    reported_cost: float | None = None
    """USD."""
    choices: list[str] = field(default_factory=list)
    """The texts of all answers, where there are several."""
    details: list[dict[str, Any]] | None = None
    """The blocks of reasoning as OpenRouter's `reasoning_details`; null: not compared."""
    signatures: list[str | None] | None = None
    """The signature of each tool call; null: not compared."""

    def describe(self, completion):
        """Describe a completion in these keys: the expected one equals this."""
        usage = completion.usage
        buckets = usage and {name: count for name in usage.__slots__ if (count := getattr(usage, name))}
        return Expected(
            text=completion.text,
            id=completion.id,
            model=completion.model,
            finish_reason=completion.finish_reason,
            reasoning=completion.reasoning,
            refusal=completion.refusal,
            tool_calls=[[call.id, call.name, call.arguments] for call in completion.tool_calls],
            usage=buckets,
            reported_cost=completion.reported_cost,
            choices=[choice.text for choice in completion.choices],
            details=self.details and [block.to_detail() for block in completion.reasoning_blocks],
            signatures=self.signatures and [call.signature for call in completion.tool_calls],
        )


@dataclass(frozen=True, kw_only=True)
class Vector:
    """Keys of every vector."""

    name: str
    """What is special about it, in words; the tests are named by it."""
    dialect: dict[str, Any] = field(default_factory=dict)
    """Fields of `nbkit.protocols.wire.Dialect`, where the provider's spelling differs."""

    def make_dialect(self):
        return Dialect(**self.dialect)


@dataclass(frozen=True, kw_only=True)
class Streamed(Vector):
    """Keys of a vector with a stream."""

    events: list[Any]
    """The events of a stream: an object is the JSON of one, whose `type` is its name, if it has one; [name, object] is
    an event with another name; a string is data that is not JSON."""

    def pairs(self):
        """(name, data) of each event, as the framing gives them to a decoder."""
        for event in self.events:
            if isinstance(event, str):
                yield "", event.encode()
            else:
                name, body = event if isinstance(event, list) else (event.get("type", ""), event)
                yield name, json.dumps(body).encode()

    def body(self, framing):
        """The bytes of the stream, as a server sends them."""
        return b"".join(WRITERS[framing](name, data) for name, data in self.pairs())


@dataclass(frozen=True, kw_only=True)
class DecodeVector(Streamed):
    """One answer three times: as a stream, as a whole body, and as the completion that both must give."""

    whole: dict[str, Any]
    completion: Expected
    signal: str = ""
    """The finish signal of this stream, where it is another than the file's."""
    raw: Any = None
    """The `raw` of the completion of the stream; null: not compared."""


@dataclass(frozen=True, kw_only=True)
class BrokenVector(Streamed):
    """A stream that ends in an error, on one of its events or at its end."""

    error: str
    """Class of the error."""
    message: str | None = None
    """The error's message; null: not compared."""
    partial: Expected | None = None
    """The partial completion on the error; null: not compared."""


@dataclass(frozen=True, kw_only=True)
class RefusedVector(Vector):
    """A whole body of a response of 200 that is not an answer."""

    body: Any
    error: str
    """Class of the error."""
    message: str


@dataclass(frozen=True, kw_only=True)
class EncodeVector(Vector):
    """A conversation and its options, and the request that is sent for them to the model `m`."""

    turns: Any
    """The conversation: a string, or a list of turns in OpenAI's form."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options of `execute`."""
    stream: bool = False
    row: dict[str, Any] = field(default_factory=dict)
    """What a row of the provider's tables says beside the protocol's: `drop`, `capabilities`, `max_output` ..."""
    body: dict[str, Any]
    path: str | None = None
    """Path of the request; null: not compared."""
    changes: list[str] = field(default_factory=list)
    """"kind what" of each change, in their order."""


@dataclass(frozen=True, kw_only=True)
class VectorFile:
    """A file. The first of `decode` is an answer whose text is "Hello"; its stream has the pieces "Hel" and "lo"."""

    signal: str
    """The finish signal as it stands in compact JSON, e.g. `"done":true`: a stream is complete with the first event
    that holds it, and not before."""
    official_provider: str = ""
    """Row of provider_defaults.toml with which requests are written for the check by the vendor's own SDK; "" for none.
    Where relatives of the vendor take more than the vendor itself."""
    decode: list[DecodeVector]
    broken: list[BrokenVector]
    refused: list[RefusedVector]
    encode: list[EncodeVector]


NESTED = {
    "decode": DecodeVector,
    "broken": BrokenVector,
    "refused": RefusedVector,
    "encode": EncodeVector,
    "completion": Expected,
    "partial": Expected,
}


def build(kind, keys, where):
    """Make a `kind` of a JSON object, with the defaults filled in. Raises ValueError for an unknown or missing key."""
    known = {one.name: one for one in fields(kind)}
    if unknown := keys.keys() - known.keys():
        raise ValueError(f"{where}: unknown key {sorted(unknown)[0]!r}; there are {', '.join(known)}")
    values = {}
    for name, one in known.items():
        if name not in keys:
            if one.default is MISSING and one.default_factory is MISSING:
                raise ValueError(f"{where}: the key {name!r} is missing")
            continue
        value = keys[name]
        if name in NESTED and isinstance(value, list):
            value = [build(NESTED[name], item, f"{where}, {name} {item.get('name')!r}") for item in value]
        elif name in NESTED:
            value = build(NESTED[name], value, f"{where}, {name}")
        values[name] = value
    return kind(**values)


@cache
def load(protocol):
    """Read a protocol's vectors. Raises ValueError, naming file, vector and key, where a key is unknown or missing."""
    path = FOLDER / f"{protocol}.json"
    return build(VectorFile, json.loads(path.read_text("utf-8")), path.name)
