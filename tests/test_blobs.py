"""The contract of the blobs' door, against every store there is; and what a directory adds to it."""

from __future__ import annotations

import os
import stat
import threading
import time

import pytest
from support import ROOT  # noqa: F401  (puts the program on the path)

from audiokit.blobs import DirectoryBlobs, FileOps
from audiokit.blobs.together import SyncedTogether


class DirectoryStore:
    """A store in a directory, and a way to hand it files."""

    def __init__(self, folder):
        self.folder = folder
        self.blobs = DirectoryBlobs(folder / "files", FileOps())

    def put(self, key, data):
        path = self.folder / "upload.part"
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
    key = store.blobs.new_key()
    store.put(key, b"sound" * 1000)
    assert content(store.blobs, key) == b"sound" * 1000
    assert store.blobs.size(key) == 5000


def test_a_key_without_bytes_is_not_found(store):
    assert store.blobs.size(store.blobs.new_key()) is None
    with pytest.raises(FileNotFoundError):
        store.blobs.open(store.blobs.new_key())


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


def test_an_open_file_outlives_its_deletion_where_the_system_allows_that(store):
    if os.name == "nt":
        pytest.skip("Windows removes no open file")
    key = store.blobs.new_key()
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
    key = store.blobs.new_key()
    store.put(key, b"x")
    (tmp_path / "files" / "notes.txt").write_text("mine")
    (tmp_path / "files" / key[:2] / ".DS_Store").write_text("a desktop's")
    assert list(store.blobs.scan()) == [key]


def test_keys_of_one_moment_share_a_folder_until_its_sync_begins(tmp_path):
    store = DirectoryStore(tmp_path)
    seen = set()
    for _ in range(20):
        keys = [store.blobs.new_key() for _ in range(5)]
        assert len({key[:2] for key in keys}) == 1 and len(set(keys)) == 5
        store.put(keys[0], b"x")
        seen.add(keys[0][:2])
    assert len(seen) > 5  # of 256, evenly


class Rounds:
    """Syncs whose first one waits until it is let go, and whoever called meanwhile."""

    def __init__(self):
        self.synced, self.begun, self.raised = [], 0, {}
        self.first_is_under_way, self.go_on = threading.Event(), threading.Event()
        self.together = SyncedTogether(self.sync, self.begin)
        self.ill = None

    def begin(self):
        self.begun += 1

    def sync(self, path):
        self.synced.append(path)
        if path == "first":
            self.first_is_under_way.set()
            assert self.go_on.wait(30)
        if path == self.ill:
            raise OSError("the disk is ill")

    def call(self, path):
        try:
            self.together.sync(path)
        except OSError as error:
            self.raised[threading.current_thread().name] = str(error)

    def run(self, paths):
        crew = [threading.Thread(target=self.call, args=("first",))]
        crew[0].start()
        assert self.first_is_under_way.wait(30)
        crew += [threading.Thread(target=self.call, args=(path,), name=f"{n} {path}") for n, path in enumerate(paths)]
        for thread in crew[1:]:
            thread.start()
        until = time.monotonic() + 30
        while self.together.waiting < len(paths) and time.monotonic() < until:
            time.sleep(0)
        self.go_on.set()
        for thread in crew:
            thread.join()


def test_who_calls_during_a_sync_shares_the_next_one_and_never_that_one():
    rounds = Rounds()
    rounds.run(["a", "a", "first", "b", "a"])
    assert rounds.begun == 2
    assert rounds.synced[0] == "first" and sorted(rounds.synced[1:]) == ["a", "b", "first"]


def test_a_sync_that_fails_fails_for_all_who_waited_for_it_and_for_nobody_else():
    rounds = Rounds()
    rounds.ill = "a"
    rounds.run(["a", "b", "a"])
    assert sorted(rounds.raised) == ["0 a", "2 a"]
    rounds.ill = None
    rounds.together.sync("a")


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
