"""Inputs that no server should send: the events and bodies of the vectors with flipped bits, cuts, other types ...

`python tests/protocols/mutations.py 100000` tries as many with each decoder, and prints what became of them and how
much CPU time the slowest took.
"""

import json
import sys
import time
from collections import Counter
from copy import deepcopy
from pathlib import Path
from random import Random

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))

from stream_writers import WRITERS
from vector_files import load

from nbkit import errors
from nbkit.adapters.call import read_stray
from nbkit.http.framing import FRAMINGS
from nbkit.protocols import PROTOCOLS, protocol
from nbkit.protocols.reading import parse
from nbkit.protocols.wire import Dialect

VALUES = (
    None, True, False, 0, -1, 5.0, 1e30, 10**30, -(10**400), "", "x", "stop", "\ud83d", "\x00", "{", '{"q":1}',
    "[DONE]", [], [None], [[]], {}, {"error": "x"}, {"a": "b"}, [{}], "9" * 5000, "<think>", "x" * 100_000,
)  # fmt: skip
RAW = (
    b"[DONE]", b"", b"junk", b"{}", b"[]", b"null", b'{"error":{"message":"x"}}', b'"x"', b"[{}]", b"NaN", b"1e999",
    b"\xef\xbb\xbf{}", b"\xff\xfe", b"9" * 10_000, b"[" * 5000, b'{"a":' * 5000, b'{"a":1,"a":2}',
)  # fmt: skip


class Mutations:
    """Random inputs of one protocol; the same for the same seed."""

    def __init__(self, name, seed=0):
        vectors = load(name)
        self.random = Random(f"{name} {seed}")  # noqa: S311
        self.framing = protocol(name).FRAMING
        self.streams = [list(vector.pairs()) for vector in (*vectors.decode, *vectors.broken)]
        self.bodies = [vector.whole for vector in vectors.decode] + [vector.body for vector in vectors.refused]
        self.dialects = [Dialect(), *(vector.make_dialect() for vector in vectors.decode)]

    def make_body(self):
        """Bytes of a body."""
        data = self._spoil_json(json.dumps(self.random.choice(self.bodies)).encode())
        return self._spoil_bytes(data) if self.random.random() < 0.4 else data

    def make_stream(self):
        """Events of one or two streams, mutated."""
        choose, below = self.random.choice, self.random.randrange
        events = [event for _ in range(choose((1, 1, 2))) for event in choose(self.streams)]
        if self.random.random() < 0.3:
            events = events[: below(len(events) + 1)]
        for _ in range(below(4)):
            if not events:
                break
            at, to, how = below(len(events)), below(len(events)), choose(("repeat", "move", "drop", "insert", "rename"))
            event = events[at] if how in ("repeat", "insert", "rename") else events.pop(at)
            if how == "rename":
                events[at] = (choose(("", "error", "x")), event[1])
            elif how == "insert":
                events.insert(to, ("", choose(RAW)))
            elif how != "drop":
                events.insert(to, event)
        return [(name, self._spoil_json(data)) if self.random.random() < 0.4 else (name, data) for name, data in events]

    def make_bytes(self):
        """Bytes of a stream, mutated as events, and half of them as bytes too."""
        data = b"".join(WRITERS[self.framing](name, event) for name, event in self.make_stream())
        return self._spoil_bytes(data) if self.random.random() < 0.5 else data

    def cut(self, data):
        """Cut bytes into pieces, as a network does."""
        at = 0
        while at < len(data):
            size = self.random.choice((1, 7, 100, 10**6))
            yield data[at : at + size]
            at += size

    def _spoil_json(self, data):
        try:
            body = json.loads(data)
        except (ValueError, RecursionError):
            return data
        for _ in range(self.random.choice((1, 1, 2, 5))):
            body = self._swap(body)
        try:
            return json.dumps(body).encode()
        except RecursionError:  # nested by several mutations
            return RAW[-2]

    def _swap(self, body):
        """Another value, or none, in one place; at times a deep one, or one from elsewhere in the same JSON."""
        place, choose = body, self.random.choice
        while isinstance(place, dict | list) and place:
            key = choose(list(place)) if isinstance(place, dict) else self.random.randrange(len(place))
            inner = place[key]
            if isinstance(inner, dict | list) and inner and self.random.random() < 0.75:
                place = inner
                continue
            how = self.random.random()
            if how < 0.15:
                del place[key]
            elif how < 0.2:
                place[key] = _nest(self.random.choice((10, 150, 300)), inner)
            elif how < 0.25 and isinstance(place, dict):
                place[choose(("error", "message", "type", "choices", "text"))] = place[key]
            else:
                place[key] = deepcopy(choose(VALUES))
            return body
        return deepcopy(choose(VALUES))

    def _spoil_bytes(self, data):
        data = bytearray(data)
        for _ in range(self.random.choice((1, 1, 3))):
            if not data:
                break
            at, size = self.random.randrange(len(data)), self.random.choice((1, 5, 50))
            match self.random.randrange(5):
                case 0:
                    data[at] ^= 1 << self.random.randrange(8)
                case 1:
                    del data[at:]
                case 2:
                    del data[at : at + size]
                case 3:
                    data[at:at] = data[at : at + size]
                case _:
                    data[at:at] = self.random.choice((b"\n", b"\r", b"\x00", b"\xff", b"data: ", b'"', b"}", *RAW))
        return bytes(data)


def _nest(depth, value):
    """Lists and objects in one another."""
    for number in range(depth):
        value = [value] if number % 2 else {"a": value}
    return value


# ---- what a decoder makes of it


def read_whole(module, data, dialect):
    try:
        return module.decode(parse(data), dialect), ""
    except errors.AdapterError as failure:
        return failure.partial, type(failure).__name__


def read_error(module, data, dialect, status):
    error = module.error(status, data, dialect)
    assert isinstance(error, errors.AdapterError)
    return error.partial, type(error).__name__


def read_stream(module, pieces, dialect):
    """Read bytes as a call does. Returns the completion, the error's name, and what the chunks given."""
    framing, decoder = FRAMINGS[module.FRAMING](), module.Decoder(dialect)
    texts, reasoning = [], []

    def take(events):
        for name, data in events:
            for chunk in decoder.feed(name, data):
                texts.append(chunk.text)
                reasoning.append(chunk.reasoning)
                assert all(delta.index >= 0 for delta in chunk.tool_calls)

    try:
        for piece in pieces:
            take(framing.feed(piece))
        take(framing.finish())
        try:
            completion = decoder.finish()
        except errors.StreamError as failure:
            broken = failure
        else:
            return completion, "", "".join(texts), "".join(reasoning)
        stray = framing.stray.strip()
        completion = read_stray(stray, broken, lambda body: module.decode(parse(body), dialect))
    except errors.AdapterError as failure:
        partial = failure.partial if isinstance(failure, errors.StreamError) else None
        return partial or decoder.partial(), type(failure).__name__, "".join(texts), "".join(reasoning)
    return completion, "", "".join(texts), "".join(reasoning)


def check_completion(completion, texts="", reasoning=""):
    """No text that was given out is lost, all of it can be written, and no count is negative."""
    assert completion.text.startswith(texts)  # what may be the beginning of a tag is held back
    # Blocks of reasoning may be interleaved, and a line break parts them: so no order is compared.
    assert Counter("".join(reasoning.split())) <= Counter("".join(completion.reasoning.split()))
    completion.text.encode()
    completion.reasoning.encode()
    usage = completion.usage
    assert usage is None or all(0 <= getattr(usage, bucket) <= 10**9 for bucket in usage.__slots__)
    assert completion.reported_cost is None or completion.reported_cost >= 0
    assert all(call.name and call.id for call in completion.tool_calls)
    json.dumps(completion.to_dict()).encode()


def try_inputs(name, count, seed=0):
    """Try so many inputs: streams, bodies, bodies of errors; give what each ended as, and the seconds that it took."""
    module, mutations = protocol(name), Mutations(name, seed)
    for number in range(count):
        dialect = mutations.random.choice(mutations.dialects)
        if number % 5 < 3:
            pieces = list(mutations.cut(mutations.make_bytes()))
            start = time.thread_time()
            completion, error, *given = read_stream(module, pieces, dialect)
        elif number % 5 == 3:
            data, given = mutations.make_body(), ()
            start = time.thread_time()
            completion, error = read_whole(module, data, dialect)
        else:
            data, status, given = mutations.make_body(), mutations.random.choice((400, 401, 429, 500, 600)), ()
            start = time.thread_time()
            completion, error = read_error(module, data, dialect, status)
        seconds = time.thread_time() - start
        if completion is not None:
            check_completion(completion, *given)
        yield error or "answer", seconds


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    names = sys.argv[2:] or PROTOCOLS
    for name in names:
        ended, slowest, all_seconds = Counter(), 0.0, 0.0
        for outcome, seconds in try_inputs(name, count):
            ended[outcome] += 1
            slowest, all_seconds = max(slowest, seconds), all_seconds + seconds
        outcomes = ", ".join(f"{number} {outcome}" for outcome, number in ended.most_common())
        print(
            f"{name}: {count} inputs, slowest {slowest:.4f} s, mean {all_seconds / count:.6f} s: {outcomes}", flush=True
        )


if __name__ == "__main__":
    main()
