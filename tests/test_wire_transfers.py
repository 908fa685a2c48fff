"""Bodies on the move, step by step, over a real pair of sockets."""

from __future__ import annotations

import os
import random
import select
import socket
import threading

import pytest

from audiokit.wire.answers import Sink
from audiokit.wire.problems import Refusal
from audiokit.wire.transfers import AGAIN, DONE, WAIT, PeerGone, Receiving, Sending, Span

SOUND = bytes(range(256)) * 8192  # 2 MiB


@pytest.fixture
def pair():
    """(ours, not waiting; the client's), over TCP."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        theirs = socket.create_connection(listener.getsockname(), timeout=20)
        ours, _ = listener.accept()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "sound"
    path.write_bytes(SOUND)
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    yield fd
    os.close(fd)


def received(sock, count):
    """A thread that reads `count` bytes, and where they go."""
    got = bytearray()

    def read():
        while len(got) < count:
            data = sock.recv(1 << 16)
            if not data:
                return
            got.extend(data)

    thread = threading.Thread(target=read)
    thread.start()
    return thread, got


def send_all(sending, budget=1 << 20):
    while True:
        outcome = sending.step(budget)
        if outcome is DONE:
            return
        assert outcome in (WAIT, AGAIN)


@pytest.mark.parametrize("portable", [False, True], ids=["", "portable"])
@pytest.mark.parametrize("spans, why", [
    ([(0, len(SOUND))], "the whole file"),
    ([(0, 1)], "a byte"),
    ([(5, 300000), (7, 8), (1 << 20, len(SOUND))], "ranges large and small"),
])
def test_pieces_arrive_in_order(pair, file, portable, spans, why):
    ours, theirs = pair
    expected = b"head" + b"".join(b"--" + SOUND[start:stop] for start, stop in spans) + b"end"
    sending = Sending(ours, portable)
    sending.add(b"head")
    for start, stop in spans:
        sending.add(b"--")
        sending.add(Span(file, start, stop))
    sending.add(b"end")
    thread, got = received(theirs, len(expected))
    send_all(sending)
    thread.join(20)
    assert bytes(got) == expected
    assert sending.sent == len(expected) and not sending.left


@pytest.mark.skipif(not hasattr(socket, "TCP_CORK"), reason="skipped: no TCP_CORK here")
def test_what_is_out_is_not_held_back(pair, file):
    ours, theirs = pair
    sending = Sending(ours)
    sending.add(Span(file, 0, len(SOUND)))
    assert sending.step(1) is AGAIN
    assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_CORK), "a large file leaves in full segments"
    thread, _ = received(theirs, len(SOUND))
    send_all(sending)
    thread.join(20)
    assert not ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_CORK), "or its end would wait for 200 ms"


@pytest.mark.parametrize("portable", [False, True], ids=["", "portable"])
def test_a_file_that_became_shorter_ends_the_connection(pair, file, portable):
    ours, theirs = pair
    sending = Sending(ours, portable)
    sending.add(Span(file, len(SOUND) - 10, len(SOUND) + 10))
    with pytest.raises(PeerGone, match="10 bytes early"):
        send_all(sending)


class Shelf(Sink):
    """A sink that keeps all it may, as lent, and copies the rest."""

    def __init__(self):
        self.parts, self.pieces = [], []

    def write(self, piece):
        self.parts.append(bytes(piece))

    def lend(self, view, piece):
        if piece.keep():
            self.pieces.append(piece)
            self.parts.append(view)
        else:
            self.write(view)

    def empty(self):
        for piece in self.pieces:
            piece.give_back()
        self.pieces = []

    @property
    def content(self):
        return b"".join(map(bytes, self.parts))


@pytest.fixture
def shelf():
    shelf = Shelf()
    yield shelf
    shelf.empty()


def receive_all(receiving, sock, budget=1 << 20):
    while True:
        outcome = receiving.step(budget)
        if outcome is DONE:
            return
        if outcome is WAIT:
            assert select.select([sock], [], [], 20)[0], "nothing more came"


def sent_by(sock, data):
    thread = threading.Thread(target=sock.sendall, args=(data,))
    thread.start()
    return thread


def large_body(size, seed):
    return random.Random(seed).getrandbits(8 * size).to_bytes(size, "little")


@pytest.mark.parametrize("size, first, why", [
    (1, 0, "a byte"),
    (100, 100, "all of it came with the head"),
    (1 << 20, 0, "one piece to the byte"),
    ((1 << 20) + 1, 0, "a byte more than a piece"),
    (3_333_333, 999, "pieces, and a part that came with the head"),
    (20 << 20, 0, "more than may be kept at a time"),
])
def test_a_body_arrives_as_it_was_sent_whoever_keeps_its_pieces(pair, shelf, size, first, why):
    ours, theirs = pair
    body = large_body(size, size)
    thread = sent_by(theirs, body[first:])
    receiving = Receiving(ours, shelf, size, body[:first], 1 << 30)
    receive_all(receiving, ours)
    thread.join(20)
    assert receiving.is_complete and receiving.received == size
    assert shelf.content == body


def test_what_is_kept_stays_as_it_is_until_it_is_given_back(pair, shelf):
    ours, theirs = pair
    for turn in range(2):  # by the second body the first one's pieces are still on the shelf
        body = large_body(12 << 20, turn)
        thread = sent_by(theirs, body)
        before = len(shelf.parts)
        receive_all(Receiving(ours, shelf, len(body), b"", 1 << 30), ours)
        thread.join(20)
        assert b"".join(map(bytes, shelf.parts[before:])) == body
        assert turn or shelf.pieces, "nothing was lent at all"
    assert shelf.content == large_body(12 << 20, 0) + large_body(12 << 20, 1)


def test_pieces_are_lent_again_when_they_came_back_however_a_body_ended(pair, shelf):
    """A sink that refuses, a client that goes: each time the next body finds as many pieces as the first."""
    class Refusing(Shelf):
        def lend(self, view, piece):
            raise Refusal("no-space", "the disk is full")

    ours, theirs = pair
    body = large_body(16 << 20, 7)
    found = []
    for _ in range(3):
        for _ in range(20):
            theirs.sendall(body[:600_000])
            with pytest.raises(Refusal):
                receive_all(Receiving(ours, Refusing(), 600_000, b"", 1 << 30), ours)
        thread = sent_by(theirs, body)
        receive_all(Receiving(ours, shelf, len(body), b"", 1 << 30), ours)
        thread.join(20)
        found.append(len(shelf.pieces))
        shelf.empty()
    assert found[0] == found[1] == found[2] > 0


def test_a_body_is_read_no_further_than_its_end(pair, shelf):
    ours, theirs = pair
    theirs.sendall(b"x" * 1000 + b"GET / HTTP/1.1")
    receiving = Receiving(ours, shelf, 1000, b"", 1 << 30)
    receive_all(receiving, ours)
    assert shelf.content == b"x" * 1000
    assert ours.recv(100) == b"GET / HTTP/1.1", "the next request stays where a poller sees it"


def test_a_body_that_ends_early_says_how_much_came(pair, shelf):
    ours, theirs = pair
    theirs.sendall(b"x" * 700_000)
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(Refusal, match="after 700000 bytes, 300000 more bytes missing"):
        receive_all(Receiving(ours, shelf, 1_000_000, b"", 1 << 30), ours)


def test_a_client_that_trickles_takes_no_piece_from_the_others(pair, shelf):
    ours, theirs = pair
    receiving = Receiving(ours, shelf, 2_000_000, b"", 1 << 30)
    for _ in range(20):
        theirs.sendall(b"x" * 1000)
        assert select.select([ours], [], [], 20)[0]
        assert receiving.step() is WAIT
    assert shelf.content == b"x" * 20_000 and not shelf.pieces
