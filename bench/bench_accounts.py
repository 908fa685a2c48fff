#!/usr/bin/env python3
"""What it costs to know who asks: CPU time of one GET /info?id=… in the handler, without sockets, and of a password.

    python3 bench/bench_accounts.py

Medians of several rounds, in microseconds and milliseconds of the process's CPU time.  The first row is open mode.
"""

from __future__ import annotations

import base64
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from audiokit import credentials  # noqa: E402
from audioserver import AudioServer, Handler  # noqa: E402

ROUNDS, TURNS = 15, 4000


def cost_us(server, id, authorization=None):
    """Median CPU microseconds of an answered request."""
    field = f"Authorization: {authorization}\r\n" if authorization else ""
    block = f"GET /info?id={id} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n{field}\r\n".encode()
    handler = Handler(None, ("127.0.0.1", 1), server)
    found = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(TURNS):
            answer = handler.answer(block)
        found.append((time.process_time() - began) / TURNS * 1e6)
        assert answer.status == 200, answer
    return statistics.median(found)


def password_ms(server, name, password):
    """Median CPU milliseconds of looking at a password."""
    found = []
    for _ in range(7):
        began = time.process_time()
        server.authenticator._outcome(credentials.Basic(name, password), os.urandom(16), "10.0.0.1")
        found.append((time.process_time() - began) * 1e3)
    return statistics.median(found)


def stored(server, owner=0):
    """The id of a file of that owner."""
    from support import wav

    with server.storage.begin_upload(None) as upload:
        upload.write(wav())
        info = server.services.identify(upload.file, upload.written)
        return server.storage.keep(
            upload, name="a.wav", info=info, sha256="0" * 64, size=upload.written, metadata={}, owner=owner
        ).id


def main():
    print(f"Python {platform.python_version()}, {platform.machine()}")
    with tempfile.TemporaryDirectory() as folder, AudioServer(("127.0.0.1", 0), data=folder) as server:
        print(f"open mode                    {cost_us(server, stored(server)):8.2f} us")
        people = server.storage.people
        people.add("ann", credentials.hash_password("sesame", os.urandom(16)), False, 0)
        ann = people.named("ann").id
        token = credentials.new_token(os.urandom(credentials.TOKEN_CHANCE_BYTES))
        people.add_token(token.id, ann, token.digest, ("read",), "", 0, None)
        server.authenticator.changed()
        mine = stored(server, ann)
        basic = "Basic " + base64.b64encode(b"ann:sesame").decode()
        shown = credentials.Basic("ann", "sesame")
        server.authenticator._outcome(shown, server.authenticator._digest(basic.encode()), "127.0.0.1")
        print(f"a remembered password        {cost_us(server, mine, basic):8.2f} us")
        print(f"a token                      {cost_us(server, mine, 'Bearer ' + token.text):8.2f} us")
        for name, password, what in (
            ("ann", "sesame", "a right password"), ("ann", "wrong", "a wrong password"), ("bob", "wrong", "a wrong name"),
        ):
            print(f"{what:28} {password_ms(server, name, password):8.2f} ms")


if __name__ == "__main__":
    main()
