"""Bodies on the move, step by step, over a real pair of sockets."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from audiokit.wire.transfers import AGAIN, DONE, WAIT, PeerGone, Sending, Span

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
