"""A connection of the asynchronous engine: who reads is told of its end, whoever closes it."""

import asyncio

import pytest
from senders import build

from nbkit.http.clients import async_client
from nbkit.http.exchange import Failure, Kind
from nbkit.settings import override

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("body", [b"", b"2\r\nab\r\n"], ids=["before its first bytes", "behind them"])
def test_a_reader_ends_when_its_client_is_closed(serve, body):
    server = serve(HEAD + body)

    async def main():
        client = async_client(server.url, None)
        reply = await client.send(build(server.url))
        if body:
            assert await reply.receive() == b"ab"
        reading = asyncio.create_task(reply.receive())
        await asyncio.sleep(0)
        await client.aclose()
        with pytest.raises(Failure) as caught:
            await reading
        await reply.aclose()
        return caught.value.kind

    with override(http_engine="aiohttp"):
        assert asyncio.run(main()) is Kind.LOST
    assert server.sees_hang_up()


def test_the_deadline_ends_a_reader_who_comes_after_it(serve):
    server = serve(HEAD + b"2\r\nab\r\n")

    async def main():
        request = build(server.url, deadline=0.05)
        reply = await async_client(server.url, None).send(request)
        assert await reply.receive() == b"ab"
        while not request.exchange.expired:
            await asyncio.sleep(0.01)
        with pytest.raises(Failure) as caught:
            await reply.receive()
        await reply.aclose()
        return caught.value.kind

    with override(http_engine="aiohttp"):
        assert asyncio.run(main()) is Kind.READ_TIMEOUT
