"""The contract of the blobs' door, against every kind of store: a directory, a small S3 of our own, and real ones."""

from __future__ import annotations

import hashlib
import os
import selectors
import time

import pytest
from engines import Rclone, Swift
from support import ROOT  # noqa: F401  (puts the program on the path)
from tiny_s3 import ENVIRONMENT, TinyS3

from audiokit.blobs import DirectoryBlobs, FileOps
from audiokit.blobs.parts import SMALLEST_PART, Sizes
from audiokit.blobs.s3 import S3Blobs

SIZES = Sizes(SMALLEST_PART, SMALLEST_PART)  # real stores refuse smaller parts


class Store:
    """A store, and a way to hand it files."""

    def __init__(self, folder, blobs):
        self.folder, self.blobs = folder, blobs

    def put(self, key, data):
        path = self.folder / "upload.part"
        path.write_bytes(data)
        self.blobs.put(key, open(path, "r+b", buffering=0), len(data), hashlib.sha256(data).hexdigest())
        assert not path.exists()

    def close(self):
        self.blobs.close()


class DirectoryStore(Store):
    def __init__(self, folder):
        super().__init__(folder, DirectoryBlobs(folder / "files", FileOps()))


class TinyStore(Store):
    def __init__(self, folder):
        self.tiny = TinyS3()
        super().__init__(folder, S3Blobs(self.tiny.url("a/b"), FileOps(), ENVIRONMENT, sizes=SIZES))

    def close(self):
        super().close()
        self.tiny.__exit__()


class RcloneStore(Store):
    def __init__(self, folder):
        self.engine = Rclone(folder)
        super().__init__(folder, S3Blobs(self.engine.url("a/b"), FileOps(), self.engine.environment, sizes=SIZES))

    def close(self):
        super().close()
        self.engine.kill()


class SwiftStore(Store):
    engine = None  # four processes: one for all tests

    def __init__(self, folder):
        engine = SwiftStore.engine
        prefix = "a/" + os.urandom(4).hex()
        super().__init__(folder, S3Blobs(engine.url(prefix), FileOps(), engine.environment, sizes=SIZES))


@pytest.fixture(scope="module", autouse=True)
def swift_ends():
    """Whoever began Swift ends it."""
    yield
    if SwiftStore.engine is not None:
        SwiftStore.engine.__exit__()


@pytest.fixture(params=[
    pytest.param(DirectoryStore, id="directory"),
    pytest.param(TinyStore, id="tiny"),
    pytest.param(RcloneStore, id="rclone", marks=pytest.mark.slow),
    pytest.param(SwiftStore, id="swift", marks=pytest.mark.slow),
])
def store(request, tmp_path, tmp_path_factory):
    """Every kind of store that keeps the door's contract."""
    if request.param is SwiftStore and SwiftStore.engine is None:
        SwiftStore.engine = Swift(tmp_path_factory.mktemp("swift"))
    one = request.param(tmp_path)
    yield one
    one.close()


def opened(blobs, key, start, stop, size):
    """The bytes that an answer would send: from a descriptor, or from a source as the loop draws from it."""
    source = blobs.open(key, start, stop, size)
    if isinstance(source, int):
        with os.fdopen(source, "rb") as file:
            file.seek(start)
            return file.read(stop - start)
    out, buffer = b"", memoryview(bytearray(1000))
    try:
        with selectors.DefaultSelector() as selector:
            while source.position < stop:
                try:
                    out += source.read(buffer)
                except BlockingIOError:
                    waited = selector.register(source.fileno(), selectors.EVENT_READ)
                    assert selector.select(60), "the store is silent"
                    selector.unregister(waited.fileobj)
    finally:
        source.close()
    return out


def test_what_was_put_is_what_is_opened_and_read(store):
    data = os.urandom(5000)
    key = store.blobs.new_key()
    store.put(key, data)
    assert opened(store.blobs, key, 0, 5000, 5000) == data
    assert b"".join(bytes(piece) for piece in store.blobs.pieces(key)) == data
    assert store.blobs.size(key) == 5000


@pytest.mark.parametrize("start, stop, why", [
    (0, 1, "the first byte"), (4999, 5000, "the last byte"), (17, 4001, "the middle"), (0, 5000, "all"),
])
def test_any_span_can_be_opened(store, start, stop, why):
    data = os.urandom(5000)
    key = store.blobs.new_key()
    store.put(key, data)
    assert opened(store.blobs, key, start, stop, 5000) == data[start:stop], why


def test_what_is_larger_than_any_buffer_comes_whole(store):
    data = os.urandom(3_000_001)
    key = store.blobs.new_key()
    store.put(key, data)
    assert b"".join(bytes(piece) for piece in store.blobs.pieces(key)) == data
    assert opened(store.blobs, key, 1, 3_000_000, 3_000_001) == data[1:3_000_000]


def test_what_is_too_large_for_one_request_comes_whole_and_goes_whole(store):
    data = os.urandom(2 * SMALLEST_PART + 1)
    key = store.blobs.new_key()
    store.put(key, data)
    assert store.blobs.size(key) == len(data) and list(store.blobs.scan()) == [key]
    assert b"".join(bytes(piece) for piece in store.blobs.pieces(key)) == data
    edge = SMALLEST_PART
    assert opened(store.blobs, key, edge - 3, edge + 3, len(data)) == data[edge - 3:edge + 3]
    store.blobs.give_up()
    assert opened(store.blobs, key, 0, 9, len(data)) == data[:9], "an upload that became an object cannot be given up"
    store.blobs.delete(key)
    assert store.blobs.size(key) is None and store.blobs.give_up() == 0


def test_a_key_without_bytes_is_not_found(store, tmp_path):
    key = store.blobs.new_key()
    assert store.blobs.size(key) is None
    with pytest.raises(FileNotFoundError):
        store.blobs.open(key, 0, 5, 5)
    with pytest.raises(FileNotFoundError):
        next(store.blobs.pieces(key))
    with pytest.raises(FileNotFoundError):
        store.blobs.lend(key, str(tmp_path / "lent"))
    assert not (tmp_path / "lent").exists()


def test_lent_bytes_outlive_their_key(store, tmp_path):
    key = store.blobs.new_key()
    store.put(key, b"sound" * 100_000)
    store.blobs.lend(key, str(tmp_path / "lent"))
    with pytest.raises(FileExistsError):
        store.blobs.lend(key, str(tmp_path / "lent"))
    store.blobs.delete(key)
    assert (tmp_path / "lent").read_bytes() == b"sound" * 100_000


def test_deleting_twice_is_as_good_as_once(store):
    key = store.blobs.new_key()
    store.put(key, b"x")
    store.blobs.delete(key)
    store.blobs.delete(key)
    assert store.blobs.size(key) is None


def test_a_scan_gives_every_key_in_order_and_goes_on_anywhere(store):
    keys = sorted(store.blobs.new_key() for _ in range(40))
    for key in reversed(keys):
        store.put(key, b"x")
    assert list(store.blobs.scan()) == keys
    for n in (0, 7, 38, 39):
        assert list(store.blobs.scan(after=keys[n])) == keys[n + 1:]
    assert list(store.blobs.scan(after="")) == keys


def test_a_scan_can_pass_over_what_is_young(store):
    key = store.blobs.new_key()
    store.put(key, b"x")
    assert list(store.blobs.scan(older_than_s=3600)) == []
    assert list(store.blobs.scan(older_than_s=0.0)) == [key]


def test_what_is_being_read_comes_to_its_end_after_a_deletion(store):
    if os.name == "nt":
        pytest.skip("Windows removes no open file")
    key = store.blobs.new_key()
    store.put(key, b"still here")
    source = store.blobs.open(key, 0, 10, 10)
    store.blobs.delete(key)
    if isinstance(source, int):
        with os.fdopen(source, "rb") as file:
            assert file.read() == b"still here"
        return
    until, out = time.monotonic() + 60, b""
    while len(out) < 10 and time.monotonic() < until:
        try:
            out += source.read(memoryview(bytearray(10)))
        except BlockingIOError:
            pass
    source.close()
    assert out == b"still here"


@pytest.mark.parametrize("key", ["", "../../etc/passwd", "A" * 32, "a" * 31, "a" * 33, "aa/" + "b" * 29])
def test_what_is_no_key_never_becomes_a_path(store, key):
    with pytest.raises(ValueError):
        store.blobs.open(key, 0, 1, 1)
    with pytest.raises(ValueError):
        store.blobs.delete(key)
