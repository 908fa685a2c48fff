"""Large uploads past the page cache: the same bytes, the same errors, and nothing that is kept for ever."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import random
import struct
import tempfile
from mmap import PAGESIZE, mmap

import pytest
from support import request

from audiokit import spool
from audiokit.blobs.direct import DirectWriter
from audiokit.blobs.fileops import FileOps
from audiokit.spool import Spool
from audiokit.wire.problems import Refusal

pytestmark = pytest.mark.skipif(not hasattr(os, "preadv"), reason="skipped: nothing is lent here")
LARGE = spool.DIRECT_BYTES
PAGES = 8 * PAGESIZE


class Plain(FileOps):
    """A file system that writes through the page cache only."""

    def open_direct(self, path):
        return None


class Choosy(FileOps):
    """One that takes no direct write: told by the write, as some do, and not by the opening."""

    def write_direct(self, descriptor, data, position):
        odd = memoryview(mmap(-1, len(data) + 1))[1:]  # memory that begins in the middle of a word: EINVAL
        odd[:] = data
        super().write_direct(descriptor, odd, position)


class Counting(FileOps):
    """Says how much was written in which way; the `at`-th direct write fails."""

    def __init__(self, at=0, error=None):
        self.direct = self.plain = self.calls = 0
        self.at, self.error = at, error

    def write(self, file, data):
        count = super().write(file, data)
        self.plain += count
        return count

    def write_direct(self, descriptor, data, position):
        self.calls += 1
        if self.calls == self.at:
            raise self.error
        super().write_direct(descriptor, data, position)
        self.direct += len(data)


class Piece:
    """Memory that begins with a page, and how often it is kept."""

    def __init__(self, data):
        self.holders = 0
        self.view = memoryview(mmap(-1, max(1, len(data))))[: len(data)]
        self.view[:] = data

    def keep(self):
        self.holders += 1

    def give_back(self):
        self.holders -= 1


def noise(count, seed=1):
    return random.Random(seed).getrandbits(8 * count + 8).to_bytes(count + 1, "little")[:count]


def begun(folder, ops, expected=LARGE):
    return Spool(folder, ops, 0, lambda: None).begin(expected)


def takes_direct_writes():
    """Whether the place where tests keep their files does: one in memory does from Linux 6.6 on."""
    with contextlib.suppress(AttributeError, OSError), tempfile.NamedTemporaryFile() as file:
        os.close(os.open(file.name, os.O_WRONLY | os.O_DIRECT))
        return True
    return False


has_direct = pytest.mark.skipif(not takes_direct_writes(), reason="skipped: nothing is written past the page cache here")


@pytest.mark.parametrize("make, why", [
    (FileOps, "what this system does"),
    (Plain, "a system or file system without direct writing"),
    (Choosy, "one that says so only when it is tried"),
])
@pytest.mark.parametrize("seed", range(6))
def test_a_file_has_the_bytes_in_order_whichever_way_they_went(tmp_path, make, why, seed):
    rng = random.Random(seed)
    pieces, whole = [], b""
    with begun(tmp_path / "uploads", make()) as upload:
        for turn in range(rng.randrange(1, 20)):
            data = noise(rng.choice((PAGES, PAGES, PAGES, 3 * PAGESIZE + 5, PAGESIZE - 5, 1)), turn)
            whole += data
            if rng.random() < 0.7:
                pieces.append(Piece(data))
                upload.lend(pieces[-1].view, pieces[-1])
            else:
                upload.write(data)
            assert upload.written == len(whole)
        upload.settle()
        with open(upload.path, "rb") as file:
            assert file.read() == whole
        assert [piece.holders for piece in pieces] == [0] * len(pieces)


@has_direct
@pytest.mark.parametrize("expected, before, count, direct, why", [
    (LARGE, 0, PAGES, PAGES, "whole pages of a large file"),
    (LARGE, 0, PAGES + 7, PAGES, "the part of a page behind them goes the other way"),
    (LARGE, 7, PAGES, 0, "not where a page is begun already"),
    (LARGE - 1, 0, PAGES, 0, "a small file is likely to be read soon"),
    (None, 0, PAGES, 0, "and so may be one of unknown length"),
    (LARGE, PAGESIZE, PAGES, PAGES, "behind a page that was written in the other way"),
])
def test_what_goes_past_the_page_cache(tmp_path, expected, before, count, direct, why):
    ops, piece = Counting(), Piece(noise(count))
    with begun(tmp_path / "uploads", ops, expected) as upload:
        upload.write(bytes(before))
        upload.lend(piece.view, piece)
        upload.settle()
        assert (ops.direct, ops.plain) == (direct, before + count - direct), why


@pytest.mark.parametrize("number, expected", [(errno.ENOSPC, Refusal), (errno.EIO, OSError)])
@pytest.mark.parametrize("at", [1, 2, 5])
@has_direct
def test_a_write_that_fails_later_fails_the_upload(tmp_path, at, number, expected):
    """At the next piece or at the end, and whatever is still lent comes back."""
    pieces = [Piece(noise(PAGES, n)) for n in range(5)]
    with begun(tmp_path / "uploads", Counting(at, OSError(number, os.strerror(number)))) as upload:
        with pytest.raises(expected):
            for piece in pieces:
                upload.lend(piece.view, piece)
            upload.settle()
        with pytest.raises(expected):
            upload.settle()
    assert [piece.holders for piece in pieces] == [0] * 5
    assert os.listdir(tmp_path / "uploads") == []


class Idle:
    """A crew that never does what it is given."""

    def submit(self, task):
        pass


@has_direct
def test_whoever_finishes_writes_what_nobody_has_begun(tmp_path):
    path, piece = tmp_path / "a", Piece(noise(PAGES))
    path.write_bytes(b"")
    writer = DirectWriter(FileOps(), str(path), Idle())
    writer.lend(PAGES, piece.view, piece)
    writer.finish()
    assert path.read_bytes() == bytes(PAGES) + noise(PAGES) and not piece.holders
    writer.close()


def is_open(path):
    """Whether this process has a descriptor of it."""
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # closed since: that which listed them, if no other
            if os.readlink(f"/proc/self/fd/{descriptor}") == os.path.realpath(path):
                return True
    return False


@has_direct
def test_what_is_given_up_is_not_written_and_comes_back(tmp_path):
    path, piece = tmp_path / "a", Piece(noise(PAGES))
    path.write_bytes(b"")
    writer = DirectWriter(FileOps(), str(path), Idle())
    writer.lend(0, piece.view, piece)
    assert is_open(path)
    writer.close()
    writer.close()
    assert path.read_bytes() == b"" and not piece.holders
    assert not is_open(path)


@pytest.mark.parametrize("more", [0, 1, PAGESIZE])
def test_a_large_upload_is_what_was_sent(both_ways, more, monkeypatch):
    """Over a socket, whole pages and not: the same digest, the same bytes."""
    monkeypatch.setattr(spool, "DIRECT_BYTES", 8 << 20)
    count = (10 << 20) + more - 44
    data = noise(1 << 16) * (count // (1 << 16)) + noise(count % (1 << 16), 2)
    head = b"RIFF" + (count + 36).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    head += struct.pack("<HHIIHH", 1, 1, 8000, 8000, 1, 8) + b"data" + count.to_bytes(4, "little")
    whole = head + data
    status, _, body = request(both_ways.address, "POST", f"/post?name=large-{more}.wav", whole)
    assert status == 201
    assert json.loads(body)["sha256"] == hashlib.sha256(whole).hexdigest()
    status, _, body = request(both_ways.address, "GET", f"/download?name=large-{more}.wav")
    assert status == 200 and body == whole
