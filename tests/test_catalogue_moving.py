"""A catalogue moved to another engine and back is what it was; while it is moved it can only be read."""

from __future__ import annotations

import hashlib
import sqlite3

import pytest
from people import QUICK
from rqlite_nodes import RqliteNodes
from support import ROOT, wav

import audiometa
import storage as storage_module
from audiokit.blobs import FileOps
from audiokit.catalogue import Catalogue
from audiokit.catalogue.moving import Differs, move_rows
from audiokit.credentials import hash_password
from audioserver import main
from storage import Storage

SCHEMA = (ROOT / "schema.sql").read_text("utf-8")

MARKS = ("'moving'", "'leaving'", "'left'", "'arriving'", '"sessions"')  # and log-ins, which do not move


def add(storage, name, data):
    with storage.begin_upload(len(data)) as upload:
        upload.write(data)
        info = audiometa.identify(upload.file, len(data))
        return storage.keep(
            upload, name=name, info=info, sha256=hashlib.sha256(data).hexdigest(), size=len(data),
            metadata={"project": "\u00e4 'x'"},
        )


def fill(storage, count=5):
    for n in range(count):
        add(storage, f"{n}.wav", wav(pitch_hz=300 + n))
    password = hash_password("open sesame", b"0123456789abcdef", QUICK)
    for name in ("ann", "bob"):
        storage.people.add(name, password, name == "ann", 5)
    storage.people.remove(storage.people.named("bob").id)  # whose number is never used again
    storage.remove(storage._catalogue.read("SELECT id FROM files LIMIT 1")[0][0])


def contents(door, tmp_path, name):
    path = tmp_path / name
    door.backup(path)
    db = sqlite3.connect(str(path))
    try:
        return sorted(
            line for line in db.iterdump()
            if line.startswith("INSERT INTO") and "words" not in line and not any(mark in line for mark in MARKS)
        )
    finally:
        db.close()


def sqlite_at(path):
    return Catalogue(path, SCHEMA, FileOps())


@pytest.fixture
def filled(tmp_path):
    with Storage(tmp_path / "var") as storage:
        fill(storage)
        yield storage


def test_what_arrives_is_what_left(filled, tmp_path):
    target = sqlite_at(tmp_path / "target.db")
    moved = move_rows(filled._catalogue, target, "there", lambda text: None)
    assert moved.files == 4
    assert contents(target, tmp_path, "a.db") == contents(filled._catalogue, tmp_path, "b.db")
    target.close()


def test_while_it_is_moved_and_after_it_nothing_is_changed_where_it_left(filled, tmp_path):
    target = sqlite_at(tmp_path / "target.db")
    move_rows(filled._catalogue, target, "there", lambda text: None)
    with pytest.raises(storage_module.Refusal, match="being moved"):
        add(filled, "new.wav", wav(0.2))
    target.write([("UPDATE files SET version = version + 1", ())])
    target.close()


def test_interrupted_at_any_table_it_goes_on(filled, tmp_path):
    class Interrupted(Exception):
        pass

    for stop in range(1, 8):
        target = sqlite_at(tmp_path / "target.db")
        seen = []

        def say(text, stop=stop, seen=seen):
            seen.append(text)
            if len(seen) == stop:
                raise Interrupted

        with pytest.raises(Interrupted):
            move_rows(filled._catalogue, target, "there", say)
        target.close()
    target = sqlite_at(tmp_path / "target.db")
    move_rows(filled._catalogue, target, "there", lambda text: None)
    assert contents(target, tmp_path, "a.db") == contents(filled._catalogue, tmp_path, "b.db")
    target.close()


def test_where_others_are_it_does_not_go(filled, tmp_path):
    with Storage(tmp_path / "other") as other:
        add(other, "theirs.wav", wav(0.3))
        with pytest.raises(FileExistsError):
            move_rows(filled._catalogue, other._catalogue, "there", lambda text: None)


def test_a_row_that_differs_is_told(filled, tmp_path):
    class Careless(Catalogue):
        def write(self, statements):
            return super().write([(sql, params) for sql, params in statements if "INTO labels" not in sql])

    target = Careless(tmp_path / "target.db", SCHEMA, FileOps())
    with pytest.raises(Differs, match="labels"):
        move_rows(filled._catalogue, target, "there", lambda text: None)
    target.close()


@pytest.mark.slow
def test_to_rqlite_and_back_it_is_identical(tmp_path, capsys):
    data = str(tmp_path / "var")
    with Storage(data) as storage:
        fill(storage)
        before = contents(storage._catalogue, tmp_path, "before.db")
    with RqliteNodes(tmp_path / "rqlite", 1) as node:
        assert main(["db", "move", "--data", data, "--to", node.url]) == 0
        assert main(["db", "check", "--deep", "--data", data, "--catalogue", node.url]) == 0
        with Storage(data, catalogue=node.url) as far:
            assert contents(far._catalogue, tmp_path, "far.db") == before
        assert main(["db", "move", "--data", data, "--catalogue", node.url, "--to", "folder"]) == 0
    assert main(["db", "check", "--deep", "--data", data]) == 0
    with Storage(data) as storage:
        assert contents(storage._catalogue, tmp_path, "after.db") == before
        add(storage, "new.wav", wav(0.2))
    assert "compared by sha256" in capsys.readouterr().out
