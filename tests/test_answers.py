"""What a route may answer besides a finished response: waiting, streaming, and what the client's leaving does."""

from __future__ import annotations

import os
import socket
import threading

import pytest
from support import raw, request

from audiokit import routes
from audiokit.wire.answers import Pending, Stream
from audiokit.wire.responses import FileBody, Response, json_response


@pytest.fixture
def at(server):
    """A function that puts a route at /here for this test, and the server's address."""
    def put(route):
        routes.ROUTES["/here"] = {"GET": routes.Rule(route, "read")}
        return server.address

    yield put
    routes.ROUTES.pop("/here", None)


def test_a_pending_answer_comes_when_it_is_made(at):
    replies = []

    def begin(reply):
        replies.append(reply)
        threading.Thread(target=reply, args=(json_response(b'"made"'),)).start()
        return lambda: None

    address = at(lambda request: Pending(begin))
    assert request(address, "GET", "/here")[2] == b'"made"\n'
    assert len(replies) == 1


def test_a_client_that_leaves_while_it_waits_cancels(at):
    cancelled = threading.Event()
    address = at(lambda request: Pending(lambda reply: cancelled.set))
    with socket.create_connection(address) as sock:
        sock.sendall(b"GET /here HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert not cancelled.is_set()
    assert cancelled.wait(60)


def test_a_request_behind_a_pending_one_waits_its_turn(at):
    held = []
    begun = threading.Event()

    def begin(reply):
        held.append(reply)
        begun.set()
        return lambda: None

    address = at(lambda request: Pending(begin))
    with socket.create_connection(address, timeout=60) as sock:
        sock.sendall(b"GET /here HTTP/1.1\r\nHost: localhost\r\n\r\nGET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert begun.wait(60)
        held[0](Response(204))
        data = b""
        while b"404" not in data:
            data += sock.recv(65536)
        assert data.startswith(b"HTTP/1.1 204 ")


def test_a_stream_sends_what_is_pushed_and_ends_when_told(at):
    stopped = threading.Event()

    def begin(push):
        def work():
            for piece in (b"one\n", b"two\n", None):
                push(piece)

        threading.Thread(target=work).start()
        return stopped.set

    address = at(lambda request: Stream(Response(200, (("Content-Type", "text/plain"),)), begin))
    status, fields, body = request(address, "GET", "/here")
    assert (status, body) == (200, b"one\ntwo\n")
    assert fields["connection"] == "close" and "content-length" not in fields
    assert stopped.wait(60)


def rest_of(sock, data):
    """All that comes, behind what came already."""
    pieces = [data]
    while pieces[-1]:
        pieces.append(sock.recv(1 << 20))
    return b"".join(pieces)


def test_a_second_reply_does_not_break_into_the_answer_that_is_being_sent(at):
    held = []
    body = bytes(20_000_000)  # more than the kernel keeps on its way

    def begin(reply):
        held.append(reply)
        reply(Response(200, (), body))
        return lambda: None

    address = at(lambda request: Pending(begin))
    with socket.create_connection(address, timeout=60) as sock:
        sock.sendall(b"GET /here HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        first = sock.recv(1000)
        held[0](Response(204))
        assert request(address, "GET", "/health")[0] == 200  # the loop has heard it by now
        assert rest_of(sock, first).endswith(b"\r\n\r\n" + body)


def test_what_is_pushed_behind_the_end_of_a_stream_does_not_cut_it(at, server):
    held = []
    pushed = b""
    address = at(lambda request: Stream(Response(200), lambda push: held.append(push) or (lambda: None)))
    with socket.create_connection(address, timeout=60) as sock:
        sock.sendall(b"GET /here HTTP/1.1\r\nHost: localhost\r\n\r\n")
        first = sock.recv(1000)
        assert request(address, "GET", "/health")[0] == 200  # the stream has begun by now
        (stream,) = (one for one in list(server.server.reactor._connections.values()) if one.state == "streaming")
        while not stream.sending.left:  # until the kernel takes no more
            held[0](bytes(100_000))
            pushed += bytes(100_000)
            assert request(address, "GET", "/health")[0] == 200  # the loop has heard it by now
        for piece in (None, b"late", None):
            held[0](piece)
        assert request(address, "GET", "/health")[0] == 200
        assert rest_of(sock, first).endswith(b"\r\n\r\n" + pushed)


def test_a_stream_is_stopped_when_its_reader_leaves(at):
    stopped = threading.Event()
    address = at(lambda request: Stream(Response(200), lambda push: stopped.set))
    with socket.create_connection(address) as sock:
        sock.sendall(b"GET /here HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert sock.recv(1000).startswith(b"HTTP/1.1 200")
    assert stopped.wait(60)


@pytest.mark.parametrize("log", ["none", "json"])
def test_an_answer_that_cannot_be_encoded_ends_its_connection_and_nothing_else(at, running, tmp_path, log):
    """A fault of ours: it is reported, the file is closed, and the others never notice."""
    path, ends = tmp_path / "file", []
    path.write_bytes(bytes(1000))

    def route(request):
        body = FileBody(os.open(path, os.O_RDONLY), [(b"", 0, 1000)], b"", 1000, ends.append)
        return Response(200, (("X-Two", "lines\nin one"),), file=body)

    at(route)
    other = running(tmp_path / "other", log=log)
    faults = []
    other.server.reactor._on_bug = lambda error: faults.append(type(error))
    assert raw(other.address, b"GET /here HTTP/1.1\r\nHost: localhost\r\n\r\n") == b""
    assert request(other.address, "GET", "/health")[0] == 200
    assert (faults, ends) == ([ValueError], [False])


def test_a_file_says_whether_all_of_it_was_handed_over(at, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(40_000_000))
    ends, ended = [], threading.Event()

    def on_end(whole):
        ends.append(whole)
        ended.set()

    def route(request):
        fd = os.open(path, os.O_RDONLY)
        return Response(200, file=FileBody(fd, [(b"", 0, 40_000_000)], b"", 40_000_000, on_end))

    address = at(route)
    assert len(request(address, "GET", "/here")[2]) == 40_000_000
    assert ended.wait(60) and ends == [True]
    ended.clear()
    with socket.create_connection(address) as sock:
        sock.sendall(b"GET /here HTTP/1.1\r\nHost: localhost\r\n\r\n")
        sock.recv(1000)
    assert ended.wait(60) and ends == [True, False]
