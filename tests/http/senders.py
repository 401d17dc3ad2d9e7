"""One request through the seam: from a thread, and in an event loop of its own; two functions of one form."""

import asyncio
import time
from contextlib import aclosing, closing, contextmanager
from typing import NamedTuple

from nbkit.http.bounded import aread_limited, read_limited
from nbkit.http.clients import async_client, sync_client
from nbkit.http.exchange import Exchange, Failure, Request
from nbkit.http.failures import transport_error

PATIENT = 600.0
"""Seconds, for what must not run out of time on a busy machine."""


class Answer(NamedTuple):
    status: int
    headers: dict
    body: bytes


def build(url, body=b"{}", *, method="POST", headers=(), deadline=PATIENT, alone=False, **times):
    """A request; `times` are those of its exchange: connect, read, write, pool."""
    waits = dict.fromkeys(("connect", "read", "write", "pool"), PATIENT) | times
    return Request(method, url, Exchange(time.monotonic() + deadline, alone=alone, **waits), dict(headers), body)


@contextmanager
def explaining(request):
    """Turn a failure into the error that a call raises."""
    try:
        yield
    except Failure as failed:
        error = transport_error(failed, request.url, request.exchange)
    else:
        return
    raise error


def send(url, *args, auth=None, **options):
    request = build(url, *args, **options)
    with explaining(request), closing(sync_client(url, auth).send(request)) as reply:
        return Answer(reply.status, dict(reply.headers), read_limited(reply, request.exchange))


async def post(url, *args, auth=None, **options):
    """`send`, in the running event loop."""
    request = build(url, *args, **options)
    with explaining(request):
        async with aclosing(await async_client(url, auth).send(request)) as reply:
            return Answer(reply.status, dict(reply.headers), await aread_limited(reply, request.exchange))


def asend(url, *args, **options):
    return asyncio.run(post(url, *args, **options))
