"""The contract of the blobs' door, against every store there is; and what a directory adds to it."""

from __future__ import annotations

import os
import stat

import pytest
from support import ROOT  # noqa: F401  (puts the program on the path)

from audiokit.blobs import DirectoryBlobs, FileOps
from audiokit.blobs.directory import new_key


class DirectoryStore:
    """A store in a directory, and a way to hand it files."""

    def __init__(self, folder):
        self.folder = folder
        self.blobs = DirectoryBlobs(folder / "files", FileOps())

    def put(self, key, data):
        path = self.folder / (new_key() + ".part")
        path.write_bytes(data)
        self.blobs.put(key, open(path, "r+b", buffering=0), len(data), "")
        assert not path.exists()


@pytest.fixture(params=[DirectoryStore], ids=["directory"])
def store(request, tmp_path):
    """Every kind of store that keeps the door's contract."""
    return request.param(tmp_path)


def content(blobs, key):
    with os.fdopen(blobs.open(key), "rb") as file:
        return file.read()


def test_what_was_put_is_what_is_opened(store):
    key = new_key()
    store.put(key, b"sound" * 1000)
    assert content(store.blobs, key) == b"sound" * 1000
    assert store.blobs.size(key) == 5000


def test_a_key_without_bytes_is_not_found(store):
    assert store.blobs.size(new_key()) is None
    with pytest.raises(FileNotFoundError):
        store.blobs.open(new_key())


def test_deleting_twice_is_as_good_as_once(store):
    key = new_key()
    store.put(key, b"x")
    store.blobs.delete(key)
    store.blobs.delete(key)
    assert store.blobs.size(key) is None


def test_a_scan_gives_every_key_in_order_and_goes_on_anywhere(store):
    keys = sorted(new_key() for _ in range(40))
    for key in reversed(keys):
        store.put(key, b"x")
    assert list(store.blobs.scan()) == keys
    for n in (0, 7, 38, 39):
        assert list(store.blobs.scan(after=keys[n])) == keys[n + 1:]
    assert list(store.blobs.scan(after="")) == keys


def test_an_open_file_outlives_its_deletion_where_the_system_allows_that(store):
    if os.name == "nt":
        pytest.skip("Windows removes no open file")
    key = new_key()
    store.put(key, b"still here")
    descriptor = store.blobs.open(key)
    store.blobs.delete(key)
    with os.fdopen(descriptor, "rb") as file:
        assert file.read() == b"still here"


@pytest.mark.parametrize("key", ["", "../../etc/passwd", "A" * 32, "a" * 31, "a" * 33, "aa/" + "b" * 29])
def test_what_is_no_key_never_becomes_a_path(store, key):
    with pytest.raises(ValueError):
        store.blobs.open(key)


def test_a_scan_passes_over_what_is_not_ours(tmp_path):
    store = DirectoryStore(tmp_path)
    key = new_key()
    store.put(key, b"x")
    (tmp_path / "files" / "notes.txt").write_text("mine")
    (tmp_path / "files" / key[:2] / ".DS_Store").write_text("a desktop's")
    assert list(store.blobs.scan()) == [key]


def test_only_the_owner_may_read(tmp_path):
    if os.name == "nt":
        pytest.skip("no permission bits on Windows")
    descriptor = FileOps().create(str(tmp_path / "new"))
    os.close(descriptor)
    assert stat.S_IMODE(os.stat(tmp_path / "new").st_mode) == 0o600
    with pytest.raises(FileExistsError):
        FileOps().create(str(tmp_path / "new"))


def test_where_there_are_no_hard_links_a_copy_is_made(tmp_path, monkeypatch):
    def no_links(source, target):
        raise OSError("no hard links here")

    monkeypatch.setattr(os, "link", no_links)
    (tmp_path / "a").write_bytes(b"sound")
    FileOps().link_or_copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"sound"
    assert os.stat(tmp_path / "a").st_ino != os.stat(tmp_path / "b").st_ino
