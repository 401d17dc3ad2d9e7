"""The libraries that are measured, and how each makes the same four calls in each protocol.

A library is loaded only where it is asked for. Retries are off, and every client speaks to the loopback server.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from benchmarks.wires import WIRES

if TYPE_CHECKING:
    from nbkit import BaseAdapter

BARE, ON_HTTPX2, ON_AIOHTTP, SDK, LITELLM = "bare httpx2", "nbkit on httpx2", "nbkit on aiohttp", "SDK", "litellm"
"""The columns of the table. SDK is the package of the protocol's own provider."""

LIBRARIES = (BARE, ON_HTTPX2, ON_AIOHTTP, SDK, LITELLM)
KEY = "none"
MODULES = {
    "openai-chat": "openai",
    "anthropic-messages": "anthropic",
    "openai-responses": "openai",
    "gemini": "google.genai",
    "cohere-v2": "cohere",
}
"""The SDK of a protocol."""
_NEEDED = {LITELLM: "litellm", ON_AIOHTTP: "aiohttp"}


@dataclass(frozen=True, slots=True)
class Calls:
    """Functions that make a call, and the functions that read the text of what they return."""

    call: Callable[[], Any]
    stream: Callable[[], Any]
    acall: Callable[[], Any]
    astream: Callable[[], Any]
    read_whole: Callable[[Any], str]
    read_chunk: Callable[[Any], str]

    def call_text(self) -> str:
        """Call, and return the text of the answer."""
        return self.read_whole(self.call())

    def read_stream(self, first: Callable[[], object] = lambda: None) -> str:
        """Stream, and return all text; `first` is called with the first of it."""
        stream, texts = self.stream(), list[str]()
        with stream if hasattr(stream, "__enter__") else nullcontext(stream) as chunks:
            for chunk in chunks:
                if text := self.read_chunk(chunk):
                    if not texts:
                        first()
                    texts.append(text)
        return "".join(texts)

    async def acall_text(self) -> str:
        """`call_text` in an event loop."""
        return self.read_whole(await self.acall())

    async def aread_stream(self, first: Callable[[], object] = lambda: None) -> str:
        """`read_stream` in an event loop."""
        stream, texts = self.astream(), list[str]()
        if not hasattr(stream, "__aenter__") and isawaitable(stream):
            stream = await stream
        async with stream if hasattr(stream, "__aenter__") else nullcontext(stream) as chunks:
            async for chunk in chunks:
                if text := self.read_chunk(chunk):
                    if not texts:
                        first()
                    texts.append(text)
        return "".join(texts)


def make_calls(library: str, protocol: str, root: str) -> Calls:
    """Make the calls of a library; `root` is the server's URL with the script of its answers. Needs an event loop."""
    makers = {BARE: _make_bare, ON_HTTPX2: _make_nbkit, ON_AIOHTTP: _make_nbkit, LITELLM: _make_litellm}
    return (makers | {SDK: _SDKS[protocol]})[library](protocol, root)


def is_installed(library: str, protocol: str) -> bool:
    """Whether a library can be measured in a protocol."""
    if library == LITELLM and protocol == "cohere-v2":  # it speaks the first version of Cohere's chat
        return False
    return is_module(MODULES[protocol] if library == SDK else _NEEDED.get(library, "httpx2"))


def is_module(name: str) -> bool:
    """Whether a module is installed."""
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # a package that would hold it is missing
        return False


def make_environment(library: str) -> dict[str, str]:
    """Return the environment of a process that measures a library."""
    engine = "aiohttp" if library == ON_AIOHTTP else "httpx2"
    return os.environ | {
        "NBKIT_HTTP_ENGINE": engine,
        "NBKIT_LIMITS": "openai=500",  # or nbkit would begin with 20 at once
        "NBKIT_MAX_RETRIES": "0",
        "NBKIT_OFFLINE": "1",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # it would fetch prices when it is imported
        "LITELLM_LOG": "CRITICAL",
        "GOOGLE_API_KEY": KEY,
    }


# ---- httpx2 alone


def _make_bare(protocol: str, root: str) -> Calls:
    import httpx2

    wire = WIRES[protocol]
    limits = httpx2.Limits(max_connections=None)  # 100 by default, and all others would time out
    client, aclient = httpx2.Client(limits=limits, timeout=60), httpx2.AsyncClient(limits=limits, timeout=60)
    (path, body), (stream_path, stream_body) = wire.request(False), wire.request(True)
    url, stream_url = root + path, root + stream_path

    def stream() -> Iterator[Any]:
        with client.stream("POST", stream_url, json=stream_body) as response:
            for line in response.iter_lines():
                if line.startswith("data: {"):
                    yield json.loads(line[6:])

    async def acall() -> Any:
        return (await aclient.post(url, json=body)).json()

    async def astream() -> AsyncIterator[Any]:
        async with aclient.stream("POST", stream_url, json=stream_body) as response:
            async for line in response.aiter_lines():
                if line.startswith("data: {"):
                    yield json.loads(line[6:])

    return Calls(lambda: client.post(url, json=body).json(), stream, acall, astream, wire.read_whole, wire.read_event)


# ---- nbkit


def make_adapter(protocol: str, root: str) -> BaseAdapter:
    """Make nbkit's adapter for the model of a protocol."""
    import nbkit

    wire = WIRES[protocol]
    name = "gemini-generate" if protocol == "gemini" else protocol
    return nbkit.get_adapter(f"{wire.provider}/{wire.model}", base_url=root + wire.base, protocol=name, api_key=KEY)


def _make_nbkit(protocol: str, root: str) -> Calls:
    adapter = make_adapter(protocol, root)
    return Calls(
        partial(adapter.execute, "Hi"), partial(adapter.stream, "Hi"),
        partial(adapter.aexecute, "Hi"), partial(adapter.astream, "Hi"),
        lambda completion: completion.text or "", lambda chunk: chunk.text,
    )  # fmt: skip


# ---- the providers' SDKs, and litellm


def _bind(
    functions: Iterable[Callable[..., Any]],
    whole: dict[str, Any],
    streamed: dict[str, Any],
    read_whole: Callable[[Any], str],
    read_chunk: Callable[[Any], str],
) -> Calls:
    """Make calls of the four functions that call, stream, and do so in an event loop, and their arguments."""
    call, stream, acall, astream = functions
    return Calls(
        partial(call, **whole), partial(stream, **streamed), partial(acall, **whole), partial(astream, **streamed),
        read_whole, read_chunk,
    )  # fmt: skip


def _make_openai(protocol: str, root: str) -> Calls:
    import openai

    options: Any = {"base_url": f"{root}/v1", "api_key": KEY, "max_retries": 0}
    clients: Any = openai.OpenAI(**options), openai.AsyncOpenAI(**options)
    requests = _bodies(protocol)
    if protocol == "openai-chat":
        create, acreate = (client.chat.completions.create for client in clients)
        return _bind((create, create, acreate, acreate), *requests, _read_choice, _read_choice_chunk)
    create, acreate = (client.responses.create for client in clients)
    return _bind((create, create, acreate, acreate), *requests, _read_response, _read_responses_event)


def _make_anthropic(protocol: str, root: str) -> Calls:
    import anthropic

    options: Any = {"base_url": root, "api_key": KEY, "max_retries": 0}
    create, acreate = (
        anthropic.Anthropic(**options).messages.create,
        anthropic.AsyncAnthropic(**options).messages.create,
    )
    return _bind(
        (create, create, acreate, acreate),
        *_bodies(protocol),
        lambda answer: str(answer.content[0].text),
        lambda event: event.delta.text if event.type == "content_block_delta" else "",
    )


def _make_genai(protocol: str, root: str) -> Calls:
    from google import genai

    options: Any = {"base_url": root, "api_version": "v1beta"}
    client: Any = genai.Client(api_key=KEY, http_options=options)
    models, amodels = client.models, client.aio.models
    functions = models.generate_content, models.generate_content_stream
    afunctions = amodels.generate_content, amodels.generate_content_stream
    request = {"model": WIRES[protocol].model, "contents": "Hi"}

    def read(answer: Any, _: object = client) -> str:  # a client that nobody holds is closed
        return answer.text or ""

    return _bind(functions + afunctions, request, request, read, read)


def _make_cohere(protocol: str, root: str) -> Calls:
    import cohere

    options: Any = {"base_url": root, "api_key": KEY, "max_retries": 0}
    client, aclient = cohere.ClientV2(**options), cohere.AsyncClientV2(**options)
    request = _bodies(protocol)[0]
    functions: Any = client.chat, client.chat_stream, aclient.chat, aclient.chat_stream
    return _bind(
        functions,
        request,
        request,
        lambda answer: str(answer.message.content[0].text),
        lambda event: event.delta.message.content.text if event.type == "content-delta" else "",
    )


def _make_litellm(protocol: str, root: str) -> Calls:
    import litellm

    prefix, base = _LITELLM[protocol]
    model = f"{prefix}/{WIRES[protocol].model}"
    request = {"model": model, "api_base": root + base, "api_key": KEY, "max_retries": 0, "num_retries": 0}
    functions: Any
    if protocol == "openai-responses":
        functions = litellm.responses, litellm.responses, litellm.aresponses, litellm.aresponses
        request |= {"input": "Hi"}
        return _bind(functions, request, request | {"stream": True}, _read_response, _read_responses_event)
    functions = litellm.completion, litellm.completion, litellm.acompletion, litellm.acompletion
    request |= {"messages": [{"role": "user", "content": "Hi"}]}
    return _bind(functions, request, request | {"stream": True}, _read_choice, _read_choice_chunk)


def _bodies(protocol: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the fields of a request for a whole answer and of one for a stream."""
    wire = WIRES[protocol]
    return wire.request(False)[1], wire.request(True)[1]


def _read_choice(answer: Any) -> str:
    return str(answer.choices[0].message.content)


def _read_choice_chunk(chunk: Any) -> str:
    return (chunk.choices[0].delta.content or "") if chunk.choices else ""


def _read_response(answer: Any) -> str:
    return str(answer.output[0].content[0].text)


def _read_responses_event(event: Any) -> str:
    return event.delta if event.type == "response.output_text.delta" else ""


_SDKS = {
    "openai-chat": _make_openai,
    "anthropic-messages": _make_anthropic,
    "openai-responses": _make_openai,
    "gemini": _make_genai,
    "cohere-v2": _make_cohere,
}
_LITELLM = {  # its name of the provider, and the base URL that it takes
    "openai-chat": ("openai", "/v1"),
    "openai-responses": ("openai", "/v1"),
    "anthropic-messages": ("anthropic", ""),
    "gemini": ("gemini", "/v1beta"),
}
