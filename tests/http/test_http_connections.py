"""Connections that are kept between the requests of threads: real ones, to servers that count them."""

import socket
import threading
import time
from contextlib import closing

import pytest
from senders import build, send

from nbkit.http.clients import sync_client
from nbkit.http.exchange import Failure, Kind
from nbkit.settings import override


def open_reply(server, **times):
    request = build(server.url, **times)
    return sync_client(server.url, None).send(request), request


def test_requests_one_after_the_other_share_a_connection(serve, response):
    server = serve(response(b"{}"))
    for _ in range(5):
        assert send(server.url).body == b"{}"
    assert (server.connections, len(server.requests)) == (1, 5)


def test_requests_at_the_same_time_have_one_each_and_the_last_used_is_taken_first(serve, response):
    server = serve(response(b"{}"))
    replies = [open_reply(server)[0] for _ in range(3)]
    assert server.connections == 3
    for reply in replies:
        while reply.receive():
            pass
        reply.close()
    for _ in range(4):
        send(server.url)
    assert server.connections == 3


def test_what_is_left_early_is_closed(serve, response):
    server = serve(response(b"x" * 200_000))
    reply, _ = open_reply(server)
    assert reply.receive()
    reply.close()
    reply.close()  # twice is once
    assert server.sees_hang_up()
    send(server.url)
    assert server.connections == 2


def test_one_that_the_server_has_closed_is_not_used_again(serve, response):
    def answer(connection, request):
        connection.sendall(response(b"{}"))
        connection.shutdown(socket.SHUT_RDWR)

    server = serve(answer)
    for _ in range(3):
        assert send(server.url).body == b"{}"
    assert server.connections == 3


def test_a_request_waits_for_a_connection_where_all_are_in_use(serve, response):
    server = serve(response(b"{}"))
    with override(max_connections=1):
        reply, _ = open_reply(server)
        with pytest.raises(Failure) as caught:
            open_reply(server, pool=0.01)
        assert caught.value.kind is Kind.POOL_TIMEOUT
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(send(server.url)))
        waiting.start()
        while reply.receive():
            pass
        reply.close()
        waiting.join()
        assert [answer.body for answer in answers] == [b"{}"]
    assert server.connections == 1


def test_what_is_idle_makes_room_for_another_server(serve, response):
    """Two servers behind one client, as for media of several hosts."""
    first, second = serve(response(b"{}")), serve(response(b"{}"))
    with override(max_connections=1):
        client = sync_client(first.url, None)
        for server in (first, second, first):
            request = build(server.url)
            with closing(client.send(request)) as reply:
                while reply.receive():
                    pass
    assert (first.connections, second.connections) == (2, 1)


def test_no_more_are_kept_than_the_setting_says(serve, response):
    server = serve(response(b"{}"))
    with override(max_keepalive_connections=1):
        replies = [open_reply(server)[0] for _ in range(3)]
        for reply in replies:
            while reply.receive():
                pass
            reply.close()
        for _ in range(2):
            assert server.sees_hang_up()
        send(server.url)
    assert server.connections == 3


def test_a_server_that_cannot_be_reached_leaves_its_place(serve, response):
    server = serve(response(b"{}"))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        with override(max_connections=1):
            client = sync_client(server.url, None)
            for _ in range(3):
                with pytest.raises(Failure) as caught:
                    client.send(build(nobody))
                assert caught.value.kind is Kind.NOT_CONNECTED
            with closing(client.send(build(server.url))) as reply:
                assert reply.receive() == b"{}"


def test_threads_in_plenty_never_share_one_at_the_same_time(serve, response):
    def answer(connection, request):
        time.sleep(0.001)
        connection.sendall(response(request.partition(b"\r\n\r\n")[2]))

    server = serve(answer)
    wrong = []

    def ask(number):
        for turn in range(20):
            body = f"{number} {turn}".encode()
            if send(server.url, body).body != body:
                wrong.append(body)

    with override(max_connections=4):
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert server.connections <= 4
    assert len(server.requests) == 240
