"""`nbkit.record`: a cassette of the calls of a block."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nbkit.adapters.call import Attempt, Call
from nbkit.adapters.cassette import Cassette, keep_headers
from nbkit.arguments import read_text
from nbkit.billing.entry import open_block
from nbkit.conversation.completion import ChatCompletion, ChatCompletionChunk
from nbkit.errors import AdapterError, ArgumentError, NbkitError
from nbkit.files import is_path
from nbkit.http.exchange import Failure, Request

_ENDING = ".jsonl"


@contextmanager
def record(path: str | Path, *, content: bool = True) -> Iterator[Cassette]:
    """Write what the calls of a block send and get, for a bug report: `with nbkit.record("bug.cassette.jsonl"): ...`.

    A line of JSON for each attempt: the request's path and body, the response's status and body, the pieces of a
    stream as they arrived. Taken out are keys, cookies, all headers but a few, addresses, and the ids of requests,
    organizations, projects and accounts. **Prompts and answers are in it: read it before you send it.**
    `content=False` replaces every text by as many crosses; names of models, tools and arguments stay, and numbers.

    An older cassette of that name is replaced. What `nbkit.replay` answers is not sent, and so not in it; a replay file
    keeps completions, to run a notebook again, a cassette the bytes that they were made of. The tasks and threads that
    are started in the block belong to it. Raises ArgumentError where the path does not end with `.jsonl` or is another
    file, and OSError where it cannot be written.
    """
    name = read_text(str(path) if isinstance(path, Path) else path, "record()")
    if not name.endswith(_ENDING) or not is_path(name):
        raise ArgumentError(f"record(): expected a file that ends with {_ENDING}, got {name!r}")
    cassette = Cassette(Path(name).expanduser().absolute(), content=content)
    with open_block(cassette):
        yield cassette


def choose_call(blocks: Iterable[object]) -> Callable[..., Call]:
    """Choose what makes the calls of these blocks: one that writes a cassette, where a block wants it."""
    cassette = next((one for one in reversed(tuple(blocks)) if isinstance(one, Cassette)), None)
    return Call if cassette is None else partial(RecordedCall, cassette)


class RecordedCall(Call):
    """A call whose attempts are written to a cassette."""

    def __init__(self, cassette: Cassette, *args: Any) -> None:
        super().__init__(*args)
        self._cassette, self._number = cassette, cassette.count()
        self._line: dict[str, Any] | None = None  # of the attempt under way
        self._pieces: list[bytes] = []

    def attempt(self) -> Attempt:
        """Begin the next attempt; the one before is over."""
        self._write()
        self._began = time.monotonic()
        return super().attempt()

    def request(self) -> Request:
        """Build the request of this attempt."""
        built = super().request()
        self._pieces = []
        self._line = {
            "call": self._number,
            "attempt": self.attempts,
            "provider": self.endpoint.provider,
            "model": self.endpoint.model,
            "protocol": self.endpoint.protocol,
            "stream": self.prepared.stream,
            "request": {
                "method": built.method,
                "path": self.prepared.request.path,
                "headers": keep_headers(built.headers),
                "body": built.body,
            },
            "response": None,
            "failure": None,
        }
        return built

    def feed(self, data: bytes) -> Iterable[ChatCompletionChunk]:
        """Take bytes of a stream."""
        self._pieces.append(data)
        return super().feed(data)

    def read(self, body: bytes) -> ChatCompletion:
        """Take the body of a whole answer."""
        self._pieces = [body]
        return super().read(body)

    def refusal(self, body: bytes) -> AdapterError:
        """Make the error that an answer other than 2xx stands for."""
        self._pieces = [body]
        return super().refusal(body)

    def fail(self, failure: AdapterError | Failure) -> float:
        """Plan another attempt, or raise the error."""
        if self._line is not None:
            text = f"{failure.kind.name}: {failure.text}" if isinstance(failure, Failure) else failure.message
            self._line["failure"] = f"{type(failure).__name__}: {text}"
        try:
            return super().fail(failure)
        finally:
            del failure  # it holds the request; a traceback shows this frame

    def close(self, completion: ChatCompletion | None, error: NbkitError | None) -> None:
        """End the call."""
        self._write()
        super().close(completion, error)

    def _write(self) -> None:
        line, self._line = self._line, None
        if line is None:
            return
        if self.reply is not None:
            line["response"] = {"status": self.reply.status, "headers": keep_headers(self.reply.headers)}
        line["seconds"] = round(time.monotonic() - self._began, 3)
        host = urlsplit(self.endpoint.base_url).hostname or ""  # a provider's words may name it
        self._cassette.write(line, self._pieces, (*(self._keys.secrets if self._keys else ()), host))
