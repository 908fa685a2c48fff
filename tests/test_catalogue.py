"""What SQLite adds to the contract of the catalogue's door (test_catalogue_contract.py)."""

from __future__ import annotations

import errno
import sqlite3
import threading

import pytest
from support import ROOT

from audiokit.blobs import FileOps
from audiokit.catalogue import Catalogue, InDoubt, TooSlow

SCHEMA = (ROOT / "schema.sql").read_text("utf-8")
NOTE = "INSERT INTO removals (key, since_ms) VALUES (?, ?)"


def sqlite_door(folder, ops=None, **settings):
    return Catalogue(folder / "catalogue.db", SCHEMA, ops or FileOps(), **settings)


@pytest.fixture
def door(tmp_path):
    """An empty one."""
    catalogue = sqlite_door(tmp_path)
    yield catalogue
    catalogue.close()


def keys(door):
    return [key for (key,) in door.read("SELECT key FROM removals ORDER BY key")]


class CommitFails(FileOps):
    """The disk as it is when a commit cannot be synced."""

    def __init__(self, error):
        self.error = error

    def commit(self, connection):
        if self.error is not None:
            raise self.error
        super().commit(connection)


def test_a_commit_that_fails_is_in_doubt_and_the_next_one_works(tmp_path):
    ops = CommitFails(None)
    door = sqlite_door(tmp_path, ops)
    ops.error = OSError(errno.EIO, "the disk is ill")
    with pytest.raises(InDoubt) as caught:
        door.write([(NOTE, ("a", 1))])
    assert caught.value.errno == errno.EIO
    assert door.failure is not None
    ops.error = None
    assert door.write([(NOTE, ("b", 1))]) == [1]
    assert door.failure is None
    assert keys(door) == ["b"]
    door.close()


def test_a_full_disk_has_its_own_number(tmp_path):
    ops = CommitFails(None)
    door = sqlite_door(tmp_path, ops)
    ops.error = sqlite3.OperationalError("database or disk is full")
    with pytest.raises(OSError) as caught:
        door.write([(NOTE, ("a", 1))])
    assert caught.value.errno == errno.ENOSPC
    ops.error = None
    door.close()


def test_a_catalogue_that_cannot_grow_refuses_and_goes_on(tmp_path):
    door = sqlite_door(tmp_path)
    pages = door._writer.execute("PRAGMA page_count").fetchone()[0]
    door._writer.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(OSError) as caught:
        door.write([(NOTE, (f"{n:05}" * 50, n)) for n in range(1000)])
    assert caught.value.errno == errno.ENOSPC
    assert keys(door) == []
    assert door.write([(NOTE, ("a", 1))]) == [1]
    door.close()


def test_another_process_that_writes_is_waited_for(tmp_path):
    door = sqlite_door(tmp_path)
    other = sqlite3.connect(str(door.path), isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    outcome = []
    thread = threading.Thread(target=lambda: outcome.append(door.write([(NOTE, ("a", 1))])))
    thread.start()
    other.execute(NOTE, ("other", 1))
    other.execute("COMMIT")
    thread.join()
    other.close()
    assert outcome == [[1]]
    assert keys(door) == ["a", "other"]
    door.close()


def test_a_query_past_its_deadline_stops_and_the_connection_goes_on(tmp_path):
    door = sqlite_door(tmp_path)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    with pytest.raises(TooSlow):
        door.read(endless, (), 0.02)
    assert door.read("SELECT 1", (), 60.0) == [(1,)]
    door.close()


def test_readers_cannot_write(door):
    with pytest.raises(sqlite3.OperationalError):
        door.read(NOTE, ("a", 1))


def test_a_commit_waits_for_the_disk(door):
    assert door._writer.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert door._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_catalogue_of_a_newer_program_is_left_alone(tmp_path):
    sqlite_door(tmp_path).close()
    db = sqlite3.connect(str(tmp_path / "catalogue.db"), isolation_level=None)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(Exception, match="99"):
        sqlite_door(tmp_path)


def test_without_trigrams_the_same_catalogue_serves_and_grows_its_index_again(tmp_path):
    triggers = "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'words%'"
    sqlite_door(tmp_path).close()
    door = sqlite_door(tmp_path, trigrams=False)
    assert not door.has_trigrams
    assert door.read(triggers) == [(0,)]
    door.close()
    door = sqlite_door(tmp_path)
    assert door.read(triggers) == [(3 if door.has_trigrams else 0,)]
    door.close()
