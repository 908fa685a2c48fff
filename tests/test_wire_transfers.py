"""Bodies on the move, step by step, over a real pair of sockets."""

from __future__ import annotations

import os
import random
import select
import socket
import threading

import pytest

from audiokit.wire import transfers
from audiokit.wire.answers import Sink
from audiokit.wire.problems import Refusal
from audiokit.wire.transfers import _KEPT as KEPT
from audiokit.wire.transfers import AGAIN, DONE, WAIT, PeerGone, Receiving, Sending, Span

SOUND = bytes(range(256)) * 8192  # 2 MiB


@pytest.fixture
def pair():
    """(ours, not waiting; the client's), over TCP."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        theirs = socket.create_connection(listener.getsockname(), timeout=60)
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
    thread.join(60)
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
    thread.join(60)
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
        piece.keep()
        self.pieces.append(piece)
        self.parts.append(view)

    def empty(self):
        for piece in self.pieces:
            piece.give_back()
        self.pieces = []

    @property
    def content(self):
        return b"".join(map(bytes, self.parts))


@pytest.fixture
def shelf():
    """Gives back at the end what it kept: all share those pieces."""
    shelf = Shelf()
    yield shelf
    shelf.empty()


def receive_all(receiving, sock, budget=1 << 20):
    while True:
        outcome = receiving.step(budget)
        if outcome is DONE:
            return
        if outcome is WAIT:
            assert select.select([sock], [], [], 60)[0], "nothing more came"


def sent_by(sock, data):
    thread = threading.Thread(target=sock.sendall, args=(data,))
    thread.start()
    return thread


def large_body(size, seed):
    return random.Random(seed).getrandbits(8 * size).to_bytes(size, "little")


@pytest.mark.parametrize("size, first, why", [
    (1, 0, "a byte"),
    (100, 100, "all of it came with the head"),
    (2 << 20, 0, "one piece to the byte"),
    ((2 << 20) + 1, 0, "a byte more than a piece"),
    (5_555_555, 999, "pieces, and a part that came with the head"),
    (20 << 20, 0, "more than may be kept at a time"),
])
def test_a_body_arrives_as_it_was_sent_whoever_keeps_its_pieces(pair, shelf, size, first, why):
    ours, theirs = pair
    body = large_body(size, size)
    thread = sent_by(theirs, body[first:])
    receiving = Receiving(ours, shelf, size, body[:first], 1 << 30)
    receive_all(receiving, ours)
    thread.join(60)
    assert receiving.is_complete and receiving.received == size
    assert shelf.content == body


@pytest.fixture
def all_is_worth_it(monkeypatch):
    """A piece is lent however little came at once, which is for the system to say and not for a test."""
    monkeypatch.setattr(transfers, "_WORTH", 1)


def received_until(pair, shelf, kept):
    """Bodies received until the shelf has `kept` pieces, 50 at most."""
    ours, theirs = pair
    whole = []
    for seed in range(50):
        body = large_body(4 << 20, seed)
        thread = sent_by(theirs, body)
        receive_all(Receiving(ours, shelf, len(body), b"", 1 << 30), ours)
        thread.join(60)
        whole.append(body)
        if len(shelf.pieces) >= kept:
            break
    assert len(shelf.pieces) >= kept, "too little was lent"
    return b"".join(whole)


def test_what_is_kept_stays_as_it_is_until_it_is_given_back(pair, shelf, all_is_worth_it):
    first = received_until(pair, shelf, 1)
    second = received_until(pair, shelf, 2)
    assert shelf.content == first + second


def test_pieces_are_lent_again_when_they_came_back_however_a_body_ended(pair, shelf, all_is_worth_it):
    """A sink that refuses gives back what came with the call: all pieces can be had again, and no more than those."""
    class Refusing(Shelf):
        def write(self, piece):
            raise Refusal("no-space", "the disk is full")

        def lend(self, view, piece):
            self.write(view)

    ours, theirs = pair
    body = large_body(4 << 20, 7)
    for _ in range(10):
        thread = sent_by(theirs, body)
        receiving = Receiving(ours, Refusing(), len(body), b"", 1 << 30)
        with pytest.raises(Refusal):
            receive_all(receiving, ours)
        receive_all(Receiving(ours, Sink(), len(body) - receiving.received, b"", 1 << 30), ours)
        thread.join(60)
    for _ in range(2):
        received_until(pair, shelf, KEPT)
        assert len(shelf.pieces) == KEPT
        shelf.empty()


def test_a_body_is_read_no_further_than_its_end(pair, shelf):
    ours, theirs = pair
    theirs.sendall(b"x" * 1000 + b"GET / HTTP/1.1")
    receiving = Receiving(ours, shelf, 1000, b"", 1 << 30)
    receive_all(receiving, ours)
    assert shelf.content == b"x" * 1000
    assert ours.recv(100) == b"GET / HTTP/1.1", "the next request stays where a poller sees it"


def test_a_body_that_ends_early_says_how_much_came(pair, shelf):
    ours, theirs = pair

    def speak():
        theirs.sendall(b"x" * 700_000)
        theirs.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=speak)
    thread.start()
    with pytest.raises(Refusal, match="after 700000 bytes, 300000 more bytes missing"):
        receive_all(Receiving(ours, shelf, 1_000_000, b"", 1 << 30), ours)
    thread.join(60)


def test_a_client_that_trickles_takes_no_piece_from_the_others(pair, shelf):
    ours, theirs = pair
    receiving = Receiving(ours, shelf, 2_000_000, b"", 1 << 30)
    for _ in range(20):
        theirs.sendall(b"x" * 1000)
        assert select.select([ours], [], [], 60)[0]
        assert receiving.step() is WAIT
    assert shelf.content == b"x" * 20_000 and not shelf.pieces


@pytest.mark.parametrize("size, why", [(1, "bytes"), (4095, "short ones"), (5000, "long ones"), (1 << 20, "one of all")])
def test_chunks_arrive_as_they_were_sent_and_short_ones_together(pair, shelf, size, why):
    """A byte a chunk is six times as much work on the wire; it must not be a write to the disk each as well."""
    ours, _ = pair
    body = large_body(60_000, 3)
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    wire = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\nGET /"
    receiving = Receiving(ours, shelf, None, wire, 1 << 30)
    assert receiving.step() is DONE
    assert shelf.content == body and receiving.leftover == b"GET /", why
    assert len(shelf.parts) == (1 if size < 4096 else len(parts)), why
