"""What a directory adds to the contract of the blobs' door (test_blobs_contract.py): places, rounds of syncs, permissions."""

from __future__ import annotations

import os
import stat
import threading
import time

import pytest
from support import ROOT  # noqa: F401  (puts the program on the path)
from test_blobs_contract import DirectoryStore

from audiokit.blobs import FileOps
from audiokit.blobs.together import SyncedTogether


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
            assert self.go_on.wait(60)
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
        assert self.first_is_under_way.wait(60)
        crew += [threading.Thread(target=self.call, args=(path,), name=f"{n} {path}") for n, path in enumerate(paths)]
        for thread in crew[1:]:
            thread.start()
        until = time.monotonic() + 60
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
