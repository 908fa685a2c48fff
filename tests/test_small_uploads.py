"""Small bodies through a socket: most come whole with their head and wait in memory for others; some do not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from support import raw, wav

SMALL = wav(0.02)
CHUNKED = b"POST /post?name=%s HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n%s"
GIVEN = b"POST /post?name=%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s"


@pytest.mark.parametrize("request_of, status, why", [
    (lambda name: GIVEN % (name, 0, b""), b"415", "an empty body is here whole"),
    (lambda name: CHUNKED % (name, b"0\r\n\r\n"), b"415", "one that is found empty when it ends"),
    (lambda name: GIVEN % (name, len(SMALL), SMALL), b"201", "whole behind its head"),
    (lambda name: CHUNKED % (name, b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMALL), SMALL)), b"201", "chunked"),
])
def test_a_small_body_is_taken_whichever_way_it_comes(server, request_of, status, why):
    answers = raw(server.address, request_of(b"a.wav") + request_of(b"b.wav"))
    assert answers.count(b"HTTP/1.1 %s " % status) == 2, why
    assert list((server.data / "uploads").iterdir()) == []


def at_once(server, requests):
    """The answers, each on a connection of its own."""
    with ThreadPoolExecutor(len(requests)) as pool:
        return b"".join(pool.map(lambda request: raw(server.address, request), requests))


def test_what_comes_at_once_is_kept_each_under_its_name(server):
    sounds = {f"{number}.wav".encode(): wav(0.01 + number / 1000) for number in range(40)}
    answers = at_once(server, [GIVEN % (name, len(sound), sound) for name, sound in sounds.items()])
    assert answers.count(b"HTTP/1.1 201 ") == len(sounds)
    for name, sound in sounds.items():
        assert raw(server.address, b"GET /download?name=%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % name).endswith(b"\r\n\r\n" + sound)


def test_what_is_refused_leaves_nothing_and_holds_up_nobody(server):
    noise = b"this is no sound at all, whatever it is called"
    sent = [GIVEN % (b"%d.wav" % number, len(data), data) for number in range(10) for data in (noise, SMALL)]
    answers = at_once(server, sent)
    assert answers.count(b"HTTP/1.1 201 ") == 10 and answers.count(b"not-audio") >= 10
    assert len(list(server.data.glob("files/*/*"))) == 10 and list(server.data.glob("uploads/*")) == []
