"""Faults: whichever operation of the disk fails, nothing acknowledged is lost, nothing is left, and it goes on.

A life story is run again and again; each time the next operation of one kind fails, until a run passes in which
none is left to fail.  Then the folder is opened anew, as after a restart, and compared with what was acknowledged.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sqlite3

import pytest
from support import wav
from test_storage import INFO, content, leftovers, upload

from audiokit.blobs import FileOps
from audiokit.held import Held
from audiokit.wire.company import alone, together
from audiokit.wire.problems import Refusal
from storage import Storage

SOUND, OTHER, THIRD = wav(0.02), wav(0.03), wav(0.034)


class FailingOps(FileOps):
    """The real operations, except that the `at`-th one of a kind fails, and `more` behind it."""

    def __init__(self) -> None:
        self.kind, self.at, self.more, self.error = "", 0, 0, None
        self.count = 0

    def fail(self, kind, at, more, error):
        self.kind, self.at, self.more, self.error, self.count = kind, at, more, error, 0

    def _step(self, kind):
        if kind == self.kind:
            self.count += 1
            if self.at <= self.count <= self.at + self.more:
                raise self.error

    @property
    def has_failed(self):
        return self.count >= self.at

    def create(self, path):
        self._step("create")
        return super().create(path)

    def write(self, file, data):
        self._step("write")
        return super().write(file, data[:300])  # a disk may take less than it is given

    def sync(self, descriptor):
        self._step("sync")
        super().sync(descriptor)

    def rename(self, source, target):
        self._step("rename")
        super().rename(source, target)

    def sync_directory(self, path):
        self._step("sync_directory")
        super().sync_directory(path)

    def make_directory(self, path):
        self._step("make_directory")
        super().make_directory(path)

    def remove(self, path):
        self._step("remove")
        super().remove(path)

    def commit(self, connection):
        self._step("commit")
        super().commit(connection)


STORY = [
    ("post", "a.wav", SOUND), ("post", "b.wav", OTHER), ("post", "a.wav", SOUND), ("post", "a.wav", THIRD),
    ("replace", "a.wav", OTHER), ("rename", "a.wav", "c.wav"), ("replace", "b.wav", THIRD), ("remove", "c.wav", None),
    ("post", "d.wav", SOUND),
]


def live(storage, acknowledged):
    """Live the story; what was acknowledged is noted, what failed may have happened or not."""
    refused = []
    for act, name, what in STORY:
        before = acknowledged.get(name)
        try:
            if act == "remove":
                found = storage.content(name=name)
                if found is not None:
                    acknowledged[name] = {before, None}
                    storage.remove(found.id)
                    acknowledged[name] = None
            elif act == "rename":
                found = storage.content(name=name)
                if found is not None and storage.change(found.id, name=what):
                    acknowledged[what], acknowledged[name] = before, None
            else:
                upload(storage, what, name, overwrite=act == "replace")
                acknowledged[name] = what
        except Refusal as refusal:
            refused.append(refusal.code)
            acknowledged[name] = before
        except (OSError, sqlite3.Error) as error:
            refused.append(error)
            acknowledged[name] = before
    return refused


KINDS = ["create", "write", "sync", "rename", "sync_directory", "make_directory", "remove", "commit"]
FAULTS = [(kind, errno.EIO, 0) for kind in KINDS]
FAULTS += [(kind, errno.ENOSPC, 0) for kind in ("create", "write", "sync", "rename", "make_directory", "commit")]
FAULTS += [(kind, errno.EIO, 2) for kind in ("sync", "remove", "commit")]  # and what cleans up fails too


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A data folder with nothing in it yet, to be copied: making one costs more than opening it."""
    folder = tmp_path_factory.mktemp("empty")
    Storage(folder).close()
    return folder


@pytest.mark.parametrize("kind, number, more", FAULTS)
def test_whichever_operation_fails_nothing_acknowledged_is_lost_and_nothing_is_left(
    empty, tmp_path, kind, number, more
):
    for at in range(1, 200):
        folder = tmp_path / str(at)
        shutil.copytree(empty, folder)
        ops = FailingOps()
        acknowledged = {}
        with Storage(folder, ops=ops, free_space_kept=0) as storage:
            ops.fail(kind, at, more, OSError(number, os.strerror(number)))
            refused = live(storage, acknowledged)
            was_reached = ops.has_failed
            ops.fail("", 0, 0, None)
            for name, data in acknowledged.items():
                assert content(storage, name=name) == data, (at, name)
            # It goes on: what could not be done can be done now.
            assert upload(storage, SOUND, "after.wav").outcome == "created"
        if number == errno.ENOSPC:
            assert all(isinstance(code, str) for code in refused), refused
        with Storage(folder, free_space_kept=0) as storage:
            for name, data in {**acknowledged, "after.wav": SOUND}.items():
                assert content(storage, name=name) == data, (at, name)
            assert leftovers(storage) == [], at
            assert storage._catalogue.read("SELECT * FROM removals") == [], at
        if not was_reached:
            return
    raise AssertionError("the story has no end")


def test_every_kind_of_operation_takes_part_in_the_story(tmp_path):
    ops = FailingOps()
    seen = []
    ops._step = seen.append
    with Storage(tmp_path, ops=ops, free_space_kept=0) as storage:
        del seen[:]
        live(storage, {})
    assert set(seen) == set(KINDS)


def test_the_bytes_are_on_the_disk_before_the_row_and_the_row_before_the_answer(tmp_path):
    ops = FailingOps()
    seen = []
    with Storage(tmp_path, ops=ops, free_space_kept=0) as storage:
        upload(storage, SOUND, "a.wav")
        ops._step = seen.append
        upload(storage, OTHER, "b.wav")
    order = [kind for kind in seen if kind not in ("write", "make_directory")]
    assert order[0] == "create" and order[1] == "sync"
    assert order[order.index("rename"):][:2] == ["rename", "sync_directory"] or "sync" in order
    assert order.index("sync") < order.index("rename") < order.index("commit")
    after_rename = order[order.index("rename"):]
    assert after_rename.index("sync_directory") < after_rename.index("commit")


def test_a_small_body_is_written_once_where_it_is_to_stay_and_is_on_the_disk_before_its_row(tmp_path):
    ops = FailingOps()
    seen = []
    with Storage(tmp_path, ops=ops, free_space_kept=0) as storage:
        upload(storage, SOUND, "a.wav")
        ops._step = seen.append
        alone(keeping(storage, OTHER, "b.wav", "held"))
        assert content(storage, name="b.wav") == OTHER
    order = seen[seen.index("create") :]  # before it a folder may be made
    writes = order.count("write")
    assert writes and order == ["create", *["write"] * writes, "sync", "sync_directory", "sync", "commit"]


def test_what_is_refused_before_it_is_written_never_touches_the_disk(empty, tmp_path):
    shutil.copytree(empty, tmp_path / "var")
    ops = FailingOps()
    seen = []
    with Storage(tmp_path / "var", ops=ops, free_space_kept=0) as storage:
        alone(keeping(storage, SOUND, "a.wav", "held"))
        ops._step = seen.append
        taken, same = together([keeping(storage, sound, "a.wav", "held") for sound in (OTHER, SOUND)])
        assert taken.code == "name-taken" and same.outcome == "same" and seen == []


def test_a_disk_error_is_not_taken_for_a_full_disk(tmp_path):
    ops = FailingOps()
    with Storage(tmp_path, ops=ops, free_space_kept=0) as storage:
        ops.fail("sync", 1, 0, OSError(errno.EIO, "the disk is ill"))
        with pytest.raises(OSError) as caught:
            upload(storage, SOUND, "a.wav")
        assert caught.value.errno == errno.EIO
        assert storage.record(name="a.wav") is None and leftovers(storage) == []


def test_a_full_disk_is_no_space_and_the_next_upload_is_kept(tmp_path):
    ops = FailingOps()
    with Storage(tmp_path, ops=ops, free_space_kept=0) as storage:
        for kind in ("create", "write", "sync", "rename", "commit"):
            ops.fail(kind, 1, 0, OSError(errno.ENOSPC, "full"))
            with pytest.raises(Refusal) as caught:
                upload(storage, SOUND, "a.wav")
            assert caught.value.code == "no-space", kind
            ops.fail("", 0, 0, None)
            assert leftovers(storage) == [], kind
        assert upload(storage, SOUND, "a.wav").outcome == "created"


def test_a_commit_in_doubt_keeps_the_bytes_until_it_is_sure_that_no_row_names_them(tmp_path):
    ops = FailingOps()
    digest = hashlib.sha256(SOUND).hexdigest()
    with Storage(tmp_path, ops=ops, free_space_kept=0) as storage:
        ops.fail("commit", 1, 10, OSError(errno.EIO, "the disk is ill"))
        with pytest.raises(OSError):
            upload(storage, SOUND, "a.wav")
        (kept,) = [path for path in storage.data.glob("files/*/*")]
        assert hashlib.sha256(kept.read_bytes()).hexdigest() == digest
        assert "the disk is ill" in storage.health()["catalogue"]
        ops.fail("", 0, 0, None)
        assert storage.health() == {}  # it looks for itself: nobody writes to a server that says it is ill
    with Storage(tmp_path, free_space_kept=0) as storage:
        assert not kept.exists() and leftovers(storage) == []


def test_bytes_that_can_be_neither_kept_nor_removed_are_swept_at_the_next_start(tmp_path):
    ops = FailingOps()
    with Storage(tmp_path, ops=ops, free_space_kept=0) as storage:
        upload(storage, SOUND, "a.wav")

        seen = []

        def ill(kind):
            seen.append(kind)
            if "rename" in seen and kind in ("sync_directory", "remove"):
                raise OSError(errno.EIO, "the disk is ill")

        ops._step = ill
        with pytest.raises(OSError):
            upload(storage, OTHER, "b.wav")
        assert len(list(storage.data.glob("files/*/*"))) == 2
    with Storage(tmp_path, free_space_kept=0) as storage:
        assert len(list(storage.data.glob("files/*/*"))) == 1 and leftovers(storage) == []


def test_a_start_that_fails_lets_go_of_the_folder(tmp_path):
    ops = FailingOps()
    for kind in ("create", "sync_directory", "make_directory"):
        ops.fail(kind, 1, 0, OSError(errno.EIO, "the disk is ill"))
        with pytest.raises(OSError):
            Storage(tmp_path / kind, ops=ops)
        ops.fail("", 0, 0, None)
        Storage(tmp_path / kind, ops=ops).close()


# How many of four fail with one operation, by how they were received.  The last sync is the directory's, which is of
# all of them.
COMPANY = [("file", "sync", 4), ("file", "rename", 1), ("file", "sync_directory", 4), ("file", "commit", 4)]
COMPANY += [("held", "create", 1), ("held", "write", 1), ("held", "sync", 4), ("held", "sync_directory", 4), ("held", "commit", 4)]


def keeping(storage, data, name, how="file"):
    """What keeps `data` once it was received, in a file or in memory, as a work."""
    received = Held() if how == "held" else storage.begin_upload(len(data))
    received.write(data)
    return storage.keeping(
        received, name=name, info=INFO, sha256=hashlib.sha256(data).hexdigest(), size=len(data), metadata={}
    )


@pytest.mark.parametrize("how, kind, most", COMPANY)
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_what_fails_in_company_fails_for_those_whose_it_was_and_leaves_nothing(empty, tmp_path, how, kind, most, number):
    sounds = {f"{n}.wav": wav(0.02 + n / 100) for n in range(4)}
    for at in range(1, 30):
        folder = tmp_path / f"{at}"
        shutil.copytree(empty, folder)
        ops = FailingOps()
        with Storage(folder, ops=ops, free_space_kept=0) as storage:
            works = [keeping(storage, data, name, how) for name, data in sounds.items()]
            ops.fail(kind, at, 0, OSError(number, os.strerror(number)))
            outcomes = dict(zip(sounds, together(works)))
            was_reached = ops.has_failed
            ops.fail("", 0, 0, None)
            failed = [name for name, outcome in outcomes.items() if isinstance(outcome, BaseException)]
            assert len(failed) <= (1 if kind == "sync" and at <= 4 else most) and (failed or not was_reached)
            for name, data in sounds.items():
                assert content(storage, name=name) == (None if name in failed else data), (at, name)
            assert leftovers(storage) == []
        with Storage(folder, free_space_kept=0) as storage:
            for name, data in sounds.items():
                assert content(storage, name=name) == (None if name in failed else data), (at, name)
        if not was_reached:
            return
    raise AssertionError("it never stopped failing")


@pytest.mark.parametrize("how", ["file", "held"])
def test_of_two_in_company_who_want_one_name_one_gets_it(empty, tmp_path, how):
    shutil.copytree(empty, tmp_path / "var")
    with Storage(tmp_path / "var") as storage:
        first, second = together([keeping(storage, sound, "a.wav", how) for sound in (SOUND, OTHER)])
        assert first.outcome == "created" and second.code == "name-taken"
        assert content(storage, name="a.wav") == SOUND and leftovers(storage) == []
