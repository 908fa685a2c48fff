"""The log of requests: one line each, whatever became of it, with nothing in it that could be a credential."""

from __future__ import annotations

import io
import json
import re
import socket
import struct
import sys

import pytest
from support import long_wav, raw, request, wav

SOUND = wav(0.1)
HOST = b"Host: localhost\r\n"
POST = b"POST /post?name=a.wav HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(SOUND)


@pytest.fixture
def logged(running, monkeypatch):
    """A function that starts a server, and one that ends it and gives the lines of its log."""
    stream = io.StringIO()

    def start(**settings):
        monkeypatch.setattr(sys, "stderr", stream)
        server = running(**{"log": "json", **settings})

        def lines():
            server.__exit__()
            return stream.getvalue().splitlines()

        return server, lines

    return start


ONE_LINE = [  # what is sent, method, path, status, why
    (b"GET /health?x=secret HTTP/1.1\r\n" + HOST + b"\r\n", "GET", "/health", 400, "no query is logged"),
    (b"HEAD /list HTTP/1.1\r\n" + HOST + b"\r\n", "HEAD", "/list", 200, "a head"),
    (POST + SOUND, "POST", "/post", 201, "an upload"),
    (POST + SOUND[:-1], "POST", "/post", 400, "a body that ends early"),
    (b"GET /list HTTP/1.1\r\n" + HOST + b"Authorization: Basic secret\r\nCookie: secret\r\n\r\n", "GET", "/list", 200,
     "no field is logged"),
    (b"GET http://ann:secret@localhost/list HTTP/1.1\r\n" + HOST + b"\r\n", "-", "-", 400, "nor who asks by a target"),
    (b"GET /\x1b[31m HTTP/1.1\r\n" + HOST + b"\r\n", "-", "-", 400, "nothing steers a terminal"),
    (b"GET /%1b%0a HTTP/1.1\r\n" + HOST + b"\r\n", "-", "-", 400, "nothing makes a second line"),
    (b"BREW /list HTTP/1.1\r\n" + HOST + b"\r\n", "BREW", "/list", 501, "an unknown method"),
    (b"GET /list HTTP/1.1\r\nHost : x\r\n", "-", "-", 400, "a head refused before its end"),
    (b"GET /list HTTP/1.1\r\n", "-", "-", 400, "a head that ends early"),
    (b"POST /post HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\nExpect: x\r\n\r\n", "POST", "/post", 417, "an expectation"),
]


@pytest.mark.parametrize("data, method, path, status, why", ONE_LINE, ids=[row[-1] for row in ONE_LINE])
def test_a_request_has_one_line_with_the_bytes_of_its_answer(logged, data, method, path, status, why):
    server, lines = logged()
    answer = raw(server.address, data)
    (line,) = lines()
    entry = json.loads(line)
    assert (entry["method"], entry["path"], entry["status"]) == (method, path, status), why
    assert (entry["bytes"], entry["whole"], entry["client"]) == (len(answer), True, "127.0.0.1")
    assert "secret" not in line and "\x1b" not in line


def test_a_head_that_takes_too_long_has_its_line(logged, pass_time):
    server, lines = logged()
    answer = raw(server.address, b"GET /list HT", end=False, then=lambda: pass_time(10.1))
    _, line = lines()
    assert json.loads(line)["status"] == 408 and json.loads(line)["bytes"] == len(answer)


def test_a_file_has_one_line_when_it_is_sent_and_says_when_it_was_not_whole(logged):
    server, lines = logged()
    request(server.address, "POST", "/post?name=a.wav", long_wav(300))
    answer = raw(server.address, b"GET /download?name=a.wav HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(server.address)
        sock.sendall(b"GET /download?name=a.wav HTTP/1.1\r\n" + HOST + b"\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 200 ")
    _, whole, broken = map(json.loads, lines())
    assert (whole["status"], whole["bytes"], whole["whole"]) == (200, len(answer), True)
    assert (broken["status"], broken["whole"]) == (200, False) and broken["bytes"] < len(answer)


def test_a_client_that_leaves_in_the_middle_of_its_upload_has_a_line_without_a_status(logged):
    server, lines = logged(log="text")
    with socket.create_connection(server.address) as sock:
        sock.sendall(POST + SOUND[:100])
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # leave as a crash does
    assert request(server.address, "GET", "/health")[0] == 200
    found = [line for line in lines() if " /post " in line]
    assert len(found) == 1 and re.fullmatch(r"\S+Z 127.0.0.1 - POST /post - 0 [0-9.]+ms broken", found[0])


def test_events_have_one_line_with_all_their_bytes(logged):
    server, lines = logged()
    status, fields, _ = request(server.address, "POST", "/resample?async=true&format=wav&rate=8000", SOUND)
    answer = raw(server.address, b"GET %b/events HTTP/1.1\r\n" % fields["location"].encode() + HOST + b"\r\n", end=False)
    (entry,) = [entry for entry in map(json.loads, lines()) if entry["path"].endswith("/events")]
    assert (status, entry["status"], entry["bytes"], entry["whole"]) == (202, 200, len(answer), True)
