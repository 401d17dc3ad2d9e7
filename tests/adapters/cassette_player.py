"""Plays a cassette back: its responses come from a server on 127.0.0.1, through adapters and decoders."""

import asyncio
import json

from scripted_provider import Answer

from nbkit.adapters.cassette import read_pieces
from nbkit.adapters.factory import get_adapter


def read_cassette(path):
    """The head of a cassette, and its attempts."""
    head, *lines = map(json.loads, path.read_text("utf-8").splitlines())
    assert head.pop("cassette") == 1
    return head, lines


def make_answer(response):
    headers = dict(response["headers"])
    kind = headers.pop("content-type", "application/json")
    return Answer(response["status"], b"".join(read_pieces(response)), kind, headers)


def play(provider, line, asynchronous=False, conversation="Hi", **options):
    """Ask as the line's call did, and get what it got: the completion, or the error that is raised."""
    provider.says(make_answer(line["response"]))
    name = f"{line['provider']}/{line['model']}"
    adapter = get_adapter(name, base_url=provider.url, protocol=line["protocol"], api_key="sk-test", max_retries=0)

    async def aplay():
        if not line["stream"]:
            return await adapter.aexecute(conversation, **options)
        async with adapter.astream(conversation, **options) as stream:
            return await stream

    if asynchronous:
        return asyncio.run(aplay())
    if not line["stream"]:
        return adapter.execute(conversation, **options)
    with adapter.stream(conversation, **options) as stream:
        return stream.completion
