"""The smallest real things that tests need: audio made in pure Python, the corpus where it is at hand, a server."""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import os
import socket
import struct
import sys
import tempfile
import threading
import time
from functools import lru_cache
from pathlib import Path
from typing import Dict, Tuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"  # beside a checkout in CI; absent elsewhere, and then said
CORPUS = SHARED / "corpus"
VECTORS = SHARED / "mpeg" / "vectors"

# The program as a process.  What is installed beside Python takes no part in it, nor in the time that it takes to begin.
PROGRAM = [sys.executable, "-S", str(ROOT / "audioserver.py")]

# Whoever runs the tests may have settings, keys and proxies of their own, which have no say in them.
for _name in [name for name in os.environ if name.startswith(("AUDIOSERVER_", "AWS_")) and name != "AUDIOSERVER_PORTABLE"]:
    del os.environ[_name]
for _name in ("no_proxy", "NO_PROXY"):
    os.environ[_name] = ",".join(filter(None, [os.environ.get(_name), "127.0.0.1,localhost,::1"]))

needs_corpus = pytest.mark.skipif(not CORPUS.is_dir(), reason="skipped: the corpus is not beside this checkout")
needs_vectors = pytest.mark.skipif(
    not VECTORS.is_dir(), reason="skipped: the MPEG vectors are not beside this checkout"
)


def expected() -> Dict[str, dict]:
    """What is true of each corpus file, by its path below the corpus; empty where there is none."""
    path = CORPUS / "expected.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


@lru_cache(maxsize=100)
def wav(seconds: float = 0.1, rate: int = 8000, channels: int = 1, pitch_hz: float = 440.0) -> bytes:
    """A small true WAV: 16-bit PCM, a sine at half scale."""
    frames = round(seconds * rate)
    tone = [round(16000 * math.sin(2 * math.pi * pitch_hz * n / rate)) for n in range(frames)]
    data = struct.pack("<%dh" % (frames * channels), *[sample for sample in tone for _ in range(channels)])
    fmt = struct.pack("<IHHIIHH", 16, 1, channels, rate, rate * channels * 2, channels * 2, 16)
    return b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + fmt + b"data" + struct.pack("<I", len(data)) + data


def long_wav(seconds: float, rate: int = 16000) -> bytes:
    """A true WAV of some length, made at once: one second of a sine again and again."""
    head, second = wav(1.0, rate)[:40], wav(1.0, rate)[44:]
    data = second * round(seconds)
    return head[:4] + struct.pack("<I", 36 + len(data)) + head[8:] + struct.pack("<I", len(data)) + data


def eventually(check, seconds: float = 60.0):
    """Wait until `check()` gives something, and give that; only what is broken takes so many seconds."""
    end = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.002)


def begun_since(before) -> list:
    """The threads that were not there `before`, which `threading.enumerate` gave; those of earlier tests may end meanwhile."""
    return [thread for thread in threading.enumerate() if thread not in before]


def request(address, method: str, target: str, body=None, headers=None) -> Tuple[int, Dict[str, str], bytes]:
    """One request on a connection of its own: (status, fields by lower-case name, body)."""
    connection = http.client.HTTPConnection(*address, timeout=60)
    try:
        connection.request(method, target, body, headers or {})
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def raw(address, data: bytes, *, end: bool = True, timeout: float = 60.0, then=None) -> bytes:
    """What the server sends for these very bytes, until it closes; `end` says that we send no more.

    `then` is called when the server has heard them.
    """
    with socket.create_connection(address, timeout=timeout) as sock:
        sock.sendall(data)
        if end:
            with contextlib.suppress(OSError):  # it has ended already: what it said of that is still here
                sock.shutdown(socket.SHUT_WR)
        if then:
            assert request(address, "GET", "/health")[0] == 200
            then()
        out = bytearray()
        while True:
            try:
                piece = sock.recv(65536)
            except ConnectionError:
                break
            if not piece:
                break
            out += piece
        return bytes(out)


@lru_cache(maxsize=None)
def _empty_catalogue() -> bytes:
    """A catalogue as a first start leaves it: to make one takes longer than most tests."""
    from storage import Storage

    with tempfile.TemporaryDirectory() as folder:
        Storage(folder).close()
        return Path(folder, "catalogue.db").read_bytes()


def _seed(data: Path) -> None:
    if not data.exists():
        data.mkdir(mode=0o700, parents=True)
        (data / "catalogue.db").touch(mode=0o600)
        (data / "catalogue.db").write_bytes(_empty_catalogue())


class Running:
    """A real server on a free port of loopback, in a thread, with its data in `data`."""

    def __init__(self, data, host="127.0.0.1", **settings) -> None:
        from audioserver import AudioServer  # here, so that a part's tests need only that part

        # AUDIOSERVER_PORTABLE=yes runs the whole suite on the paths that every platform has.
        settings.setdefault("portable", os.environ.get("AUDIOSERVER_PORTABLE") == "yes")
        settings.setdefault("linger_timeout", 60.0)  # a test may be held up for seconds in the middle of what it sends
        self.data = data
        if "catalogue" not in settings:
            _seed(Path(data))
        self.server = AudioServer((host, 0), data=str(data), **settings)
        self.address = ("127.0.0.1", self.server.server_port)
        self.url = self.server.url
        self._closed = False
        self._thread = threading.Thread(target=self.server.serve_forever)
        self._thread.start()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self.server.shutdown()
        self._thread.join()
        if not self._closed:
            self._closed = True
            self.server.server_close()
